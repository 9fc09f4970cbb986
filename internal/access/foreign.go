package access

import (
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/futago/futago/internal/addr"
)

// ActionHeader must be on every request that changes something: a page of another site cannot set it.
const ActionHeader = "Futago-Admin"

// OwnPages keeps pages of other sites in an operator's browser away from an operators' address, listen in the form of the setting:
// what comes over loopback must name this machine, and what changes something must have ActionHeader.
func OwnPages(listen string, next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !meant(listen, r) {
			refuse(w, http.StatusMisdirectedRequest, "the name in Host is not one of this machine: use its address, or localhost")
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if r.Header.Get(ActionHeader) != "1" {
				refuse(w, http.StatusForbidden, "the request must have the header "+ActionHeader+": 1")
				return
			}
			if err := foreign.Check(r); err != nil {
				refuse(w, http.StatusForbidden, "the request comes from a page of another site")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// meant keeps out pages whose name was made to lead to this machine: what comes over loopback must name it.
func meant(listen string, r *http.Request) bool {
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
	text, _, _ := strings.Cut(listen, ",")
	_, address, err := addr.Split(text)
	if err != nil {
		return false
	}
	configured, _, err := net.SplitHostPort(address)
	return err == nil && strings.EqualFold(host, configured)
}
