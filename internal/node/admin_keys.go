package node

import (
	"fmt"
	"net/http"
)

// serveKeys lists keys, as far as who asks may read them.
func (n *Node) serveKeys(w http.ResponseWriter, r *http.Request) error {
	if state, reason, _ := n.current(); state != Ready {
		w.Header().Set("Retry-After", "1")
		return httpError{http.StatusServiceUnavailable, fmt.Errorf("%s: %s: ask another node", state, reason)}
	}
	sees, err := n.reader(r)
	if err == nil {
		n.keys.Serve(w, r, sees)
	}
	return err
}
