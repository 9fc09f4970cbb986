package ulog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"unsafe"

	"github.com/futago/futago/internal/prefetch"
	"github.com/futago/futago/internal/record"
)

const (
	// cacheLine is what a processor fetches at once, in bytes.
	cacheLine = 64
	// prefetched is how much of an entry is fetched ahead: that of a small record.
	prefetched = 3 * cacheLine
)

// At returns the record at a location whose entry was appended by this process, or read by Read before. The caller must
// keep Quiesce waiting while it uses it.
func (l *Log) At(loc uint64) record.Raw {
	b := l.slots[loc>>offsetBits].Load().bytes(int64(loc&(1<<offsetBits-1)) * entryAlign)
	return record.Raw(b[entryHeader:sizeOf(b)])
}

// Read is At for every entry: what lies on the disk is checked before it is returned, a large entry not again within a moment. The
// error is a *CorruptError.
func (l *Log) Read(loc uint64) (record.Raw, error) { return l.read(loc, true) }

// Intact checks the entry, and reports whether it is as it was written.
func (l *Log) Intact(loc uint64) bool {
	_, err := l.read(loc, false)
	return err == nil
}

func (l *Log) read(loc uint64, trusts bool) (record.Raw, error) {
	seg, off := l.locate(loc)
	if seg == nil {
		return nil, &CorruptError{Err: fmt.Errorf("location %#x is in no segment", loc)}
	}
	if off >= seg.written.Load() {
		if b := seg.appended(off); b != nil && sizeOf(b) >= minEntry && int64(sizeOf(b)) <= int64(len(b)) {
			return record.Raw(b[entryHeader:sizeOf(b)]), nil
		}
		return nil, &CorruptError{Segment: seg.name(), Offset: off, Err: errNoEntry}
	}
	e, err := l.fetch(seg, off, trusts)
	if err != nil {
		return nil, &CorruptError{Segment: seg.name(), Offset: off, Err: err}
	}
	return record.Raw(e[entryHeader:]), nil
}

// fetch returns the entry at off of the file: checked, or trusted.
func (l *Log) fetch(seg *segment, off int64, trusts bool) (entry []byte, err error) {
	defer seg.caught(debug.SetPanicOnFault(true), &err)
	size := int64(sizeOf(seg.data[off:]))
	if size < trustFrom {
		return seg.check(l.sums, off, seg.size)
	}
	if trusts && size <= seg.size-off && l.trust.has(seg, off) {
		return seg.data[off : off+size : off+size], nil
	}
	if size >= largeEntry && seg.filled.Load() { // what was just appended is in memory
		seg.willNeed(off, off+min(size, seg.size))
	}
	if entry, err = seg.check(l.sums, off, seg.size); err == nil {
		l.trust.note(seg, off)
	}
	return entry, err
}

// Prefetch asks the processor for the beginning of the entry at a location.
func (l *Log) Prefetch(loc uint64) {
	seg, off := l.locate(loc)
	if seg == nil || off >= seg.written.Load() {
		return // in the append buffer, which was written just now
	}
	for end := min(off+prefetched, seg.size); off < end; off += cacheLine {
		prefetch.Line(unsafe.Pointer(&seg.data[off]))
	}
}

// HasKey reports whether the record at loc has the key. A damaged entry may have another one, or none: see MayHaveKey.
func (l *Log) HasKey(loc uint64, key []byte) (has bool) {
	seg, off := l.locate(loc)
	if seg == nil {
		return false
	}
	if off >= seg.written.Load() {
		return hasKey(seg.appended(off), key)
	}
	var err error
	defer seg.caught(debug.SetPanicOnFault(true), &err)
	return hasKey(seg.data[off:], key)
}

func hasKey(b, key []byte) bool {
	if len(b) < minEntry {
		return false
	}
	size := int64(sizeOf(b))
	if size < minEntry+int64(len(key)) || size > int64(len(b)) {
		return false
	}
	return record.Raw(b[entryHeader:size]).HasKey(key)
}

// MayHaveKey is HasKey of a search whose hash fits the entry: true also for a damaged one, which is most likely the key's,
// so that what is lost is not mistaken for what never was. Read tells.
func (l *Log) MayHaveKey(loc uint64, key []byte) bool {
	return l.HasKey(loc, key) || !l.Intact(loc)
}

// locate returns the segment of a location and the offset in it, where at least the smallest entry must fit.
func (l *Log) locate(loc uint64) (*segment, int64) {
	seg, off := l.slots[loc>>offsetBits&(maxSlots-1)].Load(), int64(loc&(1<<offsetBits-1))*entryAlign
	if seg == nil || off+minEntry > seg.size {
		return nil, 0
	}
	return seg, off
}

// appended returns the append buffer from off on; nil where there is none any more.
func (s *segment) appended(off int64) []byte {
	if off+minEntry > int64(len(s.buf)) {
		return nil
	}
	return s.buf[off:]
}

// checked returns the entry at off of the file, which must end by end. It allocates nothing for a good one.
func (s *segment) checked(k sums, off, end int64) (entry []byte, err error) {
	defer s.caught(debug.SetPanicOnFault(true), &err)
	return s.check(k, off, end)
}

// check is checked of a caller that sees to faults.
func (s *segment) check(k sums, off, end int64) (entry []byte, err error) {
	if off+minEntry > end {
		return nil, errNoEntry
	}
	b := s.data[off:end]
	size := sizeOf(b)
	if size < minEntry || int64(size) > int64(len(b)) {
		return nil, fmt.Errorf("bad entry size %d, %d bytes are left", size, len(b))
	}
	e := b[:size:size]
	if got, want := k.entryCRC(e), binary.LittleEndian.Uint32(e[4:]); got != want {
		return nil, fmt.Errorf("bad checksum: got %08x want %08x", got, want)
	}
	return e, nil
}

// errDevice is what becomes of a fault on a mapping: the file was cut short, or the device cannot read it.
var errDevice = errors.New("the file cannot be read: it was cut short, or the device fails")

// caught is deferred with the result of debug.SetPanicOnFault(true) by what reads the mapping: a fault becomes the error.
func (s *segment) caught(before bool, err *error) {
	debug.SetPanicOnFault(before)
	if p := recover(); p != nil {
		*err = faultOf(p)
	}
}

// faultOf turns the panic of a fault into an error, and goes on with any other one.
func faultOf(p any) error {
	if fault, ok := p.(interface{ Addr() uintptr }); ok && fault.Addr() != 0 {
		return errDevice
	}
	panic(p)
}

// faultAt names the segment and offset of a fault that was caught.
func (l *Log) faultAt(p any) error {
	err := faultOf(p)
	addr := p.(interface{ Addr() uintptr }).Addr()
	for i := range l.slots {
		if seg := l.slots[i].Load(); seg != nil && len(seg.data) > 0 {
			if first := uintptr(unsafe.Pointer(&seg.data[0])); addr >= first && addr-first < uintptr(len(seg.data)) {
				return &CorruptError{Segment: seg.name(), Offset: int64(addr - first), Err: err}
			}
		}
	}
	return err
}

func sizeOf(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
