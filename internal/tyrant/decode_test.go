package tyrant

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// describe names what a request has.
func describe(r *Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v", r.Command)
	for _, f := range []struct {
		name string
		has  bool
		v    any
	}{
		{"key", len(r.Key) > 0, string(r.Key)}, {"value", len(r.Value) > 0, string(r.Value)}, {"name", len(r.Name) > 0, string(r.Name)},
		{"text", len(r.Text) > 0, string(r.Text)}, {"args", len(r.Args) > 0, r.Args}, {"width", r.Width != 0, r.Width}, {"num", r.Num != 0, r.Num},
		{"max", r.Max != 0, r.Max}, {"port", r.Port != 0, r.Port}, {"double", r.Double != Double{}, r.Double},
		{"options", r.Options != 0, r.Options}, {"time", r.Time != 0, r.Time}, {"sid", r.SID != 0, r.SID},
	} {
		if f.has {
			fmt.Fprintf(&b, " %s=%q", f.name, fmt.Sprint(f.v))
		}
	}
	if r.TooLarge {
		b.WriteString(" too large")
	}
	if r.Close {
		b.WriteString(" close")
	}
	return b.String()
}

// feeder gives a decoder pieces of a stream, each time in memory of exactly their size.
type feeder struct {
	t    *testing.T
	d    Decoder
	r    Request
	buf  []byte
	got  []string
	need int
	done bool
}

func (f *feeder) feed(piece []byte) {
	f.t.Helper()
	f.buf = append(f.buf, piece...)
	for !f.done {
		n, need, err := f.d.Decode(f.buf, &f.r)
		if n < 0 || n > len(f.buf) {
			f.t.Fatalf("Decode(%q): consumed %d of %d bytes", f.buf, n, len(f.buf))
		}
		if cap(f.r.Args) > max(len(f.buf)/elementHead, keptArgs) {
			f.t.Fatalf("Decode(%q): room for %d arguments", f.buf, cap(f.r.Args))
		}
		if err != nil {
			f.pending(n, need, err)
			return
		}
		if n == 0 || f.need != 0 && n != f.need {
			f.t.Fatalf("Decode(%q): consumed %d bytes, needed %d", f.buf, n, f.need)
		}
		f.need = 0
		f.got = append(f.got, describe(&f.r))
		f.buf = f.buf[n:]
		f.done = f.r.Close
	}
}

func (f *feeder) pending(n, need int, err error) {
	f.t.Helper()
	switch {
	case err != ErrIncomplete:
		f.t.Fatalf("Decode(%q): error %v", f.buf, err)
	case need != 0 && need <= len(f.buf)-n:
		f.t.Fatalf("Decode(%q): incomplete, but needs %d and has %d bytes", f.buf, need, len(f.buf)-n)
	case need > f.limit():
		f.t.Fatalf("Decode(%q): needs %d bytes, over the limit %d", f.buf, need, f.limit())
	case len(f.buf)-n > f.limit():
		f.t.Fatalf("Decode: %d bytes must be held, over the limit %d", len(f.buf)-n, f.limit())
	case f.need != 0 && need != f.need:
		f.t.Fatalf("Decode(%q): needs %d bytes, and said %d before", f.buf, need, f.need)
	}
	f.need = need
	f.buf = bytes.Clone(f.buf[n:])
}

// limit is the size of the largest request.
func (f *feeder) limit() int {
	parts := 0
	for _, field := range []field{fieldName, fieldKey, fieldValue} {
		limit, _ := f.d.limits(field)
		parts += int(limit)
	}
	return max(22+parts, int(f.d.maxRequest()))
}

func decodeIn(t *testing.T, d Decoder, pieces ...[]byte) []string {
	t.Helper()
	f := feeder{t: t, d: d}
	for _, p := range pieces {
		f.feed(p)
	}
	return f.got
}

// check decodes input in one piece, cut in two at every byte, and byte by byte.
func check(t *testing.T, d Decoder, input []byte, want ...string) {
	t.Helper()
	if got := decodeIn(t, d, input); !slices.Equal(got, want) {
		t.Fatalf("decode %.200q:\ngot  %q\nwant %q", input, got, want)
	}
	for i := 1; i < len(input); i++ {
		if got := decodeIn(t, d, input[:i], input[i:]); !slices.Equal(got, want) {
			t.Fatalf("decode %.200q cut at %d:\ngot  %q\nwant %q", input, i, got, want)
		}
	}
	if got := decodeIn(t, d, slices.Collect(slices.Chunk(input, 1))...); !slices.Equal(got, want) {
		t.Fatalf("decode %.200q byte by byte:\ngot  %q\nwant %q", input, got, want)
	}
}

const rnum = "C8 80"

func TestDecode(t *testing.T) {
	for _, g := range goldenRequests {
		check(t, Decoder{}, bytesOf(t, g.wire+rnum), describe(&g.request), "rnum")
	}
	check(t, Decoder{}, bytesOf(t, "C8 10 00000000 00000000 C8 31 00000000 C8 90 00000000 00000000 00000000"+rnum), "put", "mget", "misc", "rnum")
	check(t, Decoder{}, bytesOf(t, "C8 13 00000001 00000001 00000000 'kv'"), `putshl key="k" value="v"`)
}

// Every part is cut off behind its end, so that appending to it touches nothing else.
func TestDecodedPartsAreApart(t *testing.T) {
	for _, g := range goldenRequests {
		var d Decoder
		var r Request
		if _, _, err := d.Decode(bytesOf(t, g.wire), &r); err != nil {
			t.Fatalf("decode %s: %v", g.wire, err)
		}
		for _, part := range slices.Concat([][]byte{r.Key, r.Value, r.Name, r.Text}, r.Args) {
			if len(part) != cap(part) {
				t.Errorf("decode %s: the part %q has room for %d bytes", g.wire, part, cap(part))
			}
		}
	}
}

// What the original closes the connection for without a reply.
func TestDecodeClose(t *testing.T) {
	tests := []struct{ wire, want string }{
		{"'get k' 0D 0A", "0x0 close"},
		{"C9", "0x0 close"},
		{"00", "0x0 close"},
		{"C8 00", "0x0 close"},
		{"C8 19", "0x19 close"},
		{"C8 FF", "0xff close"},
		{"C8 10 10000001 00000000", "put close"},
		{"C8 10 00000000 10000001", "put close"},
		{"C8 10 FFFFFFFF FFFFFFFF", "put close"},
		{"C8 30 80000000", "get close"},
		{"C8 13 00000001 00000001 FFFFFFFF 'kv'", `putshl width="-1" close`},
		{"C8 31 00100001", "mget close"},
		{"C8 31 FFFFFFFF", "mget close"},
		{"C8 90 00000001 00000000 00100001", "misc close"},
		{"C8 90 00000400 00000000 00000000", "misc close"},
		{"C8 68 00000400 00000000 00000000 00000000", "ext close"},
		{"C8 78 00000001 80000000 0000000000000000 00000000", `setmst port="-2147483648" close`},
		{"C8 A0 0000000000000000 00000001", `repl sid="1" close`},
		{"C8 A0 FFFFFFFFFFFFFFFF 00000001", `repl time="-1" sid="1" close`},
		{"C8 A0 0000000000000001 00000000", `repl time="1" close`},
		{"C8 A0 0000000000000001 80000000", `repl time="1" sid="2147483648" close`},
	}
	for _, tt := range tests {
		if tt.wire[0] == '\'' {
			check(t, Decoder{}, bytesOf(t, rnum+tt.wire), "rnum", tt.want)
			continue
		}
		check(t, Decoder{}, bytesOf(t, rnum+tt.wire+rnum), "rnum", tt.want)
	}
}

// What is over a limit of ours is swallowed, and the next request found.
func TestDecodeTooLarge(t *testing.T) {
	tests := []struct{ wire, want string }{
		{"C8 10 00000003 00000004 'kkkvvvv'", `put key="kkk" value="vvvv"`},
		{"C8 10 00000003 00000005 'kkkvvvvv'", "put too large"},
		{"C8 10 00000004 00000004 'kkkkvvvv'", "put too large"},
		{"C8 13 00000004 00000004 00000009 'kkkkvvvv'", "putshl too large"},
		{"C8 18 00000004 00000000 'kkkk'", "putnr too large"},
		{"C8 30 00000004 'kkkk'", "get too large"},
		{"C8 58 00000004 00000007 'kkkk'", "fwmkeys too large"},
		{"C8 60 00000004 00000007 'kkkk'", "addint too large"},
		{"C8 68 00000004 00000003 00000003 00000005 'namekkkvvvvv'", "ext too large"},
		{"C8 73 00000004 'path'", "copy too large"},
		{"C8 78 00000004 00000007 0000000000000001 00000001 'host'", "setmst too large"},

		{"C8 31 00000003 00000003 'kkk' 00000000 00000001 'k'", `mget args="[[107 107 107] [] [107]]"`},
		{"C8 31 00000004 00000000 00000000 00000000 00000000", "mget too large"},
		{"C8 31 00000003 00000003 'kkk' 00000004 'kkkk' 00000001 'k'", "mget too large"},
		{"C8 31 00000001 00000004 'kkkk'", "mget too large"},
		{"C8 90 00000004 00000001 00000001 'name' 00000004 'vvvv'", `misc name="name" args="[[118 118 118 118]]" options="1"`},
		{"C8 90 00000004 00000001 00000002 'name' 00000005 'vvvvv' 00000003 'vvv'", "misc too large"},
		{"C8 90 00000004 00000001 00000004 'name' 00000000 00000000 00000000 00000001 'v'", "misc too large"},
		// The whole: 14 and 10 and 3 times 4 bytes are 36, and the elements.
		{"C8 90 0000000A 00000000 00000003 'functionxx' 00000002 'vv' 00000001 'v' 00000001 'v'", `misc name="functionxx" args="[[118 118] [118] [118]]"`},
		{"C8 90 0000000A 00000000 00000003 'functionxx' 00000002 'vv' 00000001 'v' 00000002 'vv'", "misc too large"},
		{"C8 90 0000000A 00000000 00000003 'functionxx' 00000003 'vvv' 00000002 'vv' 00000004 'vvvv'", "misc too large"},
		{"C8 90 00000020 00000000 00000000 'functionxxfunctionxxfunctionxxfu'", "misc too large"},
	}
	for _, tt := range tests {
		d := Decoder{MaxKey: 3, MaxValue: 4, MaxList: 3, MaxRequest: 40}
		check(t, d, bytesOf(t, tt.wire+rnum+tt.wire+rnum), tt.want, "rnum", tt.want, "rnum")
	}
}

func TestDecodeDefaultLimits(t *testing.T) {
	u32 := func(v int) string { return fmt.Sprintf("%08X", v) }
	tests := []struct{ wire, want string }{
		{"C8 10 0000FFFF" + u32(DefaultMaxValue), ""},
		{"C8 10 00000001" + u32(DefaultMaxValue+1), "put too large"},
		{"C8 10 00010000 00000001", "put too large"},
		{"C8 10 10000000 10000000", "put too large"},
		{"C8 31 00100000", ""},
		{"C8 90 00000001 00000000 00000001 'n' " + u32(DefaultMaxRequest-19), ""},
		{"C8 90 00000001 00000000 00000001 'n' " + u32(DefaultMaxRequest-18), "misc too large"},
		{"C8 90 00000001 00000000 00000001 'n' FFFFFFFF", "misc too large"},
		{"C8 31 00000001 0000FFFF", ""},
		{"C8 31 00000001 00010000", "mget too large"},
	}
	for _, tt := range tests {
		if got := decodeIn(t, Decoder{}, bytesOf(t, tt.wire)); strings.Join(got, "\n") != tt.want {
			t.Errorf("decode %s: got %q, want %q", tt.wire, got, tt.want)
		}
	}
	// A limit above that of the original goes.
	got := decodeIn(t, Decoder{MaxValue: maxPart + 2}, bytesOf(t, "C8 10 00000000"+u32(maxPart+2)))
	if len(got) != 0 {
		t.Errorf("decode a value as large as is allowed: got %q", got)
	}
}

func TestDecodeSwallowsWithoutHolding(t *testing.T) {
	var d Decoder
	var r Request
	b := bytesOf(t, "C8 31 00000002 0FFFFFFF")
	n, need, err := d.Decode(b, &r)
	if n != len(b) || need != 0 || err != nil || !r.TooLarge {
		t.Fatalf("Decode = %d, %d, %v, %s; want the refusal at once", n, need, err, describe(&r))
	}
	piece := make([]byte, 1<<20)
	for left := 1<<28 - 1; left > 0; {
		piece = piece[:min(len(piece), left)]
		if n, need, err := d.Decode(piece, &r); n != len(piece) || need != 0 || err != ErrIncomplete || !d.Swallowing() {
			t.Fatalf("Decode of a key = %d, %d, %v; want %d, 0, ErrIncomplete", n, need, err, len(piece))
		}
		left -= len(piece)
	}
	b = bytesOf(t, "00000001 'k'"+rnum)
	if n, _, err := d.Decode(b, &r); n != len(b) || err != nil || r.Command != RNum || d.Swallowing() {
		t.Errorf("Decode after the list = %d, %v, %s; want rnum", n, err, describe(&r))
	}
}

// A list that comes in small pieces must not be looked through again for each of them.
func TestDecodeRemembersTheList(t *testing.T) {
	b := binary.BigEndian.AppendUint32([]byte{magic, byte(MGet)}, 1<<16)
	b = append(b, make([]byte, elementHead<<16)...)
	var d Decoder
	var r Request
	for i := range b {
		if _, _, err := d.Decode(b[:i], &r); err != ErrIncomplete {
			t.Fatalf("Decode of %d bytes: got %v, want ErrIncomplete", i, err)
		}
		if want := max(0, (i-6)/elementHead); d.found != want {
			t.Fatalf("Decode of %d bytes: %d elements found, want %d", i, d.found, want)
		}
	}
	// What was found is not read again, so that it can be destroyed without a trace.
	for i := 6; i < len(b)-elementHead; i++ {
		b[i] = 0xff
	}
	whole, refused := d.scan(b, &head{count: 1 << 16}, 10)
	if whole != int64(len(b)) || refused {
		t.Errorf("scan of the last element: got %d, %v, want %d", whole, refused, len(b))
	}
}

func TestLongArgsAreNotKept(t *testing.T) {
	var d Decoder
	var r Request
	b := binary.BigEndian.AppendUint32([]byte{magic, byte(MGet)}, keptArgs+1)
	b = append(b, make([]byte, elementHead*(keptArgs+1))...)
	if _, _, err := d.Decode(b, &r); err != nil || len(r.Args) != keptArgs+1 {
		t.Fatalf("decode a long list: %d elements, %v", len(r.Args), err)
	}
	if _, _, err := d.Decode(bytesOf(t, rnum), &r); err != nil || cap(r.Args) != 0 {
		t.Errorf("decode rnum after a long list: room for %d arguments, %v", cap(r.Args), err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, g := range goldenRequests {
		f.Add(bytesOf(f, g.wire+rnum), []byte{3, 21, 7})
	}
	f.Add(bytesOf(f, "C8 90 00000004 00000001 00000002 'name' 00000009 'vvvvvvvvv' 00000003 'vvv'"+rnum), []byte{1, 19, 1})
	f.Add(bytesOf(f, "C8 31 FFFFFFFF"), []byte{1})
	f.Add(bytesOf(f, "C8 31 00100000"), []byte{1})
	f.Fuzz(func(t *testing.T, input, sizes []byte) {
		for _, d := range []Decoder{{}, {MaxKey: 3, MaxValue: 8, MaxList: 3, MaxRequest: 40}} {
			want := decodeIn(t, d, input)
			if got := decodeIn(t, d, slices.Collect(slices.Chunk(input, 1))...); !slices.Equal(got, want) {
				t.Fatalf("decode %q byte by byte:\ngot  %q\nwant %q", input, got, want)
			}
			var pieces [][]byte
			rest := input
			for _, size := range sizes {
				n := min(int(size), len(rest))
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			pieces = append(pieces, rest)
			if got := decodeIn(t, d, pieces...); !slices.Equal(got, want) {
				t.Fatalf("decode %q in pieces of %v:\ngot  %q\nwant %q", input, sizes, got, want)
			}
		}
	})
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var input []byte
	for _, g := range goldenRequests {
		input = append(input, bytesOf(t, g.wire)...)
	}
	var d Decoder
	var r Request
	count := 0
	allocs := testing.AllocsPerRun(100, func() {
		count = 0
		for b := input; len(b) > 0; count++ {
			n, _, err := d.Decode(b, &r)
			if err != nil || r.Close || r.TooLarge {
				t.Fatalf("Decode(%q): %s, %v", b, describe(&r), err)
			}
			b = b[n:]
		}
	})
	if allocs != 0 || count != len(goldenRequests) {
		t.Errorf("decode %d requests: got %v allocations, want 0 for %d", count, allocs, len(goldenRequests))
	}
}

// BenchmarkDecode reads puts as they follow each other on a connection.
func BenchmarkDecode(b *testing.B) {
	input := AppendRequest(nil, &Request{Command: Put, Key: []byte("some-key-of-20-bytes"), Value: make([]byte, 100)})
	var d Decoder
	var r Request
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		if n, _, err := d.Decode(input, &r); n != len(input) || err != nil {
			b.Fatalf("decode a put: %d, %v", n, err)
		}
	}
}
