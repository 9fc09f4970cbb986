package tyrant

import (
	"bytes"
	"slices"
	"testing"
)

func TestGlance(t *testing.T) {
	key := func(s string) []byte { return []byte(s) }
	wire := func(requests ...Request) (b []byte) {
		for i := range requests {
			b = AppendRequest(b, &requests[i])
		}
		return b
	}
	get, put := Request{Command: Get, Key: key("a")}, Request{Command: PutShl, Key: key("b"), Value: key("value"), Width: 3}
	add, list := Request{Command: AddInt, Key: key("c"), Num: 1}, Request{Command: MGet, Args: [][]byte{key("d"), key("e"), key("f")}}
	all := wire(get, put, add, list, get)
	for _, test := range []struct {
		name string
		in   []byte
		room int
		keys []string
		n    int
	}{
		{"nothing", nil, 8, nil, 0},
		{"up to a list", all, 8, []string{"a", "b", "c", "d", "e", "f"}, len(all) - 7},
		{"little room", all, 2, []string{"a", "b"}, len(wire(get, put))},
		{"room for a part of a list", wire(list, get), 2, []string{"d", "e"}, 16},
		{"a value that is not here", wire(get, put)[:7+14+1+2], 8, []string{"a", "b"}, 7},
		{"a key that is not here", wire(get, put)[:7+14], 8, []string{"a"}, 7},
		{"another command", wire(get, Request{Command: Size}, get), 8, []string{"a"}, 7},
		{"no command", append(wire(get), 0xC8, 0, 0, 0), 8, []string{"a"}, 7},
		{"no magic", append(wire(get), "get a"...), 8, []string{"a"}, 7},
	} {
		found, n := Glance(make([][]byte, 0, test.room), test.in)
		if !slices.EqualFunc(found, test.keys, func(b []byte, s string) bool { return string(b) == s }) || n != test.n {
			t.Errorf("%s: got %q, %d; want %q, %d", test.name, found, n, test.keys, test.n)
		}
	}
}

// FuzzGlance glances at what the decoder reads: a hint may be wrong, and is no more than the input and the room for it.
func FuzzGlance(f *testing.F) {
	for _, g := range goldenRequests {
		f.Add(bytes.Repeat(AppendRequest(nil, &g.request), 3), uint8(4))
	}
	f.Fuzz(func(t *testing.T, in []byte, room uint8) {
		keys, n := Glance(make([][]byte, 0, room), in)
		if n < 0 || n > len(in) || len(keys) > int(room) {
			t.Errorf("%d keys with room for %d, %d of %d bytes", len(keys), room, n, len(in))
		}
	})
}
