package ulog

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/futago/futago/internal/vfs"
)

// Entries calls visit with every entry of a log that can be read, once, in order of sequence, until it returns false. The
// log is not opened and not changed; a running node may use it meanwhile. It returns the damage that it met: entries there
// are left out. An entry is valid during its call only.
func Entries(fs vfs.FS, visit func(e Entry) bool) ([]Damage, error) {
	f, err := openFolder(fs)
	if err != nil {
		return nil, err
	}
	defer f.close()
	h := f.timeline()
	for e := range h.all {
		if !visit(e) {
			break
		}
	}
	return h.damage, h.err
}

// timeline is the entries of a folder in order of sequence. What compactions copied is read one by one, for it lies in no
// order; 16 bytes are kept for each such entry.
type timeline struct {
	f      *folder
	copies []copied
	logs   []*piece
	damage []Damage
	err    error
}

type copied struct{ seq, loc uint64 }

func (f *folder) timeline() *timeline {
	h := &timeline{f: f}
	for _, p := range f.sealed {
		if p.kind == kindLog {
			h.logs = append(h.logs, p)
			continue
		}
		f.inspect(p, func(e Entry, _ int64) { h.copies = append(h.copies, copied{e.Seq, e.Loc}) })
		p.drop()
		h.note(p)
	}
	slices.SortFunc(h.copies, func(a, b copied) int { return cmp.Compare(a.seq, b.seq) })
	slices.SortStableFunc(h.logs, func(a, b *piece) int { return cmp.Compare(a.first, b.first) })
	h.logs = append(h.logs, f.tail...)
	if f.refused {
		for _, p := range f.spares {
			h.note(p)
		}
	}
	return h
}

func (h *timeline) note(p *piece) {
	var r Report
	r.add(h.f, p)
	h.damage = append(h.damage, r.Damage...)
}

// all yields every entry once: one may be in a segment that was compacted and in the copy.
func (h *timeline) all(yield func(e Entry) bool) {
	copies, last, on := h.copies, uint64(0), true
	emit := func(e Entry) {
		if on && e.Seq > last {
			last = e.Seq
			on = yield(e)
		}
	}
	upTo := func(seq uint64) {
		for on && len(copies) > 0 && copies[0].seq <= seq {
			e, err := h.f.read(copies[0].loc)
			if err != nil { // it was good a moment ago
				h.err, on = err, false
				return
			}
			copies = copies[1:]
			emit(e)
		}
	}
	for _, p := range h.logs {
		if !on {
			return
		}
		visit := func(e Entry, _ int64) {
			if on {
				upTo(e.Seq - 1)
				emit(e)
			}
		}
		if p.item.Sealed {
			h.f.inspect(p, visit)
			h.note(p)
		} else {
			if h.f.refused {
				h.note(p)
			}
			p.load()
			p.survey(h.f.sums, noHint, visit)
		}
		p.drop()
	}
	upTo(h.f.last)
}

// read reads one entry from its file.
func (f *folder) read(loc uint64) (Entry, error) {
	p, off := f.slots[loc>>offsetBits], int64(loc&(1<<offsetBits-1))*entryAlign
	var head [minEntry]byte
	if _, err := p.file.ReadAt(head[:], off); err != nil {
		return Entry{}, fmt.Errorf("read segment %s at %d: %w", p.name(), off, err)
	}
	size := int64(sizeOf(head[:]))
	if size < minEntry || off+size > p.size {
		return Entry{}, &CorruptError{Segment: p.name(), Offset: off, Err: fmt.Errorf("bad entry size %d", size)}
	}
	b := make([]byte, size)
	if _, err := p.file.ReadAt(b, off); err != nil {
		return Entry{}, fmt.Errorf("read segment %s at %d: %w", p.name(), off, err)
	}
	if _, err := f.sums.checkEntry(b); err != nil {
		return Entry{}, &CorruptError{Segment: p.name(), Offset: off, Err: err}
	}
	return entryOf(b, loc), nil
}
