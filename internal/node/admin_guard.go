package node

import (
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/futago/futago/internal/addr"
)

// actionHeader must be on every request that changes something: a page of another site cannot set it.
const actionHeader = "Futago-Admin"

// maxQuestion bounds the body of a request, bytes.
const maxQuestion = 1 << 20

// adminPolicy lets pages of the admin port do what the dashboard does, and nothing else.
const adminPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard is what every request to the admin port passes, and the one place where it is refused for where it comes from.
func (n *Node) guard(next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", adminPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
		if !n.meant(r) {
			plain(w, http.StatusMisdirectedRequest, "the name in Host is not one of this machine: use its address, or localhost")
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if r.Header.Get(actionHeader) != "1" {
				plain(w, http.StatusForbidden, "the request must have the header "+actionHeader+": 1")
				return
			}
			if err := foreign.Check(r); err != nil {
				plain(w, http.StatusForbidden, "the request comes from a page of another site")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// meant keeps out pages whose name was made to lead to this machine: what comes over loopback must name it.
func (n *Node) meant(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if net.ParseIP(host) != nil || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	own, err := os.Hostname()
	if err == nil && strings.EqualFold(host, own) {
		return true
	}
	text, _, _ := strings.Cut(n.cfg.AdminListen, ",")
	_, address, err := addr.Split(text)
	if err != nil {
		return false
	}
	configured, _, err := net.SplitHostPort(address)
	return err == nil && strings.EqualFold(host, configured)
}
