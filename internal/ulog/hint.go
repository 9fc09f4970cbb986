package ulog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
	"github.com/zeebo/xxh3"
)

// A hint file says what a sealed segment holds, so that a start need not read the segment. Little-endian:
//
//	 0  magic "futagohi"   8
//	 8  version            2
//	10  kind of segment    2
//	12  CRC-32C            4   of everything behind the header
//	16  segment id         8
//	24  end of entries     8
//	32  first, last seq    8 + 8
//	48  entries            4
//	52  specials           4
//	56  origins            4
//	60  zero               4
//	64  entries, 24 each, sorted: hash 8, sequence 8, packed 8
//	..  specials (floors, marks, members), 16 each: sequence 8, offset 8
//	..  origins, 8 each: highest stamp of a node ever in the log up to here
//
// packed: offset/8 23 bits, size/8 23 bits (saturating), tombstone 1, further hash bits 17. Two entries with equal 81
// hash bits are the same key; the higher sequence is the record.
type hint struct {
	used        int64
	first, last uint64
	entries     []hintEntry
	specials    []hintSpecial
	origins     []hintOrigin
}

type hintEntry struct {
	hash, seq, packed uint64
}

type hintSpecial struct{ seq, off uint64 }

// hintOrigin is the highest stamp of one node, which is in the stamp.
type hintOrigin struct{ stamp hlc.Stamp }

const (
	hintMagic     = "futagohi"
	hintVersion   = 2
	hintHeader    = 64
	hintEntrySize = 24
	extraBits     = 17
	sizeUnitsMax  = 1<<23 - 1
)

func hintName(id uint64) string { return fmt.Sprintf("%010d.hint", id) }

func packHint(off, size int64, tomb bool, extra uint64) uint64 {
	p := uint64(off/entryAlign) | uint64(min(size/entryAlign, sizeUnitsMax))<<23 | extra<<47
	if tomb {
		p |= 1 << 46
	}
	return p
}

func (e hintEntry) offset() int64 { return int64(e.packed&(1<<23-1)) * entryAlign }
func (e hintEntry) size() int64   { return int64(e.packed>>23&sizeUnitsMax) * entryAlign }
func (e hintEntry) tomb() bool    { return e.packed>>46&1 != 0 }
func (e hintEntry) extra() uint64 { return e.packed >> 47 }

func compareHint(a, b hintEntry) int {
	if a.hash != b.hash {
		return cmp.Compare(a.hash, b.hash)
	}
	return cmp.Or(cmp.Compare(a.extra(), b.extra()), cmp.Compare(a.seq, b.seq))
}

// hintBuilder collects the hint of one segment.
type hintBuilder struct {
	h    hint
	seed uint64
	pace *breather
}

func (b *hintBuilder) add(e Entry, off int64) {
	if b.h.first == 0 {
		b.h.first = e.Seq
	}
	b.h.last = max(b.h.last, e.Seq)
	switch k := e.Raw.Kind(); k {
	case record.Floor, record.Mark, record.Member:
		b.h.specials = append(b.h.specials, hintSpecial{e.Seq, uint64(off)})
	default:
		key := e.Raw.Key()
		extra := xxh3.Hash128Seed(key, b.seed).Lo >> (64 - extraBits)
		b.h.entries = append(b.h.entries, hintEntry{hashKey(key, b.seed), e.Seq, packHint(off, e.Size(), k == record.Tombstone, extra)})
	}
}

// finish sorts, and drops what a later entry of the same segment superseded.
func (b *hintBuilder) finish(used int64, origins []hintOrigin) *hint {
	b.sort()
	kept := b.h.entries[:0]
	for i, e := range b.h.entries {
		b.pace.did(hintEntrySize)
		if i+1 < len(b.h.entries) && b.h.entries[i+1].hash == e.hash && b.h.entries[i+1].extra() == e.extra() {
			continue
		}
		kept = append(kept, e)
	}
	b.h.entries, b.h.used, b.h.origins = kept, used, origins
	return &b.h
}

// fewHints is how many entries are sorted by comparing alone.
const fewHints = 256

// sort orders the entries: by eight bits of their hash, each group by the next eight, and the few that then are together by comparing.
func (b *hintBuilder) sort() {
	all := b.h.entries
	if len(all) <= fewHints {
		slices.SortFunc(all, compareHint)
		return
	}
	groups := make([]hintEntry, len(all))
	from := 0
	for _, to := range spreadHints(groups, all, 56, b.pace) {
		first := from
		for _, n := range spreadHints(all[from:to], groups[from:to], 48, b.pace) {
			slices.SortFunc(all[first:from+n], compareHint)
			first = from + n
		}
		from = to
	}
}

// spreadHints copies src to dst, grouped by the eight bits of the hash from shift on, and returns where each group ends.
func spreadHints(dst, src []hintEntry, shift int, pace *breather) (end [256]int) {
	for i := range src {
		end[src[i].hash>>shift&255]++
	}
	sum := 0
	for i, n := range end {
		end[i] = sum
		sum += n
	}
	for _, e := range src {
		to := &end[e.hash>>shift&255]
		dst[*to] = e
		*to++
		pace.did(hintEntrySize)
	}
	return end
}

func encodeHint(h *hint, seg *segment) []byte {
	b := make([]byte, hintHeader, hintHeader+len(h.entries)*hintEntrySize+len(h.specials)*16+len(h.origins)*8)
	copy(b, hintMagic)
	binary.LittleEndian.PutUint16(b[8:], hintVersion)
	binary.LittleEndian.PutUint16(b[10:], seg.kind)
	binary.LittleEndian.PutUint64(b[16:], seg.id)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.used))
	binary.LittleEndian.PutUint64(b[32:], h.first)
	binary.LittleEndian.PutUint64(b[40:], h.last)
	binary.LittleEndian.PutUint32(b[48:], uint32(len(h.entries)))
	binary.LittleEndian.PutUint32(b[52:], uint32(len(h.specials)))
	binary.LittleEndian.PutUint32(b[56:], uint32(len(h.origins)))
	put := func(v uint64) { b = binary.LittleEndian.AppendUint64(b, v) }
	for _, e := range h.entries {
		put(e.hash)
		put(e.seq)
		put(e.packed)
	}
	for _, s := range h.specials {
		put(s.seq)
		put(s.off)
	}
	for _, o := range h.origins {
		put(uint64(o.stamp))
	}
	crc := crc32.Update(crc32.Checksum(b[16:hintHeader], castagnoli), castagnoli, b[hintHeader:])
	binary.LittleEndian.PutUint32(b[12:], crc)
	return b
}

// decodeHint checks b, the hint of the segment with this id and kind.
func decodeHint(b []byte, id uint64, kind uint16) (*hint, error) {
	h, entries, err := skimHint(b, id, kind)
	if err == nil {
		h.entries = appendHintEntries(make([]hintEntry, 0, len(entries)/hintEntrySize), entries)
	}
	return h, err
}

// skimHint is decodeHint that leaves the entries as they are in b.
func skimHint(b []byte, id uint64, kind uint16) (h *hint, entries []byte, err error) {
	if len(b) < hintHeader || string(b[:8]) != hintMagic {
		return nil, nil, fmt.Errorf("no hint file")
	}
	if binary.LittleEndian.Uint16(b[8:]) != hintVersion {
		return nil, nil, fmt.Errorf("unknown hint version")
	}
	n, s, o := uint64(binary.LittleEndian.Uint32(b[48:])), uint64(binary.LittleEndian.Uint32(b[52:])), uint64(binary.LittleEndian.Uint32(b[56:]))
	if uint64(len(b)) != hintHeader+n*hintEntrySize+s*16+o*8 {
		return nil, nil, fmt.Errorf("hint file has %d bytes, its counts say otherwise", len(b))
	}
	if crc := crc32.Checksum(b[16:], castagnoli); crc != binary.LittleEndian.Uint32(b[12:]) {
		return nil, nil, fmt.Errorf("hint file: bad checksum")
	}
	if binary.LittleEndian.Uint64(b[16:]) != id || binary.LittleEndian.Uint16(b[10:]) != kind {
		return nil, nil, fmt.Errorf("hint file is of another segment")
	}
	h = &hint{
		used:     int64(binary.LittleEndian.Uint64(b[24:])),
		first:    binary.LittleEndian.Uint64(b[32:]),
		last:     binary.LittleEndian.Uint64(b[40:]),
		specials: make([]hintSpecial, s),
		origins:  make([]hintOrigin, o),
	}
	entries, b = b[hintHeader:hintHeader+n*hintEntrySize], b[hintHeader+n*hintEntrySize:]
	for i := 1; i < int(n); i++ {
		if compareHint(hintEntryAt(entries, i-1), hintEntryAt(entries, i)) >= 0 {
			return nil, nil, fmt.Errorf("hint file is not sorted")
		}
	}
	get := func() uint64 {
		v := binary.LittleEndian.Uint64(b)
		b = b[8:]
		return v
	}
	for i := range h.specials {
		h.specials[i] = hintSpecial{get(), get()}
	}
	for i := range h.origins {
		h.origins[i] = hintOrigin{hlc.Stamp(get())}
	}
	return h, entries, nil
}

// hintEntryAt decodes entry i of those in b.
func hintEntryAt(b []byte, i int) hintEntry {
	b = b[i*hintEntrySize:]
	return hintEntry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])}
}

func appendHintEntries(dst []hintEntry, b []byte) []hintEntry {
	for i := range len(b) / hintEntrySize {
		dst = append(dst, hintEntryAt(b, i))
	}
	return dst
}

// offsets lists where the entries of the hint begin, in order.
func (h *hint) offsets() []int64 {
	list := make([]int64, 0, len(h.entries)+len(h.specials))
	for _, e := range h.entries {
		list = append(list, e.offset())
	}
	for _, s := range h.specials {
		list = append(list, int64(s.off))
	}
	slices.Sort(list)
	return list
}

// loadHint returns nil without an error when there is no usable hint: the segment is then scanned.
func loadHint(fs vfs.FS, seg *segment) (*hint, error) {
	b, err := readHint(fs, seg, nil)
	if b == nil || err != nil {
		return nil, err
	}
	h, err := decodeHint(b, seg.id, seg.kind)
	if err != nil || h.used > seg.size {
		return nil, nil
	}
	return h, nil
}

// readHint returns the bytes of a hint file, in buf if they have room there; nil without an error when there is none of a possible size.
func readHint(fs vfs.FS, seg *segment, buf []byte) ([]byte, error) {
	f, err := fs.Open(hintName(seg.id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > hintHeader+seg.size { // an entry of the segment is larger than its hint
		return nil, nil
	}
	b := slices.Grow(buf[:0], int(size))[:size]
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}
