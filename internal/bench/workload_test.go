package bench

import (
	"math"
	"strings"
	"testing"
)

func TestRequests(t *testing.T) {
	tests := []struct {
		protocol string
		multiGet int
		get, set string
	}{
		{Memcache, 1, "get k042\r\n", "set k042 0 0 3\r\n012\r\n"},
		{Memcache, 2, "get k042 k042\r\n", "set k042 0 0 3\r\n012\r\n"},
		{Redis, 1, "*2\r\n$3\r\nGET\r\n$4\r\nk042\r\n", "*3\r\n$3\r\nSET\r\n$4\r\nk042\r\n$3\r\n012\r\n"},
		{Redis, 2, "*3\r\n$4\r\nMGET\r\n$4\r\nk042\r\n$4\r\nk042\r\n", "*3\r\n$3\r\nSET\r\n$4\r\nk042\r\n$3\r\n012\r\n"},
		{Tyrant, 1, "\xc8\x30\x00\x00\x00\x04k042", "\xc8\x10\x00\x00\x00\x04\x00\x00\x00\x03k042012"},
		{Tyrant, 2, "\xc8\x31\x00\x00\x00\x02\x00\x00\x00\x04k042\x00\x00\x00\x04k042", "\xc8\x10\x00\x00\x00\x04\x00\x00\x00\x03k042012"},
		{HTTP, 1, "GET /k042 HTTP/1.1\r\nHost: bench\r\n\r\n", "PUT /k042 HTTP/1.1\r\nHost: bench\r\nContent-Length: 3\r\n\r\n012"},
	}
	for _, tt := range tests {
		c := DefaultConfig()
		c.Protocol, c.MultiGet, c.Keys, c.KeySize, c.ValueSize = tt.protocol, tt.multiGet, 43, 4, 3
		w := newWorkload(&c)
		if got := string(w.appendSet(nil, 42)); got != tt.set {
			t.Errorf("%s set: got %q want %q", tt.protocol, got, tt.set)
		}
		// Only gets, of the only key that is left.
		w.getBelow, w.n, w.keys = 1<<32, 1, w.key(42)
		if got, _ := w.appendRandom(nil, newRandom(1, 0)); string(got) != tt.get {
			t.Errorf("%s get of %d: got %q want %q", tt.protocol, tt.multiGet, got, tt.get)
		}
	}
}

func TestSetAndWait(t *testing.T) {
	c := DefaultConfig()
	c.Protocol, c.GetRatio, c.WaitReplicas, c.Keys, c.KeySize, c.ValueSize = Redis, 0, 2, 1, 3, 1
	const want = "*3\r\n$3\r\nSET\r\n$3\r\nk00\r\n$1\r\n0\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$1\r\n0\r\n"
	if got := string(newWorkload(&c).appendSet(nil, 0)); got != want {
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

func TestAppendRandomDoesNotAllocate(t *testing.T) {
	for _, protocol := range []string{Memcache, Redis, HTTP, Tyrant} {
		c := DefaultConfig()
		c.Protocol = protocol
		w := newWorkload(&c)
		b, r := make([]byte, 0, 4096), newRandom(1, 0)
		if n := testing.AllocsPerRun(1000, func() { b, r = w.appendRandom(b[:0], r) }); n != 0 {
			t.Errorf("%s: appendRandom allocates %v times, want 0", protocol, n)
		}
	}
}
