package server

import (
	"bytes"
	"context"
	"strings"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/users"
)

// slow is the part of a command that must not run in a loop. The carrier runs it in a goroutine, with a context that ends
// with the server, and then what it returns as the session again. Until then the session executes nothing.
type slow func(ctx context.Context) (rest func(s *session, w *worker))

// locked reports whether the session must authenticate before anything else. Each request asks anew, for the file of users
// may have changed.
func (s *session) locked(w *worker) bool {
	all := w.srv.cfg.Users
	if all == nil {
		return false
	}
	s.user = all.Current(s.user)
	return s.user == nil
}

// authenticateText is execute for what DecodeAuth gives.
func (s *session) authenticateText(w *worker) bool {
	r := &w.mreq
	if r.Op == memcache.OpError {
		w.tally[cmdOther]++
		return s.refuse(w)
	}
	name, password, ok := memcache.SplitAuth(r.Value)
	if !ok {
		w.tally[authCmds]++
		w.tally[authErrors]++
		s.out = append(s.out, memcache.ReplyBadAuthToken...)
		return true
	}
	return s.login(w, string(name), password, (*session).textLogin)
}

// textLogin answers an authentication.
func (s *session) textLogin(_ *worker, err error) {
	s.out = permit.AppendLogin(s.out, err)
}

// login looks at a name and a password and calls answer with nil, users.ErrWrong or another error. It returns false when
// that takes time: the caller must then decode no further, and answer is called later.
func (s *session) login(w *worker, name string, password []byte, answer func(*session, *worker, error)) bool {
	w.tally[authCmds]++
	all, from := w.srv.cfg.Users, s.peer.host()
	finish := func(s *session, w *worker, user *users.User, err error) {
		if s.user = user; err != nil {
			w.tally[authErrors]++
			w.srv.logger.Debug("authentication failed", "remote", s.peer.remote, "user", name, "err", err)
		}
		answer(s, w, err)
	}
	if user, decided, err := all.Known(from, name, password); decided {
		finish(s, w, user, err)
		return true
	}
	password = bytes.Clone(password)
	s.slow = func(ctx context.Context) func(*session, *worker) {
		user, err := all.Verify(ctx, from, name, password)
		return func(s *session, w *worker) { finish(s, w, user, err) }
	}
	return false
}

// host is where the connection comes from, as users take it.
func (p *peer) host() string {
	network, address, _ := strings.Cut(p.remote, ":")
	if network == "unix" {
		return p.remote
	}
	return users.HostOf(address)
}
