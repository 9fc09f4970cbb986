package server

import (
	"errors"
	"net/http"

	"github.com/futago/futago/internal/users"
)

// httpChallenge asks for a name and a password. RFC 7617.
const httpChallenge = `Basic realm="futago", charset="UTF-8"`

// user returns who asks; false when the request was answered for want of that. The user is nil without a file of users.
func (h webHandler) user(w http.ResponseWriter, r *http.Request) (*users.User, bool) {
	if h.srv.cfg.Users == nil {
		return nil, true
	}
	t := h.srv.totals[0]
	name, password, given := r.BasicAuth()
	if !given {
		unauthorized(w, "user and password are required")
		return nil, false
	}
	from := ""
	if c, ok := r.Context().Value(handedConnKey{}).(*handedConn); ok {
		from = c.peer.host()
	}
	u, err := h.srv.cfg.Users.Verify(r.Context(), from, name, []byte(password))
	if err == nil {
		return u, true
	}
	// Those that succeed are not counted: each request brings its own.
	t.count(authCmds)
	t.count(authErrors)
	h.srv.logger.Debug("authentication failed", "remote", r.RemoteAddr, "user", name, "err", err)
	if errors.Is(err, users.ErrWrong) {
		unauthorized(w, err.Error())
		return nil, false
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set(headerEffect, effectNone)
	answer(w, http.StatusServiceUnavailable, err.Error())
	return nil, false
}

func unauthorized(w http.ResponseWriter, line string) {
	w.Header().Set("WWW-Authenticate", httpChallenge)
	answer(w, http.StatusUnauthorized, line)
}

// httpRights are what a method needs.
func httpRights(method string) users.Rights {
	switch method {
	case http.MethodGet, http.MethodHead:
		return users.Read
	}
	return users.Write
}
