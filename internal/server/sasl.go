package server

import (
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/users"
)

// The answer to a packet that the user may not send. The status of authentication would say it best, but libmemcached ends
// its process when increment or decrement is answered with that.
const (
	statusDenied = memcache.BinaryInvalid
	binaryDenied = "Permission denied"
)

// authenticate answers the SASL opcodes. Without users it does not know them, as memcached without SASL does.
func (s *session) authenticate(w *worker) {
	r := &w.breq
	switch {
	case w.srv.cfg.Users == nil:
		s.out = memcache.AppendBinaryError(s.out, r.Echo, memcache.BinaryUnknown, "")
	case r.Op == memcache.OpcodeSASLList:
		s.out = memcache.AppendBinaryText(s.out, r.Echo, "", memcache.SASLPlain)
	case string(r.Key) != memcache.SASLPlain, r.Op == memcache.OpcodeSASLStep && !s.challenged:
		w.tally[authCmds]++
		w.tally[authErrors]++
		s.out = memcache.AppendBinaryError(s.out, r.Echo, memcache.BinaryAuthError, "")
	case r.Op == memcache.OpcodeSASLAuth && len(r.Value) == 0:
		s.challenged = true
		s.out = memcache.AppendBinary(s.out, r.Echo, memcache.BinaryAuthContinue, 0, 0, 0, 0)
	default:
		s.plain(w)
	}
}

// plain looks at the data of PLAIN.
func (s *session) plain(w *worker) {
	s.challenged = false
	echo := w.breq.Echo
	name, password, ok := memcache.SplitPlain(w.breq.Value)
	if !ok {
		w.tally[authCmds]++
		w.tally[authErrors]++
		s.out = memcache.AppendBinaryError(s.out, echo, memcache.BinaryAuthError, "")
		return
	}
	s.login(w, string(name), password, func(s *session, _ *worker, err error) {
		switch {
		case err == nil:
			s.out = memcache.AppendBinaryText(s.out, echo, "", "Authenticated")
		case errors.Is(err, users.ErrWrong):
			s.out = memcache.AppendBinaryError(s.out, echo, memcache.BinaryAuthError, "")
		default:
			s.out = memcache.AppendBinaryError(s.out, echo, memcache.BinaryOutOfMemory, err.Error())
		}
	})
}

// permittedBinary is permitted for the packet in w.breq.
func (s *session) permittedBinary(w *worker) bool {
	r := &w.breq
	rights, key := binaryRights(r), r.Key
	switch r.Op {
	case memcache.OpcodeStat, memcache.OpcodeSASLList, memcache.OpcodeSASLAuth, memcache.OpcodeSASLStep:
		key = nil // it names no record
	}
	if len(key) == 0 {
		key = nil
	}
	return w.srv.allowed(s.user, rights, key)
}

// binaryRights are what a packet needs.
func binaryRights(r *memcache.BinaryRequest) users.Rights {
	switch r.Op {
	case memcache.OpcodeVersion, memcache.OpcodeNoop, memcache.OpcodeQuit, memcache.OpcodeSASLList, memcache.OpcodeSASLAuth, memcache.OpcodeSASLStep:
		return 0
	case memcache.OpcodeGet, memcache.OpcodeGetK:
		return users.Read
	case memcache.OpcodeGat, memcache.OpcodeGatK, memcache.OpcodeIncr, memcache.OpcodeDecr:
		return users.Read | users.Write
	case memcache.OpcodeSet, memcache.OpcodeAdd, memcache.OpcodeReplace, memcache.OpcodeAppend, memcache.OpcodePrepend,
		memcache.OpcodeDelete, memcache.OpcodeTouch:
		return users.Write
	case memcache.OpcodeStat:
		return statsRights(r.Key)
	}
	return users.Admin // flush, and what is not listed
}
