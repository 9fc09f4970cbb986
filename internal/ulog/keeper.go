package ulog

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/futago/futago/internal/record"
)

// mostUnsealed is with how many full segments that wait for their seal no further one is begun: a start reads them.
const mostUnsealed = 16

// keeper is a goroutine that does its work whenever it is woken.
type keeper chan struct{}

func (k keeper) wake() {
	select {
	case k <- struct{}{}:
	default:
	}
}

// keep works as a keeper until the log is closed.
func (l *Log) keep(k keeper, work func()) {
	defer l.done.Done()
	retry := time.NewTicker(time.Second) // a full disk may have space again
	defer retry.Stop()
	for {
		work()
		select {
		case <-l.stop:
			return
		case <-k:
		case <-retry.C:
		}
	}
}

// makeSpare makes a segment ahead of need.
func (l *Log) makeSpare() {
	l.mu.Lock()
	need := l.spare == nil && !l.closed && l.failure.Load() == nil
	l.mu.Unlock()
	if !need || l.sealsDue() >= mostUnsealed {
		return
	}
	seg, err := l.createSegment(l.cfg.SegmentSize)
	if errors.Is(err, errInDoubt) {
		l.fail(err)
	}
	l.mu.Lock()
	l.spare, l.noSpare = seg, err
	l.room.Broadcast()
	l.mu.Unlock()
}

// createSegment makes a zeroed log segment and enters it in the manifest. The caller must stop the log when the error
// is errInDoubt.
func (l *Log) createSegment(size int64) (*segment, error) {
	l.manMu.Lock()
	defer l.manMu.Unlock()
	slot := l.freeSlot()
	if slot < 0 {
		return nil, fmt.Errorf("%w: %w", ErrFull, errSlots)
	}
	seg, err := newSegment(l.fs, l.man.NextID, kindLog, size, l.cfg.Policy == Always)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFull, err)
	}
	next := *l.man
	next.NextID++
	next.Segments = append(slices.Clone(next.Segments), segmentItem{ID: seg.id, Kind: kindLog, Size: size})
	if err := storeManifest(l.fs, &next); err != nil {
		name := seg.name()
		seg.free()
		if errors.Is(err, errInDoubt) { // the manifest on disk may name the file: it stays, and the log stops
			return nil, err
		}
		l.fs.Remove(name)
		return nil, fmt.Errorf("%w: %w", ErrFull, err)
	}
	l.man = &next
	seg.slot = slot
	seg.readers.Store(1) // the log's own pin
	l.slots[slot].Store(seg)
	return seg, nil
}

func (l *Log) freeSlot() int {
	for i := range l.slots {
		if l.slots[i].Load() == nil {
			return i
		}
	}
	return -1
}

// sealsDue is how many full segments wait for their seal: none if the first of them cannot be sealed, so that nothing waits for that.
func (l *Log) sealsDue() int {
	l.dirtyMu.Lock()
	defer l.dirtyMu.Unlock()
	if l.unsealed != nil {
		return 0
	}
	return len(l.sealing)
}

// sealHaste is by how much less a seal pauses.
func (l *Log) sealHaste() int {
	select {
	case <-l.stop:
		return ease
	default:
		return l.sealsDue()
	}
}

// sealDue writes hints for full segments and marks them sealed.
func (l *Log) sealDue() {
	for {
		l.dirtyMu.Lock()
		var seg *segment
		if len(l.sealing) > 0 {
			seg = l.sealing[0]
		}
		l.dirtyMu.Unlock()
		if seg == nil || l.Failed() != nil {
			return
		}
		if err := l.seal(seg); err != nil {
			// Without its seal the segment is scanned at the next start: slower, nothing is lost. Later segments wait,
			// for recovery takes all that has no seal as the end of the log.
			l.dirtyMu.Lock()
			known := l.unsealed == seg
			l.unsealed = seg
			l.dirtyMu.Unlock()
			l.spares.wake()
			if !known {
				l.log.Warn("segment has no hint yet, a start would scan it", "segment", seg.name(), "err", err)
			}
			return
		}
		l.dirtyMu.Lock()
		l.sealing, l.unsealed = l.sealing[1:], nil
		l.dirtyMu.Unlock()
		l.spares.wake()
	}
}

// seal writes the hint of a full segment. Entries that cannot be read any more are missing in it, and the next start would
// take an older one of their keys: so the manifest notes the hole.
func (l *Log) seal(seg *segment) error {
	pace := breather{late: l.sealHaste}
	b := hintBuilder{seed: l.seed, pace: &pace}
	b.h.entries = make([]hintEntry, 0, max(seg.last.Load()+1, seg.first)-seg.first) // growing it would take half of the time
	var r record.Record
	var lost []gap
	seg.walk(l.sums, noHint, func(e Entry, off int64) error {
		pace.did(e.Size())
		b.add(e, off)
		e.Raw.Into(&r)
		r.Stamps(l.sealedOrigins.observe)
		return nil
	}, func(g gap) error { lost = append(lost, g); return nil })
	h := b.finish(seg.used.Load(), l.sealedOrigins.list())
	if len(lost) > 0 {
		h.first, h.last = seg.first, seg.last.Load() // the sequences around it go on
	}
	return l.sealWith(seg, h, lost, &pace)
}

func (l *Log) sealWith(seg *segment, h *hint, lost []gap, pace *breather) error {
	if err := writeFile(l.fs, hintName(seg.id), encodeHint(h, seg), pace); err != nil {
		return fmt.Errorf("write hint of %s: %w", seg.name(), err)
	}
	l.manMu.Lock()
	defer l.manMu.Unlock()
	next := *l.man
	next.Segments = slices.Clone(next.Segments)
	for i := range next.Segments {
		if next.Segments[i].ID == seg.id {
			next.Segments[i] = segmentItem{ID: seg.id, Kind: seg.kind, Size: seg.size, Sealed: true, Used: h.used, First: h.first, Last: h.last}
		}
	}
	next.StreamFrom = max(next.StreamFrom, min(l.streamFrom.Load(), h.last)) // what leaveStream left to the seal
	for _, g := range lost {
		next.addHole(g, h.last)
	}
	if err := storeManifest(l.fs, &next); err != nil {
		return err
	}
	l.man = &next
	l.sealed.Add(1)
	for _, g := range lost {
		l.note(seg, g, "the next start asks the peers for everything")
	}
	return nil
}

// scan calls f with every entry, in order, with its offset. The segment must be whole.
func (l *Log) scan(seg *segment, f func(e Entry, off int64)) error {
	return seg.walk(l.sums, noHint, func(e Entry, off int64) error { f(e, off); return nil }, func(g gap) error {
		return &CorruptError{Segment: seg.name(), Offset: g.off, Seq: g.first, Err: g.err}
	})
}

func noHint() []int64 { return nil }
