package server

import (
	"errors"
	"net/http"

	"github.com/futago/futago/internal/users"
)

// user returns who asks; false when the request was answered for want of that. The user is nil without a file of users.
func (h webHandler) user(w http.ResponseWriter, r *http.Request) (*users.User, bool) {
	if h.srv.cfg.Users == nil {
		return nil, true
	}
	t := h.srv.totals[0]
	from := ""
	if c, ok := r.Context().Value(handedConnKey{}).(*handedConn); ok {
		from = c.peer.host()
	}
	name, u, err := h.srv.cfg.Users.OfRequest(r, from)
	if err == nil {
		return u, true
	}
	if !errors.Is(err, users.ErrNone) {
		// Those that succeed are not counted: each request brings its own.
		t.count(authCmds)
		t.count(authErrors)
		h.srv.logger.Debug("authentication failed", "remote", r.RemoteAddr, "user", name, "err", err)
	}
	status := users.Refuse(w.Header(), err)
	if status != http.StatusUnauthorized {
		w.Header().Set(headerEffect, effectNone)
	}
	answer(w, status, err.Error())
	return nil, false
}

// httpRights are what a method needs.
func httpRights(method string) users.Rights {
	switch method {
	case http.MethodGet, http.MethodHead:
		return users.Read
	}
	return users.Write
}
