package ulog

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// slowFS makes new segments only while its gate is open.
type slowFS struct {
	vfs.FS
	gate    sync.RWMutex
	waiting atomic.Int64
}

func (s *slowFS) Create(name string) (vfs.File, error) {
	if strings.HasSuffix(name, ".log") {
		s.waiting.Add(1)
		s.gate.RLock()
		defer s.gate.RUnlock()
		s.waiting.Add(-1)
	}
	return s.FS.Create(name)
}

// A writer that waits for a new segment keeps its place: nobody who takes the reservation later, with a higher stamp,
// comes before it, and one segment serves all who wait.
func TestReservationIsKeptWhileWaitingForASegment(t *testing.T) {
	fs := &slowFS{FS: vfs.Memory()}
	cfg := Config{FS: fs, Node: 1, SegmentSize: 4096, Policy: Never}
	l, err := Open(cfg, Recovery{Entry: func(Entry) {}})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer l.Close()
	clock := hlc.NewClock(1, 0, nil)
	write := func(size int) {
		l.Lock()
		defer l.Unlock()
		r := record.Record{Kind: record.Value, Stamp: clock.Next(), Key: []byte("k"), Value: make([]byte, size)}
		if _, _, err := l.Append(&r); err != nil {
			t.Errorf("Append: %v", err)
		}
	}
	write(2000)
	until(t, "a spare", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.spare != nil })
	fs.gate.Lock()
	write(3000) // takes the spare
	until(t, "the keeper to wait for the disk", func() bool { return fs.waiting.Load() == 1 })

	var writers sync.WaitGroup
	before := clock.Last()
	writers.Go(func() { write(2000) }) // does not fit
	until(t, "the first writer to have its stamp", func() bool { return clock.Last() > before })
	for range 8 {
		writers.Go(func() { write(100) }) // fits into the old segment, or together into the new one
	}
	for range 100 { // a writer that overtakes is through by now
		runtime.Gosched()
	}
	fs.gate.Unlock()
	writers.Wait()
	l.Flush()

	r, err := l.ReadAfterSeq(0)
	if err != nil {
		t.Fatalf("ReadAfterSeq: %v", err)
	}
	defer r.Close()
	last, n := hlc.Stamp(0), 0
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		if s := e.Raw.Stamp(); s <= last {
			t.Errorf("entry %d has stamp %v, the one before %v: stamps of one node must rise along its log", e.Seq, s, last)
		} else {
			last = s
		}
		n++
	}
	if n != 11 {
		t.Errorf("got %d entries, want 11", n)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.chain) != 3 {
		t.Errorf("got %d segments for what fits 3", len(l.chain))
	}
}
