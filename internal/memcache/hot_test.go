package memcache

import (
	"strings"
	"testing"

	"github.com/futago/futago/internal/guard"
)

func BenchmarkHotDecode(b *testing.B) {
	for _, c := range []struct{ name, input string }{
		{"op=get", "get user:1234567890\r\n"},
		{"op=get10", "get" + strings.Repeat(" user:1234567890", 10) + "\r\n"},
		{"op=set", "set user:1234567890 0 3600 100\r\n" + strings.Repeat("x", 100) + "\r\n"},
		{"op=incr", "incr user:1234567890 1\r\n"},
		{"op=mg", "mg user:1234567890 v t f c\r\n"},
		{"op=ms", "ms user:1234567890 100 T3600 F5 c\r\n" + strings.Repeat("x", 100) + "\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var d Decoder
			var r Request
			input := []byte(c.input)
			guard.Measure(b, func() {
				if n, _, err := d.Decode(input, &r); n != len(input) || err != nil {
					b.Fatal(n, err)
				}
			})
		})
	}
}

func BenchmarkHotDecodeBinary(b *testing.B) {
	for _, c := range []struct {
		name   string
		packet packet
	}{
		{"op=get", packet{op: OpcodeGet, key: "user:1234567890"}},
		{"op=set", packet{op: OpcodeSet, extras: extras8(0, 3600), key: "user:1234567890", value: strings.Repeat("x", 100)}},
		{"op=incr", packet{op: OpcodeIncr, extras: extras20(1, 0, 0), key: "user:1234567890"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var d BinaryDecoder
			var r BinaryRequest
			input := []byte(c.packet.encode())
			guard.Measure(b, func() {
				if n, _, err := d.Decode(input, &r); n != len(input) || err != nil {
					b.Fatal(n, err)
				}
			})
		})
	}
}

func BenchmarkHotAppendValue(b *testing.B) {
	key := []byte("user:1234567890")
	buf := make([]byte, 0, 200)
	guard.Measure(b, func() { AppendValue(buf, key, 0, 100) })
}
