package memcache

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestReadMeta(t *testing.T) {
	good := map[string]MetaReply{
		"HD\r\n":                                {Code: "HD"},
		"HD b kYQ==\r\n":                        {Code: "HD"},
		"EN\r\n":                                {Code: "EN"},
		"NF\r\n":                                {Code: "NF"},
		"NS\r\n":                                {Code: "NS"},
		"EX c7\r\n":                             {Code: "EX", CAS: 7},
		"VA 0\r\n\r\n":                          {Code: "VA", Data: []byte{}},
		"VA 4 f4294967295 c18 b \r\na\r\nb\r\n": {Code: "VA", Flags: 1<<32 - 1, CAS: 18, Data: []byte("a\r\nb")},
	}
	for in, want := range good {
		r := NewReplyReader(iotest.OneByteReader(strings.NewReader(in)), 4)
		if got, err := r.ReadMeta(); err != nil || !cmp.Equal(got, want) || r.Buffered() != 0 {
			t.Errorf("%q: got %+v, %v, %d bytes left", in, got, err, r.Buffered())
		}
		for n := range len(in) {
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if _, err := NewReplyReader(strings.NewReader(in[:n]), 4).ReadMeta(); !errors.Is(err, want) {
				t.Errorf("%q: got %v, want %v", in[:n], err, want)
			}
		}
	}
	for _, in := range []string{"MN\r\n", "STORED\r\n", "\r\n", "HD\n", "VA\r\n", "VA x\r\n", "VA -1\r\n", "VA 5\r\n", "VA 18446744073709551615\r\n",
		"VA 1 f4294967296\r\na\r\n", "VA 1 fx\r\na\r\n", "VA 1 c\r\na\r\n", "HD f\r\n", "VA 1\r\nab\r\n"} {
		_, err := NewReplyReader(strings.NewReader(in), 4).ReadMeta()
		if _, ok := errors.AsType[*SyntaxError](err); !ok {
			t.Errorf("%q: got %v, want a syntax error", in, err)
		}
	}
	if _, err := NewReplyReader(strings.NewReader("ERROR\r\n"), 4).ReadMeta(); err == nil || err.Error() != "ERROR" {
		t.Errorf("an error line: got %v", err)
	}
	for in, ok := range map[string]bool{"MN\r\n": true, "HD\r\n": false, "ERROR\r\n": false} {
		if err := NewReplyReader(strings.NewReader(in), 4).ReadMetaNoop(); (err == nil) != ok {
			t.Errorf("mn answered %q: got %v", in, err)
		}
	}
}

func FuzzReadMeta(f *testing.F) {
	for _, in := range []string{"HD\r\n", "VA 4 f1 c2\r\nabcd\r\n", "EX c7\r\n", "VA 99999999999\r\n", "CLIENT_ERROR bad\r\n"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := NewReplyReader(bytes.NewReader(in), 1<<10).ReadMeta()
		if err == nil && ((m.Code == "VA") != (m.Data != nil) || len(m.Data) > 1<<10) {
			t.Fatalf("got %+v", m)
		}
	})
}

// What goes out is one command for the same key, whatever its bytes are.
func FuzzMetaRequest(f *testing.F) {
	f.Add("a key\r\nflush_all", []byte("value"), uint32(7))
	f.Add("\x00", []byte("\r\n"), uint32(0))
	f.Fuzz(func(t *testing.T, key string, value []byte, flags uint32) {
		if key == "" || len(key) > MaxMetaKeyLength {
			return
		}
		line := AppendMetaNumber(AppendMetaRequest(nil, OpMetaSet, key, len(value)), 'F', uint64(flags))
		in := append(append(append(line, '\r', '\n'), value...), '\r', '\n')
		d, r := Decoder{MaxValue: 1 << 20}, Request{}
		if n, _, err := d.Decode(in, &r); err != nil || n != len(in) || r.Op != OpMetaSet || string(r.Key) != key || !bytes.Equal(r.Value, value) || r.Meta.Flags != flags {
			t.Fatalf("%q: got %d of %d bytes, %v, %+v", in, n, len(in), err, r)
		}
	})
}
