package replication

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/store"
)

// A source that stays solo under a load that its follower does not confirm in time keeps sending. That is no progress on
// the way to being caught up, or a start would wait for ever.
func TestEntriesBehindTheGoalAreNoProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(store.DefaultConfig())
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		defer st.Close()
		p := NewPuller(PullerConfig{Store: st, Node: 1})
		p.linked, p.goal, p.joined = true, 5, notJoined
		batch := func(seq uint64) {
			t.Helper()
			payload := make([]byte, batchHeader)
			putBatchHeader(payload, seq, 1)
			if _, err := p.take(frameBatch, payload, nil); err != nil {
				t.Fatalf("take: %v", err)
			}
		}
		for seq := uint64(1); seq <= 5; seq++ {
			time.Sleep(time.Second)
			batch(seq)
			if ok, still := p.CaughtUp(); ok || still != 0 {
				t.Errorf("at %d of 5: caught up %t, without progress for %v, want false and 0", seq, ok, still)
			}
		}
		for seq := uint64(6); seq <= 10; seq++ {
			time.Sleep(time.Second)
			batch(seq)
		}
		if ok, still := p.CaughtUp(); ok || still != 5*time.Second {
			t.Errorf("behind the goal: caught up %t, without progress for %v, want false and 5s", ok, still)
		}
		p.joined = 10
		batch(11)
		if ok, _ := p.CaughtUp(); !ok {
			t.Error("not caught up with a source that is no longer solo")
		}
	})
}
