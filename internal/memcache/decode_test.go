package memcache

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// describe writes a request down with all fields that are not zero.
func describe(r *Request) string {
	var b strings.Builder
	b.WriteString(r.Op.String())
	put := func(set bool, format string, v any) {
		if set {
			fmt.Fprintf(&b, " "+format, v)
		}
	}
	put(r.Key != nil, "key=%q", r.Key)
	keys := r.Keys
	for k, ok := keys.Next(); ok; k, ok = keys.Next() {
		put(true, "%q", k)
	}
	put(r.Value != nil, "value=%q", r.Value)
	put(r.Flags != 0, "flags=%d", r.Flags)
	put(r.Exptime != 0, "exptime=%d", r.Exptime)
	put(r.CAS != 0, "cas=%d", r.CAS)
	put(r.Delta != 0, "delta=%d", r.Delta)
	put(len(r.Arg) > 0, "arg=%q", r.Arg)
	put(r.Dump != 0, "dump=%d", r.Dump)
	put(r.Noreply, "%s", "noreply")
	put(r.Reply != "", "reply=%q", r.Reply)
	put(r.Close, "%s", "close")
	put(r.Drop, "%s", "drop")
	if m := r.Meta; m != nil {
		put(string(m.KeyText) != string(r.Key), "keytext=%q", m.KeyText)
		list := m.List()
		for flag, token, ok := list.Next(); ok; flag, token, ok = list.Next() {
			put(m.Has(flag), "%s", string(flag)+string(token))
		}
		put(m.Exptime != 0, "T=%d", m.Exptime)
		put(m.CreateExptime != 0, "N=%d", m.CreateExptime)
		put(m.Renew != 0, "R=%d", m.Renew)
		put(m.Flags != 0, "F=%d", m.Flags)
		put(m.CAS != 0, "C=%d", m.CAS)
		put(m.Unique != 0, "E=%d", m.Unique)
		put(m.Delta != 1, "D=%d", m.Delta)
		put(m.Initial != 0, "J=%d", m.Initial)
		put(m.Mode != 0, "M=%c", m.Mode)
	}
	return b.String()
}

// feeder is a carrier: it collects pieces, decodes what it can, and checks the promises of a Decode on the way.
type feeder struct {
	t *testing.T
	// decode is one call of Decode, with its request written down, and whether that ends the connection.
	decode func(b []byte) (n, need int, request string, last bool, err error)
	// needMax is the most that an incomplete request in front of so many bytes may need.
	needMax func(have int) int
	buf     []byte
	got     []string
	need    int // what the last ErrIncomplete promised, counted from the front of buf
	done    bool
}

func (f *feeder) feed(piece []byte) {
	f.t.Helper()
	f.buf = append(f.buf, piece...)
	for !f.done {
		n, need, request, last, err := f.decode(f.buf)
		if n < 0 || n > len(f.buf) {
			f.t.Fatalf("Decode(%q): consumed %d of %d bytes", f.buf, n, len(f.buf))
		}
		if err != nil {
			if err != ErrIncomplete {
				f.t.Fatalf("Decode(%q): error %v", f.buf, err)
			}
			if need != 0 && need <= len(f.buf)-n {
				f.t.Fatalf("Decode(%q): incomplete, but needs %d and has %d bytes", f.buf, need, len(f.buf)-n)
			}
			if limit := f.needMax(len(f.buf)); need > limit {
				f.t.Fatalf("Decode(%q): needs %d bytes, over the limit %d", f.buf, need, limit)
			}
			if f.need != 0 && need != f.need {
				f.t.Fatalf("Decode(%q): needs %d bytes, and said %d before", f.buf, need, f.need)
			}
			f.need = need
			// A copy of what is left shows whoever keeps bytes of an earlier buffer.
			f.buf = bytes.Clone(f.buf[n:])
			return
		}
		if n == 0 || (f.need != 0 && n != f.need) {
			f.t.Fatalf("Decode(%q): consumed %d bytes, needed %d", f.buf, n, f.need)
		}
		f.need = 0
		f.got = append(f.got, request)
		f.buf = f.buf[n:]
		f.done = last
	}
}

func (f *feeder) feedAll(pieces [][]byte) []string {
	f.t.Helper()
	for _, p := range pieces {
		f.feed(p)
	}
	return f.got
}

// decodeIn decodes input, arriving in the given pieces.
func decodeIn(t *testing.T, d Decoder, pieces ...[]byte) []string {
	t.Helper()
	f := feeder{
		t: t,
		decode: func(b []byte) (n, need int, request string, last bool, err error) {
			var r Request
			if n, need, err = d.Decode(b, &r); err == nil {
				request, last = describe(&r), r.Close || r.Op == OpQuit
			}
			return n, need, request, last, err
		},
		needMax: func(have int) int { return have + d.MaxValue + len("\r\n") },
	}
	return f.feedAll(pieces)
}

// checkDecode decodes input in one piece, cut in two at every byte, and byte by byte.
func checkDecode(t *testing.T, d Decoder, input string, want []string) {
	t.Helper()
	checkCuts(t, func(pieces ...[]byte) []string { return decodeIn(t, d, pieces...) }, input, want)
}

// checkCuts decodes input, of either protocol, in one piece, cut in two at every byte, and byte by byte.
func checkCuts(t *testing.T, decode func(pieces ...[]byte) []string, input string, want []string) {
	t.Helper()
	b := []byte(input)
	if got := decode(b); !slices.Equal(got, want) {
		t.Fatalf("decode %.200q:\ngot  %q\nwant %q", input, got, want)
	}
	for i := 1; i < len(b); i++ {
		if got := decode(b[:i], b[i:]); !slices.Equal(got, want) {
			t.Fatalf("decode %.200q cut at %d:\ngot  %q\nwant %q", input, i, got, want)
		}
	}
	if got := decode(slices.Collect(slices.Chunk(b, 1))...); !slices.Equal(got, want) {
		t.Fatalf("decode %.200q byte by byte:\ngot  %q\nwant %q", input, got, want)
	}
}

// checkPieces demands that input, of either protocol, is decoded alike in one piece, byte by byte and in pieces of the given
// sizes.
func checkPieces(t *testing.T, decode func(pieces ...[]byte) []string, input, sizes []byte) {
	t.Helper()
	want := decode(input)
	if got := decode(slices.Collect(slices.Chunk(input, 1))...); !slices.Equal(got, want) {
		t.Fatalf("decode %q byte by byte:\ngot  %q\nwant %q", input, got, want)
	}
	var pieces [][]byte
	rest := input
	for _, size := range sizes {
		n := min(int(size), len(rest))
		pieces, rest = append(pieces, rest[:n]), rest[n:]
	}
	pieces = append(pieces, rest)
	if got := decode(pieces...); !slices.Equal(got, want) {
		t.Fatalf("decode %q in pieces of %v:\ngot  %q\nwant %q", input, sizes, got, want)
	}
}

func TestDecodeTruncated(t *testing.T) {
	for _, input := range []string{
		"get a\r\n", "gat 0 a b\r\n", "set a 1 2 3\r\nabc\r\n", "cas a 1 2 3 4 noreply\r\nabc\r\n", "delete a\r\n", "incr a 1\r\n", "stats\r\n",
		"mg a v\r\n", "ms YQ== 3 T0 b\r\nabc\r\n", "mn\r\n",
	} {
		for i := range len(input) {
			if got := decodeIn(t, Decoder{}, []byte(input[:i])); len(got) != 0 {
				t.Errorf("decode %q: got %q, want nothing", input[:i], got)
			}
		}
	}
}

func TestDecodeNeed(t *testing.T) {
	var d Decoder
	var r Request
	line := "set a 0 0 1000\r\n"
	for _, b := range []string{line[:5], line[:len(line)-1]} {
		if n, need, err := d.Decode([]byte(b), &r); n != 0 || need != 0 || err != ErrIncomplete {
			t.Errorf("Decode(%q) = %d, %d, %v; want 0, 0, ErrIncomplete", b, n, need, err)
		}
	}
	want := len(line) + 1002
	for _, b := range []string{line, line + "x", line + strings.Repeat("x", 1001)} {
		if n, need, err := d.Decode([]byte(b), &r); n != 0 || need != want || err != ErrIncomplete {
			t.Errorf("Decode of %d bytes = %d, %d, %v; want 0, %d, ErrIncomplete", len(b), n, need, err, want)
		}
	}
	n, _, err := d.Decode([]byte(line+strings.Repeat("x", 1000)+"\r\nget"), &r)
	if n != want || err != nil || len(r.Value) != 1000 {
		t.Errorf("Decode of the whole = %d, %v, value of %d bytes; want %d, nil, 1000", n, err, len(r.Value), want)
	}
}

func TestDecodeSwallowsWithoutHolding(t *testing.T) {
	d := Decoder{MaxValue: 10}
	var r Request
	line := []byte("set a 0 0 1000000000\r\n")
	n, need, err := d.Decode(line, &r)
	if n != len(line) || need != 0 || err != nil || !r.Drop || r.Reply != ReplyTooLarge {
		t.Fatalf("Decode(%q) = %d, %d, %v, %s; want the error at once", line, n, need, err, describe(&r))
	}
	piece := make([]byte, 1000)
	for left := 1000000002; left > 0; left -= len(piece) {
		piece = piece[:min(len(piece), left)]
		if n, need, err := d.Decode(piece, &r); n != len(piece) || need != 0 || err != ErrIncomplete {
			t.Fatalf("Decode of data = %d, %d, %v; want %d, 0, ErrIncomplete", n, need, err, len(piece))
		}
	}
	if n, _, err := d.Decode([]byte("version\r\n"), &r); n != 9 || err != nil || r.Op != OpVersion {
		t.Errorf("Decode after the data = %d, %v, %s; want version", n, err, describe(&r))
	}
}

func TestDecodeEndlessLine(t *testing.T) {
	closed := []string{"error close"}
	spaces := strings.Repeat(" ", 100)
	keys := strings.Repeat("k ", 2000)
	for _, c := range []struct {
		input string
		want  []string
	}{
		{strings.Repeat("a", 2048), nil},
		{strings.Repeat("a", 2049), closed},
		{strings.Repeat(" ", 2049), closed},
		{"set k 0 0 1" + strings.Repeat(" ", 2048), closed},
		{"gat 0 " + keys, closed},
		{"get" + keys, closed},
		{"GET " + keys, closed},
		{"get " + keys, nil},
		{"gets " + keys, nil},
		{spaces + "get " + keys, nil},
		{spaces + "gets " + keys, nil},
		{spaces + " get " + keys, closed},
		{"get " + strings.Repeat("k", 1<<20-3), nil},
		{"get " + strings.Repeat("k", 1<<20-2), []string{`error reply="CLIENT_ERROR line too long\r\n" close`}},
	} {
		if got := decodeIn(t, Decoder{}, []byte(c.input)); !slices.Equal(got, c.want) {
			t.Errorf("decode %d bytes %.20q...: got %q, want %q", len(c.input), c.input, got, c.want)
		}
	}
}

func TestDecodeLongLineAtOnce(t *testing.T) {
	long := strings.Repeat(" ", 5000)
	for _, c := range []struct{ input, want string }{
		{"set" + long + "a 0 0 1\r\nx\r\n", `set key="a" value="x"`},
		{"gat 0" + long + "a\r\n", `gat "a"`},
		{strings.Repeat("a", 5000) + "\r\n", `error reply="ERROR\r\n"`},
		{"get a" + strings.Repeat(" ", 1<<20-5) + "\r\n", `get "a"`},
		{"get a" + strings.Repeat(" ", 1<<20-4) + "\r\n", `error reply="CLIENT_ERROR line too long\r\n" close`},
	} {
		if got := decodeIn(t, Decoder{}, []byte(c.input)); !slices.Equal(got, []string{c.want}) {
			t.Errorf("decode %d bytes %.20q...: got %q, want %q", len(c.input), c.input, got, c.want)
		}
	}
}

func TestDecodeLimitsOfCaller(t *testing.T) {
	d := Decoder{MaxLine: 20, MaxGetLine: 30, MaxKey: 3, MaxValue: 4}
	badFormat := `error reply="CLIENT_ERROR bad command line format\r\n"`
	for _, c := range []struct{ input, want string }{
		{"get abc\r\n", `get "abc"`},
		{"get abcd\r\n", badFormat},
		{"set a 0 0 4\r\nabcd\r\n", `set key="a" value="abcd"`},
		{"set a 0 0 5\r\nabcde\r\n", `error key="a" reply="SERVER_ERROR object too large for cache\r\n" drop`},
		{strings.Repeat("a", 21), `error close`},
		{"get a b c d e f g h i j k l m no", `error reply="CLIENT_ERROR line too long\r\n" close`},
	} {
		if got := decodeIn(t, d, []byte(c.input)); !slices.Equal(got, []string{c.want}) {
			t.Errorf("decode %q: got %q, want %q", c.input, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range commandCases {
		f.Add([]byte(c.input), []byte{3, 1, 7})
	}
	for _, c := range metaCases {
		f.Add([]byte(c.input), []byte{3, 1, 7})
	}
	for _, c := range manageCases {
		f.Add([]byte(c.line+"\r\n"), []byte{3, 1, 7})
	}
	f.Fuzz(func(t *testing.T, input, sizes []byte) {
		input = input[:min(len(input), 1<<11)] // no line reaches the limits below, which make the result depend on the pieces
		for _, d := range []Decoder{
			{MaxLine: 1 << 11, MaxGetLine: 64, MaxValue: 32},
			{MaxLine: 1 << 11, MaxGetLine: 1 << 11, MaxKey: 8, MaxValue: 1 << 20, Strict: true},
		} {
			checkPieces(t, func(pieces ...[]byte) []string { return decodeIn(t, d, pieces...) }, input, sizes)
		}
		// A short line limit makes the result depend on the pieces; the promises of Decode still hold.
		decodeIn(t, Decoder{MaxLine: 16, MaxGetLine: 32, MaxValue: 8}, slices.Collect(slices.Chunk(input, 5))...)
	})
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var input []byte
	for _, c := range commandCases {
		if !strings.Contains(c.input, "quit") && !strings.Contains(c.input, "HTTP/") {
			input = append(input, c.input...)
		}
	}
	for _, c := range metaCases {
		input = append(input, c.input...)
	}
	d := Decoder{MaxValue: 10}
	var r Request
	count := 0
	allocs := testing.AllocsPerRun(100, func() {
		count = 0
		for b := input; len(b) > 0; count++ {
			n, _, err := d.Decode(b, &r)
			if err != nil {
				t.Fatalf("Decode(%q): %v", b, err)
			}
			for _, ok := r.Keys.Next(); ok; _, ok = r.Keys.Next() {
			}
			b = b[n:]
		}
	})
	if allocs != 0 || count < len(commandCases)/2 {
		t.Errorf("decoding %d requests: %v allocations, want none", count, allocs)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct{ name, input string }{
		{"op=get/keys=1", "get user:1234567890\r\n"},
		{"op=gets/keys=20", "gets" + strings.Repeat(" user:1234567890", 20) + "\r\n"},
		{"op=set/size=100B", "set user:1234567890 0 3600 100\r\n" + strings.Repeat("x", 100) + "\r\n"},
		{"op=set/size=64KiB", "set user:1234567890 0 3600 65536\r\n" + strings.Repeat("x", 65536) + "\r\n"},
		{"op=incr", "incr user:1234567890 1\r\n"},
		{"op=delete", "delete user:1234567890 noreply\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			var d Decoder
			var r Request
			input := []byte(c.input)
			b.ReportAllocs()
			b.SetBytes(int64(len(input)))
			for b.Loop() {
				if n, _, err := d.Decode(input, &r); n != len(input) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
