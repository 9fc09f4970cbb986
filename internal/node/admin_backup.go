package node

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/users"
)

// serveBackup sends all that this node holds, or what changed since an earlier backup, to those who may see everything.
func (n *Node) serveBackup(w http.ResponseWriter, r *http.Request) error {
	if state, reason, _ := n.current(); state != Ready && state != Drained {
		w.Header().Set("Retry-After", "1")
		return httpError{http.StatusServiceUnavailable, fmt.Errorf("%s: %s: take the backup of another node", state, reason)}
	}
	if u := access.UserOf(r); u != nil && (!u.Has(users.Read|users.Admin) || len(u.Prefixes) > 0) {
		return httpError{http.StatusForbidden, fmt.Errorf("user %s may not take a backup: it needs the rights read and admin, and all keys", u.Name)}
	}
	n.audit.Note(slog.LevelInfo, "a backup is taken", "user", access.NameOf(r), "remote", r.RemoteAddr)
	n.backup.Serve(w, r)
	return nil
}
