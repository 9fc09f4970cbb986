package memcache

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// binaryFeeder is feeder for the binary protocol.
type binaryFeeder struct {
	t    *testing.T
	d    BinaryDecoder
	buf  []byte
	got  []string
	need int
	done bool
}

func (f *binaryFeeder) feed(piece []byte) {
	f.t.Helper()
	f.buf = append(f.buf, piece...)
	for !f.done {
		var r BinaryRequest
		n, need, err := f.d.Decode(f.buf, &r)
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
			if limit := binaryHeader + 255 + DefaultMaxKey + max(f.d.MaxValue, maxSASLData); need > limit {
				f.t.Fatalf("Decode(%q): needs %d bytes, over the limit %d", f.buf, need, limit)
			}
			if f.need != 0 && need != f.need {
				f.t.Fatalf("Decode(%q): needs %d bytes, and said %d before", f.buf, need, f.need)
			}
			f.need = need
			f.buf = bytes.Clone(f.buf[n:])
			return
		}
		if n == 0 || f.need != 0 && n != f.need {
			f.t.Fatalf("Decode(%q): consumed %d bytes, needed %d", f.buf, n, f.need)
		}
		f.need = 0
		f.got = append(f.got, describeBinary(&r))
		f.buf = f.buf[n:]
		f.done = r.Close || r.Op == OpcodeQuit
	}
}

func decodeBinaryIn(t *testing.T, d BinaryDecoder, pieces ...[]byte) []string {
	t.Helper()
	f := binaryFeeder{t: t, d: d}
	for _, p := range pieces {
		f.feed(p)
	}
	return f.got
}

// checkBinary decodes input in one piece, cut in two at every byte, and byte by byte.
func checkBinary(t *testing.T, d BinaryDecoder, input string, want ...string) {
	t.Helper()
	b := []byte(input)
	if got := decodeBinaryIn(t, d, b); !slices.Equal(got, want) {
		t.Fatalf("decode %.200q:\ngot  %q\nwant %q", input, got, want)
	}
	for i := 1; i < len(b); i++ {
		if got := decodeBinaryIn(t, d, b[:i], b[i:]); !slices.Equal(got, want) {
			t.Fatalf("decode %.200q cut at %d:\ngot  %q\nwant %q", input, i, got, want)
		}
	}
	if got := decodeBinaryIn(t, d, slices.Collect(slices.Chunk(b, 1))...); !slices.Equal(got, want) {
		t.Fatalf("decode %.200q byte by byte:\ngot  %q\nwant %q", input, got, want)
	}
}

var noop = packet{op: OpcodeNoop}.encode()

func TestDecodeBinary(t *testing.T) {
	for _, c := range shapeCases {
		checkBinary(t, BinaryDecoder{MaxValue: 10}, c.packet.encode()+noop, c.want, "noop")
	}
	for _, c := range closeCases {
		checkBinary(t, BinaryDecoder{MaxValue: 10}, c.packet.encode()+noop, c.want)
	}
	checkBinary(t, BinaryDecoder{}, noop+packet{op: OpcodeQuit}.encode()+noop, "noop", "quit")
	checkBinary(t, BinaryDecoder{}, noop+packet{op: OpcodeQuitQ}.encode()+noop, "noop", "quitq as=quit quiet")
}

// What does not begin like a packet ends the connection without a reply.
func TestDecodeBinaryMagic(t *testing.T) {
	for _, rest := range []string{"get k\r\n", "\x81" + noop[1:], "\x00"} {
		checkBinary(t, BinaryDecoder{}, noop+rest, "noop", "no packet")
	}
}

func TestDecodeBinaryLimits(t *testing.T) {
	set := func(key string, size int) string {
		return packet{op: OpcodeSet, extras: extras8(0, 0), key: key, value: strings.Repeat("v", size)}.encode()
	}
	checkBinary(t, BinaryDecoder{MaxKey: 3, MaxValue: 4}, set("abc", 4)+set("abcd", 4), `set key="abc" value="vvvv"`, "set status=0x4 close")
	key := strings.Repeat("k", DefaultMaxKey)
	if got := decodeBinaryIn(t, BinaryDecoder{}, []byte(packet{op: OpcodeGet, key: key}.encode())); len(got) != 1 || !strings.Contains(got[0], "key=") {
		t.Errorf("get with a key of %d bytes: got %.100q", len(key), got)
	}
	b := []byte(set("k", 0))
	for size, want := range map[int]string{DefaultMaxValue: "", DefaultMaxValue + 1: `set status=0x3 drop key="k"`} {
		binary.BigEndian.PutUint32(b[8:], uint32(9+size))
		got := decodeBinaryIn(t, BinaryDecoder{MaxValue: DefaultMaxValue}, b)
		if strings.Join(got, "\n") != want {
			t.Errorf("set of %d bytes: got %q, want %q", size, got, want)
		}
	}
}

func TestDecodeBinarySwallowsWithoutHolding(t *testing.T) {
	d := BinaryDecoder{MaxValue: 10}
	var r BinaryRequest
	b := []byte(packet{op: OpcodeSet, extras: extras8(0, 0), key: "k", body: 1<<30 - 9}.encode())
	n, need, err := d.Decode(b, &r)
	if n != len(b) || need != 0 || err != nil || !r.Drop || r.Status != BinaryTooLarge {
		t.Fatalf("Decode = %d, %d, %v, %s; want the error at once", n, need, err, describeBinary(&r))
	}
	piece := make([]byte, 1<<20)
	for left := 1<<30 - 9; left > 0; left -= len(piece) {
		piece = piece[:min(len(piece), left)]
		if n, need, err := d.Decode(piece, &r); n != len(piece) || need != 0 || err != ErrIncomplete {
			t.Fatalf("Decode of a value = %d, %d, %v; want %d, 0, ErrIncomplete", n, need, err, len(piece))
		}
	}
	if n, _, err := d.Decode([]byte(noop), &r); n != len(noop) || err != nil || r.Op != OpcodeNoop {
		t.Errorf("Decode after the value = %d, %v, %s; want noop", n, err, describeBinary(&r))
	}
}

func FuzzDecodeBinary(f *testing.F) {
	for _, c := range slices.Concat(shapeCases, closeCases) {
		f.Add([]byte(c.packet.encode()+noop), []byte{3, 21, 7})
	}
	f.Fuzz(func(t *testing.T, input, sizes []byte) {
		for _, d := range []BinaryDecoder{{MaxValue: 10}, {MaxKey: 8, MaxValue: 1 << 20}} {
			want := decodeBinaryIn(t, d, input)
			if got := decodeBinaryIn(t, d, slices.Collect(slices.Chunk(input, 1))...); !slices.Equal(got, want) {
				t.Fatalf("decode %q byte by byte:\ngot  %q\nwant %q", input, got, want)
			}
			var pieces [][]byte
			rest := input
			for _, size := range sizes {
				n := min(int(size), len(rest))
				pieces, rest = append(pieces, rest[:n]), rest[n:]
			}
			pieces = append(pieces, rest)
			if got := decodeBinaryIn(t, d, pieces...); !slices.Equal(got, want) {
				t.Fatalf("decode %q in pieces of %v:\ngot  %q\nwant %q", input, sizes, got, want)
			}
		}
	})
}

func TestDecodeBinaryDoesNotAllocate(t *testing.T) {
	var input []byte
	for _, c := range shapeCases {
		input = append(input, c.packet.encode()...)
	}
	d := BinaryDecoder{MaxValue: 10}
	var r BinaryRequest
	count := 0
	allocs := testing.AllocsPerRun(100, func() {
		count = 0
		for b := input; len(b) > 0; count++ {
			n, _, err := d.Decode(b, &r)
			if err != nil && n < len(b) {
				t.Fatalf("Decode(%q): %v", b, err)
			}
			b = b[n:]
		}
	})
	if allocs != 0 || count < len(shapeCases) {
		t.Errorf("decoding %d packets: %v allocations, want none", count, allocs)
	}
}

func BenchmarkDecodeBinary(b *testing.B) {
	for _, c := range []struct {
		name   string
		packet packet
	}{
		{"op=get", packet{op: OpcodeGet, key: "user:1234567890"}},
		{"op=set/size=100B", packet{op: OpcodeSet, extras: extras8(0, 3600), key: "user:1234567890", value: strings.Repeat("x", 100)}},
		{"op=incr", packet{op: OpcodeIncr, extras: extras20(1, 0, 0), key: "user:1234567890"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var d BinaryDecoder
			var r BinaryRequest
			input := []byte(c.packet.encode())
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
