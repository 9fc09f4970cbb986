package ulog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// After the n-th call of a kind has failed, whatever the log calls safe is safe, nothing is accepted where the disk is in
// doubt, and no sync of data is tried again.
func TestFaults(t *testing.T) {
	for _, op := range []string{"write", "torn write", "sync", "create", "allocate", "rename", "syncdir", "remove"} {
		for _, p := range []Policy{Always, Interval, Never} {
			for n := int64(1); n <= 8; n++ {
				faultRun(t, op, p, n)
			}
		}
	}
}

func faultRun(t *testing.T, op string, p Policy, n int64) {
	where := fmt.Sprintf("%s %d under %s", op, n, p)
	disk := newCrashDisk()
	tap := &tapped{FS: disk}
	o, h, m := mustOpen(t, config(tap, p)), &history{}, newMaker(uint64(n))
	var calls, syncs atomic.Int64
	var segment atomic.Bool // the failed call was on a segment's data
	kind, fault := strings.TrimPrefix(op, "torn "), errDisk
	if kind != op {
		fault = errTorn
	}
	tap.on(func(op, name string) error {
		data := strings.HasSuffix(name, ".log")
		if segment.Load() && op == "sync" && data {
			syncs.Add(1)
		}
		if op != kind || calls.Add(1) != n {
			return nil
		}
		segment.Store(data && (op == "write" || op == "sync"))
		return fault
	}, nil)
	for range 250 {
		r := m.next()
		if err := o.append(&r, h); err != nil {
			if !errors.Is(err, ErrFailed) && !errors.Is(err, ErrFull) {
				t.Fatalf("%s: append: %v", where, err)
			}
			if errors.Is(err, ErrFailed) {
				break
			}
		}
		o.l.Flush()
		if m.rng.IntN(8) == 0 {
			o.l.Sync()
		}
	}
	if segment.Load() {
		if err := o.l.Failed(); !errors.Is(err, ErrFailed) || !errors.Is(err, fault) {
			t.Fatalf("%s: a segment's data could not be made safe, failed is %v", where, err)
		}
		if got := syncs.Load(); p == Never && got != 0 {
			t.Fatalf("%s: %d syncs after the failure", where, got)
		}
		written, durable := o.l.Written(), o.l.Durable()
		r := m.next()
		if err := o.append(&r, h); !errors.Is(err, ErrFailed) {
			t.Fatalf("%s: append after the failure: %v", where, err)
		}
		o.l.Flush()
		if err := o.l.Sync(); !errors.Is(err, ErrFailed) {
			t.Fatalf("%s: sync after the failure: %v", where, err)
		}
		if o.l.Written() != written || o.l.Durable() != durable {
			t.Fatalf("%s: written %d durable %d rose to %d and %d after the failure", where, written, durable, o.l.Written(), o.l.Durable())
		}
	}
	if err := o.check(h); err != nil {
		t.Fatalf("%s: reads go on: %v", where, err)
	}
	tap.on(nil, nil)
	durable, written := o.l.Durable(), o.l.Written()
	killed, lost := disk.kill(), disk.crash(0, nil)
	if err := o.l.Close(); (err != nil) != (o.l.Failed() != nil) {
		t.Fatalf("%s: close: %v", where, err)
	}
	for disk, least := range map[*crashDisk]uint64{killed: written, lost: durable} {
		again, err := openOwned(config(disk, p))
		if err != nil {
			t.Fatalf("%s: open: %v", where, err)
		}
		if again.l.Last() < least {
			t.Fatalf("%s: log ends at %d, %d was safe", where, again.l.Last(), least)
		}
		if err := again.check(h.cut(again.l.Last())); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		again.close(t)
	}
}

// A full disk refuses what needs a new segment and nothing else, and does not stop the log.
func TestFullDisk(t *testing.T) {
	for _, op := range []string{"create", "allocate"} {
		t.Run(op, func(t *testing.T) {
			var full atomic.Bool
			tap := &tapped{FS: vfs.Memory()}
			tap.on(func(o, name string) error {
				if full.Load() && o == op && strings.HasSuffix(name, ".log") {
					return syscall.ENOSPC
				}
				return nil
			}, nil)
			o, h, m := mustOpen(t, config(tap, Never)), &history{}, newMaker(1)
			fill(t, o, h, m, 20)
			full.Store(true)
			small := value(m, "small", "x")
			for {
				if err := o.append(&small, h); err != nil {
					if !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
						t.Fatalf("got %v, want ErrFull with the reason", err)
					}
					break
				}
			}
			large := value(m, "large", strings.Repeat("x", 9000))
			if err := o.append(&large, h); !errors.Is(err, ErrFull) {
				t.Fatalf("large: got %v, want ErrFull", err)
			}
			if err := o.l.Failed(); err != nil {
				t.Fatalf("a full disk stopped the log: %v", err)
			}
			if err := o.check(h); err != nil {
				t.Fatal(err)
			}
			full.Store(false)
			until(t, "writes come back", func() bool { return o.append(&small, h) == nil })
			if err := o.append(&large, h); err != nil {
				t.Fatal(err)
			}
			if err := o.check(h); err != nil {
				t.Fatal(err)
			}
			o.close(t)
		})
	}
}

// When a seal fails, the ones behind it wait: recovery takes what has no seal as the end of the log.
func TestSealsKeepTheirOrder(t *testing.T) {
	disk := newCrashDisk()
	tap := &tapped{FS: disk}
	o, h, m := mustOpen(t, config(tap, Never)), &history{}, newMaker(2)
	var broken atomic.Bool
	broken.Store(true)
	tap.on(func(op, name string) error {
		if broken.Load() && name == hintName(1)+".tmp" {
			return syscall.ENOSPC
		}
		return nil
	}, nil)
	for o.l.Usage().Segments < 8 {
		r := m.next()
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
		o.safe(t)
	}
	if list := o.l.Sealed(); len(list) != 0 {
		t.Fatalf("sealed %+v before segment 1", list)
	}
	for _, d := range []*crashDisk{disk.kill(), disk.crash(0, nil)} {
		again := mustOpen(t, config(d, Never))
		if again.l.Last() != uint64(len(h.recs)) || again.l.Cut() != nil {
			t.Fatalf("log ends at %d of %d, cut %+v", again.l.Last(), len(h.recs), again.l.Cut())
		}
		if err := again.check(h); err != nil {
			t.Fatal(err)
		}
		again.close(t)
	}
	broken.Store(false)
	o.l.seals.wake()
	o.sealed(t)
	o.close(t)
}

// A seal that takes its time does not keep writers waiting, until so many are due that a start would take long.
func TestWritersWaitForSealsAtLast(t *testing.T) {
	disk := newCrashDisk()
	tap := &tapped{FS: disk}
	o, h, m := mustOpen(t, config(tap, Never)), &history{}, newMaker(2)
	release := make(chan struct{})
	tap.on(func(_, name string) error {
		if name == hintName(1)+".tmp" {
			<-release
		}
		return nil
	}, nil)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for o.l.Usage().Segments < 3*mostUnsealed {
			r := m.next()
			if err := o.append(&r, h); err != nil {
				t.Error(err)
				return
			}
			o.safe(t)
		}
	}()
	waits := func() bool {
		o.l.mu.Lock()
		defer o.l.mu.Unlock()
		return o.l.waits && o.l.sealsDue() >= mostUnsealed
	}
	until(t, "a writer that waits", waits)
	if n := o.l.Usage().Segments; n > mostUnsealed+3 {
		t.Errorf("%d segments while %d seals are due", n, mostUnsealed)
	}
	close(release)
	<-written
	o.sealed(t)
	if err := o.check(h); err != nil {
		t.Fatal(err)
	}
	o.close(t)
}

// Hints must not promise stamps that a loss of power takes back.
func TestOriginIsDurable(t *testing.T) {
	disk := newCrashDisk()
	cfg := config(disk, Never)
	cfg.SyncInterval = time.Hour
	o, h, m := mustOpen(t, cfg), &history{}, newMaker(2)
	for o.l.Usage().Segments < 4 {
		r := value(m, "k", "0123456789")
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
	}
	o.sealed(t)
	kept := o.l.Origin(1)
	// As if the keeper had stood still in front of the seal until a later stamp was in the log.
	late := record.Record{Kind: record.Value, Key: []byte("k"), Stamp: kept + 1<<30}
	if err := o.append(&late, h); err != nil {
		t.Fatal(err)
	}
	for _, seg := range o.l.chain[:2] {
		if err := o.l.seal(seg); err != nil {
			t.Fatal(err)
		}
	}
	lost := disk.crash(0, nil)
	again := mustOpen(t, config(lost, Never))
	if got := again.l.Origin(1); got != kept {
		t.Fatalf("after the loss of %v: origin is %v, the newest stamp in the log %v", late.Stamp, got, kept)
	}
	again.close(t)
	o.close(t)
}

// A closed or failed log takes no large entry either, and makes no file for it.
func TestNoSegmentAfterClose(t *testing.T) {
	fs := vfs.Memory()
	o, m := mustOpen(t, config(fs, Never)), newMaker(1)
	o.close(t)
	before, _ := fs.List()
	large := value(m, "large", strings.Repeat("x", 9000))
	o.l.Lock()
	_, _, err := o.l.Append(&large)
	o.l.Unlock()
	if after, _ := fs.List(); !errors.Is(err, ErrClosed) || len(after) != len(before) {
		t.Fatalf("got %v and %d files, want ErrClosed and %d files", err, len(after), len(before))
	}
}

// A segment in which a restart goes on is sealed like any other, also when nothing more fits in.
func TestResumedSegmentIsSealed(t *testing.T) {
	disk := newCrashDisk()
	o, h, m := mustOpen(t, config(disk, Never)), &history{}, newMaker(1)
	small := value(m, "k", "v")
	for range 3 {
		if err := o.append(&small, h); err != nil {
			t.Fatal(err)
		}
	}
	o.close(t)
	o = mustOpen(t, config(disk, Never))
	rest := value(m, "rest", strings.Repeat("x", 3970))
	for range 2 {
		if err := o.append(&rest, h); err != nil {
			t.Fatal(err)
		}
	}
	o.sealed(t)
	if list := o.l.Sealed(); !slices.ContainsFunc(list, func(s SegmentInfo) bool { return s.ID == 1 }) {
		t.Fatalf("segment 1 is not among the sealed: %+v", list)
	}
	o.close(t)
}

// The end of the log is a position that the log itself knows, also when a cut left nothing of the newest segment.
func TestEndAfterCut(t *testing.T) {
	disk := newCrashDisk()
	o, h, m := mustOpen(t, config(disk, Never)), &history{}, newMaker(3)
	for o.l.Usage().Segments < 4 {
		r := value(m, "k", "0123456789")
		if err := o.append(&r, h); err != nil {
			t.Fatal(err)
		}
		o.l.Flush()
	}
	o.sealed(t)
	img := imageOf(t, disk)
	o.close(t)
	for _, seg := range img.names(".log") {
		list := places(img, seg)
		if _, isSealed := img[strings.TrimSuffix(seg, ".log")+".hint"]; isSealed || len(list) == 0 {
			continue
		}
		for _, p := range list {
			img[seg][p.off+25] ^= 1
		}
		o = mustOpen(t, config(img.disk(otherBoot, nil), Never))
		if o.l.Cut() == nil || o.l.Last() != list[0].seq-1 {
			t.Fatalf("log ends at %d, cut %+v", o.l.Last(), o.l.Cut())
		}
		r, err := o.l.ReadAfter(o.l.End())
		if err != nil {
			t.Fatalf("read after the end %+v: %v", o.l.End(), err)
		}
		r.Close()
		o.close(t)
		return
	}
	t.Fatal("no open segment has entries")
}

// A position in an earlier life is known up to where that life and everything after it agree.
func TestPastLives(t *testing.T) {
	l := &Log{man: &manifest{}}
	l.last.Store(100)
	first := randomIdentity()
	l.life, l.man.Identity = first, first
	l.newLife()
	l.last.Store(90)
	l.newLife()
	l.last.Store(200)
	l.written.Store(200)
	for seq, want := range map[uint64]error{90: nil, 91: ErrForked, 100: ErrForked} {
		if err := l.checkLife(Position{first, seq, 1}); !errors.Is(err, want) {
			t.Errorf("position %d of the first life: got %v, want %v", seq, err, want)
		}
	}
	for range maxPast + 5 {
		l.newLife()
	}
	if n := len(l.man.Past); n != maxPast {
		t.Errorf("%d past lives are kept, want %d", n, maxPast)
	}
	if err := l.checkLife(Position{first, 1, 1}); !errors.Is(err, ErrForked) {
		t.Errorf("forgotten life: got %v, want ErrForked", err)
	}
}

// The space of an entry that a hint cannot express is read from the entry.
func TestHugeEntrySize(t *testing.T) {
	seg := &segment{data: make([]byte, 128), size: MaxSegmentSize * 2}
	const size = sizeUnitsMax*entryAlign + 4096
	seg.data[64], seg.data[65], seg.data[66], seg.data[67] = size&255, size>>8&255, size>>16&255, size>>24
	e := hintEntry{packed: packHint(64, size, false, 0)}
	if got := seg.entrySize(e); got != size {
		t.Errorf("got %d, want %d", got, size)
	}
	if e = (hintEntry{packed: packHint(64, 80, true, 1<<extraBits-1)}); seg.entrySize(e) != 80 || !e.tomb() || e.offset() != 64 {
		t.Errorf("got %d %v %d", seg.entrySize(e), e.tomb(), e.offset())
	}
}
