package store

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/vfs"
)

func evictConfig(node int, memory int64) Config {
	c := testConfig(node, vfs.Memory(), nil)
	c.MaxMemory, c.Evict, c.SegmentSize = memory, true, memory/EvictSegments/4096*4096
	return c
}

// fill stores n values of about 1 KiB, and reads the hot one after each.
func fill(t *testing.T, s *Store, name string, n int) {
	t.Helper()
	value := []byte(strings.Repeat("v", 1000))
	for i := range n {
		req, res := Request{Op: Set, Key: fmt.Appendf(nil, "%s%d", name, i), Value: value}, Result{}
		for s.Commit(&req, &res) == ErrNoMemory { // nobody sets faster than the hand can move for long
			time.Sleep(time.Millisecond)
		}
		if i%64 == 0 {
			s.Flush()
		}
		if _, ok := get(s, "hot"); !ok {
			t.Fatalf("a record that is read all the time was evicted after %d sets", i)
		}
	}
	s.Flush()
}

// What is read stays, what is not goes, and memory stays below the bound.
func TestEviction(t *testing.T) {
	const memory = 24 << 20
	s := open(t, evictConfig(1, memory))
	defer s.Close()
	set(t, s, "hot", "h")
	fill(t, s, "k", 40_000)
	deadline := time.Now().Add(time.Minute)
	for s.Memory() > memory && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	st := s.Stats()
	if st.MemoryBytes > memory || st.Evicted < 15_000 || st.Tombstones != 0 {
		t.Errorf("holds %d bytes, evicted %d, %d tombstones; want at most %d bytes, most records evicted, none deleted", st.MemoryBytes, st.Evicted, st.Tombstones, memory)
	}
	if room := int64(memory) * 6 / 10; st.Items*1000 < room {
		t.Errorf("holds %d records of 1,000 bytes in %d bytes of memory", st.Items, memory)
	}
	young, old := 0, 0
	for i := range 1000 {
		if _, ok := get(s, fmt.Sprintf("k%d", 39_999-i)); ok {
			young++
		}
		if _, ok := get(s, fmt.Sprintf("k%d", i)); ok {
			old++
		}
	}
	if young < 1000 || old > 0 {
		t.Errorf("of the youngest thousand %d are there, of the oldest %d", young, old)
	}
}

// Where another node holds the same, an eviction is a delete: it reaches that node, and nothing comes back from there.
func TestEvictionReachesThePeer(t *testing.T) {
	const memory = 24 << 20
	c := evictConfig(1, memory)
	c.AwaitPeer = true
	a, b := open(t, c), open(t, testConfig(2, vfs.Memory(), nil))
	defer a.Close()
	defer b.Close()
	set(t, a, "hot", "h")
	sent := uint64(0)
	for i := range 30 {
		fill(t, a, fmt.Sprintf("k%d-", i), 1000)
		for a.Memory() > memory {
			time.Sleep(time.Millisecond)
		}
		sent = exchangeAfter(t, a, b, sent)
		a.Retain(2, sent)
	}
	exchangeAfter(t, a, b, sent)
	gone := 0
	for i := range 30_000 {
		k := fmt.Sprintf("k%d-%d", i/1000, i%1000)
		_, here := get(a, k)
		_, there := get(b, k)
		if here != there {
			t.Fatalf("%s: here %v, there %v", k, here, there)
		}
		if !here {
			gone++
		}
	}
	if gone == 0 {
		t.Error("nothing was evicted")
	}
}

// Expired and deleted records are given up first, whoever read them.
func TestEvictionTakesTheExpired(t *testing.T) {
	w := newWall()
	c := testConfig(1, vfs.Memory(), w)
	c.MaxMemory = 1 << 40
	c.Evict = true
	s := open(t, c)
	defer s.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		do(t, s, Request{Op: Set, Key: fmt.Appendf(nil, "e%d", i), Value: make([]byte, 1000), Expires: uint64(s.Now()) + 1000})
		get(s, fmt.Sprintf("e%d", rng.IntN(i+1)))
	}
	for i := range 500 {
		set(t, s, fmt.Sprintf("s%d", i), strings.Repeat("x", 1000))
		get(s, fmt.Sprintf("s%d", i))
	}
	s.Flush()
	w.t = w.t.Add(2 * time.Second)
	for deadline := time.Now().Add(time.Minute); s.Stats().Evicted < 400 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.EvictOnce()
		if s.Stats().Evicted > 0 && s.Stats().Items < 500 {
			break
		}
	}
	for i := range 100 {
		if _, ok := get(s, fmt.Sprintf("s%d", i)); !ok {
			t.Fatalf("s%d, which was read, is gone in the first round", i)
		}
	}
	if st := s.Stats(); st.Evicted < 200 {
		t.Errorf("evicted %d of 500 expired", st.Evicted)
	}
}

// What one node evicts and the other reads, or has changed meanwhile, comes back, with its token; what nobody reads goes.
func TestEvictedElsewhereButInUse(t *testing.T) {
	a, b := open(t, evictConfig(1, 1<<30)), open(t, evictConfig(2, 1<<30))
	defer a.Close()
	defer b.Close()
	for _, k := range []string{"read", "unread", "counted", "changed"} {
		set(t, a, k, "7")
	}
	do(t, a, Request{Op: Incr, Key: []byte("counted"), Delta: 1})
	exchange(t, a, b)
	var before, after View
	a.Acquire([]byte("read"), &before)
	before.Release()
	get(a, "counted")
	set(t, a, "changed", "new")
	for _, k := range []string{"read", "unread", "counted", "changed"} {
		do(t, b, Request{Op: Delete, Key: []byte(k), evicts: true})
	}
	exchange(t, b, a)
	exchange(t, a, b)
	for k, want := range map[string]string{"read": "7", "unread": "", "counted": "8", "changed": "new"} {
		here, _ := get(a, k)
		there, _ := get(b, k)
		if here != want || there != want {
			t.Errorf("%s: %q and %q, want %q", k, here, there, want)
		}
	}
	for _, s := range []*Store{a, b} {
		if s.Acquire([]byte("read"), &after) {
			after.Release()
		}
		if after.Token != before.Token {
			t.Errorf("node %d: token %d, was %d", s.cfg.Node, after.Token, before.Token)
		}
		if n := s.Stats().Conflicts; n != 0 {
			t.Errorf("node %d: %d conflicts", s.cfg.Node, n)
		}
	}
}
