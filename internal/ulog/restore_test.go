package ulog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// chronicler writes a log as a store does, one write in each millisecond, and remembers the state at each.
type chronicler struct {
	*owner
	disk   *crashDisk
	h      *history
	rng    *rand.Rand
	now    int64
	state  map[string]record.Record
	floor  hlc.Stamp
	states []map[string]record.Record // by millisecond, without what is dead
}

func newChronicler(t *testing.T, seed uint64) *chronicler {
	disk := newCrashDisk()
	cfg := config(disk, Never)
	cfg.SyncInterval = time.Hour
	return &chronicler{owner: mustOpen(t, cfg), disk: disk, h: &history{}, rng: rand.New(rand.NewPCG(seed, 3)), state: map[string]record.Record{}, states: []map[string]record.Record{{}}}
}

func (c *chronicler) write(t *testing.T, flush bool) {
	t.Helper()
	c.now++
	stamp := hlc.Make(c.now, 0, 1+c.rng.IntN(2))
	key := fmt.Sprintf("key%d", c.rng.IntN(25))
	old, found := c.state[key]
	r := record.Record{Kind: record.Value, Stamp: stamp, Key: []byte(key), Value: fmt.Appendf(nil, "%d: %0*d", c.now, c.rng.IntN(150), 0)}
	if found {
		r.Replaced = old.Stamp
	}
	switch {
	case flush:
		r = record.NewFloor(stamp, stamp)
		c.floor = stamp
		for key, old := range c.state { // as the store sweeps
			h := c.l.Hash([]byte(key))
			c.l.AddLive(c.keys[h], -int64(old.Size()))
			delete(c.keys, h)
			delete(c.state, key)
		}
	case c.rng.IntN(20) == 0:
		r = record.Record{Kind: record.Mark, Key: []byte("note"), Value: []byte(key)}
	case !found || old.Kind == record.Tombstone:
		r.Created, r.Replaced = true, max(r.Replaced, c.floor)
	case c.rng.IntN(6) == 0:
		r = record.Record{Kind: record.Tombstone, Stamp: stamp, Key: r.Key, Replaced: old.Stamp}
	}
	if err := c.append(&r, c.h); err != nil {
		t.Fatal(err)
	}
	c.l.Flush()
	if r.Kind == record.Value || r.Kind == record.Tombstone {
		c.state[key] = r
	}
	c.states = append(c.states, maps.Clone(c.state))
}

// compact frees what it can.
func (c *chronicler) tidy(t *testing.T) {
	t.Helper()
	c.sealed(t)
	if err := c.compact(func(s SegmentInfo) bool { return s.Live*3 < s.Size }); err != nil {
		t.Fatal(err)
	}
}

func at(millis int64) time.Time { return hlc.Epoch.Add(time.Duration(millis) * time.Millisecond) }

// is compares a restored folder with the state at a time, and returns how many keys differ.
func (c *chronicler) is(t *testing.T, to vfs.FS, millis int64) (wrong int) {
	t.Helper()
	o := mustOpen(t, config(to, Never))
	defer o.close(t)
	if !o.l.Hole() || !o.l.Renewed() || o.l.Identity() == c.l.Identity() {
		t.Fatalf("hole %v, renewed %v", o.l.Hole(), o.l.Renewed())
	}
	want := c.states[millis]
	all := map[string]bool{}
	for _, state := range c.states {
		for key := range state {
			all[key] = true
		}
	}
	for key := range all {
		loc, ok := o.keys[o.l.Hash([]byte(key))]
		r, wanted := want[key]
		if wanted && r.Kind == record.Tombstone && !ok { // nothing is as good: what replaced it knows of it
			continue
		}
		if ok != wanted {
			wrong++
			continue
		}
		if ok {
			if raw, err := o.l.Read(loc); err != nil || !bytes.Equal(raw, r.Append(nil)) {
				wrong++
			}
		}
	}
	if len(o.keys) > len(all) {
		t.Fatalf("%d keys of %d", len(o.keys), len(all))
	}
	return wrong
}

// What is called complete is exactly the state at the time; what is not names at least as many keys as differ. Nothing is
// called incomplete while nothing was compacted.
func TestRestoreEveryTime(t *testing.T) {
	outcome := map[string]int{}
	for _, seed := range seeds(t, 6) {
		c := newChronicler(t, seed)
		flushes, tidies, copyAt := c.rng.IntN(3), c.rng.IntN(4), 20+c.rng.IntN(150)
		var base *crashDisk
		for i := range 200 {
			c.write(t, flushes > 0 && c.rng.IntN(60) == 0)
			if tidies > 0 && i%50 == 49 {
				c.tidy(t)
			}
			if i == copyAt {
				base = c.disk.kill()
			}
		}
		for millis := int64(0); millis <= c.now; millis += 1 + c.rng.Int64N(9) {
			for _, with := range []bool{false, true} {
				cfg := RestoreConfig{From: c.disk.kill(), Time: at(millis), To: newCrashDisk()}
				if with {
					cfg.Base = base
				}
				what := fmt.Sprintf("seed %d, at %d of %d, base %v from %d", seed, millis, c.now, with, copyAt)
				done, err := Restore(t.Context(), cfg)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if tidies == 0 && !done.Complete() {
					t.Fatalf("%s: nothing was compacted, but %+v", what, done)
				}
				if done.Complete() {
					if wrong := c.is(t, cfg.To, millis); wrong != 0 || !done.Written {
						t.Fatalf("%s: %d keys are wrong: %+v", what, wrong, done)
					}
					outcome[fmt.Sprint("complete ", with)]++
					continue
				}
				if names, _ := cfg.To.List(); len(names) != 0 || done.Written {
					t.Fatalf("%s: not complete, but written: %v", what, names)
				}
				cfg.Partial, cfg.From = true, c.disk.kill()
				if done, err = Restore(t.Context(), cfg); err != nil || !done.Written {
					t.Fatalf("%s: %+v, %v", what, done, err)
				}
				if wrong := c.is(t, cfg.To, millis); wrong > done.Missing && !done.Flushed {
					t.Fatalf("%s: %d keys are wrong, %d are reported: %+v", what, wrong, done.Missing, done)
				}
				outcome[fmt.Sprint("partial ", with)]++
			}
		}
		c.close(t)
	}
	t.Log(outcome)
	if len(outcome) != 4 {
		t.Fatalf("not all outcomes were met: %v", outcome)
	}
}

// What compactions removed since comes from an earlier copy: all of it when that is from after the time.
func TestRestoreFromBase(t *testing.T) {
	g := newGround(t)
	defer g.close(t)
	put := func(i int) {
		g.m.clock += 1 << 22 // the next millisecond
		r := value(g.m, fmt.Sprintf("key%d", i), fmt.Sprintf("%d: 0123456789012345678901234567890123456789", g.m.clock))
		if raw, err := g.l.Read(g.keys[g.l.Hash(r.Key)]); err == nil {
			r.Replaced = raw.Stamp()
		}
		if err := g.append(&r, g.h); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		put(i)
	}
	then, want := g.m.clock.Time(), slices.Clone(g.h.recs)
	put(100)
	g.sealed(t)
	base := t.TempDir()
	if err := os.CopyFS(base, os.DirFS(g.dir)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		for i := range 90 {
			put(i)
		}
	}
	g.sealed(t)
	if err := g.compact(func(s SegmentInfo) bool { return s.Live*4 < s.Size }); err != nil {
		t.Fatal(err)
	}
	cfg := RestoreConfig{From: g.cfg.FS, To: newCrashDisk(), Time: then}
	done, err := Restore(t.Context(), cfg)
	if err != nil || done.Missing == 0 || done.Written {
		t.Fatalf("without a base: %+v, %v", done, err)
	}
	if cfg.Base, err = vfs.ReadOnly(base); err != nil {
		t.Fatal(err)
	}
	done, err = Restore(t.Context(), cfg)
	if err != nil || !done.Complete() || done.Records != 100 || done.FromBase < 50 {
		t.Fatalf("with a base: %+v, %v", done, err)
	}
	o := mustOpen(t, config(cfg.To, Never))
	defer o.close(t)
	if err := o.check(&history{recs: want}); err != nil {
		t.Fatal(err)
	}
}

// What is ended in the middle leaves nothing.
func TestRestoreFolderEnds(t *testing.T) {
	c := newChronicler(t, 1)
	for range 100 {
		c.write(t, false)
	}
	defer c.close(t)
	parent, gone := t.TempDir(), errors.New("gone")
	ctx, end := context.WithCancelCause(t.Context())
	cfg := RestoreConfig{From: c.disk.kill(), Time: at(c.now), Progress: func(done, _ int64) {
		if done == 10 {
			end(gone)
		}
	}}
	if _, err := RestoreFolder(ctx, cfg, filepath.Join(parent, "new")); !errors.Is(err, gone) {
		t.Errorf("got error %v, want %v", err, gone)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A restore reads beside a running log and as a copy of it; what is wrong with the folders is said.
func TestRestoreRefuses(t *testing.T) {
	c := newChronicler(t, 1)
	for range 100 {
		c.write(t, false)
	}
	c.sealed(t)
	img := imageOf(t, c.disk)
	defer c.close(t)
	restore := func(change func(cfg *RestoreConfig)) (*Restored, error) {
		cfg := RestoreConfig{From: c.disk.kill(), To: newCrashDisk(), Time: at(c.now)}
		change(&cfg)
		return Restore(t.Context(), cfg)
	}
	if _, err := restore(func(cfg *RestoreConfig) { cfg.To = c.disk.kill() }); err == nil {
		t.Error("a folder with a log was written to")
	}
	other := newChronicler(t, 2)
	other.write(t, false)
	other.close(t)
	if _, err := restore(func(cfg *RestoreConfig) { cfg.Base = other.disk.kill() }); err == nil {
		t.Error("another log was taken as base")
	}
	name := img.names(".log")[1]
	b := bytes.Clone(img[name])
	b[100] ^= 1
	done, err := restore(func(cfg *RestoreConfig) { cfg.From = img.disk(sameBoot, image{name: b}) })
	if err != nil || done.Complete() || done.Written || len(done.Damage) != 1 || done.Damage[0].File != name {
		t.Errorf("a damaged log: %+v, %v", done, err)
	}
	done, err = restore(func(cfg *RestoreConfig) {
		cfg.From, cfg.Partial = img.disk(sameBoot, image{name: b}), true
	})
	if err != nil || !done.Written || len(done.Damage) != 1 {
		t.Errorf("a damaged log, partial: %+v, %v", done, err)
	}
	for n := int64(1); n < 30; n++ { // the new folder fails at some step
		tap := &tapped{FS: newCrashDisk()}
		var calls atomic.Int64
		tap.on(func(string, string) error {
			if calls.Add(1) >= n {
				return errDisk
			}
			return nil
		}, nil)
		if done, err := restore(func(cfg *RestoreConfig) { cfg.To = tap }); calls.Load() >= n && err == nil {
			t.Errorf("step %d failed, and nobody says so: %+v", n, done)
		}
	}
}

// Entries come in order, once, whatever was compacted, and end when told.
func TestEntries(t *testing.T) {
	img, h := richLog(t)
	disk := img.disk("boot 0+", nil)
	last := uint64(0)
	seen := map[uint64]bool{}
	damage, err := Entries(disk, func(e Entry) bool {
		if e.Seq <= last || !bytes.Equal(e.Raw, h.recs[e.Seq-1]) {
			t.Fatalf("entry %d after %d: %x", e.Seq, last, []byte(e.Raw))
		}
		last = e.Seq
		seen[e.Seq] = true
		return true
	})
	if err != nil || len(damage) != 0 || last != uint64(len(h.recs)) {
		t.Fatalf("last %d of %d, damage %v, %v", last, len(h.recs), damage, err)
	}
	newest := map[string]uint64{}
	for i, raw := range h.recs {
		newest[string(record.Raw(raw).Key())] = uint64(i + 1)
	}
	for key, seq := range newest {
		if !seen[seq] {
			t.Errorf("entry %d, the newest of %q, is missing", seq, key)
		}
	}
	n := 0
	if _, err := Entries(disk, func(Entry) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Fatalf("%d entries after a stop at 3, %v", n, err)
	}
	for _, suffix := range []string{".compacted", ".log"} {
		name := img.names(suffix)[0]
		b := bytes.Clone(img[name])
		b[segmentHeader+20] ^= 1
		n := 0
		damage, err := Entries(img.disk("boot 0+", image{name: b}), func(e Entry) bool {
			n++
			return bytes.Equal(e.Raw, h.recs[e.Seq-1])
		})
		if err != nil || len(damage) != 1 || damage[0].File != name || n > len(seen)-1 || n < len(seen)-2 {
			t.Fatalf("damage in %s: %d entries of %d, %+v, %v", name, n, len(seen), damage, err)
		}
	}
}

// The ids of members and keys of clients may be the same text.
func TestRestoreKeepsMembersAndKeysApart(t *testing.T) {
	disk := newCrashDisk()
	log := mustOpen(t, config(disk, Never))
	at := func(ms int64) hlc.Stamp { return hlc.Make(ms, 0, 1) }
	for _, r := range []record.Record{
		{Kind: record.Value, Stamp: at(1), Key: []byte("1"), Value: []byte("of a client")},
		{Kind: record.Member, Stamp: at(2), Key: []byte("1"), Value: []byte("{}")},
		{Kind: record.Member, Stamp: at(3), Key: []byte("2"), Value: []byte("{}")},
		{Kind: record.Value, Stamp: at(4), Key: []byte("2"), Value: []byte("of a client")},
	} {
		if err := log.append(&r, &history{}); err != nil {
			t.Fatal(err)
		}
	}
	log.l.Flush()
	to := vfs.Memory()
	if _, err := Restore(context.Background(), RestoreConfig{From: disk, To: to, Time: hlc.Epoch.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := Entries(to, func(e Entry) bool {
		got = append(got, fmt.Sprintf("%v %s", e.Raw.Kind(), e.Raw.Key()))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"value 1", "member 1", "member 2", "value 2"}; !slices.Equal(got, want) {
		t.Errorf("restored are %q, want %q", got, want)
	}
}
