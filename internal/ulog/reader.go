package ulog

import (
	"fmt"
	"sort"
)

// Position is a place in a log: a sequence and the checksum of the entry there, in one life of the log. The zero value
// is "nothing yet".
type Position struct {
	Life Identity `json:"life"`
	Seq  uint64   `json:"seq"`
	CRC  uint32   `json:"crc"`
}

// Reader reads entries in order of sequence, up to what is written. It keeps one segment in memory; Close it.
type Reader struct {
	l    *Log
	seg  *segment
	off  int64
	next uint64
}

// ReadAfter returns a reader of what follows p. It returns ErrForked when this log never had p, ErrGone when entries
// behind p are no longer there in order.
func (l *Log) ReadAfter(p Position) (*Reader, error) {
	if err := l.checkLife(p); err != nil {
		return nil, err
	}
	if p.Seq > l.written.Load() {
		return nil, fmt.Errorf("%w: position %d is behind the end %d", ErrForked, p.Seq, l.written.Load())
	}
	if from := l.streamFrom.Load(); p.Seq < from || p.Seq == from && from != 0 {
		return nil, fmt.Errorf("%w: position %d, kept is from %d on", ErrGone, p.Seq, from+1)
	}
	r := &Reader{l: l, next: p.Seq}
	if p.Seq == 0 {
		r.next = 1
		return r, r.seek()
	}
	if err := r.seek(); err != nil {
		return nil, err
	}
	e, ok := r.Next()
	if !ok || e.Seq != p.Seq || e.CRC != p.CRC {
		r.Close()
		return nil, fmt.Errorf("%w: another entry is at position %d", ErrForked, p.Seq)
	}
	return r, nil
}

// ReadAfterSeq is ReadAfter for a sequence of this process.
func (l *Log) ReadAfterSeq(seq uint64) (*Reader, error) {
	if from := l.streamFrom.Load(); seq < from {
		return nil, fmt.Errorf("%w: position %d, kept is from %d on", ErrGone, seq, from+1)
	}
	r := &Reader{l: l, next: seq + 1}
	return r, r.seek()
}

// checkLife accepts the present life, and earlier ones up to where they were cut.
func (l *Log) checkLife(p Position) error {
	if p.Seq == 0 || p.Life == l.life {
		return nil
	}
	l.manMu.Lock()
	defer l.manMu.Unlock()
	for _, past := range l.man.Past {
		if past.Identity == p.Life {
			if p.Seq <= past.Last {
				return nil
			}
			return fmt.Errorf("%w: position %d was cut, %d is the last that was kept", ErrForked, p.Seq, past.Last)
		}
	}
	return fmt.Errorf("%w: log %v is unknown", ErrForked, p.Life)
}

// seek pins the segment that holds sequence next and moves to it.
func (r *Reader) seek() error {
	r.Close()
	l := r.l
	l.mu.Lock()
	i := sort.Search(len(l.chain), func(i int) bool { return l.chain[i].first > r.next }) - 1
	var seg *segment
	if i >= 0 {
		seg = l.chain[i]
	}
	ok := seg != nil && (i+1 == len(l.chain) || seg.last.Load() >= r.next) && seg.pin()
	l.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: no segment holds sequence %d", ErrGone, r.next)
	}
	r.seg, r.off = seg, segmentHeader
	for r.off < seg.written.Load() && r.off < seg.used.Load() {
		b := seg.data[r.off:]
		e := entryOf(b[:sizeOf(b)], 0)
		if e.Seq >= r.next {
			break
		}
		r.off += e.Size()
	}
	return nil
}

func sizeOf(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// Next returns the next entry; false when there is none yet. The entry is valid until the following call.
func (r *Reader) Next() (Entry, bool) {
	for {
		if r.next > r.l.written.Load() {
			return Entry{}, false
		}
		if r.seg != nil && r.off < r.seg.used.Load() && r.off < r.seg.written.Load() {
			b := r.seg.data[r.off:]
			e := entryOf(b[:sizeOf(b)], r.seg.loc(r.off))
			r.off += e.Size()
			r.next = e.Seq + 1
			return e, true
		}
		if err := r.seek(); err != nil { // the following segment; it exists, for next is written
			return Entry{}, false
		}
	}
}

// After is the sequence that the reader has passed.
func (r *Reader) After() uint64 { return r.next - 1 }

// Gone reports whether the log let go of what comes next.
func (r *Reader) Gone() bool { return r.next <= r.l.streamFrom.Load() }

// Close lets go of the segment. The reader may be closed twice.
func (r *Reader) Close() {
	if r.seg != nil {
		r.seg.unpin()
		r.seg = nil
	}
}
