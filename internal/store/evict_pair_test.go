package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/ulog"
)

// Two nodes that are both written to all the time evict together without end: no write is refused for long, memory stays near
// its bound, and what the segments count as live is what the index points to.
func TestBothWriteAndEvict(t *testing.T) {
	const memory = 16 << 20
	var nodes [2]*Store
	for i := range nodes {
		c := evictConfig(i+1, memory)
		c.AwaitPeer = true
		nodes[i] = open(t, c)
		defer nodes[i].Close()
		nodes[i].Linked(2-i, true)
	}
	value := []byte(strings.Repeat("v", 1000))
	var sent [2]uint64
	refused := 0
	for round := range 120 {
		for i, s := range nodes {
			for k := range 100 {
				req, res := Request{Op: Set, Key: fmt.Appendf(nil, "%d-%d-%d", i, round, k), Value: value}, Result{}
				if err := s.Commit(&req, &res); err == ErrNoMemory {
					refused++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			s.Flush()
			for k := range 50 {
				get(s, fmt.Sprintf("%d-%d-%d", k%2, round-10, k))
			}
		}
		for i, s := range nodes {
			sent[i] = exchangeAfter(t, s, nodes[1-i], sent[i])
			s.Retain(2-i, sent[i])
			s.Confirm(2-i, sent[i])
		}
	}
	for i, s := range nodes {
		if n := s.counts.compactFailed.Load(); n != 0 {
			t.Errorf("node %d: %d compactions failed", i+1, n)
		}
		s.BeginScan()
		for _, g := range s.log.Sealed() {
			live := int64(0)
			if err := s.log.Walk(g.ID, func(e ulog.Entry) {
				h := s.log.Hash(e.Raw.Key())
				if s.shardOf(h).idx.Has(h, e.Loc) {
					live += e.Size()
				}
			}); err != nil {
				t.Fatal(err)
			}
			if live != g.Live {
				t.Errorf("node %d: segment %d has %d live bytes and counts %d", i+1, g.ID, live, g.Live)
			}
		}
		s.EndScan()
		t.Logf("node %d: %+v", i+1, s.Stats())
	}
	for deadline := time.Now().Add(time.Minute); nodes[0].Memory() > memory || nodes[1].Memory() > memory; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("memory stays at %d and %d bytes", nodes[0].Memory(), nodes[1].Memory())
		}
	}
	t.Logf("%d refused", refused)
}
