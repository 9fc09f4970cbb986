package ulog

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/futago/futago/internal/vfs"
	"golang.org/x/sys/unix"
)

// segment is one file of the log. It lives from its creation as a spare until a compaction has copied its live entries.
//
// Invariants: synced <= written <= used <= size. Bytes below written are read from data, the ones above from buf.
type segment struct {
	id   uint64
	kind uint16
	slot int
	size int64
	file vfs.File

	first uint64        // sequence of the first entry; 0 while a spare
	last  atomic.Uint64 // sequence of the last entry; written under Log.mu
	used  atomic.Int64  // end of the entries; written under Log.mu

	data    []byte // the mapping, or where files cannot be mapped what buf holds
	mapped  bool
	buf     []byte       // anonymous memory of the segment's size while entries are appended; nil afterwards
	written atomic.Int64 // handed to the OS; written under Log.flushMu
	filled  atomic.Bool  // buf is given back, or there was none: readers look for data in the page cache

	released int64 // bytes of buf given back, under Log.flushMu
	synced   int64 // under Log.syncMu

	live    atomic.Int64 // bytes of entries that the index points to; kept by the owner of the index
	readers atomic.Int32 // pins: unmapped and closed only at 0
	gone    atomic.Bool
}

func segmentName(id uint64, kind uint16) string {
	if kind == kindCompacted {
		return fmt.Sprintf("%010d.compacted", id)
	}
	return fmt.Sprintf("%010d.log", id)
}

func (s *segment) name() string { return segmentName(s.id, s.kind) }

func (s *segment) loc(off int64) uint64 { return uint64(s.slot)<<offsetBits | uint64(off)/entryAlign }

// newSegment creates a file of zeros, which are written if it is to be synced often, and its append buffer.
func newSegment(fs vfs.FS, id uint64, kind uint16, size int64, written bool) (*segment, error) {
	s := &segment{id: id, kind: kind, size: size, slot: -1}
	f, err := fs.Create(s.name())
	if err != nil {
		return nil, fmt.Errorf("create segment %s: %w", s.name(), err)
	}
	s.file = f
	drop := func(err error) (*segment, error) {
		f.Close()
		fs.Remove(s.name())
		return nil, fmt.Errorf("create segment %s: %w", s.name(), err)
	}
	if err := f.Allocate(size, written); err != nil {
		return drop(err)
	}
	if err := fs.SyncDir(); err != nil {
		return drop(err)
	}
	if s.buf, err = unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
		return drop(fmt.Errorf("take %d bytes of memory: %w", size, err))
	}
	unix.Madvise(s.buf, unix.MADV_HUGEPAGE) // it is filled from front to back: one page fault for 2 MiB, not 512
	if err := s.mapFile(); err != nil {
		return drop(err)
	}
	if !s.mapped {
		s.data = s.buf
	}
	return s, nil
}

// openSegment opens a file for reading: mapped, or read into memory where it cannot be mapped.
func openSegment(fs vfs.FS, id uint64, kind uint16) (*segment, error) {
	s := &segment{id: id, kind: kind, slot: -1}
	s.filled.Store(true)
	f, err := fs.Open(s.name())
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", s.name(), err)
	}
	s.file = f
	if s.size, err = f.Size(); err != nil {
		return nil, fmt.Errorf("open segment %s: %w", s.name(), err)
	}
	if s.size < segmentHeader {
		f.Close()
		return nil, fmt.Errorf("open segment %s: %w: %d bytes", s.name(), errNoHeader, s.size)
	}
	if err := s.mapFile(); err != nil {
		return nil, fmt.Errorf("open segment %s: %w", s.name(), err)
	}
	if !s.mapped {
		s.data = make([]byte, s.size)
		if _, err := f.ReadAt(s.data, 0); err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read segment %s: %w", s.name(), err)
		}
	}
	return s, nil
}

func (s *segment) mapFile() error {
	data, err := s.file.Map(s.size)
	if errors.Is(err, vfs.ErrCannotMap) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("map: %w", err)
	}
	s.data, s.mapped = data, true
	s.advise(unix.MADV_RANDOM)
	return nil
}

// bytes returns memory from off to the end of the segment. Above written it belongs to the append buffer: only callers
// that keep Quiesce waiting may read there.
func (s *segment) bytes(off int64) []byte {
	if off < s.written.Load() {
		return s.data[off:]
	}
	return s.buf[off:]
}

// releaseBuffer gives the memory of buf below to back to the system. No reader may be in it any more.
func (s *segment) releaseBuffer(to int64) {
	if !s.mapped || s.buf == nil {
		return
	}
	if to == s.size {
		s.filled.Store(true)
		unix.Munmap(s.buf)
		s.buf = nil
		return
	}
	to &^= 4095
	if to > s.released {
		unix.Madvise(s.buf[s.released:to], unix.MADV_DONTNEED)
		s.released = to
	}
}

// unpin lets go of a pin; the last one frees a segment that is gone.
func (s *segment) unpin() {
	if s.readers.Add(-1) == 0 && s.gone.Load() {
		s.free()
	}
}

// pin keeps the memory of the segment; false when it is already gone.
func (s *segment) pin() bool {
	s.readers.Add(1)
	if s.gone.Load() {
		s.unpin()
		return false
	}
	return true
}

// retire marks the segment gone; it is freed when the last pin goes. The caller holds a pin.
func (s *segment) retire() {
	s.gone.Store(true)
	s.unpin()
}

func (s *segment) free() {
	if s.file == nil {
		return
	}
	s.file.Close()
	if s.mapped {
		s.file.Unmap(s.data)
	}
	if s.buf != nil {
		unix.Munmap(s.buf)
	}
	s.data, s.buf, s.file = nil, nil, nil
}
