package bench

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	tests := []struct {
		protocol       string
		multiGet       int
		get, set, incr string
		counter        string // the set that fills it
	}{
		{Memcache, 1, "get k042\r\n", "set k042 0 0 3\r\n012\r\n", "incr c042 1\r\n", "set c042 0 0 1\r\n0\r\n"},
		{Memcache, 2, "get k042 k042\r\n", "set k042 0 0 3\r\n012\r\n", "incr c042 1\r\n", "set c042 0 0 1\r\n0\r\n"},
		{Meta, 1, "mg k042 v\r\n", "ms k042 3\r\n012\r\n", "ma c042\r\n", "ms c042 1\r\n0\r\n"},
		{Meta, 2, "mg k042 v q\r\nmg k042 v q\r\nmn\r\n", "ms k042 3\r\n012\r\n", "ma c042\r\n", "ms c042 1\r\n0\r\n"},
		{Redis, 1, "*2\r\n$3\r\nGET\r\n$4\r\nk042\r\n", "*3\r\n$3\r\nSET\r\n$4\r\nk042\r\n$3\r\n012\r\n",
			"*3\r\n$6\r\nINCRBY\r\n$4\r\nc042\r\n$1\r\n1\r\n", "*3\r\n$3\r\nSET\r\n$4\r\nc042\r\n$1\r\n0\r\n"},
		{Redis, 2, "*3\r\n$4\r\nMGET\r\n$4\r\nk042\r\n$4\r\nk042\r\n", "*3\r\n$3\r\nSET\r\n$4\r\nk042\r\n$3\r\n012\r\n",
			"*3\r\n$6\r\nINCRBY\r\n$4\r\nc042\r\n$1\r\n1\r\n", "*3\r\n$3\r\nSET\r\n$4\r\nc042\r\n$1\r\n0\r\n"},
		{Tyrant, 1, "\xc8\x30\x00\x00\x00\x04k042", "\xc8\x10\x00\x00\x00\x04\x00\x00\x00\x03k042012",
			"\xc8\x60\x00\x00\x00\x04\x00\x00\x00\x01c042", "\xc8\x10\x00\x00\x00\x04\x00\x00\x00\x04c042\x00\x00\x00\x00"},
		{Tyrant, 2, "\xc8\x31\x00\x00\x00\x02\x00\x00\x00\x04k042\x00\x00\x00\x04k042", "\xc8\x10\x00\x00\x00\x04\x00\x00\x00\x03k042012",
			"\xc8\x60\x00\x00\x00\x04\x00\x00\x00\x01c042", "\xc8\x10\x00\x00\x00\x04\x00\x00\x00\x04c042\x00\x00\x00\x00"},
		{Binary, 1, packet(0x00, "", "k042", ""), packet(0x01, "\x00\x00\x00\x00\x00\x00\x00\x00", "k042", "012"),
			packet(0x05, binaryIncrExtras, "c042", ""), packet(0x01, "\x00\x00\x00\x00\x00\x00\x00\x00", "c042", "0")},
		{Binary, 2, packet(0x0d, "", "k042", "") + packet(0x0d, "", "k042", "") + packet(0x0a, "", "", ""),
			packet(0x01, "\x00\x00\x00\x00\x00\x00\x00\x00", "k042", "012"),
			packet(0x05, binaryIncrExtras, "c042", ""), packet(0x01, "\x00\x00\x00\x00\x00\x00\x00\x00", "c042", "0")},
		{HTTP, 1, "GET /k042 HTTP/1.1\r\nHost: bench\r\n\r\n", "PUT /k042 HTTP/1.1\r\nHost: bench\r\nContent-Length: 3\r\n\r\n012", "", ""},
	}
	for _, tt := range tests {
		c := DefaultConfig()
		c.Protocol, c.MultiGet, c.Keys, c.KeySize, c.ValueSize = tt.protocol, tt.multiGet, 43, 4, 3
		w := newWorkload(&c)
		random := newRandom(1, 0)
		if got, _ := w.appendSet([]byte("before"), 42, random); string(got) != "before"+tt.set {
			t.Errorf("%s set: got %q want %q", tt.protocol, got, tt.set)
		}
		if tt.incr != "" {
			if got := string(w.appendIncr([]byte("before"), 42)); got != "before"+tt.incr {
				t.Errorf("%s increment: got %q want %q", tt.protocol, got, tt.incr)
			}
			if got, _ := w.appendFill([]byte("before"), 43+42, random); string(got) != "before"+tt.counter {
				t.Errorf("%s set of a counter: got %q want %q", tt.protocol, got, tt.counter)
			}
		}
		// Only gets, of the only key that is left.
		w.getBelow, w.n, w.keys = 1<<32, 1, w.key(42)
		if got, _ := w.appendRandom(nil, random); string(got) != tt.get {
			t.Errorf("%s get of %d: got %q want %q", tt.protocol, tt.multiGet, got, tt.get)
		}
	}
}

// binaryIncrExtras are those of an increment by 1 of a counter that begins with 0: delta, initial value, expiry.
const binaryIncrExtras = "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// packet is a request of the binary protocol.
func packet(op byte, extras, key, value string) string {
	return "\x80" + packetAfterMagic(op, 0, extras, key, value)
}

// reply is one of the binary protocol.
func reply(op byte, status uint16, extras, key, value string) string {
	return "\x81" + packetAfterMagic(op, status, extras, key, value)
}

func packetAfterMagic(op byte, status uint16, extras, key, value string) string {
	b := []byte{op}
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, byte(len(extras)), 0)
	b = binary.BigEndian.AppendUint16(b, status)
	b = binary.BigEndian.AppendUint32(b, uint32(len(extras)+len(key)+len(value)))
	b = append(b, make([]byte, 12)...) // opaque and cas
	return string(b) + extras + key + value
}

func TestSetAndWait(t *testing.T) {
	c := DefaultConfig()
	c.Protocol, c.GetRatio, c.WaitReplicas, c.Keys, c.KeySize, c.ValueSize = Redis, 0, 2, 1, 3, 1
	const want = "*3\r\n$3\r\nSET\r\n$3\r\nk00\r\n$1\r\n0\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$1\r\n0\r\n"
	if got, _ := newWorkload(&c).appendSet(nil, 0, newRandom(1, 0)); string(got) != want {
		t.Errorf("got %q want %q", got, want)
	}
}

func TestKeysDiffer(t *testing.T) {
	for _, size := range []int{3, 4, 5, 16} {
		c := DefaultConfig()
		c.Keys, c.KeySize = 1000, size
		w := newWorkload(&c)
		seen := make(map[string]bool)
		for i := range uint64(c.Keys) {
			key := string(w.key(i))
			if len(key) != size || strings.ContainsAny(key, " \r\n") {
				t.Fatalf("key %d of size %d: got %q", i, size, key)
			}
			seen[key] = true
		}
		if len(seen) != c.Keys {
			t.Errorf("size %d: got %d different keys, want %d", size, len(seen), c.Keys)
		}
	}
}

func TestRandomMix(t *testing.T) {
	c := DefaultConfig()
	c.Keys, c.GetRatio = 10, 0.9
	w := newWorkload(&c)
	const n = 100_000
	gets := 0
	perKey := make(map[byte]int)
	r := newRandom(7, 3)
	var b []byte
	for range n {
		b, r = w.appendRandom(b[:0], r)
		if b[0] == 'g' {
			gets++
		}
		perKey[b[len("get ")+c.KeySize-1]]++
	}
	if share := float64(gets) / n; math.Abs(share-0.9) > 0.01 {
		t.Errorf("share of gets: got %.3f want 0.9", share)
	}
	for digit, count := range perKey {
		if share := float64(count) / n; math.Abs(share-0.1) > 0.01 {
			t.Errorf("share of key %c: got %.3f want 0.1", digit, share)
		}
	}
	if len(perKey) != 10 {
		t.Errorf("got %d different keys, want 10", len(perKey))
	}
	for _, ratio := range []float64{0, 1} {
		c.GetRatio = ratio
		w := newWorkload(&c)
		for range 1000 {
			b, r = w.appendRandom(b[:0], r)
			if isGet := b[0] == 'g'; isGet != (ratio == 1) {
				t.Fatalf("get ratio %g: got request %.10q", ratio, b)
			}
		}
	}
}

func TestIncrementsAreTheirShare(t *testing.T) {
	c := DefaultConfig()
	c.GetRatio, c.IncrRatio = 0.5, 0.3
	w := newWorkload(&c)
	const n = 100_000
	kinds := make(map[string]float64)
	r := newRandom(7, 3)
	var b []byte
	for range n {
		b, r = w.appendRandom(b[:0], r)
		kinds[string(b[:3])] += 1.0 / n
	}
	for kind, want := range map[string]float64{"get": 0.5, "inc": 0.3, "set": 0.2} {
		if math.Abs(kinds[kind]-want) > 0.01 {
			t.Errorf("share of %s: got %.3f want %g", kind, kinds[kind], want)
		}
	}
	c.GetRatio, c.IncrRatio = 0.7, 0.3 // no sets
	w = newWorkload(&c)
	for range n {
		if b, r = w.appendRandom(b[:0], r); b[0] == 's' {
			t.Fatalf("got %.20q without sets", b)
		}
	}
}

func TestSameSeedSameRequests(t *testing.T) {
	c := DefaultConfig()
	c.Keys, c.IncrRatio, c.GetRatio, c.Zipf, c.ValueSizes = 1000, 0.2, 0.3, 0.9, Sizes{{10, 20, 1}, {100, 100, 2}}
	requests := func(seed uint64) string {
		w := newWorkload(&c)
		r := newRandom(seed, 0)
		var b []byte
		for i := range w.fills {
			b, r = w.appendFill(b, i, r)
		}
		for range 1000 {
			b, r = w.appendRandom(b, r)
		}
		return string(b)
	}
	one := requests(1)
	if again := requests(1); again != one {
		t.Error("the same seed makes different requests")
	}
	if requests(2) == one {
		t.Error("another seed makes the same requests")
	}
}

// TestZipfKeys looks where the frequent keys are: each once, and far from each other.
func TestZipfKeys(t *testing.T) {
	c := DefaultConfig()
	c.Keys, c.Zipf, c.GetRatio = 1000, 1, 1
	w := newWorkload(&c)
	const n = 200_000
	perKey := make([]int, c.Keys)
	r := newRandom(1, 0)
	for range n {
		var i uint64
		i, r = w.choose(r)
		perKey[i]++
	}
	sum := 0.0
	for i := range c.Keys {
		sum += 1 / float64(i+1)
	}
	for rank := range 3 {
		key := uint64(rank) * w.step % w.n
		want := n / float64(rank+1) / sum
		if got := float64(perKey[key]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("key %d, rank %d: drawn %v times, want about %.0f", key, rank, got, want)
		}
	}
}

func TestAppendRandomDoesNotAllocate(t *testing.T) {
	for _, protocol := range Protocols {
		c := DefaultConfig()
		c.Protocol, c.Zipf, c.ValueSizes = protocol, 0.99, Sizes{{0, 300, 9}, {400, 400, 1}}
		if protocol != HTTP {
			c.GetRatio, c.IncrRatio, c.MultiGet = 0.4, 0.3, 3
		}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		w := newWorkload(&c)
		b, r := make([]byte, 0, 4096), newRandom(1, 0)
		if n := testing.AllocsPerRun(1000, func() { b, r = w.appendRandom(b[:0], r) }); n != 0 {
			t.Errorf("%s: appendRandom allocates %v times, want 0", protocol, n)
		}
	}
}
