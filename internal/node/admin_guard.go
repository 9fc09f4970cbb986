package node

import (
	"net/http"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/node/web"
)

// maxQuestion bounds the body of a request, bytes.
const maxQuestion = 1 << 20

// guard is what every request to the admin port passes, and the one place where it is refused for where it comes from.
func (n *Node) guard(next http.Handler) http.Handler {
	own := access.OwnPages(n.cfg.AdminListen, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Protect(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
		own.ServeHTTP(w, r)
	})
}
