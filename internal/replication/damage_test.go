package replication

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// flip changes one bit of a file, as a disk would.
func (c *crashFS) flip(name string, off int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[name]
	f.data[off] ^= 0x10
	f.durable = append([]byte(nil), f.data...)
}

// A bit that the disk flipped, anywhere in the entries of a sealed segment, is never read nor sent: the record comes back
// from the peer, and both nodes are equal in the end.
func TestFlippedBitsComeBackFromThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		defer c.stop()
		c.adapt = func(cfg *store.Config) { cfg.SegmentSize = 4096 }
		c.start()
		a := c.a()
		want := map[string]string{}
		for i := range 60 {
			key := fmt.Sprint("key", i)
			want[key] = strings.Repeat(fmt.Sprint(i), 40)
			if _, err := a.commit(store.Request{Op: store.Set, Key: []byte(key), Value: []byte(want[key])}); err != nil {
				t.Fatal(err)
			}
		}
		c.sync()
		a.st.Log().Sync()
		synctest.Wait()
		mended := int64(0)
		for off := 64; off < 900; off += 7 {
			a.stopOrderly()
			sealed := ""
			for name := range a.fs.files {
				if strings.HasSuffix(name, ".log") && a.fs.files[strings.TrimSuffix(name, ".log")+".hint"] != nil && (sealed == "" || name < sealed) {
					sealed = name
				}
			}
			if sealed == "" {
				t.Fatal("no sealed segment")
			}
			a.fs.flip(sealed, off)
			c.wire.setCut(true)
			if err := a.start(); err != nil { // a note of the log itself: the start says where
				if !errors.As(err, new(*ulog.CorruptError)) || !strings.Contains(err.Error(), sealed) {
					t.Fatalf("byte %d: start: %v", off, err)
				}
				a.fs.flip(sealed, off)
				if err := a.start(); err != nil {
					t.Fatalf("byte %d flipped back: start: %v", off, err)
				}
			}
			for key, value := range want { // alone: right, or an error
				var v store.View
				switch ok := a.st.Acquire([]byte(key), &v); {
				case ok && string(v.Value) != value:
					t.Fatalf("byte %d: %s reads as %q", off, key, v.Value)
				case !ok && v.Fault == nil:
					t.Fatalf("byte %d: %s is missed", off, key)
				case ok:
					v.Release()
				}
			}
			c.wire.setCut(false)
			c.sync()
			if !c.until(func() bool {
				for key, value := range want {
					if got, _ := a.get(key); got != value {
						return false
					}
				}
				return len(a.st.Damaged()) == 0
			}) {
				t.Fatalf("byte %d: the record does not come back: %+v%s", off, a.st.Stats(), c.links())
			}
			mended += a.st.Stats().Damaged
			if n := a.st.Stats().Lost; n != 0 {
				t.Fatalf("byte %d: %d records are lost", off, n)
			}
		}
		time.Sleep(time.Minute)
		if d := c.equal(); d != "" {
			t.Errorf("nodes differ: %s", d)
		}
		for key, value := range want {
			if got, _ := c.b().get(key); got != value {
				t.Errorf("%s at the peer: %q", key, got)
			}
		}
		if mended == 0 {
			t.Error("nothing was found damaged: the test tests nothing")
		}
	})
}
