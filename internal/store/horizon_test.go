package store

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
)

// unsynced is a configuration whose log is durable only when a test syncs it: the interval is longer than any test.
func unsynced(fs vfs.FS, w *wall) Config {
	c := testConfig(1, fs, w)
	c.Fsync, c.FsyncInterval, c.TombstoneRetention = ulog.Interval, 1000*time.Hour, time.Hour
	return c
}

func TestPromiseCountsOnceItIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWall()
		s := open(t, unsynced(vfs.Memory(), w))
		defer s.Close()
		at := hlc.Make(hlc.Millis(w.now())-1000, 0, 0)
		if err := s.Promise(at); err != nil {
			t.Fatalf("Promise: %v", err)
		}
		s.log.Flush()
		if got, _ := s.Promised(); got != 0 {
			t.Errorf("before the sync: promised %v, want nothing", got)
		}
		if err := s.log.Sync(); err != nil {
			t.Fatal(err)
		}
		if got, end := s.Promised(); got != at || end != s.log.Last() {
			t.Errorf("after the sync: promised %v at %d, want %v at %d", got, end, at, s.log.Last())
		}
		w.t = w.t.Add(-100 * time.Hour) // the clock is set back
		if res := set(t, s, "k", "v"); res.Token <= uint64(at) {
			t.Errorf("a write after the promise has stamp %d, promised was to stay above %d", res.Token, at)
		}
	})
}

func TestHorizonIsDurableBeforeItIsInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWall()
		s := open(t, unsynced(vfs.Memory(), w))
		defer s.Close()
		set(t, s, "k", "v")
		w.t = w.t.Add(3 * time.Hour)
		time.Sleep(5 * time.Second) // several steps of the housekeeper
		if h := s.Horizon(); h != 0 {
			t.Fatalf("before the sync: horizon %v", h)
		}
		if err := s.log.Sync(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if h := s.Horizon(); h == 0 {
			t.Fatal("after the sync: no horizon")
		}
	})
}

// A delete whose key has an older entry in the log is kept until that is gone: a start would bring the older one back.
func TestForgetKeepsDeletesThatHideOlderEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWall()
		fs := vfs.Memory()
		c := testConfig(1, fs, w)
		c.SegmentSize, c.CompactRate, c.TombstoneRetention = 16<<10, 1<<40, time.Hour
		s := open(t, c)
		value := strings.Repeat("v", 1000)
		fill := func(name string, n int) {
			for i := range n {
				set(t, s, fmt.Sprint(name, i), value)
			}
			s.Flush()
			if err := s.log.Sync(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		set(t, s, "k", "old")
		set(t, s, "e", "old")
		fill("live", 40) // keeps the segment of the old entries from being compacted
		do(t, s, Request{Op: Delete, Key: []byte("k")})
		do(t, s, Request{Op: Set, Key: []byte("e"), Value: []byte("new"), Expires: uint64(hlc.Millis(w.now()) + 1000)})
		do(t, s, Request{Op: Set, Key: []byte("gone"), Value: []byte("v")})
		do(t, s, Request{Op: Delete, Key: []byte("gone")})
		fill("more", 40)
		w.t = w.t.Add(3 * time.Hour)
		time.Sleep(5 * time.Second)
		if s.Horizon() == 0 {
			t.Fatal("no horizon")
		}
		s.ForgetOnce()
		if n := s.Stats().Forgotten; n != 1 {
			t.Errorf("%d forgotten, want 1: the delete of a key with no older entry elsewhere", n)
		}
		restart := func() {
			t.Helper()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, c)
			for _, key := range []string{"k", "e", "gone"} {
				if v, ok := get(s, key); ok {
					t.Errorf("%s came back as %q", key, v)
				}
			}
		}
		restart()
		for i := range 40 { // now the old segments die
			do(t, s, Request{Op: Delete, Key: fmt.Appendf(nil, "live%d", i)})
		}
		fill("fresh", 40)
		time.Sleep(10 * time.Second)
		w.t = w.t.Add(3 * time.Hour)
		time.Sleep(10 * time.Second)
		s.ForgetOnce()
		if n := s.Stats().Tombstones; n != 0 {
			t.Errorf("%d deletes are left, want 0", n)
		}
		restart()
		s.Close()
	})
}

// The horizon rises only when the member has promised, its log is applied up to where it was then, and it durably holds this
// node's log.
func TestHorizonWaitsForEachMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWall()
		c := testConfig(1, vfs.Memory(), w)
		c.Fsync, c.TombstoneRetention, c.AwaitPeer = ulog.Never, time.Hour, true
		s := open(t, c)
		defer s.Close()
		w.t = w.t.Add(3 * time.Hour)
		stays := func(why string) {
			t.Helper()
			time.Sleep(2 * time.Second)
			if h := s.Horizon(); h != 0 {
				t.Fatalf("%s: horizon %v", why, h)
			}
		}
		stays("nobody was met")
		if err := s.Expect(2, "b:1"); err != nil {
			t.Fatal(err)
		}
		stays("the member said nothing")
		at, _ := s.Proposal()
		if at == 0 {
			t.Fatal("nothing is proposed")
		}
		life := ulog.Identity{1}
		s.HearPromise(2, life, at-1, 10)
		s.Holds(2, life, 10)
		s.Retain(2, s.Log().Last())
		stays("the member promised less")
		s.HearPromise(2, life, at, 10)
		s.Holds(2, life, 9)
		stays("its log is not applied up to where it promised")
		s.HearPromise(2, life, at, 12) // a later end must not count: it would run away
		s.Holds(2, ulog.Identity{2}, 10)
		stays("another life of its log is applied")
		if waits := s.WaitsFor(); len(waits) != 1 || waits[0] != 2 {
			t.Errorf("waits for %v, want node 2", waits)
		}
		set(t, s, "k", "v")
		s.Holds(2, life, 10)
		stays("it does not hold this log")
		_, awaited := s.Proposal()
		s.Retain(2, awaited-1)
		stays("it does not hold all of this log")
		s.Retain(2, awaited)
		time.Sleep(2 * time.Second)
		if h := s.Horizon(); h != at {
			t.Errorf("horizon %v, want %v", h, at)
		}
		if waits := s.WaitsFor(); len(waits) != 0 {
			t.Errorf("waits for %v, want nobody", waits)
		}
	})
}
