package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/futago/futago/internal/memcache"
)

// The header of a packet in memcached's binary protocol; docs in internal/memcache.
const (
	binaryHeader  = 24
	binaryRequest = 0x80
	binaryReply   = 0x81
)

// binaryScanner reads replies of get, getkq with noop, set and increment in memcached's binary protocol.
type binaryScanner struct {
	multiGet int // keys of a get; with more than one they are quiet, and noop ends them
	values   int // replies to the keys of the get under way

	head [binaryHeader]byte
	have int // bytes of head
	skip int // bytes of the body still to come
}

// sent does nothing: opcodes say what is answered.
func (*binaryScanner) sent([]byte) {}

func (s *binaryScanner) scan(b []byte, c *counts) (int, error) {
	replies := 0
	for {
		n := min(s.skip, len(b))
		s.skip -= n
		b = b[n:]
		if s.skip > 0 {
			return replies, nil
		}
		if s.have == binaryHeader {
			s.have = 0
			if s.end(c) {
				replies++
			}
		}
		n = copy(s.head[s.have:], b)
		s.have += n
		b = b[n:]
		if s.have < binaryHeader {
			return replies, nil
		}
		if err := s.header(); err != nil {
			return replies, err
		}
	}
}

// header takes a header that is complete.
func (s *binaryScanner) header() error {
	if s.head[0] != binaryReply {
		return fmt.Errorf("reply begins with 0x%02x: not memcached's binary protocol", s.head[0])
	}
	size := binary.BigEndian.Uint32(s.head[8:])
	if size > maxReplyBody {
		return fmt.Errorf("reply has a body of %d bytes, want at most %d", size, maxReplyBody)
	}
	s.skip = int(size)
	return nil
}

// end takes a packet whose body has passed, and says whether it completes a reply.
func (s *binaryScanner) end(c *counts) bool {
	status := memcache.BinaryStatus(binary.BigEndian.Uint16(s.head[6:]))
	op := memcache.Opcode(s.head[1])
	if status == memcache.BinaryNotFound && op != memcache.OpcodeSet {
		c.misses++
	} else if status != memcache.BinaryOK {
		c.failed([]byte(status.Text()))
	}
	switch op {
	case memcache.OpcodeGetKQ:
		s.values++
		return false
	case memcache.OpcodeNoop:
		c.misses += uint64(max(s.multiGet-s.values, 0))
		s.values = 0
	}
	return true
}
