package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pebble "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
)

// crashDisk adapts a file system whose unsynced data can be lost. Its files cannot be mapped.
type crashDisk struct {
	mem  *pebble.MemFS
	boot string
	fail func(op, name string) error // of every call; nil fails none

	mu   sync.Mutex
	free int64
}

func newCrashDisk() *crashDisk {
	return &crashDisk{mem: pebble.NewCrashableMem(), boot: "boot 0", free: math.MaxInt64}
}

// crash returns the disk as it is found after the power went: of what was not synced, percent is there.
func (d *crashDisk) crash(percent int, rng *rand.Rand) *crashDisk {
	return &crashDisk{mem: d.mem.CrashClone(pebble.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), boot: d.boot + "+", free: math.MaxInt64}
}

func (d *crashDisk) failing(op, name string) error {
	if d.fail == nil {
		return nil
	}
	return d.fail(op, name)
}

func (d *crashDisk) Create(name string) (vfs.File, error) {
	if err := d.failing("create", name); err != nil {
		return nil, err
	}
	if _, err := d.mem.Stat(name); err == nil {
		return nil, os.ErrExist
	}
	f, err := d.mem.Create(name, pebble.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return crashFile{f, d, name}, nil
}

func (d *crashDisk) Open(name string) (vfs.File, error) {
	if _, err := d.mem.Stat(name); err != nil { // OpenReadWrite would create it
		return nil, err
	}
	f, err := d.mem.OpenReadWrite(name, pebble.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return crashFile{f, d, name}, nil
}

func (d *crashDisk) Rename(old, new string) error {
	if err := d.failing("rename", new); err != nil {
		return err
	}
	return d.mem.Rename(old, new)
}

func (d *crashDisk) Remove(name string) error {
	if err := d.failing("remove", name); err != nil {
		return err
	}
	return d.mem.Remove(name)
}

func (d *crashDisk) SyncDir() error {
	if err := d.failing("syncdir", ""); err != nil {
		return err
	}
	f, err := d.mem.OpenDir("")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (d *crashDisk) List() ([]string, error)  { return d.mem.List("") }
func (d *crashDisk) Lock() (io.Closer, error) { return d.mem.Lock("LOCK") }
func (d *crashDisk) Boot() string             { return d.boot }

func (d *crashDisk) Free() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free, nil
}

func (d *crashDisk) setFree(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free = n
}

type crashFile struct {
	pebble.File
	d    *crashDisk
	name string
}

func (f crashFile) Allocate(size int64, _ bool) error {
	if err := f.d.failing("allocate", f.name); err != nil {
		return err
	}
	if _, err := f.File.WriteAt(make([]byte, size), 0); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f crashFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.d.failing("write", f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f crashFile) Sync() error {
	if err := f.d.failing("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f crashFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f crashFile) Map(int64) ([]byte, error) { return nil, vfs.ErrCannotMap }
func (f crashFile) Unmap([]byte) error        { return nil }

// write is one change of a key that a client made.
type write struct {
	seq   uint64
	value string
	gone  bool
}

// ledger knows every write of every key, in order.
type ledger struct {
	mu   sync.Mutex
	keys map[string][]write
}

func (l *ledger) add(key string, w write) {
	l.mu.Lock()
	l.keys[key] = append(l.keys[key], w)
	l.mu.Unlock()
}

// at is the write of key that is in force at the end of a log of last entries.
func (l *ledger) at(key string, last uint64) (w write) {
	w.gone = true
	for _, x := range l.keys[key] {
		if x.seq <= last {
			w = x
		}
	}
	return w
}

// recovered is the end of the log as it was found: a new life begins with marks.
func recovered(s *Store) uint64 {
	last := s.Log().Last()
	for last > 0 && (s.marks.all[lifeMark].seq == last || s.marks.all[horizonMarkName].seq == last || s.marks.all[promiseMarkName].seq == last) {
		last--
	}
	return last
}

// check compares the store, just opened, with the ledger.
func (l *ledger) check(s *Store) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := recovered(s)
	for key := range l.keys {
		want := l.at(key, last)
		if got, ok := get(s, key); ok == want.gone || got != want.value {
			return fmt.Errorf("%s at the end %d: got %.40q %v, want %.40q of sequence %d", key, last, got, ok, want.value, want.seq)
		}
	}
	return nil
}

func (l *ledger) cut(last uint64) {
	for key, list := range l.keys {
		kept := list[:0]
		for _, w := range list {
			if w.seq <= last {
				kept = append(kept, w)
			}
		}
		l.keys[key] = kept
	}
}

func crashConfig(fs vfs.FS, p ulog.Policy) Config {
	c := testConfig(1, fs, nil)
	c.InMemory, c.SegmentSize, c.Fsync, c.FsyncInterval, c.CompactRate = false, 8192, p, time.Millisecond, 1<<40
	return c
}

// change makes one random write and enters it in the ledger.
func change(s *Store, l *ledger, rng *rand.Rand) (seq uint64, err error) {
	key := fmt.Sprintf("k%d", rng.IntN(60))
	l.mu.Lock()
	cur := l.at(key, math.MaxUint64)
	l.mu.Unlock()
	req, res := Request{Op: Set, Key: []byte(key), Delta: 3}, Result{}
	want := write{}
	switch n, nerr := strconv.Atoi(cur.value); {
	case rng.IntN(10) == 0:
		req.Op, want.gone = Delete, true
	case rng.IntN(2) == 0 && nerr == nil:
		req.Op, want.value = Incr, strconv.Itoa(n+3)
	case rng.IntN(3) == 0:
		want.value = strconv.Itoa(rng.IntN(1000))
	default:
		want.value = string(bytes.Repeat([]byte{'a' + byte(rng.IntN(26))}, rng.IntN(300)+1))
	}
	req.Value = []byte(want.value)
	if err := s.Commit(&req, &res); err != nil {
		if errors.Is(err, ErrNotFound) && cur.gone {
			return 0, nil
		}
		return 0, fmt.Errorf("op %d %s: %w", req.Op, key, err)
	}
	want.seq = res.Seq
	l.add(key, want)
	return res.Seq, nil
}

// After a loss of power at any moment, everything that was acknowledged is there, and each key has the value of its
// newest write that is there.
func TestCrash(t *testing.T) {
	n := 3
	if v, err := strconv.Atoi(os.Getenv("FUTAGO_SEEDS")); err == nil {
		n = v
	}
	for seed := range uint64(n) {
		rng := rand.New(rand.NewPCG(seed, 11))
		disk, book := newCrashDisk(), &ledger{keys: map[string][]write{}}
		for round := range 3 {
			s := open(t, crashConfig(disk, ulog.Always))
			if err := book.check(s); err != nil {
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			}
			var acked uint64
			for range 400 {
				seq, err := change(s, book, rng)
				if err != nil {
					t.Fatal(err)
				}
				switch rng.IntN(12) {
				case 0:
					s.Flush()
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					if err := s.Wait(ctx, seq); err != nil {
						t.Fatal(err)
					}
					cancel()
					acked = max(acked, seq)
				case 1:
					s.Flush()
				case 2:
					s.CompactOnce()
				}
			}
			wreck := disk.crash([]int{0, 50, 100}[rng.IntN(3)], rng)
			s.Close()
			again := open(t, crashConfig(wreck, ulog.Always))
			if end := recovered(again); end < acked {
				t.Fatalf("seed %d round %d: log ends at %d, %d was acknowledged", seed, round, end, acked)
			}
			if err := book.check(again); err != nil {
				t.Fatalf("seed %d round %d: %v", seed, round, err)
			}
			book.cut(recovered(again))
			again.Close()
			disk = wreck
		}
	}
}

// Readers and writers go on while compactions follow each other.
func TestCompactionUnderLoad(t *testing.T) {
	for name, fs := range map[string]func() vfs.FS{"memory": vfs.Memory, "crash": func() vfs.FS { return newCrashDisk() }, "os": func() vfs.FS {
		fs, err := vfs.OS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return fs
	}} {
		t.Run(name, func(t *testing.T) {
			disk := fs()
			c := crashConfig(disk, ulog.Never)
			c.SegmentSize = 32 << 10
			s := open(t, c)
			const workers, keys, steps = 4, 50, 700
			var stop atomic.Bool
			var compacting, working sync.WaitGroup
			for range 2 {
				compacting.Go(func() {
					for !stop.Load() {
						s.CompactOnce()
					}
				})
			}
			finals := make([]map[string]string, workers)
			for w := range workers {
				working.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(w), 2))
					mine := map[string]string{}
					finals[w] = mine
					for i := range steps {
						key := fmt.Sprintf("w%d-%d", w, rng.IntN(keys))
						if want, has := mine[key]; has {
							if got, ok := get(s, key); !ok || got != want {
								t.Errorf("%s: got %.40q %v, want %.40q", key, got, ok, want)
								return
							}
						}
						value := fmt.Sprintf("%s=%d %s", key, i, bytes.Repeat([]byte{'x'}, rng.IntN(400)))
						var res Result
						if err := s.Commit(&Request{Op: Set, Key: []byte(key), Value: []byte(value)}, &res); err != nil {
							t.Error(err)
							return
						}
						mine[key] = value
						if i%16 == 0 {
							s.Flush()
						}
					}
				})
			}
			working.Wait()
			s.Flush()
			for end := time.Now().Add(10 * time.Second); s.Stats().Compactions == 0 && time.Now().Before(end); {
				time.Sleep(time.Millisecond) // segments are sealed beside the writers
			}
			stop.Store(true)
			compacting.Wait()
			if st := s.Stats(); st.Compactions == 0 || st.CompactFailed != 0 {
				t.Errorf("%d compactions, %d failed", st.Compactions, st.CompactFailed)
			}
			verify := func(s *Store) {
				t.Helper()
				for _, mine := range finals {
					for key, want := range mine {
						wantValue(t, s, key, want)
					}
				}
			}
			verify(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, c)
			verify(s)
			s.Close()
		})
	}
}

// Overwriting at random needs less than twice the live data, and the segment in use, the next one and the one that a
// compaction writes.
func TestSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the store's own compactions must not come between
		c := crashConfig(vfs.Memory(), ulog.Never)
		c.SegmentSize = 16 << 10
		s := open(t, c)
		defer s.Close()
		rng := rand.New(rand.NewPCG(1, 1))
		worst := 0.0
		for i := range 20000 {
			set(t, s, fmt.Sprintf("key%d", rng.IntN(2000)), string(make([]byte, 150)))
			if i%50 != 0 {
				continue
			}
			s.Flush()
			if err := s.log.Sync(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // until what is full is sealed
			for s.CompactOnce() {
			}
			if st := s.Stats(); i > 5000 {
				worst = max(worst, float64(st.LogBytes-3*c.SegmentSize)/float64(st.Bytes))
			}
		}
		if worst >= 2 {
			t.Errorf("log grew to %.2f times the live data", worst)
		}
	})
}
