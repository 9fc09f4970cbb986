package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/futago/futago/internal/record"
	"github.com/klauspost/compress/zstd"
)

// packer packs frames one by one; it keeps no state between them.
var packer = must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false)))

func must(e *zstd.Encoder, err error) *zstd.Encoder {
	if err != nil {
		panic("backup: options of zstd: " + err.Error())
	}
	return e
}

// writer writes a backup. It holds one frame in memory.
type writer struct {
	w      io.Writer
	sum    hash.Hash
	batch  []byte // records of the next frame
	packed []byte
	count  Trailer // of what was added
	err    error   // the first one
}

// newWriter begins a backup.
func newWriter(w io.Writer, h Header) (*writer, error) {
	b := &writer{w: w, sum: sha256.New()}
	var prologue [prologueSize]byte
	copy(prologue[:], magic)
	binary.LittleEndian.PutUint16(prologue[8:], formatVersion)
	b.write(prologue[:])
	b.document(frameHeader, h)
	return b, b.err
}

func (b *writer) write(p []byte) {
	if b.err == nil {
		b.sum.Write(p)
		_, b.err = b.w.Write(p)
	}
}

func (b *writer) frame(t frameType, payload []byte) {
	var head [frameHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(1+len(payload)))
	head[4] = byte(t)
	crc := crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, payload)
	b.write(head[:])
	b.write(payload)
	b.write(binary.LittleEndian.AppendUint32(nil, crc))
}

func (b *writer) document(t frameType, v any) {
	payload, err := json.Marshal(v)
	if err == nil && len(payload) > maxDocument {
		err = fmt.Errorf("a document of %d bytes", len(payload))
	}
	if err != nil && b.err == nil {
		b.err = err
	}
	b.frame(t, payload)
}

// add takes a record. It returns whether flush is due.
func (b *writer) add(r *record.Record) (full bool) {
	switch r.Kind {
	case record.Value, record.Counter:
		b.count.Values++
	case record.Tombstone:
		b.count.Tombstones++
	case record.Floor:
		b.count.Flushes++
	default: // notes of the node and its mesh
		return false
	}
	b.count.Newest = max(b.count.Newest, r.NewestStamp())
	b.count.Bytes += int64(r.Size())
	b.batch = binary.LittleEndian.AppendUint32(b.batch, uint32(r.Size()))
	b.batch = r.Append(b.batch)
	return len(b.batch) >= batchBytes
}

// flush writes what was added.
func (b *writer) flush() error {
	if len(b.batch) == 0 {
		return b.err
	}
	b.packed = packer.EncodeAll(b.batch, b.packed[:0])
	if len(b.packed) < len(b.batch) {
		b.frame(framePacked, b.packed)
	} else {
		b.frame(frameRecords, b.batch)
	}
	b.batch = b.batch[:0]
	if cap(b.batch) > 4*batchBytes { // of one large record
		b.batch, b.packed = nil, nil
	}
	return b.err
}

// close ends the backup: t has what the writer has not counted itself.
func (b *writer) close(t Trailer) (Trailer, error) {
	b.flush()
	t.Values, t.Tombstones, t.Flushes, t.Bytes, t.Newest = b.count.Values, b.count.Tombstones, b.count.Flushes, b.count.Bytes, b.count.Newest
	t.SHA256 = hex.EncodeToString(b.sum.Sum(nil))
	out := b.w
	size := &counter{w: out}
	b.w = size
	b.document(frameTrailer, t)
	b.w = out
	b.write(append(binary.LittleEndian.AppendUint32(nil, uint32(size.n)), endMagic...))
	return t, b.err
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
