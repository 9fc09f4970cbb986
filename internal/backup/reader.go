package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/futago/futago/internal/record"
	"github.com/klauspost/compress/zstd"
)

// Reader reads a backup from its beginning to its end and checks everything on the way. It holds one frame and one record in
// memory.
type Reader struct {
	in      *bufio.Reader
	sum     hash.Hash
	offset  int64 // of what was read
	header  Header
	trailer *Trailer
	count   Trailer // of what was read

	unpack  *zstd.Decoder
	payload bytes.Buffer // of the present frame
	records io.Reader    // in it; nil: none is left
	rec     bytes.Buffer
}

// NewReader reads the header. Close gives back the reader's memory.
func NewReader(r io.Reader) (*Reader, error) {
	b := &Reader{in: bufio.NewReaderSize(r, 256<<10), sum: sha256.New()}
	var prologue [prologueSize]byte
	if err := b.read(prologue[:]); err != nil && !errors.Is(err, ErrDamaged) {
		return nil, err
	} else if err != nil || string(prologue[:8]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrNoBackup, magic)
	}
	if v := binary.LittleEndian.Uint16(prologue[8:]); v != formatVersion {
		return nil, fmt.Errorf("%w: its format is version %d, this program knows %d", ErrVersion, v, formatVersion)
	}
	if [6]byte(prologue[10:]) != [6]byte{} {
		return nil, b.damaged("bytes that must be zero are not")
	}
	t, err := b.frame()
	if err != nil {
		return nil, err
	}
	if t != frameHeader {
		return nil, b.damaged("no header")
	}
	if err := b.document(&b.header); err != nil {
		return nil, err
	}
	if err := b.header.check(); err != nil {
		return nil, err
	}
	b.unpack, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	return b, err
}

// Close gives back the memory.
func (b *Reader) Close() { b.unpack.Close() }

// Header is what the backup says of itself at its beginning.
func (b *Reader) Header() Header { return b.header }

// Trailer is what it says at its end; nil before Next has returned io.EOF.
func (b *Reader) Trailer() *Trailer { return b.trailer }

// Read is how many records were read.
func (b *Reader) Read() int64 { return b.count.Records() }

// Next reads the next record into rec, whose slices are valid until the following call. It returns io.EOF at the end of a backup
// that is whole, and wraps ErrDamaged where the bytes are not what was written.
func (b *Reader) Next(rec *record.Record) error {
	for b.trailer == nil {
		if b.records != nil {
			err := b.record(rec)
			if err != io.EOF {
				return err
			}
			b.records = nil
		}
		before := b.sum.Sum(nil)
		t, err := b.frame()
		if err != nil {
			return err
		}
		switch t {
		case frameRecords:
			b.records = &b.payload
		case framePacked:
			if err := b.unpack.Reset(&b.payload); err != nil {
				return b.damaged("%v", err)
			}
			b.records = b.unpack
		case frameTrailer:
			if err := b.end(before); err != nil {
				return err
			}
		default:
			return b.damaged("a frame of the unknown type %d", t)
		}
	}
	return io.EOF
}

// end checks the trailer, whose frame was read, and what follows it.
func (b *Reader) end(sum []byte) error {
	size := b.payload.Len() + frameHead + frameTail
	var t Trailer
	if err := b.document(&t); err != nil {
		return err
	}
	if err := t.check(); err != nil {
		return err
	}
	if want := hex.EncodeToString(sum); t.SHA256 != want {
		return b.damaged("bad checksum of the whole: got %.16s.. want %.16s..", want, t.SHA256)
	}
	if c := &b.count; c.Values != t.Values || c.Tombstones != t.Tombstones || c.Flushes != t.Flushes || c.Bytes != t.Bytes {
		return b.damaged("%d records of %d bytes, it says %d of %d", c.Records(), c.Bytes, t.Records(), t.Bytes)
	}
	var epilogue [epilogueSize]byte
	if err := b.read(epilogue[:]); err != nil {
		return err
	}
	if string(epilogue[4:]) != endMagic || int(binary.LittleEndian.Uint32(epilogue[:])) != size {
		return b.damaged("bad end")
	}
	if _, err := b.in.ReadByte(); err == nil {
		return b.damaged("more follows its end")
	} else if err != io.EOF {
		return err
	}
	b.trailer = &t
	return nil
}

// record reads one record of the present frame, io.EOF when there is no more.
func (b *Reader) record(rec *record.Record) error {
	var head [4]byte
	if _, err := io.ReadFull(b.records, head[:]); err == io.EOF {
		return io.EOF
	} else if err != nil {
		return b.damaged("records: %v", err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > maxRecord {
		return b.damaged("a record of %d bytes", size)
	}
	b.rec.Reset()
	if b.rec.Cap() > 4*batchBytes {
		b.rec = bytes.Buffer{}
	}
	if n, err := io.CopyN(&b.rec, b.records, int64(size)); err != nil {
		return b.damaged("record of %d bytes ends at %d: %v", size, n, err)
	}
	r, err := record.Decode(b.rec.Bytes())
	if err != nil {
		return b.damaged("%v", err)
	}
	switch r.Kind {
	case record.Value, record.Counter:
		b.count.Values++
	case record.Tombstone:
		b.count.Tombstones++
	case record.Floor:
		b.count.Flushes++
	default:
		return b.damaged("a record of kind %v", r.Kind)
	}
	if r.Kind != record.Floor && len(r.Key) == 0 {
		return b.damaged("a record without a key")
	}
	b.count.Bytes += int64(size)
	*rec = r
	return nil
}

// frame reads the next frame into payload.
func (b *Reader) frame() (frameType, error) {
	var head [frameHead]byte
	if err := b.read(head[:]); err != nil {
		return 0, err
	}
	size, t := binary.LittleEndian.Uint32(head[:]), frameType(head[4])
	limit := uint32(maxFrame)
	if t == frameHeader || t == frameTrailer {
		limit = maxDocument
	}
	if size < 1 || size > limit {
		return 0, b.damaged("a frame of %d bytes", size)
	}
	b.payload.Reset()
	if b.payload.Cap() > 4*batchBytes {
		b.payload = bytes.Buffer{}
	}
	n, err := io.CopyN(io.MultiWriter(&b.payload, b.sum), b.in, int64(size-1))
	b.offset += n
	if err != nil {
		return 0, b.cut(err)
	}
	var tail [frameTail]byte
	if err := b.read(tail[:]); err != nil {
		return 0, err
	}
	got := crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, b.payload.Bytes())
	if want := binary.LittleEndian.Uint32(tail[:]); got != want {
		return 0, b.damaged("bad checksum of a frame: got %08x want %08x", got, want)
	}
	return t, nil
}

func (b *Reader) document(v any) error {
	if err := json.Unmarshal(b.payload.Bytes(), v); err != nil {
		return b.damaged("%v", err)
	}
	return nil
}

func (b *Reader) read(p []byte) error {
	n, err := io.ReadFull(b.in, p)
	b.offset += int64(n)
	if err != nil {
		return b.cut(err)
	}
	b.sum.Write(p)
	return nil
}

// cut is the error of a file that ends too early; one of the disk or the network stays what it is.
func (b *Reader) cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return b.damaged("it was cut off")
	}
	return err
}

func (b *Reader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", ErrDamaged, b.offset, fmt.Sprintf(format, args...))
}

// Info is what a backup says of itself.
type Info struct {
	Header
	Trailer
}

// ReadInfo reads header and trailer of a file and checks only these. size is that of the file.
func ReadInfo(f io.ReaderAt, size int64) (info Info, err error) {
	b, err := NewReader(io.NewSectionReader(f, 0, size))
	if err != nil {
		return info, err
	}
	defer b.Close()
	info.Header = b.header
	if size < b.offset+epilogueSize {
		return info, b.damaged("it was cut off")
	}
	var epilogue [epilogueSize]byte
	if _, err := f.ReadAt(epilogue[:], size-epilogueSize); err != nil {
		return info, err
	}
	length := int64(binary.LittleEndian.Uint32(epilogue[:]))
	if string(epilogue[4:]) != endMagic || length > maxDocument+frameHead+frameTail || length > size-epilogueSize-b.offset {
		return info, fmt.Errorf("%w: it was cut off, its end is missing", ErrDamaged)
	}
	end := &Reader{in: bufio.NewReader(io.NewSectionReader(f, size-epilogueSize-length, length)), sum: sha256.New(), offset: size - epilogueSize - length}
	t, err := end.frame()
	if err == nil && t != frameTrailer {
		err = end.damaged("no trailer")
	}
	if err == nil {
		err = end.document(&info.Trailer)
	}
	if err == nil {
		err = info.Trailer.check()
	}
	return info, err
}
