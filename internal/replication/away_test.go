package replication

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/store"
)

// The status does not call a node whole that hears nothing of its peer.
func TestStatusWithoutALink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCluster(t)
		defer c.stop()
		if st := c.b().puller.Status(); !st.CaughtUp || st.LagSeconds != 0 {
			t.Fatalf("in sync: caught up %t, lag %vs, want true and 0", st.CaughtUp, st.LagSeconds)
		}
		c.wire.setCut(true)
		time.Sleep(time.Minute)
		if st := c.b().puller.Status(); st.CaughtUp || st.LagSeconds < 59 {
			t.Errorf("a minute after the cut: caught up %t, lag %vs, want false and a minute", st.CaughtUp, st.LagSeconds)
		}
		c.wire.setCut(false)
		c.sync()
		if st := c.b().puller.Status(); !st.CaughtUp || st.LagSeconds != 0 {
			t.Errorf("in sync again: caught up %t, lag %vs, want true and 0", st.CaughtUp, st.LagSeconds)
		}
	})
}

// A link on which nothing happens lives on, however short the silence is after which a peer counts as gone.
func TestShortPeerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stop()
		c.silence = 300 * time.Millisecond
		c.start()
		links := c.b().puller.Status().Links
		time.Sleep(time.Minute)
		if st := c.b().puller.Status(); st.Links != links || !st.CaughtUp {
			t.Errorf("after a minute of rest: %d links instead of %d, caught up %t", st.Links, links, st.CaughtUp)
		}
	})
}

// The time that a node was away begins with the peer's last sign of life, not when the silence was noticed.
func TestSilenceCountsAsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stop()
		var silent atomic.Bool
		c.wire.forge = func(follower, _ string, fromSource bool, ft frameType, payload []byte) []byte {
			if follower == "b" && fromSource && silent.Load() {
				return nil
			}
			return appendFrame(nil, ft, payload)
		}
		c.start()
		var returned atomic.Bool
		p := c.b().puller
		p.mu.Lock()
		p.cfg.Returned = func() { returned.Store(true) }
		p.mu.Unlock()
		silent.Store(true)
		if !c.until(func() bool { return p.Status().State == "connecting" }) {
			t.Fatal("the silence was not noticed")
		}
		silent.Store(false)
		c.sync()
		time.Sleep(time.Second)
		if !returned.Load() {
			t.Error("a node that heard nothing for longer than the peer timeout was not told that it may be behind")
		}
	})
}

// What could not be applied is no reason to turn clients away any more when the peer that sent it is gone: nobody else
// serves them.
func TestStuckEndsWithThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCluster(t)
		defer c.stop()
		p := c.b().puller
		p.mu.Lock()
		p.stuck = errors.New("no space")
		p.mu.Unlock()
		c.wire.sever("")
		c.sync()
		if p.Stuck() == nil {
			t.Error("a link that came back without an entry says nothing about the space")
		}
		c.wire.setCut(true)
		time.Sleep(2 * heartbeatEvery)
		if err := p.Stuck(); err != nil {
			t.Errorf("without a peer: %v", err)
		}
		c.wire.setCut(false)
		c.sync()
		if _, err := c.a().commit(store.Request{Op: store.Set, Key: []byte("k"), Value: []byte("v")}); err != nil {
			t.Fatalf("commit: %v", err)
		}
		c.sync()
	})
}
