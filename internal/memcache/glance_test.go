package memcache

import (
	"strings"
	"testing"
)

// glanced is what Glance finds, keys with a bar between them, and the size.
func glanced(glance func([][]byte, []byte) ([][]byte, int), in string, room int) (keys string, n int) {
	found, n := glance(make([][]byte, 0, room), []byte(in))
	list := make([]string, len(found))
	for i, key := range found {
		list[i] = string(key)
	}
	return strings.Join(list, "|"), n
}

func TestGlance(t *testing.T) {
	const sets = "set a 0 0 5\r\nget b\r\ncas c 0 0 1 9 noreply\r\nx\r\n"
	for _, test := range []struct {
		in   string
		keys string
		n    int // -1: all
	}{
		{"", "", -1},
		{"get a\r\n", "a", -1},
		{"get a", "", 0},
		{"get a\nget b\n", "a|b", -1},
		{"gets  a  b \r\ngat 10 c d\r\nincr e 1\r\ndelete f\r\n", "a|b|c|d|e|f", -1},
		{sets, "a|c", -1},
		{"ms a 5 T0\r\nget b\r\nmg c v\r\nmn\r\nmd d\r\nma e\r\n", "a|c|d|e", -1},
		{"get a\r\nset b 0 0 100\r\nvalue", "a|b", 22},
		{"get a\r\nset b 0 0 99999999999999999999\r\nvalue", "a|b", 39},
		{"get a\r\nset b 0 0 -1\r\nget c\r\n", "a|b|c", -1},
		{"get a\r\nset b\r\n\r\nset\r\nget c\r\n", "a|b|c", -1},
		{"get" + strings.Repeat(" a", 9) + "\r\nget b\r\n", "a|a|a|a|a|a|a|a", 23},
		{"get a\r\nget" + strings.Repeat(" b", 8) + "\r\nget c\r\n", "a", 7},
		{strings.Repeat("get a\r\n", 9), "a|a|a|a|a|a|a|a", 56},
	} {
		want := test.n
		if want < 0 {
			want = len(test.in)
		}
		if keys, n := glanced(Glance, test.in, 8); keys != test.keys || n != want {
			t.Errorf("glance at %q: got %q, %d; want %q, %d", test.in, keys, n, test.keys, want)
		}
	}
}

func TestGlanceBinary(t *testing.T) {
	packet := func(extras, key, value string, body int) string {
		head := []byte("\x80\x01\x00" + string(rune(len(key))) + string(rune(len(extras))) + strings.Repeat("\x00", 19))
		head[11] = byte(body)
		return string(head) + extras + key + value
	}
	for _, test := range []struct {
		in   string
		keys string
		n    int
	}{
		{"", "", 0},
		{packet("", "a", "", 1) + packet("12345678", "bc", "value", 15) + packet("", "", "", 0) + packet("", "d", "", 1), "a|bc|d", 25 + 39 + 24 + 25},
		{packet("", "a", "", 1) + packet("12345678", "bc", "value", 200), "a|bc", 25},
		{packet("", "a", "", 1) + packet("12345678", "bc", "value", 15)[:33], "a", 25},
		{packet("", "a", "", 1) + "get b\r\n" + strings.Repeat(" ", 24), "a", 25},
		{strings.Repeat(packet("", "a", "", 1), 9), "a|a|a|a|a|a|a|a", 8 * 25},
	} {
		if keys, n := glanced(GlanceBinary, test.in, 8); keys != test.keys || n != test.n {
			t.Errorf("glance at %q: got %q, %d; want %q, %d", test.in, keys, n, test.keys, test.n)
		}
	}
}

// FuzzGlance reads what the decoders read: a hint may be wrong, and is no more than the input and the room for it.
func FuzzGlance(f *testing.F) {
	for _, c := range commandCases {
		f.Add([]byte(c.input), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, room uint8) {
		for _, glance := range []func([][]byte, []byte) ([][]byte, int){Glance, GlanceBinary} {
			keys, n := glance(make([][]byte, 0, room), in)
			if n < 0 || n > len(in) || len(keys) > int(room) {
				t.Errorf("%d keys with room for %d, %d of %d bytes", len(keys), room, n, len(in))
			}
			for _, key := range keys {
				if len(key) == 0 || len(key) > len(in) {
					t.Errorf("key %q", key)
				}
			}
		}
	})
}
