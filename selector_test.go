package futago

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// TestSelectorContract is what every Selector must keep.
func TestSelectorContract(t *testing.T) {
	for strategy, hashes := range map[Strategy][]Hash{
		Consistent: {CRC32, FNV}, Standard: {CRC32, FNV},
		Ketama: {MD5, OneAtATime, Murmur}, Modula: {OneAtATime, MD5, CRC15, FNV1_64, FNV1A_64, FNV1_32, FNV1A_32, Murmur},
		Continuum: {OneAtATime, MD5, Murmur}, // the others spread badly on a ring, in libmemcached too
	} {
		for _, hash := range hashes {
			t.Run(fmt.Sprintf("%v/%v", strategy, hash), func(t *testing.T) { selectorContract(t, strategy, hash) })
		}
	}
}

func selectorContract(t *testing.T, strategy Strategy, hash Hash) {
	pools := [][]Server{
		{{Addr: "one"}},
		{{Addr: "192.168.0.177:11211"}, {Addr: "192.168.0.178:11211"}},
		{{Addr: "a:1", Weight: 5}, {Addr: "b:1"}, {Addr: "c:1", Weight: 2}},
		{{Addr: "unix:///run/a.sock"}, {Addr: "[::1]:11211"}, {Addr: "localhost"}},
	}
	for _, servers := range pools {
		s, err := NewSelector(strategy, hash, servers)
		if err != nil {
			t.Fatal(err)
		}
		again, err := NewSelector(strategy, hash, servers)
		if err != nil {
			t.Fatal(err)
		}
		counts := make([]int, len(servers))
		const keys = 20_000
		for i := range keys {
			key := fmt.Sprintf("user:%d:ключ", i)
			got := s.Select(key)
			// The number of an existing server, and always the same.
			if got < 0 || got >= len(servers) || got != s.Select(key) || got != again.Select(key) {
				t.Fatalf("%v, key %q: got server %d, then %d and %d", servers, key, got, s.Select(key), again.Select(key))
			}
			counts[got]++
		}
		// Every server gets keys; how many is a weak point of PHP's consistent strategy with fnv.
		total := 0
		weight := func(s Server) int {
			if strategy == Modula {
				return 1
			}
			return max(s.Weight, 1)
		}
		for _, server := range servers {
			total += weight(server)
		}
		for i, server := range servers {
			share := float64(weight(server)) / float64(total)
			if got := float64(counts[i]) / keys; got < share/3 || math.Abs(got-share) > 0.35 {
				t.Errorf("%v: server %d got %.2f of the keys, its weight asks for %.2f", servers, i, got, share)
			}
		}
		for _, key := range []string{"", "\x00\xff", string(make([]byte, 1000))} {
			if got := s.Select(key); got < 0 || got >= len(servers) {
				t.Errorf("%v, key %q: got server %d", servers, key, got)
			}
		}
	}
}

// TestRingStrategiesKeepMostKeys: a further server takes its share and moves no key between the others, apart from
// points that fall together.
func TestRingStrategiesKeepMostKeys(t *testing.T) {
	servers := []Server{{Addr: "a:1"}, {Addr: "b:1"}, {Addr: "c:1"}, {Addr: "d:1"}}
	for _, strategy := range []Strategy{Consistent, Ketama, Continuum} {
		small, err := NewSelector(strategy, DefaultHash, servers[:3])
		if err != nil {
			t.Fatal(err)
		}
		large, err := NewSelector(strategy, DefaultHash, servers)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			key := fmt.Sprint("key", i)
			if got := large.Select(key); got != 3 && got != small.Select(key) {
				t.Errorf("%v: key %s moved from %d to %d", strategy, key, small.Select(key), got)
			}
		}
	}
}

// TestOrderOfServers: it matters for the strategies without a ring.
func TestOrderOfServers(t *testing.T) {
	servers := []Server{{Addr: "a:1"}, {Addr: "b:1", Weight: 2}, {Addr: "c:1"}}
	turned := slices.Clone(servers)
	slices.Reverse(turned)
	for _, strategy := range []Strategy{Consistent, Standard, Ketama, Modula, Continuum} {
		first, err := NewSelector(strategy, DefaultHash, servers)
		if err != nil {
			t.Fatal(err)
		}
		second, err := NewSelector(strategy, DefaultHash, turned)
		if err != nil {
			t.Fatal(err)
		}
		moved := 0
		for i := range 1000 {
			key := fmt.Sprint("key", i)
			if servers[first.Select(key)].Addr != turned[second.Select(key)].Addr {
				moved++
			}
		}
		if (moved > 0) != (strategy == Standard || strategy == Modula) {
			t.Errorf("%v: %d of 1000 keys moved", strategy, moved)
		}
	}
}

func TestHashes(t *testing.T) {
	tests := []struct {
		hash Hash
		key  string
		want uint32
	}{
		{CRC32, "", 0},
		{CRC32, "a", 0xE8B7BE43},
		{FNV, "", 0x811C9DC5},
		{FNV, "a", 0xE40C292C},
		{FNV, "\xff\xfe", 897126160}, // the textbook gives 3491674896
		{MD5, "", 0xD98C1DD4},
		{CRC15, "a", 0x68B7},
		{FNV1_32, "a", 0x050C5D7E},
		{FNV1A_32, "a", 0xE40C292C},
		{OneAtATime, "a", 0xCA2E9442},
	}
	for _, tt := range tests {
		if got := tt.hash.sum(tt.key); got != tt.want {
			t.Errorf("%v of %q: got %#x, want %#x", tt.hash, tt.key, got, tt.want)
		}
	}
}

// TestOwnSelector gives every key to the second server.
func TestOwnSelector(t *testing.T) {
	net := newFakeNet()
	net.server("a:1")
	c := open(t, Config{Servers: []Server{{Addr: "a:1"}, {Addr: "b:1"}}, Selector: second{}, Dial: net.dial})
	if addr, err := c.ServerFor("k"); addr != "b:1" || err != nil {
		t.Errorf("got %s and error %v", addr, err)
	}
	// It never names the first server, which only the default behaviour finds.
	want(t, "set", c.Set(t.Context(), &Item{Key: "k"}), nil)
	if !net.server("a:1").has("k") {
		t.Error("the item is not at the only working server")
	}
}

type second struct{}

func (second) Select(string) int { return 1 }

func BenchmarkSelect(b *testing.B) {
	servers := []Server{{Addr: "192.168.0.177:11211"}, {Addr: "192.168.0.178:11211"}}
	for _, strategy := range []Strategy{Consistent, Standard, Ketama, Modula, Continuum} {
		b.Run(fmt.Sprintf("strategy=%v", strategy), func(b *testing.B) {
			s, err := NewSelector(strategy, DefaultHash, servers)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.Select("session:0123456789abcdef")
			}
		})
	}
}
