package memcache

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// decodeAuthIn decodes pieces of the input of a connection that never authenticates.
func decodeAuthIn(t *testing.T, pieces ...[]byte) (got []string) {
	t.Helper()
	var d Decoder
	var buf []byte
	for _, p := range pieces {
		buf = append(buf, p...)
		for {
			var r Request
			n, need, err := d.DecodeAuth(buf, &r)
			if n < 0 || n > len(buf) || need > len(buf)+maxAuthData+2 || err == nil && n == 0 {
				t.Fatalf("DecodeAuth(%.100q): consumed %d, needs %d, error %v", buf, n, need, err)
			}
			if err != nil {
				buf = bytes.Clone(buf[n:])
				break
			}
			got = append(got, describe(&r))
			buf = buf[n:]
			if r.Close {
				return got
			}
		}
	}
	return got
}

func TestDecodeAuth(t *testing.T) {
	locked := `error reply="` + `CLIENT_ERROR unauthenticated\r\n"`
	for _, tt := range []struct {
		input string
		want  []string
	}{
		{"set x 0 0 7\r\nfoo bar\r\n", []string{`set key="x" value="foo bar"`}},
		{"set x a b 7 noreply\r\nfoo bar\r\nset x 0 0 0\r\n\r\n", []string{`set key="x" value="foo bar"`, `set key="x" value=""`}},
		{"version\r\nstats\r\nget a\r\nmg a v\r\nflush_all noreply\r\n", []string{locked, locked, locked, locked, locked}},
		{"set x 0 0 7\r\nfoo barx\r\n", []string{`error reply="CLIENT_ERROR bad command line termination\r\n"`, `error close`}},
		{"set x 0 0 16385\r\n" + strings.Repeat("u", 16385) + "\r\nversion\r\n", []string{`error reply="CLIENT_ERROR auth token too long\r\n"`, locked}},
		{"set x 0 0 2147483646\r\nversion\r\n", []string{locked, locked}},
		{"set x 0 0 -1\r\nversion\r\n", []string{locked, locked}},
		{"set x 0 0\r\n", []string{locked}},
		// What would authenticate is the value of another command.
		{"add x 0 0 23\r\nset x 0 0 7\r\nfoo bar\r\n\r\nversion\r\n", []string{locked, locked}},
		{"ms x 7 T0\r\nfoo bar\r\nversion\r\n", []string{locked, locked}},
		{"cas x 0 0 7 1\r\nfoo bar\r\nversion\r\n", []string{locked, locked}},
		{"quit\r\n", []string{"error close"}},
		{"mn\r\n", []string{"error close"}},
		{"post / HTTP/1.1\r\n", []string{"error close"}},
		{strings.Repeat("x", 2049), []string{"error close"}},
	} {
		b := []byte(tt.input)
		if got := decodeAuthIn(t, b); !slices.Equal(got, tt.want) {
			t.Errorf("decode %.80q:\ngot  %q\nwant %q", tt.input, got, tt.want)
		}
		if len(b) > 200 {
			continue
		}
		if got := decodeAuthIn(t, slices.Collect(slices.Chunk(b, 1))...); !slices.Equal(got, tt.want) {
			t.Errorf("decode %.80q byte by byte:\ngot  %q\nwant %q", tt.input, got, tt.want)
		}
	}
}

// A decoder goes from one kind of decoding to the other in the middle of a request.
func TestDecodeAuthInTurn(t *testing.T) {
	var d Decoder
	var r Request
	half := []byte("set x 0 0 100000\r\n" + strings.Repeat("v", 50000))
	if n, need, err := d.Decode(half, &r); n != 0 || need == 0 || err != ErrIncomplete {
		t.Fatalf("Decode: %d, %d, %v", n, need, err)
	}
	n, _, err := d.DecodeAuth(half, &r)
	if err != nil || r.Reply != ReplyAuthTooLong {
		t.Fatalf("DecodeAuth: got %s and %v, want that it is too long", describe(&r), err)
	}
	rest := append(half[n:len(half):len(half)], strings.Repeat("v", 50000)+"\r\nget a\r\n"...)
	m, _, err := d.Decode(rest, &r)
	if err != nil || m != len(rest) || r.Op != OpGet {
		t.Errorf("Decode: got %s and %v after %d of %d bytes, want get", describe(&r), err, m, len(rest))
	}
}

func TestAuthRequest(t *testing.T) {
	var d Decoder
	var r Request
	for _, password := range []string{"bar", "", "with  two spaces "} {
		b := AppendAuthRequest(nil, "foo", password)
		if n, _, err := d.DecodeAuth(b, &r); n != len(b) || err != nil || r.Op != OpSet {
			t.Fatalf("DecodeAuth(%q): %s and %v", b, describe(&r), err)
		}
		name, got, ok := SplitAuth(r.Value)
		if !ok || string(name) != "foo" || string(got) != password {
			t.Errorf("SplitAuth(%q): got %q, %q, %v", r.Value, name, got, ok)
		}
	}
	if _, _, ok := SplitAuth([]byte("foo")); ok {
		t.Error("SplitAuth without a space: got ok")
	}
}

// However the bytes arrive, the same comes out, and no more is asked for than may be held.
func FuzzDecodeAuth(f *testing.F) {
	f.Add([]byte("set x 0 0 7\r\nfoo bar\r\nadd x 0 0 3\r\nabc\r\nget a\r\n"), uint16(5))
	f.Add([]byte("ms a 2\r\nhi\r\nset x 0 0 16385\r\nx"), uint16(1))
	f.Fuzz(func(t *testing.T, input []byte, cut uint16) {
		if len(input) > 1000 {
			return // beyond MaxLine the pieces matter, as in memcached
		}
		whole := decodeAuthIn(t, input)
		at := min(int(cut), len(input))
		if got := decodeAuthIn(t, input[:at], input[at:]); !slices.Equal(got, whole) {
			t.Fatalf("decode %q cut at %d:\ngot  %q\nwant %q", input, at, got, whole)
		}
	})
}
