package tyrant

import (
	"testing"

	"github.com/futago/futago/internal/guard"
)

func BenchmarkHotDecode(b *testing.B) {
	key := []byte("some-key-of-20-bytes")
	for _, c := range []struct {
		name    string
		request Request
	}{
		{"op=get", Request{Command: Get, Key: key}},
		{"op=put", Request{Command: Put, Key: key, Value: make([]byte, 100)}},
		{"op=mget10", Request{Command: MGet, Args: [][]byte{key, key, key, key, key, key, key, key, key, key}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var d Decoder
			var r Request
			input := AppendRequest(nil, &c.request)
			guard.Measure(b, func() {
				if n, _, err := d.Decode(input, &r); n != len(input) || err != nil {
					b.Fatal(n, err)
				}
			})
		})
	}
}
