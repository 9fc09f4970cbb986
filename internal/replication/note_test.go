package replication

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/store"
)

// A node that gets nothing but its own writes back changes nothing, yet it tells how far it is: otherwise the peer keeps
// its log for it, gives it up in the end, and copies everything to a node that lacks nothing.
func TestOwnWritesComingBackAreNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCluster(t)
		defer c.stop()
		for range 10 {
			for range 100 { // ten times the log that is kept, in all
				if _, err := c.b().commit(store.Request{Op: store.Set, Key: []byte("k"), Value: make([]byte, 2000)}); err != nil {
					t.Fatalf("commit: %v", err)
				}
			}
			c.sync()
			time.Sleep(3 * time.Second)
		}
		if got, limit := c.a().st.Stats().LogBytes, int64(256<<10); got > limit {
			t.Errorf("the peer keeps %d bytes of log for a node that has it all, want at most %d", got, limit)
		}
		ends := [2]uint64{c.a().st.Log().Last(), c.b().st.Log().Last()}
		time.Sleep(time.Minute)
		if now := [2]uint64{c.a().st.Log().Last(), c.b().st.Log().Last()}; now != ends {
			t.Errorf("idle nodes wrote: logs ended at %v, a minute later at %v", ends, now)
		}
		c.b().stopOrderly()
		if err := c.b().start(); err != nil {
			t.Fatalf("start: %v", err)
		}
		c.sync()
		if n := c.b().puller.Status().Snapshots; n != 0 {
			t.Errorf("the node took %d snapshots after a restart, want none", n)
		}
	})
}
