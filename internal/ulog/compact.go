package ulog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/futago/futago/internal/record"
)

// SegmentInfo describes a sealed segment to who decides on compaction.
type SegmentInfo struct {
	ID   uint64
	Last uint64 // last sequence
	Size int64  // of the file
	Live int64  // bytes that the index points to
	Log  bool   // written by appends: its removal ends the stream there
}

// Usage is the space of the whole log.
type Usage struct {
	Segments int
	Bytes    int64 // of all segment files
	Live     int64 // bytes that the index points to
}

// Usage adds up all segments.
func (l *Log) Usage() (u Usage) {
	for i := range l.slots {
		if seg := l.slots[i].Load(); seg != nil {
			u.Segments++
			u.Bytes += seg.size
			u.Live += seg.live.Load()
		}
	}
	return u
}

// Sealed lists the segments that may be compacted, those with the least live share first.
func (l *Log) Sealed() []SegmentInfo {
	l.manMu.Lock()
	defer l.manMu.Unlock()
	var list []SegmentInfo
	sealed := map[uint64]segmentItem{}
	for _, it := range l.man.Segments {
		if it.Sealed {
			sealed[it.ID] = it
		}
	}
	for i := range l.slots {
		seg := l.slots[i].Load()
		if seg == nil {
			continue
		}
		if it, ok := sealed[seg.id]; ok {
			list = append(list, SegmentInfo{ID: it.ID, Last: it.Last, Size: seg.size, Live: seg.live.Load(), Log: seg.kind == kindLog})
		}
	}
	slices.SortFunc(list, func(a, b SegmentInfo) int { return cmp.Compare(a.Live*b.Size, b.Live*a.Size) })
	return list
}

// Compaction says what to copy. All funcs are called without locks of the log.
type Compaction struct {
	// Live reports whether an entry must be kept.
	Live func(e Entry) bool
	// Indexed reports whether the index points to loc for the key of this hash: Live of all but special records, by their hint.
	Indexed func(hash, loc uint64) bool
	// Moved points the index from old to new; false when the entry died meanwhile.
	Moved func(raw record.Raw, old, new uint64) bool
	// Pace is called with bytes as they are read, to slow down; false stops the compaction.
	Pace func(n int64) bool
	// Hurry leaves out pauses, which keep the processor free for others.
	Hurry bool
	// Damaged is called for each stretch of a segment, from location first to last inclusive, that cannot be read: the owner
	// must let go of all that the index has there, for the segment goes. The log has a hole from then on. nil: a segment
	// with damage is left alone, and the compaction ends with the *CorruptError.
	Damaged func(first, last uint64)
}

// Compact copies the live entries of sealed segments to one new segment and removes them. Their live bytes must fit one segment.
func (l *Log) Compact(ids []uint64, c Compaction) error {
	victims, size, err := l.victims(ids)
	if err != nil {
		return err
	}
	defer func() {
		for _, v := range victims {
			v.unpin()
		}
	}()
	out, err := l.compactionTarget(size)
	if err != nil {
		return err
	}
	type move struct{ old, new uint64 }
	var moves []move
	var lost []damage
	off, stopped := int64(segmentHeader), false
	last := uint64(0)
	var pace *breather
	if !c.Hurry {
		pace = new(breather)
	}
	b := hintBuilder{seed: l.seed, pace: pace}
	for _, v := range victims {
		if stopped {
			break
		}
		if l.isDead(v, c, pace) {
			continue
		}
		err = v.walk(l.sums, func() []int64 { return l.known(v) }, func(e Entry, _ int64) error {
			n := e.Size()
			if !c.Pace(n) {
				stopped = true
				return errStopped
			}
			if !c.Live(e) {
				return nil
			}
			if off+n > out.size { // more became live than was counted
				return fmt.Errorf("compaction of %d segments does not fit %d bytes", len(victims), out.size)
			}
			dst := out.buf[off : off+int64(entryHeader+len(e.Raw))]
			copy(dst[entryHeader:], e.Raw)
			e.CRC = l.sums.sealEntry(dst, e.Seq, distanceMax)
			b.add(e, off)
			moves = append(moves, move{e.Loc, out.loc(off)})
			last = max(last, e.Seq)
			off += n
			return nil
		}, func(g gap) error {
			if c.Damaged == nil {
				return &CorruptError{Segment: v.name(), Offset: g.off, Seq: g.first, Err: g.err}
			}
			lost = append(lost, damage{v, g})
			return nil
		})
		if stopped {
			err = nil
		}
		if err != nil {
			break
		}
	}
	if err == nil && !stopped {
		// What superseded a dead entry may be newer than what is durable. The dead one goes only after it is safe.
		l.Flush()
		err = l.Sync()
	}
	if err != nil || stopped {
		l.discard(out)
		return err
	}
	if len(moves) == 0 {
		l.discard(out)
		l.letGo(lost, c)
		return l.remove(victims, lost)
	}
	putSegmentHeader(out.buf, kindCompacted, l.life, out.id, 0)
	out.used.Store(off)
	out.last.Store(last)
	if err = writeEasily(out.file, out.buf[:off], pace); err == nil {
		err = out.file.Sync()
	}
	if err != nil {
		l.discard(out)
		return fmt.Errorf("write segment %s: %w", out.name(), err)
	}
	out.written.Store(out.size)
	out.synced = off
	if err := l.enter(out, b.finish(off, l.sealedOrigins.list()), pace); err != nil {
		if errors.Is(err, errInDoubt) { // the manifest on disk may name the file: it stays
			l.fail(err)
			return err
		}
		l.discard(out)
		return err
	}
	for _, m := range moves {
		raw := record.Raw(out.buf[int64(m.new&(1<<offsetBits-1))*entryAlign:])
		raw = raw[entryHeader:sizeOf(raw)]
		c.Moved(raw, m.old, m.new)
		pace.did(int64(len(raw)))
	}
	out.releaseBuffer(out.size)
	l.letGo(lost, c)
	// An error leaves the victims: they hold nothing live, and the next compaction removes them.
	return l.remove(victims, lost)
}

// isDead reports whether a segment holds nothing live. Then it need not be read: its hint tells. What cannot be told is not dead.
func (l *Log) isDead(seg *segment, c Compaction, pace *breather) bool {
	l.manMu.Lock()
	holes := len(l.man.Holes) > 0 // a hint lacks what could not be read when it was made
	l.manMu.Unlock()
	if seg.live.Load() > 0 || holes {
		return false
	}
	h, err := loadHint(l.fs, seg)
	if err != nil || h == nil || len(h.specials) > 0 {
		return false
	}
	for _, e := range h.entries {
		if !c.Pace(hintEntrySize) || c.Indexed(e.hash, seg.loc(e.offset())) {
			return false
		}
		pace.did(256) // a look into the index takes as long as reading so many
	}
	return true
}

// writeEasily fills a file from its start, at a pace.
func writeEasily(f io.WriterAt, b []byte, pace *breather) error {
	for at := 0; at < len(b); at += breath {
		n, err := f.WriteAt(b[at:min(at+breath, len(b))], int64(at))
		if err != nil {
			return err
		}
		pace.did(int64(n))
	}
	return nil
}

// Walk calls f with every entry of a sealed segment, in order, without locks of the log.
func (l *Log) Walk(id uint64, f func(e Entry)) error {
	found, _, err := l.victims([]uint64{id})
	if err != nil {
		return err
	}
	defer found[0].unpin()
	return l.scan(found[0], func(e Entry, _ int64) { f(e) })
}

// LiveOf is the live bytes of a segment, 0 when it is not there.
func (l *Log) LiveOf(id uint64) int64 {
	for i := range l.slots {
		if seg := l.slots[i].Load(); seg != nil && seg.id == id {
			return max(seg.live.Load(), 0)
		}
	}
	return 0
}

// errStopped ends the walk of a compaction that Pace stopped.
var errStopped = errors.New("compaction was stopped")

// damage is a gap that a compaction met.
type damage struct {
	seg *segment
	gap gap
}

// letGo tells the owner what goes with the segments without being copied.
func (l *Log) letGo(lost []damage, c Compaction) {
	for _, d := range lost {
		l.note(d.seg, d.gap, "the segment is removed without it, the next start asks the peers for everything")
		if d.gap.off < d.gap.end {
			c.Damaged(d.seg.loc(d.gap.off), d.seg.loc(d.gap.end)-1)
		}
	}
}

// known returns the offsets of the entries that the hint of a segment lists, in order; nil without a good hint. Those of
// a log segment that are not there were superseded in the same segment.
func (l *Log) known(seg *segment) []int64 {
	h, err := loadHint(l.fs, seg)
	if err != nil || h == nil {
		return nil
	}
	return h.offsets()
}

// victims pins the segments and adds up what they may need.
func (l *Log) victims(ids []uint64) (list []*segment, size int64, err error) {
	for _, id := range ids {
		found := false
		for i := range l.slots {
			if seg := l.slots[i].Load(); seg != nil && seg.id == id && seg.pin() {
				list = append(list, seg)
				size += max(seg.live.Load(), 0)
				found = true
				break
			}
		}
		if !found {
			for _, s := range list {
				s.unpin()
			}
			return nil, 0, fmt.Errorf("compact segment %d: it is not there", id)
		}
	}
	slices.SortFunc(list, func(a, b *segment) int { return cmp.Compare(a.last.Load(), b.last.Load()) })
	return list, size, nil
}

// CompactedSize is the size of the segment that a compaction makes for so many live bytes: floors, marks and what becomes
// live meanwhile need some room of their own.
func (l *Log) CompactedSize(live int64) int64 {
	others := max(l.cfg.SegmentSize/16, 4096)
	size := min((segmentHeader+live+live/8+64<<10+4095)&^4095, max(l.cfg.SegmentSize, segmentHeader+live+others)&^4095)
	if size > MaxSegmentSize && size > l.cfg.SegmentSize && live < MaxSegmentSize {
		size = MaxSegmentSize
	}
	return size
}

// compactionTarget makes the output.
func (l *Log) compactionTarget(live int64) (*segment, error) {
	size := l.CompactedSize(live)
	l.manMu.Lock()
	defer l.manMu.Unlock()
	slot := l.freeSlot()
	if slot < 0 {
		return nil, errSlots
	}
	id := l.man.NextID
	seg, err := newSegment(l.fs, id, kindCompacted, size, false)
	if err != nil {
		return nil, err
	}
	next := *l.man
	next.NextID++
	l.man = &next // the file is not in the manifest: a crash removes it
	seg.slot = slot
	seg.readers.Store(1)
	l.slots[slot].Store(seg)
	return seg, nil
}

func (l *Log) discard(out *segment) {
	name := out.name()
	l.slots[out.slot].Store(nil)
	out.retire()
	l.fs.Remove(name)
	l.fs.Remove(hintName(out.id))
}

// enter makes a written output part of the manifest, beside the segments that it was copied from: until those go, an
// entry may be in two segments.
func (l *Log) enter(out *segment, h *hint, pace *breather) error {
	if err := writeFile(l.fs, hintName(out.id), encodeHint(h, out), pace); err != nil {
		return fmt.Errorf("write hint of %s: %v", out.name(), err) // a doubt about the hint is none about the manifest
	}
	l.manMu.Lock()
	defer l.manMu.Unlock()
	next := *l.man
	next.Segments = append(slices.Clone(next.Segments), segmentItem{ID: out.id, Kind: kindCompacted, Size: out.size, Sealed: true, Used: h.used, First: h.first, Last: h.last})
	if err := storeManifest(l.fs, &next); err != nil {
		return err
	}
	l.man = &next
	return nil
}

// remove takes the victims, in which nothing is live that could be read, out of the manifest and deletes them.
func (l *Log) remove(victims []*segment, lost []damage) error {
	gone := map[uint64]bool{}
	from := uint64(0)
	for _, v := range victims {
		gone[v.id] = true
		if v.kind == kindLog {
			from = max(from, v.last.Load())
		}
	}
	l.manMu.Lock()
	next := *l.man
	next.StreamFrom = max(next.StreamFrom, from)
	for _, d := range lost {
		next.addHole(d.gap, d.seg.last.Load())
	}
	next.Segments = slices.DeleteFunc(slices.Clone(next.Segments), func(it segmentItem) bool { return gone[it.ID] })
	err := storeManifest(l.fs, &next)
	if err == nil {
		l.man = &next
	}
	l.manMu.Unlock()
	if errors.Is(err, errInDoubt) {
		l.fail(err)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.streamFrom.Store(max(l.streamFrom.Load(), from))
	l.chain = slices.DeleteFunc(l.chain, func(s *segment) bool { return gone[s.id] })
	l.mu.Unlock()
	if l.cfg.Quiesce != nil {
		l.cfg.Quiesce()
	}
	for _, v := range victims {
		l.slots[v.slot].Store(nil)
		name := v.name()
		v.retire()
		for _, n := range []string{name, hintName(v.id)} {
			if err := l.fs.Remove(n); err != nil {
				l.log.Warn("compacted file stays until the next start", "file", n, "err", err)
			}
		}
	}
	return l.fs.SyncDir()
}
