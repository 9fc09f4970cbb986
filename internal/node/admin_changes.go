package node

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/futago/futago/internal/users"
)

// serveChanges tells what changes, to clients that may read.
func (n *Node) serveChanges(w http.ResponseWriter, r *http.Request) error {
	if state, reason, _ := n.current(); state != Ready {
		w.Header().Set("Retry-After", "1")
		return httpError{http.StatusServiceUnavailable, fmt.Errorf("%s: %s: follow another node", state, reason)}
	}
	sees, err := n.reader(w, r)
	if err != nil {
		return err
	}
	n.feed.Serve(w, r, sees)
	return nil
}

// reader says which keys who asks may be told of, as on the client port; nil without a file of users.
func (n *Node) reader(w http.ResponseWriter, r *http.Request) (sees func(key []byte) bool, err error) {
	if n.users == nil {
		return nil, nil
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="futago", charset="UTF-8"`)
	name, password, given := r.BasicAuth()
	if !given {
		return nil, httpError{http.StatusUnauthorized, errors.New("user and password are required")}
	}
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	u, err := n.users.Verify(r.Context(), from, name, []byte(password))
	switch {
	case errors.Is(err, users.ErrWrong):
		return nil, httpError{http.StatusUnauthorized, err}
	case err != nil:
		w.Header().Set("Retry-After", "1")
		return nil, httpError{http.StatusServiceUnavailable, err}
	}
	w.Header().Del("WWW-Authenticate")
	if !u.Has(users.Read) {
		return nil, httpError{http.StatusForbidden, fmt.Errorf("user %s may not read", u.Name)}
	}
	return func(key []byte) bool {
		now := n.users.Current(u) // the file may have been read again
		return now != nil && now.Has(users.Read) && now.Reaches(key)
	}, nil
}
