package ulog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// wreck is a disk at the moment of a crash, and what was promised then.
type wreck struct {
	disk    *crashDisk
	percent int
	killed  bool
	durable uint64
	written uint64
	life    Identity
	when    string
}

// wrecker takes disks out of a running log.
type wrecker struct {
	mu   sync.Mutex
	rng  *rand.Rand
	disk *crashDisk
	log  *Log // nil while it opens
	each int  // every how many-th sync
	n    int
	list []wreck
}

func (w *wrecker) take(when string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := wreck{percent: []int{0, 50, 100}[w.rng.IntN(3)], killed: w.rng.IntN(4) == 0, when: when}
	if w.log != nil {
		k.durable, k.written, k.life = w.log.Durable(), w.log.Written(), w.log.Identity()
	}
	if k.killed {
		k.disk = w.disk.kill()
	} else {
		k.disk = w.disk.crash(k.percent, w.rng)
	}
	w.list = append(w.list, k)
}

func (w *wrecker) after(op, name string) {
	switch op {
	case "sync", "syncdir", "rename", "remove":
	default:
		return
	}
	w.mu.Lock()
	w.n++
	hit := w.n%w.each == 0
	w.mu.Unlock()
	if hit {
		w.take(fmt.Sprintf("after %s %s", op, name))
	}
}

// run appends n records to the log on disk and takes disks meanwhile.
func (w *wrecker) run(t *testing.T, p Policy, h *history, m *maker, n int) {
	t.Helper()
	tap := &tapped{FS: w.disk}
	o, err := openOwned(config(tap, p))
	if err != nil {
		t.Fatal(err)
	}
	w.log = o.l
	tap.on(nil, w.after)
	for i := range n {
		r := m.next()
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
		if m.rng.IntN(4) == 0 {
			o.l.Commit()
		}
		if m.rng.IntN(30) == 0 {
			o.safe(t)
		}
		if m.rng.IntN(60) == 0 {
			if err := o.compact(func(s SegmentInfo) bool { return s.Live*2 < s.Size || m.rng.IntN(4) == 0 }); err != nil {
				t.Fatalf("compact: %v", err)
			}
		}
		if m.rng.IntN(n/4+1) == 0 {
			w.take(fmt.Sprintf("at append %d", i))
		}
	}
	if err := o.check(h); err != nil {
		t.Fatalf("before the crash: %v", err)
	}
	w.take("at the end")
	tap.on(nil, nil)
	o.close(t)
}

// open recovers the wreck and checks every promise.
func (k *wreck) open(p Policy, h *history) (*owner, *history, error) {
	o, err := openOwned(config(k.disk, p))
	if err != nil {
		return nil, nil, fmt.Errorf("open: %w", err)
	}
	least := k.durable
	if k.killed {
		least = k.written
	}
	if err := k.promises(o, h, least); err != nil {
		o.l.Close()
		return nil, nil, err
	}
	return o, h.cut(o.l.Last()), nil
}

func (k *wreck) promises(o *owner, h *history, least uint64) error {
	if o.l.Last() < least {
		return fmt.Errorf("log ends at %d, %d was safe", o.l.Last(), least)
	}
	if err := o.check(h); err != nil {
		return err
	}
	if k.life == (Identity{}) {
		return nil
	}
	same := o.l.Identity() == k.life
	switch {
	case k.killed && o.l.Cut() == nil && !same:
		return fmt.Errorf("a killed process changed the identity")
	case (!k.killed || o.l.Cut() != nil) && same:
		return fmt.Errorf("power loss or cut (%+v) kept the identity", o.l.Cut())
	}
	if !same {
		_, err := o.l.ReadAfter(Position{k.life, o.l.Last() + 1, 1})
		if !errors.Is(err, ErrForked) {
			return fmt.Errorf("position behind the cut in the old life: got %v, want ErrForked", err)
		}
	}
	return nil
}

// go on after the crash, and crash again.
func crashRun(t *testing.T, seed uint64, p Policy) {
	rng := rand.New(rand.NewPCG(seed, 5))
	disk, h, m := newCrashDisk(), &history{}, newMaker(seed)
	for round := range 3 {
		w := &wrecker{rng: rng, disk: disk, each: 4 + rng.IntN(5)}
		w.run(t, p, h, m, 150+rng.IntN(200))
		var next *crashDisk
		keep := rng.IntN(len(w.list))
		var kept *history
		for i := range w.list {
			k := &w.list[i]
			o, hist, err := k.open(p, h)
			if err != nil {
				t.Fatalf("seed %d policy %s round %d wreck %d, %s, %d%% unsynced, killed %v, durable %d, written %d: %v",
					seed, p, round, i, k.when, k.percent, k.killed, k.durable, k.written, err)
			}
			if i == keep { // it crashes once more at once, and the next round goes on there
				next, kept = k.disk.crash(k.percent, rng), hist
			}
			o.close(t)
		}
		disk, h = next, kept
		if o := mustOpen(t, config(disk, p)); o.l.Last() != uint64(len(h.recs)) {
			t.Fatalf("seed %d: %d entries after the second crash, recovery had shown %d", seed, o.l.Last(), len(h.recs))
		} else if err := o.check(h); err != nil {
			t.Fatalf("seed %d: second crash: %v", seed, err)
		} else {
			o.close(t)
		}
	}
}

func TestCrash(t *testing.T) {
	for _, p := range []Policy{Always, Interval, Never} {
		t.Run(string(p), func(t *testing.T) {
			for _, seed := range seeds(t, 4) {
				crashRun(t, seed, p)
			}
		})
	}
}
