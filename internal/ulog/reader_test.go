package ulog

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/futago/futago/internal/vfs"
)

// Readers at every position see each entry once, in order, right, and only what is written, while appends, rotations and
// compactions go on.
func TestReadersUnderLoad(t *testing.T) {
	eachDisk(t, func(t *testing.T, fs vfs.FS) {
		cfg := config(fs, Interval)
		cfg.SegmentSize = 8192
		o, h, m := mustOpen(t, cfg), &history{}, newMaker(1)
		var done atomic.Bool
		var readers, others sync.WaitGroup
		var read, gone atomic.Int64
		for i := range 3 {
			readers.Go(func() {
				for start := uint64(i); !done.Load(); start += 17 {
					follow(t, o, h, start, &done, &read, &gone)
				}
			})
		}
		others.Go(func() {
			for !done.Load() {
				if err := o.compact(func(s SegmentInfo) bool { return s.Live*2 < s.Size }); err != nil {
					t.Error(err)
					return
				}
			}
		})
		others.Go(func() {
			for !done.Load() {
				o.l.Flush()
			}
		})
		for range 800 {
			r := m.next()
			if err := o.append(&r, h); err != nil {
				t.Fatal(err)
			}
		}
		o.safe(t)
		until(t, "readers read", func() bool { return read.Load() > 500 })
		done.Store(true)
		readers.Wait()
		others.Wait()
		if err := o.check(h); err != nil {
			t.Fatal(err)
		}
		o.close(t)
	})
}

// follow reads from a position behind start until the log let go of it or the test ends.
func follow(t *testing.T, o *owner, h *history, start uint64, done *atomic.Bool, read, gone *atomic.Int64) {
	start += o.l.streamFrom.Load()
	if start > o.l.Written() {
		start = o.l.Written()
	}
	r, err := o.l.ReadAfterSeq(start)
	if errors.Is(err, ErrGone) {
		gone.Add(1)
		return
	}
	if err != nil {
		t.Errorf("read after %d: %v", start, err)
		done.Store(true)
		return
	}
	defer r.Close()
	next := start + 1
	for range 300 {
		e, ok := r.Next()
		if !ok {
			if r.Gone() || done.Load() {
				return
			}
			continue
		}
		if e.Seq != next || r.After() != next {
			t.Errorf("got sequence %d (after %d), want %d", e.Seq, r.After(), next)
			done.Store(true)
			return
		}
		if w := o.l.Written(); e.Seq > w {
			t.Errorf("entry %d is shown, written is %d", e.Seq, w)
		}
		if want := h.upTo(e.Seq); uint64(len(want)) == e.Seq && !bytes.Equal(want[e.Seq-1], e.Raw) {
			t.Errorf("entry %d is wrong", e.Seq)
		}
		next++
		read.Add(1)
	}
}

func TestReadAfterEveryPosition(t *testing.T) {
	eachDisk(t, func(t *testing.T, fs vfs.FS) {
		o, h, m := mustOpen(t, config(fs, Never)), &history{}, newMaker(1)
		fill(t, o, h, m, 150)
		life := o.l.Identity()
		var at []Position
		r, err := o.l.ReadAfter(Position{})
		if err != nil {
			t.Fatal(err)
		}
		for e, ok := r.Next(); ok; e, ok = r.Next() {
			at = append(at, Position{life, e.Seq, e.CRC})
		}
		r.Close()
		r.Close()
		if len(at) != 150 || o.l.End() != at[149] {
			t.Fatalf("%d entries, end %+v", len(at), o.l.End())
		}
		for i, p := range at {
			r, err := o.l.ReadAfter(p)
			if err != nil {
				t.Fatalf("read after %d: %v", p.Seq, err)
			}
			if e, ok := r.Next(); ok != (i < 149) || ok && e.Seq != p.Seq+1 {
				t.Fatalf("after %d came %d %v", p.Seq, e.Seq, ok)
			}
			r.Close()
			for _, bad := range []Position{{life, p.Seq, p.CRC + 1}, {Identity{1}, p.Seq, p.CRC}} {
				if _, err := o.l.ReadAfter(bad); !errors.Is(err, ErrForked) {
					t.Fatalf("read after %+v: got %v, want ErrForked", bad, err)
				}
			}
		}
		if _, err := o.l.ReadAfter(Position{life, 151, 1}); !errors.Is(err, ErrForked) {
			t.Fatalf("behind the end: got %v, want ErrForked", err)
		}

		// A reader shows what is written only.
		r, err = o.l.ReadAfter(at[149])
		if err != nil {
			t.Fatal(err)
		}
		more := value(m, "key1", "more")
		if err := o.append(&more, h); err != nil {
			t.Fatal(err)
		}
		if o.l.Written() == 150 { // the log's own loop may have written it
			if e, ok := r.Next(); ok && o.l.Written() == 150 {
				t.Fatalf("entry %d is shown before it is written", e.Seq)
			}
		}
		o.l.Flush()
		if e, ok := r.Next(); ok && e.Seq != 151 || !ok && r.After() != 151 {
			t.Fatalf("after the write: got %d %v", e.Seq, ok)
		}
		r.Close()

		// What a compaction passed is gone; a reader in it reads to the end of its segment.
		slow, err := o.l.ReadAfter(Position{})
		if err != nil {
			t.Fatal(err)
		}
		if err := o.l.Compact([]uint64{1}, o.compaction()); err != nil {
			t.Fatal(err)
		}
		from := o.l.streamFrom.Load()
		for want := uint64(1); want <= from; want++ {
			e, ok := slow.Next()
			if !ok || e.Seq != want || !bytes.Equal(e.Raw, h.recs[want-1]) {
				t.Fatalf("pinned segment: got %d %v, want %d", e.Seq, ok, want)
			}
		}
		slow.Close()
		for _, p := range at[:from] {
			if _, err := o.l.ReadAfter(p); !errors.Is(err, ErrGone) {
				t.Fatalf("read after %d, kept is from %d: got %v, want ErrGone", p.Seq, from+1, err)
			}
		}
		if _, err := o.l.ReadAfter(Position{}); !errors.Is(err, ErrGone) {
			t.Fatalf("from the start: got %v, want ErrGone", err)
		}
		o.close(t)
	})
}

// A reader whose next segment was compacted away says so, as often as it is asked.
func TestReaderIsGone(t *testing.T) {
	o, h, m := mustOpen(t, config(vfs.Memory(), Never)), &history{}, newMaker(1)
	defer o.close(t)
	fill(t, o, h, m, 200)
	r, err := o.l.ReadAfter(Position{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := o.compact(func(s SegmentInfo) bool { return s.Log && s.Live*2 < s.Size }); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, ok := r.Next(); !ok && !r.Gone() {
			t.Fatal("no more entries, but not gone")
		}
	}
	if !r.Gone() {
		t.Fatal("nothing was compacted")
	}
}
