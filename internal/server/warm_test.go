package server

import (
	"strconv"
	"strings"
	"testing"

	"github.com/futago/futago/internal/memcache"
)

// warmStore notes what it was prepared for.
type warmStore struct {
	Store
	calls []string
}

func (s *warmStore) Warm(keys [][]byte) {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = string(key)
	}
	s.calls = append(s.calls, strings.Join(list, " "))
}

// TestWarm gives a session several requests at once: the store hears of their keys ahead, of each once, and of one alone not at all.
func TestWarm(t *testing.T) {
	numbers := func(from, to int) string {
		var list []string
		for i := from; i < to; i++ {
			list = append(list, strconv.Itoa(i))
		}
		return strings.Join(list, " ")
	}
	const n = mostWarm
	binary := keyPacket(memcache.OpcodeGet, 1, "a") + setPacket(memcache.OpcodeSet, 2, "b", "value") + keyPacket(memcache.OpcodeGet, 1, "c")
	for _, test := range []struct {
		name  string
		proto verdict
		in    string
		calls []string
	}{
		{"one", isMemcache, "get a\r\n", nil},
		{"several", isMemcache, "get a\r\nset b 0 0 1\r\nx\r\nincr c 1\r\n", []string{"a b c"}},
		{"keys of one get", isMemcache, "get a b c\r\n", []string{"a b c"}},
		{"many", isMemcache, "get " + strings.Join(strings.Fields(numbers(0, n+3)), "\r\nget ") + "\r\n", []string{numbers(0, n), numbers(n, n+3)}},
		{"many keys of one get", isMemcache, "get " + numbers(0, 2*n+3) + "\r\nget a\r\nget b\r\n", []string{numbers(0, n), numbers(n, 2*n), numbers(2*n, 2*n+3), "a b"}},
		{"a get that does not fit", isMemcache, "get " + numbers(0, 10) + "\r\nget " + numbers(10, 20) + "\r\n", []string{numbers(0, 10), numbers(10, 20)}},
		{"binary", isBinary, binary, []string{"a b c"}},
		{"tyrant", isTyrant, from(`c8 30 00000001 "a"`) + from(`c8 10 00000001 00000002 "bxx"`) + from(`c8 31 00000002 00000001 "c" 00000001 "d"`), []string{"a b c d"}},
	} {
		s, w := newSession(t, 1<<20)
		st := &warmStore{Store: w.store}
		w.warmer = st
		if s.peer = (&peer{}); test.proto == isBinary {
			s.proto, s.bin.MaxValue = isBinary, 1<<20
		} else {
			s.speak(test.proto, w.srv)
		}
		if rest := feedAll(s, w, []byte(test.in)); len(rest) > 0 {
			t.Errorf("%s: %q is left", test.name, rest)
		}
		if got, want := strings.Join(st.calls, "\n"), strings.Join(test.calls, "\n"); got != want {
			t.Errorf("%s: prepared for\n%s\nwant\n%s", test.name, got, want)
		}
		for _, key := range w.warm {
			if key != nil {
				t.Errorf("%s: %q of the input is held", test.name, key)
			}
		}
	}
}
