package server

import (
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
)

// authenticate answers the SASL opcodes. Without users it does not know them, as memcached without SASL does.
func (s *session) authenticate(w *worker) {
	echo, op := w.breq.Echo, w.breq.Op
	switch {
	case w.srv.cfg.Users == nil:
		s.out = memcache.AppendBinaryError(s.out, echo, memcache.BinaryUnknown, "")
		return
	case op == memcache.OpcodeSASLList:
		s.out = memcache.AppendBinaryText(s.out, echo, "", memcache.SASLPlain)
		return
	}
	switch name, password, status := s.sasl.Read(&w.breq); status {
	case memcache.BinaryOK:
		s.login(w, string(name), password, func(s *session, _ *worker, err error) { s.out = permit.AppendSASL(s.out, echo, err) })
	case memcache.BinaryAuthContinue:
		s.out = memcache.AppendBinary(s.out, echo, status, 0, 0, 0, 0)
	default:
		w.tally[authCmds]++
		w.tally[authErrors]++
		s.out = memcache.AppendBinaryError(s.out, echo, status, "")
	}
}
