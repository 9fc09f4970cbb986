package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
)

// waitFor waits for what the store's own goroutines bring about.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// After a failed write or sync nothing is acknowledged any more, waiting writes learn it, reads go on, and a restart
// shows all that was acknowledged.
func TestDiskErrorStopsWrites(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		for _, policy := range []ulog.Policy{ulog.Always, ulog.Interval} {
			t.Run(fmt.Sprintf("%s/%s", op, policy), func(t *testing.T) {
				var broken atomic.Bool
				disk := newCrashDisk()
				disk.fail = func(o, name string) error {
					if broken.Load() && o == op && strings.HasSuffix(name, ".log") {
						return syscall.EIO
					}
					return nil
				}
				s := open(t, crashConfig(disk, policy))
				wait := func(seq uint64) error {
					s.Flush()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					return s.Wait(ctx, seq)
				}
				if err := wait(set(t, s, "before", "1").Seq); err != nil {
					t.Fatal(err)
				}
				broken.Store(true)
				lost := set(t, s, "during", "1").Seq
				err := wait(lost)
				if acked := err == nil; acked && (op == "write" || policy == ulog.Always) {
					t.Fatal("a write was acknowledged that the disk did not take")
				}
				if err != nil && !errors.Is(err, syscall.EIO) {
					t.Fatalf("wait: got %v, want the error of the disk", err)
				}
				waitFor(t, "log fails", func() bool { return s.Log().Failed() != nil })
				var res Result
				for _, op := range []Op{Set, Delete} {
					if err := s.Commit(&Request{Op: op, Key: []byte("before")}, &res); !errors.Is(err, ErrReadOnly) {
						t.Fatalf("op %d after the error: got %v, want ErrReadOnly", op, err)
					}
				}
				if _, err := s.FlushAll(0); !errors.Is(err, ErrReadOnly) {
					t.Fatalf("flush after the error: %v", err)
				}
				wantValue(t, s, "before", "1")
				if st := s.Stats(); !strings.Contains(st.Refusal, "disk error") {
					t.Fatalf("status says %q", st.Refusal)
				}
				if err := s.Close(); !errors.Is(err, syscall.EIO) {
					t.Fatalf("close: got %v, want the error of the disk", err)
				}
				again := open(t, crashConfig(disk.crash(0, nil), policy))
				if policy == ulog.Always {
					wantValue(t, again, "before", "1")
				}
				again.Close()
			})
		}
	}
}

// Near a full disk writes are refused, deletes and reads go on; when space is back, so are writes.
func TestLowSpace(t *testing.T) {
	disk := newCrashDisk()
	c := crashConfig(disk, ulog.Interval)
	c.MinFree = 1 << 20
	s := open(t, c)
	defer s.Close()
	set(t, s, "a", "1")
	set(t, s, "b", "2")
	disk.setFree(1<<20 - 1)
	var res Result
	trySet := func() error { return s.Commit(&Request{Op: Set, Key: []byte("c")}, &res) }
	waitFor(t, "writes are refused", func() bool { return errors.Is(trySet(), ErrNoSpace) })
	do(t, s, Request{Op: Delete, Key: []byte("a")})
	wantAbsent(t, s, "a")
	wantValue(t, s, "b", "2")
	disk.setFree(math.MaxInt64)
	waitFor(t, "writes come back", func() bool { return trySet() == nil })
}

// A disk that takes no new segment refuses writes with ErrNoSpace, and the store stays whole.
func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	disk := newCrashDisk()
	disk.fail = func(op, name string) error {
		if full.Load() && (op == "allocate" || op == "create") {
			return syscall.ENOSPC
		}
		return nil
	}
	s := open(t, crashConfig(disk, ulog.Interval))
	model := map[string]string{}
	rng := rand.New(rand.NewPCG(1, 1))
	write := func() error {
		key, value := fmt.Sprintf("k%d", rng.IntN(40)), strings.Repeat("x", rng.IntN(200))
		var res Result
		err := s.Commit(&Request{Op: Set, Key: []byte(key), Value: []byte(value)}, &res)
		if err == nil {
			model[key] = value
		}
		return err
	}
	verify := func() {
		t.Helper()
		for key, value := range model {
			wantValue(t, s, key, value)
		}
	}
	for range 200 {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		full.Store(true)
		var err error
		for err == nil {
			err = write()
		}
		if !errors.Is(err, ErrNoSpace) {
			t.Fatalf("got %v, want ErrNoSpace", err)
		}
		s.Flush()
		s.CompactOnce() // needs space itself, and must not stop the log
		if err := s.Log().Failed(); err != nil {
			t.Fatalf("a full disk stopped the log: %v", err)
		}
		verify()
		full.Store(false)
		for range 300 { // more than what fits the segment in use
			waitFor(t, "writes come back", func() bool { return write() == nil })
		}
		verify()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, crashConfig(disk, ulog.Interval))
	verify()
	s.Close()
}

// A node whose memory is used up refuses clients, and goes on taking what its peer sends: they must not drift apart.
func TestFullNodeTakesReplication(t *testing.T) {
	c := testConfig(1, vfs.Memory(), nil)
	c.MaxMemory = 1
	s := open(t, c)
	defer s.Close()
	if err := s.Commit(&Request{Op: Set, Key: []byte("k"), Value: []byte("v")}, new(Result)); !errors.Is(err, ErrNoMemory) {
		t.Fatalf("a client's write: %v, want ErrNoMemory", err)
	}
	r := record.Record{Kind: record.Value, Key: []byte("k"), Value: []byte("v"), Stamp: hlc.Make(s.Now(), 0, 2)}
	if n, err := s.Apply([]record.Record{r}, Feed{Stream: 2}); n != 1 || err != nil {
		t.Fatalf("a peer's write: %d applied, %v", n, err)
	}
	wantValue(t, s, "k", "v")
}
