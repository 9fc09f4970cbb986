package permit

import (
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/users"
)

// The answer to a packet that the user may not send. The status of authentication would say it best, but libmemcached ends
// its process when increment or decrement is answered with that.
const (
	StatusDenied = memcache.BinaryInvalid
	BinaryDenied = "Permission denied"
)

// Binary is Text for a packet of the binary protocol.
func Binary(u *users.User, r *memcache.BinaryRequest) bool {
	key := r.Key
	switch r.Op {
	case memcache.OpcodeStat, memcache.OpcodeSASLList, memcache.OpcodeSASLAuth, memcache.OpcodeSASLStep:
		key = nil // it names no record
	}
	if len(key) == 0 {
		key = nil
	}
	return u.May(binaryRights(r), key)
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

// SASL is how far a session's authentication by the binary protocol has come. The zero value is its beginning.
type SASL struct {
	challenged bool // it has begun without data
}

// Read reads a packet with the opcode of SASL's authentication or its step. With BinaryOK name and password, which are bytes of the
// packet, are to be looked at, and AppendSASL answers; BinaryAuthContinue and BinaryAuthError are the answer.
func (s *SASL) Read(r *memcache.BinaryRequest) (name, password []byte, status memcache.BinaryStatus) {
	switch {
	case string(r.Key) != memcache.SASLPlain, r.Op == memcache.OpcodeSASLStep && !s.challenged:
		return nil, nil, memcache.BinaryAuthError
	case r.Op == memcache.OpcodeSASLAuth && len(r.Value) == 0:
		s.challenged = true
		return nil, nil, memcache.BinaryAuthContinue
	}
	s.challenged = false
	name, password, ok := memcache.SplitPlain(r.Value)
	if !ok {
		return nil, nil, memcache.BinaryAuthError
	}
	return name, password, memcache.BinaryOK
}

// AppendSASL is AppendLogin for the binary protocol.
func AppendSASL(dst []byte, echo memcache.Echo, err error) []byte {
	switch {
	case err == nil:
		return memcache.AppendBinaryText(dst, echo, "", "Authenticated")
	case errors.Is(err, users.ErrWrong):
		return memcache.AppendBinaryError(dst, echo, memcache.BinaryAuthError, "")
	}
	return memcache.AppendBinaryError(dst, echo, memcache.BinaryOutOfMemory, err.Error())
}
