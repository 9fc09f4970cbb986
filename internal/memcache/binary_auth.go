package memcache

import "bytes"

// SASLPlain is the one mechanism that is offered.
const SASLPlain = "PLAIN"

// SplitPlain splits the data of PLAIN: an identity to act as, which must be empty or the user, the user, the password,
// with a NUL between. Source: RFC 4616.
func SplitPlain(data []byte) (name, password []byte, ok bool) {
	identity, rest, _ := bytes.Cut(data, []byte{0})
	name, password, ok = bytes.Cut(rest, []byte{0})
	return name, password, ok && (len(identity) == 0 || bytes.Equal(identity, name))
}

// early reports whether a packet is taken before the client has authenticated.
func (o Opcode) early() bool {
	return o == OpcodeVersion || o == OpcodeSASLList || o == OpcodeSASLAuth || o == OpcodeSASLStep
}
