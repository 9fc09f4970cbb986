package ulog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/futago/futago/internal/record"
)

// Sizes of the format; docs/format/log.md draws it.
const (
	segmentHeader = 64
	entryHeader   = 18
	entryAlign    = 8
	minEntry      = entryHeader + record.HeaderSize

	offsetBits = 23 // of a location, in units of entryAlign
	slotBits   = 13
	maxSlots   = 1 << slotBits

	// MaxSegmentSize is the largest segment whose entries a location can name.
	MaxSegmentSize = entryAlign << offsetBits

	distanceUnit = 64
	distanceMax  = 1<<16 - 1 // also: unknown
)

const (
	segmentMagic  = "futagolg"
	formatVersion = 1
)

// segment kinds
const (
	kindLog       = 1 // written by appends, sequences without gaps
	kindCompacted = 2 // copies of live entries, sequences with gaps
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An entry, little-endian, at a multiple of 8:
//
//	 0  size      4  header, record; without padding; 0 = nothing here yet
//	 4  CRC-32C   4  of bytes 8..size, continued over the 4 size bytes, started from the log's secret
//	 8  sequence  8
//	16  distance  2  how far behind the durable position was, in units of 64 entries rounded up; 65535 = unknown
//	18  record

// sums makes the checksums of entries. They start from a secret of the log: a client must not be able to send a value that
// looks like an entry to the search behind a torn end.
type sums uint32

// newSums derives the start from the seed of the key hash.
func newSums(seed uint64) sums { return sums(seed ^ seed>>32) }

// putEntry fills b, which has exactly the size of the entry.
func (k sums) putEntry(b []byte, seq uint64, distance uint16, r *record.Record) uint32 {
	r.Encode(b[entryHeader:])
	return k.sealEntry(b, seq, distance)
}

func (k sums) sealEntry(b []byte, seq uint64, distance uint16) uint32 {
	binary.LittleEndian.PutUint64(b[8:], seq)
	binary.LittleEndian.PutUint16(b[16:], distance)
	binary.LittleEndian.PutUint32(b[0:], uint32(len(b)))
	crc := k.entryCRC(b)
	binary.LittleEndian.PutUint32(b[4:], crc)
	return crc
}

// entryCRC is the checksum of an entry whose size word is set.
func (k sums) entryCRC(b []byte) uint32 {
	return crc32.Update(crc32.Update(uint32(k), castagnoli, b[8:]), castagnoli, b[:4])
}

// checkEntry returns the entry at the start of b, which may be longer. It returns nil bytes and no error where nothing
// was written.
func (k sums) checkEntry(b []byte) (entry []byte, err error) {
	if len(b) < 4 {
		return nil, nil
	}
	size := binary.LittleEndian.Uint32(b)
	if size == 0 {
		return nil, nil
	}
	if size < minEntry || int64(size) > int64(len(b)) {
		return nil, fmt.Errorf("bad entry size %d, %d bytes are left", size, len(b))
	}
	e := b[:size:size]
	if got, want := k.entryCRC(e), binary.LittleEndian.Uint32(e[4:]); got != want {
		return nil, fmt.Errorf("bad checksum: got %08x want %08x", got, want)
	}
	if _, err := record.Decode(e[entryHeader:]); err != nil {
		return nil, err
	}
	return e, nil
}

func align(n int64) int64 { return (n + entryAlign - 1) &^ (entryAlign - 1) }

// Entry is one entry of the log, in place.
type Entry struct {
	Seq      uint64
	CRC      uint32
	Loc      uint64 // where it lies: what the index points to
	Distance uint16
	Raw      record.Raw
}

// Size is the space in bytes that the entry takes in the log.
func (e *Entry) Size() int64 { return align(int64(entryHeader + len(e.Raw))) }

func entryOf(b []byte, loc uint64) Entry {
	return Entry{
		Seq:      binary.LittleEndian.Uint64(b[8:]),
		CRC:      binary.LittleEndian.Uint32(b[4:]),
		Loc:      loc,
		Distance: binary.LittleEndian.Uint16(b[16:]),
		Raw:      record.Raw(b[entryHeader:]),
	}
}

// A segment header:
//
//	 0  magic "futagolg" 8
//	 8  version          2
//	10  kind             2
//	12  zero             4
//	16  log identity    16
//	32  segment id       8
//	40  first sequence   8
//	48  CRC-32C of the 48 bytes before 4
//	52  zero            12
func putSegmentHeader(b []byte, kind uint16, id Identity, segID, first uint64) {
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], formatVersion)
	binary.LittleEndian.PutUint16(b[10:], kind)
	copy(b[16:32], id[:])
	binary.LittleEndian.PutUint64(b[32:], segID)
	binary.LittleEndian.PutUint64(b[40:], first)
	binary.LittleEndian.PutUint32(b[48:], crc32.Checksum(b[:48], castagnoli))
}

// readSegmentHeader returns the first sequence; used is false when the segment was never written to.
func readSegmentHeader(b []byte, kind uint16, segID uint64) (first uint64, used bool, err error) {
	if len(b) < segmentHeader {
		return 0, false, fmt.Errorf("file of %d bytes has no header", len(b))
	}
	if [8]byte(b) == [8]byte{} {
		return 0, false, nil
	}
	if crc32.Checksum(b[:48], castagnoli) != binary.LittleEndian.Uint32(b[48:]) || string(b[:8]) != segmentMagic {
		return 0, false, fmt.Errorf("segment header is damaged")
	}
	if v := binary.LittleEndian.Uint16(b[8:]); v != formatVersion {
		return 0, false, fmt.Errorf("%w %d, this program knows %d", errFormat, v, formatVersion)
	}
	if k, id := binary.LittleEndian.Uint16(b[10:]), binary.LittleEndian.Uint64(b[32:]); k != kind || id != segID {
		return 0, false, fmt.Errorf("segment header says kind %d id %d, the manifest kind %d id %d", k, id, kind, segID)
	}
	return binary.LittleEndian.Uint64(b[40:]), true, nil
}
