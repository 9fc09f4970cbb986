package node

import (
	"fmt"
	"net/http"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/users"
)

// serveChanges tells what changes, to clients that may read.
func (n *Node) serveChanges(w http.ResponseWriter, r *http.Request) error {
	if state, reason, _ := n.current(); state != Ready {
		w.Header().Set("Retry-After", "1")
		return httpError{http.StatusServiceUnavailable, fmt.Errorf("%s: %s: follow another node", state, reason)}
	}
	sees, err := n.reader(r)
	if err != nil {
		return err
	}
	n.feed.Serve(w, r, sees)
	return nil
}

// reader says which keys who asks may be told of, as on the client port; nil without a file of users.
func (n *Node) reader(r *http.Request) (sees func(key []byte) bool, err error) {
	if n.users == nil {
		return nil, nil
	}
	u := access.UserOf(r)
	if !u.Has(users.Read) {
		return nil, httpError{http.StatusForbidden, fmt.Errorf("user %s may not read", u.Name)}
	}
	return func(key []byte) bool {
		now := n.users.Current(u) // the file may have been read again
		return now != nil && now.Has(users.Read) && now.Reaches(key)
	}, nil
}

// lister says why who asks may not be told of all keys, without their values.
func (n *Node) lister(r *http.Request) error {
	if u := access.UserOf(r); u != nil && !u.Has(users.Admin) && len(u.Prefixes) > 0 {
		return httpError{http.StatusForbidden, fmt.Errorf("user %s may read some keys only: this tells of all", u.Name)}
	}
	return nil
}
