package replication

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

// verified waits until a comparison finds that every node equals its first peer.
func (c *cluster) verified() bool {
	since := time.Now()
	return c.until(func() bool {
		for _, n := range c.nodes {
			if st := n.puller.Status(); !st.FoundEqual() || n.puller.comparedAt().Before(since) {
				return false
			}
		}
		return true
	})
}

func (p *Puller) comparedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.audit.done
}

// Records that got lost on the way to one node, of every kind, are found by their digests and mended, in both directions.
func TestDifferencesAreMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stop()
		var lossy atomic.Bool
		drop := dropRecords(func(_ *cluster, _ string, _ frameType, r *record.Record) bool {
			return len(r.Key) > 3 && string(r.Key[:4]) == "lost"
		})
		c.wire.forge = func(follower, _ string, fromSource bool, ft frameType, payload []byte) []byte {
			if lossy.Load() && ft != frameMend {
				return drop(c, follower, fromSource, ft, payload)
			}
			return appendFrame(nil, ft, payload)
		}
		c.start()
		do := func(n *testNode, op store.Op, key, value string, expires time.Duration) {
			t.Helper()
			req := store.Request{Op: op, Key: []byte(key), Value: []byte(value), Delta: 5}
			if expires != 0 {
				req.Expires = uint64(n.millis() + expires.Milliseconds())
			}
			if _, err := n.commit(req); err != nil {
				t.Fatalf("%s: %v", key, err)
			}
		}
		do(c.a(), store.Set, "lost deleted", "1", 0)
		do(c.a(), store.Set, "lost counter", "1", 0)
		do(c.a(), store.Set, "lost older", "1", 0)
		for i := range 100 {
			do(c.a(), store.Set, "there"+string(rune(i+'A')), "1", 0)
		}
		c.sync()
		if !c.verified() {
			t.Fatalf("equal nodes do not know it:%s", c.links())
		}
		lossy.Store(true)
		do(c.a(), store.Delete, "lost deleted", "", 0)
		do(c.a(), store.Incr, "lost counter", "", 0)
		do(c.b(), store.Incr, "lost counter", "", 0)
		do(c.a(), store.Set, "lost older", "2", 0)
		do(c.a(), store.Set, "lost new", "1", 0)
		do(c.b(), store.Set, "lost new of b", "1", 0)
		do(c.a(), store.Set, "lost that expires", "1", 5*time.Hour)
		c.sync()
		if c.equal() == "" {
			t.Fatal("nothing was lost: the test tests nothing")
		}
		if !c.verified() {
			t.Fatalf("differences are not mended:%s", c.links())
		}
		if d := c.equal(); d != "" {
			t.Errorf("nodes differ after a comparison that found them equal: %s", d)
		}
		if got, _ := c.b().get("lost counter"); got != "11" {
			t.Errorf("lost counter: got %s, want 11", got)
		}
		for _, n := range c.nodes {
			if st := n.puller.Status(); st.Mended == 0 || st.Repairs == 0 {
				t.Errorf("%s mended nothing: %+v", n.name, st)
			}
		}
	})
}

// A record that one node has forgotten and the other one kept, for whatever reason, is removed and not brought back.
func TestForgottenRecordsAreRemovedByComparison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stop()
		c.retention = 24 * time.Hour
		var hidden atomic.Bool
		hidden.Store(true)
		drop := dropRecords(func(_ *cluster, _ string, _ frameType, r *record.Record) bool { return string(r.Key) == "ghost" })
		c.wire.forge = func(follower, _ string, fromSource bool, ft frameType, payload []byte) []byte {
			switch {
			case !hidden.Load():
				return appendFrame(nil, ft, payload)
			case ft == frameAsk:
				return nil
			}
			return drop(c, follower, fromSource, ft, payload)
		}
		c.start()
		if _, err := c.b().commit(store.Request{Op: store.Set, Key: []byte("ghost"), Value: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.a().commit(store.Request{Op: store.Set, Key: []byte("kept"), Value: []byte("1")}); err != nil {
			t.Fatal(err)
		}
		c.sync()
		c.wall.Add(30 * 3_600_000)
		if !c.until(func() bool { return c.a().st.Horizon() > hlc.Make(clusterTime+3_600_000, 0, 0) }) {
			t.Fatalf("horizon stays at %v", c.a().st.Horizon())
		}
		if _, ok := c.b().get("ghost"); !ok {
			t.Fatal("the ghost is not there: the test tests nothing")
		}
		hidden.Store(false)
		time.Sleep(answerWithin) // what was asked before got lost
		if !c.verified() {
			t.Fatalf("the nodes do not become equal:%s", c.links())
		}
		if _, ok := c.b().get("ghost"); ok {
			t.Error("the ghost is still there")
		}
		if _, ok := c.a().get("ghost"); ok {
			t.Error("the ghost came to a")
		}
		if v, _ := c.b().get("kept"); v != "1" {
			t.Errorf("kept: got %q, want 1", v)
		}
	})
}

// Without a comparison the status says nothing of one.
func TestStatusBeforeComparison(t *testing.T) {
	for _, tt := range []struct {
		status PullStatus
		want   bool
	}{
		{PullStatus{}, false}, {PullStatus{Verified: time.Unix(1, 0), Equal: new(false)}, true}, {PullStatus{Verified: time.Unix(1, 0), Equal: new(true)}, true},
	} {
		b, err := json.Marshal(tt.status)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), `"verified"`) != tt.want || strings.Contains(string(b), `"equal"`) != tt.want {
			t.Errorf("got %s, want that it has verified and equal: %v", b, tt.want)
		}
	}
}
