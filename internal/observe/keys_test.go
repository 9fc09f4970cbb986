package observe

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// Keys that take a share of many different ones are found, with about that share; the others are not.
func TestHotKeys(t *testing.T) {
	var a, b HotKeys
	random := rand.New(rand.NewPCG(1, 2))
	const n = 20000
	for i := range n {
		h := &a
		if i%2 == 0 {
			h = &b
		}
		at := time.Second + time.Duration(i)*time.Millisecond
		switch r := random.Float64(); {
		case r < 0.20:
			h.Note([]byte("hottest"), false, at)
		case r < 0.30:
			h.Note([]byte("written"), true, at)
		default:
			h.Note(fmt.Appendf(nil, "key:%d", random.IntN(1_000_000)), false, at)
		}
	}
	s := Hottest([]*HotKeys{&a, &b}, time.Second+n*time.Millisecond)
	if s.Total != n || s.Span != n*time.Millisecond || len(s.Keys) < 2 {
		t.Fatalf("got %d samples in %v and %d keys", s.Total, s.Span, len(s.Keys))
	}
	for i, want := range []struct {
		key   string
		share float64
		write bool
	}{{"hottest", 0.2, false}, {"written", 0.1, true}} {
		k := s.Keys[i]
		share := float64(k.Reads+k.Writes) / n
		if string(k.Key) != want.key || share < want.share*0.9 || share > want.share*1.1 || want.write != (k.Writes > k.Reads) {
			t.Errorf("key %d: got %s with a share of %v, %d reads; want %s with %v", i, k.Key, share, k.Reads, want.key, want.share)
		}
	}
	for _, k := range s.Keys[2:] {
		if k.Reads+k.Writes > n/100 {
			t.Errorf("key %s of many: got %d samples", k.Key, k.Reads)
		}
	}
}

func TestHotKeysForget(t *testing.T) {
	var h HotKeys
	note := func(key string, from, to time.Duration) {
		for at := from; at < to; at += time.Second {
			h.Note([]byte(key), false, at)
		}
	}
	keys := func(at time.Duration) (names string) {
		for _, k := range Hottest([]*HotKeys{&h}, at).Keys {
			names += string(k.Key) + " "
		}
		return names
	}
	note("old", time.Second, hotSpan)
	note("new", hotSpan+2*time.Second, 2*hotSpan)
	if got := keys(2 * hotSpan); got != "old new " {
		t.Errorf("after a span: got %q", got)
	}
	note("new", 2*hotSpan, 3*hotSpan)
	if got := keys(3 * hotSpan); got != "new " {
		t.Errorf("after two spans: got %q", got)
	}
	if got := Hottest([]*HotKeys{&h}, 10*hotSpan); len(got.Keys) != 0 || got.Total != 0 {
		t.Errorf("long after: got %+v", got)
	}
	h.Note(bytes.Repeat([]byte("x"), MaxKey+1), false, 10*hotSpan)
	if got := Hottest([]*HotKeys{&h}, 10*hotSpan); len(got.Keys) != 0 || got.Total != 1 {
		t.Errorf("a key that is too long: got %+v", got)
	}
}

func TestHotKeysDoNotAllocate(t *testing.T) {
	var h HotKeys
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%06d", i)
	}
	at := time.Second
	all := func() {
		for _, key := range keys {
			at += time.Second
			h.Note(key, false, at)
		}
	}
	all()
	if n := testing.AllocsPerRun(5, all); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func TestBigKeys(t *testing.T) {
	var b BigKeys
	sizes := map[string]int{}
	for i := range 3 * bigKept {
		key := fmt.Sprintf("key:%03d", (i*7)%(3*bigKept))
		sizes[key] = bigLeast + (i*7)%(3*bigKept)
		b.Note([]byte(key), sizes[key])
	}
	size := func(key []byte) (int, bool) { n, ok := sizes[string(key)]; return n, ok }
	list := Largest(b.Review(size))
	if len(list) != bigKept || list[0].Size != bigLeast+3*bigKept-1 || list[bigKept-1].Size != bigLeast+2*bigKept {
		t.Fatalf("got %d from %+v to %+v", len(list), list[0], list[len(list)-1])
	}
	if b.Wants(list[bigKept-1].Size) || !b.Wants(list[bigKept-1].Size+1) {
		t.Error("the floor is not the least of the sizes")
	}
	b.Note(bytes.Repeat([]byte("x"), MaxKey+1), 1<<30)

	delete(sizes, string(list[0].Key))
	sizes[string(list[1].Key)] = 10
	sizes[string(list[2].Key)] = 1 << 20
	list = Largest(b.Review(size), b.Review(size))
	if len(list) != bigKept-2 || list[0].Size != 1<<20 {
		t.Errorf("after a delete, a small and a large write: got %d keys, the first %+v", len(list), list[0])
	}
	if !b.Wants(bigLeast) || b.Wants(bigLeast-1) {
		t.Error("with room again: what is wanted is not all from the least size on")
	}
}
