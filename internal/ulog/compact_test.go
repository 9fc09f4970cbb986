package ulog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

func value(m *maker, key, value string) record.Record {
	return record.Record{Kind: record.Value, Stamp: m.stamp(), Key: []byte(key), Value: []byte(value)}
}

// fill appends n records and waits until all full segments are sealed.
func fill(t testing.TB, o *owner, h *history, m *maker, n int) {
	t.Helper()
	for range n {
		r := m.next()
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
	}
	o.sealed(t)
}

// sealed makes all durable and waits until every full segment has its hint.
func (o *owner) sealed(t testing.TB) {
	t.Helper()
	o.safe(t)
	until(t, "full segments are sealed", func() bool {
		o.l.mu.Lock()
		open := 1
		if o.l.spare != nil {
			open++
		}
		ready := o.l.spare != nil
		o.l.mu.Unlock()
		o.l.manMu.Lock()
		defer o.l.manMu.Unlock()
		for _, it := range o.l.man.Segments {
			if !it.Sealed {
				open--
			}
		}
		return ready && open == 0
	})
}

func all(SegmentInfo) bool { return true }

func TestCompactionKeepsSequences(t *testing.T) {
	eachDisk(t, func(t *testing.T, fs vfs.FS) {
		o, h, m := mustOpen(t, config(fs, Never)), &history{}, newMaker(1)
		fill(t, o, h, m, 300)
		before := o.l.Usage()
		for range 5 {
			if err := o.compact(func(s SegmentInfo) bool { return s.Live*2 < s.Size }); err != nil {
				t.Fatal(err)
			}
		}
		if after := o.l.Usage(); after.Bytes >= before.Bytes || after.Live != before.Live {
			t.Fatalf("usage before %+v, after %+v", before, after)
		}
		if err := o.check(h); err != nil {
			t.Fatal(err)
		}
		for hash, loc := range o.keys {
			seg := o.l.slots[loc>>offsetBits].Load()
			b, err := o.l.sums.checkEntry(seg.bytes(int64(loc&(1<<offsetBits-1)) * entryAlign))
			if err != nil || b == nil {
				t.Fatalf("hash %x in %s: entry after the move: %v", hash, seg.name(), err)
			}
			if e := entryOf(b, loc); string(h.recs[e.Seq-1]) != string(e.Raw) {
				t.Fatalf("hash %x in %s: sequence %d names another record", hash, seg.name(), e.Seq)
			}
		}
		o.close(t)
		o = mustOpen(t, config(fs, Never))
		if err := o.check(h); err != nil {
			t.Fatalf("after a restart: %v", err)
		}
		o.close(t)
	})
}

// What a newer entry superseded may go only when the newer one is as safe as the old one was.
func TestCompactionMakesSuccessorsDurable(t *testing.T) {
	disk := newCrashDisk()
	o, h, m := mustOpen(t, config(disk, Never)), &history{}, newMaker(1)
	first := value(m, "k", "old")
	if err := o.append(&first, h); err != nil {
		t.Fatal(err)
	}
	for o.l.Usage().Segments < 4 {
		r := value(m, "pad", "0123456789012345678901234567890123456789")
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
	}
	o.sealed(t)
	second := value(m, "k", "new")
	if err := o.append(&second, h); err != nil {
		t.Fatal(err)
	}
	if err := o.l.Compact([]uint64{1}, o.compaction()); err != nil {
		t.Fatal(err)
	}
	lost := disk.crash(0, nil)
	again := mustOpen(t, config(lost, Never))
	if err := again.check(h.cut(again.l.Last())); err != nil {
		t.Fatal(err)
	}
	again.close(t)
	o.close(t)
}

// Entries that became live after the victims were chosen must not be lost, even when they do not fit.
func TestCompactionThatDoesNotFit(t *testing.T) {
	disk := newCrashDisk()
	o, h, m := mustOpen(t, config(disk, Never)), &history{}, newMaker(1)
	fill(t, o, h, m, 300)
	var ids []uint64
	for _, s := range o.l.Sealed() {
		ids = append(ids, s.ID)
	}
	c := o.compaction()
	c.Live = func(Entry) bool { return true }
	for i := range o.l.slots { // the books say that nothing is live
		if seg := o.l.slots[i].Load(); seg != nil {
			seg.live.Store(0)
		}
	}
	if err := o.l.Compact(ids, c); err == nil {
		t.Fatal("more than a segment was copied to one")
	}
	if err := o.check(h); err != nil {
		t.Fatal(err)
	}
	o.close(t)
}

// Every step of a compaction fails once, and the power goes before every step.
func TestCompactionFaults(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for n := 1; ; n++ {
		disk := newCrashDisk()
		tap := &tapped{FS: disk}
		o, h, m := mustOpen(t, config(tap, Never)), &history{}, newMaker(uint64(n))
		fill(t, o, h, m, 200)
		last := value(m, "key1", "not durable yet")
		if err := o.append(&last, h); err != nil {
			t.Fatal(err)
		}
		durable, calls, what := o.l.Durable(), 0, ""
		var wrecks []*crashDisk
		var mu sync.Mutex // the log's own goroutines may call as well
		tap.on(func(op, name string) error {
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls != n {
				return nil
			}
			what = op + " " + name
			for _, percent := range []int{0, 50, 100} {
				wrecks = append(wrecks, disk.crash(percent, rng))
			}
			return errDisk
		}, nil)
		err := o.compact(func(s SegmentInfo) bool { return s.Live*2 < s.Size })
		tap.on(nil, nil)
		mu.Lock()
		called := calls
		mu.Unlock()
		if called < n {
			if err != nil {
				t.Fatalf("no call failed: %v", err)
			}
			o.close(t)
			if n < 10 {
				t.Fatalf("a compaction has only %d steps", n)
			}
			return
		}
		if err := o.check(h); err != nil {
			t.Fatalf("%s failed: %v", what, err)
		}
		for i, w := range append(wrecks, disk.kill()) {
			again, err := openOwned(config(w, Never))
			if err != nil {
				t.Fatalf("crash %d at %s: %v", i, what, err)
			}
			if again.l.Last() < durable {
				t.Fatalf("crash %d at %s: log ends at %d, %d was durable", i, what, again.l.Last(), durable)
			}
			if err := again.check(h.cut(again.l.Last())); err != nil {
				t.Fatalf("crash %d at %s: %v", i, what, err)
			}
			again.close(t)
		}
		// A log that goes on takes appends and the next compaction.
		if o.l.Failed() == nil {
			fill(t, o, h, m, 50)
			if err := o.compact(all); err != nil {
				t.Fatalf("compaction after %s had failed: %v", what, err)
			}
			if err := o.check(h); err != nil {
				t.Fatalf("after %s had failed: %v", what, err)
			}
			o.close(t)
		} else if err := o.l.Close(); !errors.Is(err, errDisk) {
			t.Fatalf("close after %s had failed: %v", what, err)
		}
	}
}

func TestCompactionStops(t *testing.T) {
	o, h, m := mustOpen(t, config(vfs.Memory(), Never)), &history{}, newMaker(1)
	defer o.close(t)
	fill(t, o, h, m, 300)
	before := o.l.Usage()
	c, n := o.compaction(), 0
	c.Pace = func(int64) bool { n++; return n < 5 }
	var ids []uint64
	for _, s := range o.l.Sealed() {
		ids = append(ids, s.ID)
	}
	if err := o.l.Compact(ids, c); err != nil {
		t.Fatal(err)
	}
	if after := o.l.Usage(); after != before {
		t.Fatalf("usage before %+v, after %+v", before, after)
	}
	if err := o.l.Compact([]uint64{1 << 40}, c); err == nil {
		t.Fatal("a segment that is not there was compacted")
	}
	if err := o.check(h); err != nil {
		t.Fatal(err)
	}
}

// A segment of which nothing is live goes without being read. What the index still needs is copied, whatever the books say.
func TestDeadSegmentIsNotRead(t *testing.T) {
	eachDisk(t, func(t *testing.T, fs vfs.FS) {
		o, h, m := mustOpen(t, config(fs, Never)), &history{}, newMaker(1)
		defer o.close(t)
		write := func(n, keys int) {
			for i := range n {
				r := value(m, fmt.Sprint("key", i%keys), strings.Repeat("v", 200))
				if err := o.append(&r, h); err != nil {
					t.Fatal(err)
				}
			}
			o.sealed(t)
		}
		write(40, 8) // a segment has room for some fifteen
		write(40, 40)
		first := o.l.chain[0]
		if live := first.live.Load(); live != 0 {
			t.Fatalf("%d bytes of the first segment are live", live)
		}
		c := o.compaction()
		live := c.Live
		c.Live = func(e Entry) bool { t.Errorf("entry %d was read", e.Seq); return live(e) }
		if err := o.l.Compact([]uint64{first.id}, c); err != nil {
			t.Fatal(err)
		}
		// The books are wrong for the last full one: its entries are live, and none is counted.
		var last *segment
		for _, s := range o.l.Sealed() {
			if s.Live > 0 && s.Log {
				last = o.l.chain[slices.IndexFunc(o.l.chain, func(seg *segment) bool { return seg.id == s.ID })]
			}
		}
		if last == nil {
			t.Fatal("no full segment has live entries")
		}
		counted := last.live.Swap(0)
		if err := o.l.Compact([]uint64{last.id}, o.compaction()); err != nil {
			t.Fatal(err)
		}
		if counted == 0 {
			t.Fatal("nothing was counted as live")
		}
		if err := o.check(h); err != nil {
			t.Fatal(err)
		}
	})
}
