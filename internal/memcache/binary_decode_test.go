package memcache

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// decodeBinaryIn is decodeIn for the binary protocol.
func decodeBinaryIn(t *testing.T, d BinaryDecoder, pieces ...[]byte) []string {
	t.Helper()
	f := feeder{
		t: t,
		decode: func(b []byte) (n, need int, request string, last bool, err error) {
			var r BinaryRequest
			if n, need, err = d.Decode(b, &r); err == nil {
				request, last = describeBinary(&r), r.Close || r.Op == OpcodeQuit
			}
			return n, need, request, last, err
		},
		needMax: func(int) int { return binaryHeader + 255 + DefaultMaxKey + max(d.MaxValue, maxSASLData) },
	}
	return f.feedAll(pieces)
}

// checkBinary is checkDecode for the binary protocol.
func checkBinary(t *testing.T, d BinaryDecoder, input string, want ...string) {
	t.Helper()
	checkCuts(t, func(pieces ...[]byte) []string { return decodeBinaryIn(t, d, pieces...) }, input, want)
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
			checkPieces(t, func(pieces ...[]byte) []string { return decodeBinaryIn(t, d, pieces...) }, input, sizes)
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
