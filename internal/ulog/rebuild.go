package ulog

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/futago/futago/internal/vfs"
)

// rebuild makes a manifest from the segments and hints in a folder whose own is lost. Segments that the lost one did not
// name any more may come back: what is in them is older than what replaced it. The seed of the key hash is a new one, so no
// hint fits; the checksums are those of the entries.
func rebuild(fs vfs.FS, node int) (*manifest, error) {
	names, err := fs.List()
	if err != nil {
		return nil, err
	}
	m := &manifest{Format: formatVersion, Node: node, NextID: 1}
	votes := map[sums]int{}
	newest := uint64(0)
	firsts := map[uint64]uint64{} // of segments without a hint, by id
	for _, name := range names {
		it, ok := itemOf(name)
		if !ok {
			continue
		}
		p := &piece{item: it}
		if err := p.open(fs); err != nil {
			return nil, err
		}
		p.load()
		p.file.Close()
		it.Size = align(p.size) // a file that was cut elsewhere is short: it is copied
		m.NextID = max(m.NextID, it.ID+1)
		if first, used, err := readSegmentHeader(p.data, it.Kind, it.ID); err == nil && used {
			firsts[it.ID] = first
			if it.ID >= newest {
				newest, m.Identity = it.ID, Identity(p.data[16:32])
			}
		}
		vote(p.data, nil, votes)
		if h, err := loadHint(fs, &p.segment); err == nil && h != nil && h.used >= segmentHeader {
			vote(p.data, h.offsets(), votes)
			it.Sealed, it.Used, it.First, it.Last = true, h.used, h.first, h.last
		}
		if it.Size >= segmentHeader && it.Size <= maxFile {
			m.Segments = append(m.Segments, it)
		}
	}
	k, ok := elected(votes)
	if !ok {
		return nil, errors.New("no two entries are left whose checksums agree")
	}
	var hi [4]byte
	rand.Read(hi[:])
	high := binary.LittleEndian.Uint32(hi[:])
	m.Seed = uint64(high)<<32 | uint64(high^uint32(k))
	slices.SortFunc(m.Segments, func(a, b segmentItem) int { return cmp.Compare(a.ID, b.ID) })
	if err := m.measure(fs, k); err != nil {
		return nil, err
	}
	m.StreamFrom = m.contiguousFrom(firsts)
	m.addHole(gap{}, m.lastSealed()) // what the lost one knew of holes is lost as well
	return m, nil
}

// itemOf reads the name of a segment file.
func itemOf(name string) (it segmentItem, ok bool) {
	it.Kind = kindLog
	id, ok := strings.CutSuffix(name, ".log")
	if !ok {
		it.Kind = kindCompacted
		if id, ok = strings.CutSuffix(name, ".compacted"); !ok {
			return it, false
		}
	}
	if n, err := fmt.Sscanf(id, "%d", &it.ID); n != 1 || err != nil {
		return it, false
	}
	return it, segmentName(it.ID, it.Kind) == name
}

// vote counts the checksum starts that entries of a segment speak for: those at the offsets, or the first ones.
func vote(b []byte, offsets []int64, votes map[sums]int) {
	off := int64(segmentHeader)
	for i := range 64 {
		if i < len(offsets) {
			off = offsets[i]
		}
		if off+minEntry > int64(len(b)) {
			return
		}
		size := int64(sizeOf(b[off:]))
		if size < minEntry || off+size > int64(len(b)) {
			if i < len(offsets) {
				continue
			}
			return
		}
		votes[startOf(b[off:off+size])]++
		off += align(size)
	}
}

// elected is the start with the most votes. One vote is none: every damaged entry speaks for some start.
func elected(votes map[sums]int) (k sums, ok bool) {
	most := 1
	for v, n := range votes {
		if n > most {
			k, most = v, n
		}
	}
	return k, most > 1
}

// startOf finds the start from which an entry has the checksum that it has: the checksum, run backwards.
func startOf(e []byte) sums {
	var top [256]byte // index by the highest byte of the table's values, which differ
	for i, v := range castagnoli {
		top[v>>24] = byte(i)
	}
	state := ^binary.LittleEndian.Uint32(e[4:])
	for _, part := range [][]byte{e[:4], e[8:]} {
		for _, b := range slices.Backward(part) {
			i := top[state>>24]
			state = (state^castagnoli[i])<<8 | uint32(i^b)
		}
	}
	return sums(^state)
}

// measure finds the end of compacted segments without a hint.
func (m *manifest) measure(fs vfs.FS, k sums) error {
	for i := range m.Segments {
		it := &m.Segments[i]
		if it.Sealed || it.Kind == kindLog {
			continue
		}
		p := &piece{item: *it}
		if err := p.open(fs); err != nil {
			return err
		}
		p.load()
		p.file.Close()
		it.Sealed, it.Used = true, segmentHeader
		p.surveyTail(k, func(e Entry) {
			if it.First == 0 {
				it.First = e.Seq
			}
			it.Last = max(it.Last, e.Seq)
		})
		it.Used = p.used.Load()
	}
	m.Segments = slices.DeleteFunc(m.Segments, func(it segmentItem) bool { return it.Kind == kindCompacted && it.Last == 0 })
	return nil
}

// contiguousFrom is the last sequence that is followed by log segments without a gap up to the end.
func (m *manifest) contiguousFrom(firsts map[uint64]uint64) uint64 {
	type span struct{ first, last uint64 }
	var chain []span
	for _, it := range m.Segments {
		switch first, ok := firsts[it.ID]; {
		case it.Kind == kindLog && it.Sealed && it.Last >= it.First:
			chain = append(chain, span{it.First, it.Last})
		case it.Kind == kindLog && ok:
			chain = append(chain, span{first, 0})
		}
	}
	slices.SortFunc(chain, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	from := m.lastSealed()
	for i, s := range slices.Backward(chain) {
		if i+1 < len(chain) && s.last != 0 && s.last+1 != chain[i+1].first {
			break
		}
		from = s.first - 1
	}
	return from
}

func (m *manifest) lastSealed() (last uint64) {
	for _, it := range m.Segments {
		last = max(last, it.Last)
	}
	return last
}
