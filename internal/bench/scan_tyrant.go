package bench

import (
	"fmt"

	"github.com/futago/futago/internal/tyrant"
)

// tyrantScanner reads replies to put, get, mget, addint and fwmkeys in Tokyo Tyrant's binary protocol. They do not say what they
// answer, so sent must be told of every request.
type tyrantScanner struct {
	multiGet int // keys of an mget

	asked queue[tyrant.Command] // not yet answered

	part   tyrantPart // that comes next
	number uint64     // its first bytes
	have   int        // bytes of number
	skip   int        // bytes before part

	elements uint64 // of the last list
	left     uint64 // of these, still to come
}

// tyrantPart is a number in a reply.
type tyrantPart uint8

const (
	tyrantStatus tyrantPart = iota
	tyrantSize              // of a value
	tyrantCount             // of elements
	tyrantSizes             // of the key and the value of an element of mget
	tyrantKey               // size of an element of fwmkeys
	tyrantEnd               // of the reply
)

// tyrantPartSizes are in bytes.
var tyrantPartSizes = [...]int{tyrantStatus: 1, tyrantSize: 4, tyrantCount: 4, tyrantSizes: 8, tyrantKey: 4, tyrantEnd: 0}

// tyrantSum is the bytes of the sum that addint answers.
const tyrantSum = 4

// tyrantRefused is what stands for the text of an error: there is none but the status.
var tyrantRefused = []byte("status 1")

func (s *tyrantScanner) sent(request []byte) {
	s.asked.push(tyrant.Command(request[1]))
}

func (s *tyrantScanner) scan(b []byte, c *counts) (int, error) {
	replies := 0
	for {
		n := min(s.skip, len(b))
		s.skip -= n
		b = b[n:]
		if s.skip > 0 {
			return replies, nil
		}
		for s.have < tyrantPartSizes[s.part] {
			if len(b) == 0 {
				return replies, nil
			}
			s.number = s.number<<8 | uint64(b[0])
			s.have++
			b = b[1:]
		}
		v := s.number
		s.number, s.have = 0, 0
		if s.part == tyrantEnd {
			s.part = tyrantStatus
			s.asked.pop()
			replies++
			continue
		}
		if err := s.next(v, c); err != nil {
			return replies, err
		}
	}
}

// next takes the number that s.part is.
func (s *tyrantScanner) next(v uint64, c *counts) error {
	if s.asked.empty() {
		return errUnasked
	}
	command := s.asked.front()
	switch s.part {
	case tyrantStatus:
		return s.status(v, command, c)
	case tyrantSize:
		s.part = tyrantEnd
		return s.pass(v)
	case tyrantCount:
		s.elements, s.left = v, v
		if command == tyrant.MGet {
			if v > uint64(s.multiGet) {
				return fmt.Errorf("reply has %d records for %d keys", v, s.multiGet)
			}
			c.misses += uint64(s.multiGet) - v
		}
		s.element(command)
		return nil
	}
	s.left--
	size := v
	if command == tyrant.MGet {
		if err := s.pass(v >> 32); err != nil {
			return err
		}
		size = v & (1<<32 - 1)
	}
	s.element(command)
	return s.pass(size)
}

// status takes the first byte of a reply.
func (s *tyrantScanner) status(v uint64, command tyrant.Command, c *counts) error {
	if v > 1 {
		return fmt.Errorf("reply begins with 0x%02x: not Tokyo Tyrant's binary protocol", v)
	}
	switch {
	case v == 1 && command == tyrant.Get:
		c.misses++
	case v == 1:
		c.failed(tyrantRefused)
	}
	switch {
	case command == tyrant.MGet || command == tyrant.FwmKeys: // the count is there whatever the status says
		s.part = tyrantCount
	case v == 0 && command == tyrant.Get:
		s.part = tyrantSize
	case v == 0 && command == tyrant.AddInt:
		s.skip, s.part = tyrantSum, tyrantEnd
	default:
		s.part = tyrantEnd
	}
	return nil
}

// element goes on to the next one of the list.
func (s *tyrantScanner) element(command tyrant.Command) {
	switch {
	case s.left == 0:
		s.part = tyrantEnd
	case command == tyrant.MGet:
		s.part = tyrantSizes
	default:
		s.part = tyrantKey
	}
}

// pass skips that many bytes more.
func (s *tyrantScanner) pass(size uint64) error {
	if size > maxReplyBody {
		return fmt.Errorf("reply has a part of %d bytes, want at most %d", size, maxReplyBody)
	}
	s.skip += int(size)
	return nil
}
