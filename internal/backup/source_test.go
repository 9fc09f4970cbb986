package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// scribble executes a random operation on one of many keys.
func scribble(t testing.TB, st *store.Store, rng *rand.Rand, keys int) {
	key := fmt.Appendf(nil, "key%d", rng.IntN(keys))
	var res store.Result
	var err error
	switch rng.IntN(8) {
	case 0:
		err = st.Commit(&store.Request{Op: store.Delete, Key: key}, &res)
	case 1:
		err = st.Commit(&store.Request{Op: store.Add, Key: key, Value: []byte("10"), Flags: 3, Type: []byte("text/plain")}, &res)
	case 2, 3:
		err = st.Commit(&store.Request{Op: store.Incr, Key: key, Delta: 7, Create: true, Initial: 5}, &res)
	case 4:
		err = st.Commit(&store.Request{Op: store.Touch, Key: key, Expires: uint64(st.Now() + 1<<40)}, &res)
	default:
		err = st.Commit(&store.Request{Op: store.Set, Key: key, Value: bytes.Repeat(fmt.Appendf(nil, "%d ", rng.Uint32()), rng.IntN(60))}, &res)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotNumeric) {
		t.Error(err)
	}
}

// A full backup under load has all that was acknowledged before it began; with the incremental one that follows once the load
// has ended it is what the node holds, whatever compactions and slow readers do meanwhile.
func TestBackupUnderLoad(t *testing.T) {
	for name, longest := range map[string]time.Duration{"parts at once": time.Hour, "parts in pieces": 0} {
		t.Run(name, func(t *testing.T) {
			st := openStore(t, func(c *store.Config) { c.SegmentSize, c.CompactRate = 1<<20, 1<<30 })
			s := newSource(st, 1)
			s.scan = longest
			rng := rand.New(rand.NewPCG(1, 2))
			for range 8000 {
				scribble(t, st, rng, 3000)
			}
			st.Flush()
			st.BeginScan()      // what is replaced stays until the backup runs
			for i := range 40 { // frames of one record
				set(t, st, fmt.Sprintf("large%d", i%20), string(bytes.Repeat([]byte{byte(i)}, batchBytes*2/3)))
			}
			st.Log().End()
			if err := st.Log().Sync(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the replaced segments are sealed", func() bool { return len(st.Log().Sealed()) > 30 })
			before, compactions := stamps(st), st.Stats().Compactions
			var stop atomic.Bool
			var load sync.WaitGroup
			for i := range 2 {
				load.Go(func() {
					rng := rand.New(rand.NewPCG(3, uint64(i)))
					for n := 0; n < 10000 && !stop.Load(); n++ {
						scribble(t, st, rng, 3000)
						st.Flush()
					}
				})
			}
			st.EndScan()
			full := take(t, s, nil)
			if st.Stats().Compactions == compactions {
				t.Error("compaction had no turn")
			}
			stop.Store(true)
			load.Wait()
			got, done := restore(t, time.Time{}, full)
			if done.Read == 0 || done.Files != 1 || done.Node != 1 {
				t.Errorf("restored %+v", done)
			}
			wantNewer(t, got, before)
			got, _ = restore(t, time.Time{}, full, take(t, s, full))
			wantSame(t, "full and incremental", dump(got), dump(st))
		})
	}
}

// wantNewer demands every record of an earlier time, or a newer state of it.
func wantNewer(t *testing.T, st *store.Store, before map[string]hlc.Stamp) {
	t.Helper()
	got := stamps(st)
	for key, at := range before {
		if got[key] < at {
			t.Fatalf("%q was written at %v before the backup began, which has it as of %v", key, at, got[key])
		}
	}
}

func TestExpectedAndCounts(t *testing.T) {
	st := openStore(t, nil)
	set(t, st, "a", "1")
	set(t, st, "b", "2")
	do(t, st, store.Request{Op: store.Delete, Key: []byte("b")})
	if _, err := st.FlushAll(uint64(st.Now() + 1<<40)); err != nil {
		t.Fatal(err)
	}
	st.Flush()
	s := newSource(st, 1)
	full := take(t, s, nil)
	info, err := Verify(bytes.NewReader(full), nil)
	if err != nil {
		t.Fatal(err)
	}
	if info.Kind != Full || info.Expected != 2 || info.Values != 1 || info.Tombstones != 1 || info.Flushes != 1 || info.Node != 1 || info.Damaged != 0 {
		t.Errorf("full: %+v", info)
	}
	set(t, st, "c", "3")
	next := take(t, s, full)
	info2, err := Verify(bytes.NewReader(next), nil)
	if err != nil {
		t.Fatal(err)
	}
	if info2.Kind != Incremental || info2.Parent != info.ID || info2.From != info.Position || info2.Records() != 1 {
		t.Errorf("incremental: %+v", info2)
	}
	if again := take(t, s, next); len(again) == 0 {
		t.Error("nothing to back up is no backup")
	}
}

// Where the log is kept for the next backup it goes on; where it is not, and was compacted, it says so.
func TestHold(t *testing.T) {
	for _, hold := range []time.Duration{0, time.Hour} {
		// Twelve segments and some are written.
		st := openStore(t, func(c *store.Config) { c.SegmentSize, c.CompactRate, c.InMemory = 1<<20, 1<<30, false })
		s := newSource(st, 1)
		set(t, st, "before", "v")
		var out bytes.Buffer
		if _, err := s.write(context.Background(), &out, Request{Hold: hold}); err != nil {
			t.Fatal(err)
		}
		st.BeginScan()
		for i := range 200 { // all of it replaced: every segment but the last is dead
			set(t, st, "k", string(bytes.Repeat([]byte{byte(i)}, 64<<10)))
		}
		st.Log().End()
		if err := st.Log().Sync(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "all segments but one are sealed", func() bool { return len(st.Log().Sealed()) >= 12 })
		st.EndScan()
		for st.CompactOnce() {
		}
		_, err := tryTake(s, out.Bytes())
		if hold == 0 != errors.Is(err, feed.ErrGone) {
			t.Errorf("hold %v: %v", hold, err)
		}
	}
}

// A reader that takes nothing holds up neither writes nor the end.
func TestStuckReader(t *testing.T) {
	st := openStore(t, nil)
	for i := range 200 {
		v := make([]byte, 64<<10)
		rand.NewChaCha8([32]byte{byte(i)}).Read(v)
		set(t, st, fmt.Sprintf("k%d", i), string(v))
	}
	s := newSource(st, 1)
	stuck := &stuckWriter{began: make(chan struct{}), release: make(chan struct{})}
	ended := make(chan error)
	go func() {
		_, err := s.write(context.Background(), stuck, Request{})
		ended <- err
	}()
	<-stuck.began
	for i := range 1000 {
		set(t, st, fmt.Sprintf("k%d", i), "new")
	}
	if _, err := st.FlushAll(0); err != nil {
		t.Fatal(err)
	}
	close(stuck.release)
	if err := <-ended; err == nil || err.Error() != "reader is gone" {
		t.Errorf("the backup ended with %v", err)
	}
}

type stuckWriter struct {
	once           sync.Once
	began, release chan struct{}
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	if len(p) < batchBytes/2 {
		return len(p), nil
	}
	w.once.Do(func() { close(w.began) })
	<-w.release
	return 0, errors.New("reader is gone")
}
