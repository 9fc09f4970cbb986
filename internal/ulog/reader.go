package ulog

import (
	"encoding/binary"
	"fmt"
	"runtime/debug"
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
	pass ahead // over seg
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
		return r.start()
	}
	if _, err := r.start(); err != nil {
		return nil, err
	}
	e, ok := r.Next()
	if !ok && r.Gone() {
		r.Close()
		return nil, fmt.Errorf("%w: position %d cannot be read", ErrGone, p.Seq)
	}
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
	return r.start()
}

// start is seek of a reader that nobody has yet.
func (r *Reader) start() (*Reader, error) {
	if err := r.seek(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
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
	var used int64
	var last uint64
	if ok {
		used, last = seg.used.Load(), seg.last.Load()
	}
	l.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: no segment holds sequence %d", ErrGone, r.next)
	}
	r.seg, r.off, r.pass = seg, segmentHeader, ahead{}
	if r.next > last {
		r.off = used
		return nil
	}
	end := min(seg.written.Load(), used)
	for seq := seg.first; seq < r.next && r.off < end; seq++ {
		r.pass.at(seg, r.off)
		size, err := r.skip(seq, end)
		if err != nil { // what is passed need not be good, but where it ends must be known
			return r.find(end, err)
		}
		r.off += size
	}
	return nil
}

// find moves behind a damage at off to sequence next.
func (r *Reader) find(end int64, damage error) error {
	at, seq := r.seg.search(r.l.sums, r.off, end, r.next, r.next)
	switch {
	case seq != 0:
		r.off = at
	case r.next > r.l.written.Load():
		r.off = end
	default:
		r.l.leaveStream(r.seg, r.off, r.next, damage)
		return fmt.Errorf("%w: sequence %d cannot be found: %w", ErrGone, r.next, damage)
	}
	return nil
}

// skip returns the size of the entry at off, which has sequence seq and ends by end.
func (r *Reader) skip(seq uint64, end int64) (size int64, err error) {
	defer r.seg.caught(debug.SetPanicOnFault(true), &err)
	b := r.seg.data[r.off:end]
	if len(b) < minEntry || sizeOf(b) < minEntry || int64(sizeOf(b)) > int64(len(b)) || binary.LittleEndian.Uint64(b[8:]) != seq {
		return 0, errNoEntry
	}
	return align(int64(sizeOf(b))), nil
}

// Next returns the next entry; false when there is none yet. The entry is valid until the following call.
func (r *Reader) Next() (Entry, bool) {
	for {
		if r.next > r.l.written.Load() {
			return Entry{}, false
		}
		if r.seg != nil && r.off < r.seg.used.Load() && r.off < r.seg.written.Load() {
			e, err := r.read()
			if err != nil {
				r.l.leaveStream(r.seg, r.off, r.next, err)
				return Entry{}, false
			}
			r.off += e.Size()
			if e.Seq < r.next { // seek came to the end of what was written then
				continue
			}
			r.next = e.Seq + 1
			return e, true
		}
		if err := r.seek(); err != nil { // the following segment; it exists, for next is written
			return Entry{}, false
		}
	}
}

// read checks the entry at off: a damaged one is never sent.
func (r *Reader) read() (Entry, error) {
	r.pass.at(r.seg, r.off)
	b, err := r.seg.checked(r.l.sums, r.off, min(r.seg.used.Load(), r.seg.written.Load()))
	if err != nil {
		return Entry{}, err
	}
	e := entryOf(b, r.seg.loc(r.off))
	if e.Seq > r.next {
		return Entry{}, fmt.Errorf("sequence %d is there", e.Seq)
	}
	return e, nil
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
