package ulog

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sys/unix"
)

// recoverTail scans the segments without a seal. It returns the one that appends may go on in, nil for none.
func (l *Log) recoverTail(tail []*segment, intact bool, visit func(Entry)) (*segment, error) {
	var used, spares []*segment
	headless := map[*segment]error{}
	next := l.last.Load() + 1
	for _, seg := range tail {
		seg.advise(unix.MADV_SEQUENTIAL)
		defer seg.advise(unix.MADV_RANDOM)
		first, written, err := readSegmentHeader(seg.data, seg.kind, seg.id)
		if err == nil && !written {
			if isZero(seg.data) {
				spares = append(spares, seg)
				continue
			}
			err = errNoHeader
		}
		if err != nil {
			headless[seg] = err
			first = l.sums.firstSequence(seg.data[segmentHeader:], next)
		}
		seg.first = first
		used = append(used, seg)
	}
	// An empty segment begins with the same sequence as the one that was made after it for a large entry.
	slices.SortFunc(used, func(a, b *segment) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.id, b.id)) })
	kept, err := l.recoverUsed(used, headless, intact, visit)
	if err != nil {
		return nil, err
	}
	for _, seg := range spares {
		if err := l.drop(seg); err != nil {
			return nil, err
		}
	}
	return l.settleTail(kept, intact)
}

// recoverUsed reads the segments in order up to the first damage, and cuts there. It returns those that stay. headless
// are the ones without a good header, with the reason.
func (l *Log) recoverUsed(used []*segment, headless map[*segment]error, intact bool, visit func(Entry)) (kept []*segment, err error) {
	for i, seg := range used {
		next, damage := l.last.Load()+1, headless[seg]
		switch {
		case damage != nil && intact, seg.first < next: // the second is sealed already in part: no crash does that
			return nil, &CorruptError{Segment: seg.name(), Seq: next, Err: cmp.Or(damage, fmt.Errorf("segment begins with sequence %d", seg.first))}
		case damage == nil && seg.first > next:
			damage = fmt.Errorf("segment begins with sequence %d", seg.first)
		}
		if damage != nil {
			return used[:i], l.cutTail(used[i:], segmentHeader, intact, damage)
		}
		end, damage := l.recoverSegment(seg, visit)
		if damage != nil {
			return used[:i+1], l.cutTail(used[i:], end, intact, damage)
		}
	}
	return used, nil
}

// recoverSegment reads the good entries from the start. damage says why it ended before an empty rest.
func (l *Log) recoverSegment(seg *segment, visit func(Entry)) (end int64, damage error) {
	end = segmentHeader
	next := seg.first
	// The entries must be readable through the slot while visit indexes them.
	seg.written.Store(seg.size)
	for end < seg.size {
		b, err := l.sums.checkEntry(seg.data[end:])
		if b == nil && err == nil {
			if !isZero(seg.data[end:]) {
				damage = fmt.Errorf("a hole of zeros with data behind it")
			}
			break
		}
		if err != nil {
			damage = err
			break
		}
		e := entryOf(b, seg.loc(end))
		if e.Seq != next {
			damage = fmt.Errorf("sequence %d where %d belongs", e.Seq, next)
			break
		}
		visit(e)
		l.lastCRC = e.CRC
		e.Raw.Into(&l.scratch)
		l.scratch.Stamps(l.observe)
		next++
		end += e.Size()
	}
	l.adopt(seg, end, seg.first, next-1)
	return end, damage
}

// cutTail removes everything from end of the first segment on, when it may: what was provably durable must not be cut.
// The first segment stays when it has entries.
func (l *Log) cutTail(rest []*segment, end int64, intact bool, damage error) error {
	seg, next := rest[0], l.last.Load()+1
	durable, follows := uint64(0), false
	for i, s := range rest {
		from := int64(segmentHeader)
		if i == 0 {
			from = end
		}
		d, f := l.sums.provablyDurable(s.data[from:], next)
		durable, follows = max(durable, d), follows || f
	}
	if next <= durable || intact && follows {
		return &CorruptError{Segment: seg.name(), Offset: end, Seq: next, Err: damage}
	}
	l.cut = &Cut{Segment: seg.name(), Offset: end, After: next - 1}
	for i, s := range rest {
		from := int64(0)
		if i == 0 {
			from = end
		}
		kept := fmt.Sprintf("cut-%s-%d", s.name(), from)
		l.fs.Remove(kept)
		if err := writeFile(l.fs, kept, s.data[from:], nil); err != nil {
			return fmt.Errorf("keep the cut tail: %w", err)
		}
		l.cut.Kept = append(l.cut.Kept, kept)
		l.cut.Bytes += s.size - from
	}
	// The new life is recorded before the first byte is removed: a position in the cut part is never valid again.
	l.newLife()
	if err := storeManifest(l.fs, l.man); err != nil {
		return err
	}
	l.log.Warn("torn end of the log was cut", "segment", seg.name(), "offset", end, "after", next-1, "kept", l.cut.Kept, "err", damage)
	if seg.used.Load() != 0 {
		if _, err := seg.file.WriteAt(make([]byte, seg.size-end), end); err != nil {
			return fmt.Errorf("clear the cut tail of %s: %w", seg.name(), err)
		}
		if !seg.mapped {
			clear(seg.data[end:])
		}
		rest = rest[1:]
	}
	for _, s := range rest {
		if err := l.drop(s); err != nil {
			return err
		}
	}
	return nil
}

// provablyDurable searches b, behind a bad entry, for good ones: the highest position that they prove to have been
// durable, and whether one of sequence next or later is there at all.
func (k sums) provablyDurable(b []byte, next uint64) (durable uint64, follows bool) {
	k.search(b, next, func(e Entry) bool {
		follows = true
		if e.Distance != distanceMax {
			durable = max(durable, e.Seq-min(e.Seq, uint64(e.Distance)*distanceUnit))
		}
		return true
	})
	return durable, follows
}

// firstSequence is the sequence of the first good entry in b, the rest of a segment without a header, from next on.
func (k sums) firstSequence(b []byte, next uint64) uint64 {
	first := uint64(math.MaxUint64)
	k.search(b, next, func(e Entry) bool {
		first = e.Seq
		return false
	})
	return first
}

// maxTail bounds how many entries can follow the last good one: all segments full of the smallest.
const maxTail = maxSlots * (MaxSegmentSize / minEntry)

// search calls f with the good entries of b from sequence next on, wherever they begin, while f returns true. Entries of
// older lives are passed over.
func (k sums) search(b []byte, next uint64, f func(e Entry) bool) {
	for off := int64(0); off+minEntry <= int64(len(b)); off += entryAlign {
		// The sequence first: a checksum at every offset would take hours in data that look like sizes.
		if seq := binary.LittleEndian.Uint64(b[off+8:]); seq < next || seq-next > maxTail {
			continue
		}
		entry, err := k.checkEntry(b[off:])
		if entry == nil || err != nil {
			continue
		}
		e := entryOf(entry, 0)
		if !f(e) {
			return
		}
		off += e.Size() - entryAlign
	}
}

// settleTail syncs and seals the scanned segments; the last one may take further appends when it has room.
func (l *Log) settleTail(used []*segment, intact bool) (*segment, error) {
	for i, seg := range used {
		if err := seg.file.Sync(); err != nil {
			return nil, fmt.Errorf("sync segment %s: %w", seg.name(), err)
		}
		resumable := i == len(used)-1 && l.cut == nil && intact && seg.size <= l.cfg.SegmentSize
		if resumable {
			if err := l.reopen(seg); err != nil {
				return nil, err
			}
			return seg, nil
		}
		if err := l.seal(seg); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// reopen gives a recovered segment an append buffer again.
func (l *Log) reopen(seg *segment) error {
	buf, err := unix.Mmap(-1, 0, int(seg.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("take %d bytes of memory: %w", seg.size, err)
	}
	seg.buf = buf
	seg.filled.Store(false)
	if !seg.mapped {
		copy(buf, seg.data)
		seg.data = buf
	}
	seg.released = 0
	seg.written.Store(seg.used.Load())
	return nil
}

func isZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
