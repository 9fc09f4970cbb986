package ulog

import (
	"encoding/binary"
	"math"
	"slices"
)

// SeqAt is the sequence of the entry at a location, under the same conditions as At.
func (l *Log) SeqAt(loc uint64) uint64 {
	b := l.slots[loc>>offsetBits].Load().bytes(int64(loc&(1<<offsetBits-1)) * entryAlign)
	return binary.LittleEndian.Uint64(b[8:])
}

// SegmentAt is the id of the segment of a location, under the same conditions as At.
func (l *Log) SegmentAt(loc uint64) uint64 { return l.slots[loc>>offsetBits].Load().id }

// Oldest keeps of newest, which has the sequence of the newest entry of a key by the key's hash, only the keys of which no
// older entry is left in the log: their entry may go without an older one coming back at the next start. It reads the
// hints; compactions must not run meanwhile.
func (l *Log) Oldest(newest map[uint64]uint64) error {
	sealed, end := l.sealedSegments()
	for hash, seq := range newest {
		if seq >= end {
			delete(newest, hash)
		}
	}
	for _, seg := range sealed {
		h, err := loadHint(l.fs, seg)
		if err == nil && h == nil {
			err = &CorruptError{Segment: seg.name(), Err: errNoHint}
		}
		if err != nil {
			clear(newest)
			return err
		}
		for _, e := range h.entries {
			if seq, ok := newest[e.hash]; ok && e.seq < seq {
				delete(newest, e.hash)
			}
		}
	}
	return nil
}

// sealedSegments returns the segments that have a hint, and the sequence from which on entries may be in others.
func (l *Log) sealedSegments() (sealed []*segment, end uint64) {
	l.manMu.Lock()
	ids := map[uint64]bool{}
	for _, it := range l.man.Segments {
		if it.Sealed {
			ids[it.ID] = true
		}
	}
	l.manMu.Unlock()
	for i := range l.slots {
		if seg := l.slots[i].Load(); seg != nil && ids[seg.id] {
			sealed = append(sealed, seg)
		}
	}
	end = math.MaxUint64
	l.mu.Lock()
	for _, seg := range l.chain {
		if !ids[seg.id] {
			end = min(end, seg.first)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(sealed, func(a, b *segment) int { return int(int64(a.id) - int64(b.id)) })
	return sealed, end
}
