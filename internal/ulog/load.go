package ulog

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sort"
	"sync"

	"github.com/futago/futago/internal/vfs"
)

// hintGroups divides the hashes by their first six bits. A start takes the keys of one group after the other, so that it needs
// memory for the hints of a group only.
const hintGroups = 64

// manyEntries is from how many hint entries on the memory of a start is worth a collection.
const manyEntries = 1 << 20

func groupOf(hash uint64) int { return int(hash >> 58) }

// sealedHint is what a start keeps of the hint of a sealed segment. The entries stay in its file.
type sealedHint struct {
	*hint // without entries
	seg   *segment
	ends  [hintGroups]int // number of entries in each group and those before it
}

// loadSealed opens all segments of the manifest, hands the newest entry of each key of the sealed ones to rec, and
// returns the others.
func (l *Log) loadSealed(rec Recovery) (tail []*segment, err error) {
	var sealed []sealedHint
	var buf []byte
	total := 0
	for _, it := range slices.Clone(l.man.Segments) {
		seg, err := l.place(it)
		if err != nil {
			return nil, err
		}
		if !it.Sealed {
			tail = append(tail, seg)
			continue
		}
		if _, written, err := readSegmentHeader(seg.data, seg.kind, seg.id); err != nil || !written {
			if err == nil {
				err = errNoHeader
			}
			return nil, &CorruptError{Segment: seg.name(), Seq: it.First, Err: err}
		}
		seg.first = it.First
		h := sealedHint{seg: seg}
		if buf, err = h.load(l.fs, it.Used, buf); err != nil {
			return nil, err
		}
		if h.hint == nil {
			l.log.Info("segment has no usable hint, scanning it", "segment", seg.name())
			if err := l.makeHint(seg, it); err != nil {
				return nil, err
			}
			if buf, err = h.load(l.fs, it.Used, buf); err != nil {
				return nil, err
			}
			if h.hint == nil {
				return nil, fmt.Errorf("read hint of %s: it is not as it was written", seg.name())
			}
		}
		l.adopt(seg, it.Used, it.First, it.Last)
		l.sealed.Add(1)
		for _, o := range h.origins {
			l.origins.observe(o.stamp)
			l.sealedOrigins.observe(o.stamp)
		}
		total += h.ends[hintGroups-1]
		sealed = append(sealed, h)
	}
	slices.SortFunc(l.chain, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })

	const workers = 2
	var wg sync.WaitGroup
	var failed [workers]error
	for w := range workers {
		wg.Go(func() { failed[w] = loadGroups(l.fs, sealed, w, workers, rec) })
	}
	wg.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return nil, err
	}

	var specials []Entry
	for _, s := range sealed {
		for _, sp := range s.specials {
			if sp.off >= uint64(s.seg.size) {
				return nil, &CorruptError{Segment: s.seg.name(), Offset: int64(sp.off), Seq: sp.seq, Err: errHintOffset}
			}
			b, err := l.sums.checkEntry(s.seg.data[sp.off:])
			if err == nil && b == nil {
				err = errHintOffset
			}
			if err != nil {
				return nil, &CorruptError{Segment: s.seg.name(), Offset: int64(sp.off), Seq: sp.seq, Err: err}
			}
			specials = append(specials, entryOf(b, s.seg.loc(int64(sp.off))))
		}
	}
	slices.SortFunc(specials, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, e := range specials {
		rec.Entry(e)
	}
	if total > manyEntries {
		debug.FreeOSMemory() // what was needed for this is not needed again
	}
	return tail, nil
}

// makeHint scans a sealed segment and writes its hint.
func (l *Log) makeHint(seg *segment, it segmentItem) error {
	b := hintBuilder{seed: l.seed}
	seg.used.Store(it.Used)
	seg.last.Store(it.Last)
	err := l.scan(seg, func(e Entry, off int64) {
		b.add(e, off)
		e.Raw.Into(&l.scratch)
		l.scratch.Stamps(l.sealedOrigins.observe)
	})
	if err != nil {
		return err
	}
	return l.sealWith(seg, b.finish(it.Used, l.sealedOrigins.list()), nil, nil)
}

// load reads what is kept of a hint that must tell of used bytes. hint stays nil when the file is of no use. It returns buf, or a
// larger one, for the next.
func (h *sealedHint) load(fs vfs.FS, used int64, buf []byte) ([]byte, error) {
	b, err := readHint(fs, h.seg, buf)
	if b == nil || err != nil {
		return buf, err
	}
	skimmed, entries, err := skimHint(b, h.seg.id, h.seg.kind)
	if err != nil || skimmed.used != used || used > h.seg.size {
		return b, nil
	}
	h.hint = skimmed
	n := len(entries) / hintEntrySize
	for g := range h.ends {
		h.ends[g] = sort.Search(n, func(i int) bool { return groupOf(hintEntryAt(entries, i).hash) > g })
	}
	return b, nil
}

// readGroup appends the entries of a group to dst. buf is as in load.
func (h *sealedHint) readGroup(fs vfs.FS, g int, dst []hintEntry, buf []byte) ([]hintEntry, []byte, error) {
	from := 0
	if g > 0 {
		from = h.ends[g-1]
	}
	size := (h.ends[g] - from) * hintEntrySize
	if size == 0 {
		return dst, buf, nil
	}
	f, err := fs.Open(hintName(h.seg.id))
	if err != nil {
		return dst, buf, err
	}
	defer f.Close()
	buf = slices.Grow(buf[:0], size)[:size]
	if n, err := f.ReadAt(buf, int64(hintHeader+from*hintEntrySize)); n < size {
		return dst, buf, fmt.Errorf("read hint of %s: %w", h.seg.name(), err)
	}
	return appendHintEntries(dst, buf), buf, nil
}

// loadGroups hands every step-th group from first on to rec.
func loadGroups(fs vfs.FS, sealed []sealedHint, first, step int, rec Recovery) (err error) {
	var newest newestTable
	var entries []hintEntry
	var buf []byte
	for g := first; g < hintGroups; g += step {
		newest.reset()
		for i := range sealed {
			if entries, buf, err = sealed[i].readGroup(fs, g, entries[:0], buf); err != nil {
				return err
			}
			for _, e := range entries {
				newest.add(e, i)
			}
		}
		if rec.Reserve != nil {
			rec.Reserve(g, newest.n)
		}
		newest.each(func(e hintEntry, i int) {
			seg := sealed[i].seg
			size := seg.entrySize(e)
			seg.live.Add(size)
			rec.Hint(e.hash, seg.loc(e.offset()), size, e.tomb())
		})
	}
	return nil
}

// entrySize is the space of an entry; the hint cannot say it of the largest.
func (s *segment) entrySize(e hintEntry) int64 {
	if size := e.size(); size < sizeUnitsMax*entryAlign {
		return size
	}
	return min(align(int64(sizeOf(s.data[e.offset():]))), s.size)
}

// newestTable keeps of each key the entry with the highest sequence: log order is apply order.
type newestTable struct {
	slots []newestSlot
	n     int
}

type newestSlot struct {
	e   hintEntry
	seg int
}

func (t *newestTable) reset() {
	clear(t.slots)
	t.n = 0
	if t.slots == nil {
		t.slots = make([]newestSlot, 1024)
	}
}

func (t *newestTable) add(e hintEntry, seg int) {
	if t.n*4 >= len(t.slots)*3 {
		old := t.slots
		t.slots = make([]newestSlot, 2*len(old))
		t.n = 0
		for i := range old {
			if old[i].e.seq != 0 {
				t.add(old[i].e, old[i].seg)
			}
		}
	}
	mask := uint64(len(t.slots) - 1)
	for i := e.hash & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		switch {
		case s.e.seq == 0:
			*s = newestSlot{e, seg}
			t.n++
			return
		case s.e.hash == e.hash && s.e.extra() == e.extra():
			if e.seq > s.e.seq {
				*s = newestSlot{e, seg}
			}
			return
		}
	}
}

func (t *newestTable) each(f func(e hintEntry, seg int)) {
	for i := range t.slots {
		if t.slots[i].e.seq != 0 {
			f(t.slots[i].e, t.slots[i].seg)
		}
	}
}
