package ulog

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/futago/futago/internal/record"
)

// keepLoop makes spares ahead of need and seals what is full.
func (l *Log) keepLoop() {
	defer l.done.Done()
	retry := time.NewTicker(time.Second) // a full disk may have space again
	defer retry.Stop()
	for {
		l.makeSpare()
		l.sealDue()
		select {
		case <-l.stop:
			return
		case <-l.keep:
		case <-retry.C:
		}
	}
}

func (l *Log) wakeKeeper() {
	select {
	case l.keep <- struct{}{}:
	default:
	}
}

func (l *Log) makeSpare() {
	l.mu.Lock()
	need := l.spare == nil && !l.closed && l.failure.Load() == nil
	l.mu.Unlock()
	if !need {
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
	seg, err := newSegment(l.fs, l.man.NextID, kindLog, size)
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
			if l.unsealed != seg {
				l.unsealed = seg
				l.log.Warn("segment has no hint yet, a start would scan it", "segment", seg.name(), "err", err)
			}
			return
		}
		l.dirtyMu.Lock()
		l.sealing = l.sealing[1:]
		l.dirtyMu.Unlock()
	}
}

func (l *Log) seal(seg *segment) error {
	b := hintBuilder{seed: l.seed}
	var r record.Record
	n := 0
	if err := l.scan(seg, seg.used.Load(), func(e Entry, off int64) bool {
		if n++; n%256 == 0 {
			runtime.Gosched() // nobody waits for a seal, a network loop may wait for the processor
		}
		b.add(e, off)
		e.Raw.Into(&r)
		r.Stamps(l.sealedOrigins.observe)
		return true
	}); err != nil {
		return err
	}
	return l.sealWith(seg, b.finish(seg.used.Load(), l.sealedOrigins.list()))
}

func (l *Log) sealWith(seg *segment, h *hint) error {
	if err := writeFile(l.fs, hintName(seg.id), encodeHint(h, seg)); err != nil {
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
	if err := storeManifest(l.fs, &next); err != nil {
		return err
	}
	l.man = &next
	l.sealed.Add(1)
	return nil
}

// scan calls f with every entry below end, in order, with its offset, while f returns true. The segment must be whole up
// to there.
func (l *Log) scan(seg *segment, end int64, f func(e Entry, off int64) bool) error {
	next := uint64(0)
	if seg.kind == kindLog {
		next = seg.first
	}
	for off := int64(segmentHeader); off < end; {
		b, err := l.sums.checkEntry(seg.data[off:end])
		if err == nil && b == nil {
			err = errNoEntry
		}
		if err != nil {
			return &CorruptError{Segment: seg.name(), Offset: off, Seq: next, Err: err}
		}
		e := entryOf(b, seg.loc(off))
		if next != 0 {
			if e.Seq != next {
				return &CorruptError{Segment: seg.name(), Offset: off, Seq: next, Err: fmt.Errorf("sequence %d is there", e.Seq)}
			}
			next++
		}
		if !f(e, off) {
			return nil
		}
		off += e.Size()
	}
	return nil
}

// CorruptError reports damage in what was durable. The log does not open with it.
type CorruptError struct {
	Segment string
	Offset  int64
	Seq     uint64 // expected there, 0 = unknown
	Err     error
}

func (e *CorruptError) Error() string {
	at := ""
	if e.Seq != 0 {
		at = fmt.Sprintf(", sequence %d", e.Seq)
	}
	return fmt.Sprintf("log is damaged: segment %s at %d%s: %v: move the data folder away and start empty, the peer fills it; or put the file back from a backup", e.Segment, e.Offset, at, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }
