package node

import (
	"net/http"

	"github.com/futago/futago/internal/access"
)

// maxQuestion bounds the body of a request, bytes.
const maxQuestion = 1 << 20

// adminPolicy lets pages of the admin port do what the dashboard does, and nothing else.
const adminPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard is what every request to the admin port passes, and the one place where it is refused for where it comes from.
func (n *Node) guard(next http.Handler) http.Handler {
	own := access.OwnPages(n.cfg.AdminListen, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", adminPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
		own.ServeHTTP(w, r)
	})
}
