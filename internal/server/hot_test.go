package server

import (
	"strings"
	"testing"

	"github.com/futago/futago/internal/guard"
	"github.com/futago/futago/internal/memcache"
)

// BenchmarkHotSession decodes, executes and replies, as a loop does with what it has read.
func BenchmarkHotSession(b *testing.B) {
	value := strings.Repeat("v", 100)
	s, w := newSession(b, 1<<20)
	feedAll(s, w, []byte("set k 1 0 100\r\n"+value+"\r\nset n 0 0 1\r\n1\r\nincr n 1\r\n"))
	w.flush()
	s.advance(s.unsent())
	s.marks = s.marks[:0]
	hot(b, s, w, "protocol=text", []namedInput{
		{"get", "get k\r\n"},
		{"get10", "get" + strings.Repeat(" k", 10) + "\r\n"},
		{"get-p16", strings.Repeat("get k\r\n", 16)},
		{"set", "set k 1 0 100\r\n" + value + "\r\n"},
		{"incr", "incr n 1\r\n"},
		{"mg", "mg k v t f c\r\n"},
		{"ms", "ms k 100 T0\r\n" + value + "\r\n"},
	})
	s, w = newBinarySession(b)
	feedAll(s, w, []byte(setPacket(memcache.OpcodeSet, 1, "k", value)+countPacket(memcache.OpcodeIncr, 2, "n")))
	w.flush()
	s.advance(s.unsent())
	s.marks = s.marks[:0]
	hot(b, s, w, "protocol=binary", []namedInput{
		{"get", keyPacket(memcache.OpcodeGet, 3, "k")},
		{"set", setPacket(memcache.OpcodeSet, 1, "k", value)},
		{"incr", countPacket(memcache.OpcodeIncr, 2, "n")},
	})
	s, w = newSession(b, 1<<20)
	s.peer = &peer{}
	s.speak(isTyrant, w.srv)
	hot(b, s, w, "protocol=tyrant", []namedInput{
		{"put", from(`c8 10 00000001 00000064 "k` + value + `"`)},
		{"get", from(`c8 30 00000001 "k"`)},
		{"mget3", from(`c8 31 00000003 00000001 "k" 00000001 "x" 00000001 "k"`)},
	})
}

// hot measures a session that gets each input again and again, and whose replies leave at once.
func hot(b *testing.B, s *session, w *worker, protocol string, inputs []namedInput) {
	for _, input := range inputs {
		in := []byte(input.in)
		b.Run(protocol+"/op="+input.name, func(b *testing.B) {
			guard.Measure(b, func() {
				if n := s.feed(w, in); n != len(in) {
					b.Fatalf("feed %q: consumed %d, want %d", in, n, len(in))
				}
				w.flush()
				s.advance(s.unsent())
				s.marks = s.marks[:0]
				w.tally.publish(w.totals)
			})
		})
	}
}
