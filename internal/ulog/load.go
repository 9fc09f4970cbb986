package ulog

import (
	"cmp"
	"slices"
	"sort"
	"sync"
)

const hintGroups = 64

// loadSealed opens all segments of the manifest, hands the newest entry of each key of the sealed ones to rec, and
// returns the others.
func (l *Log) loadSealed(rec Recovery) (tail []*segment, err error) {
	type loaded struct {
		seg *segment
		h   *hint
	}
	var sealed []loaded
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
		h, err := loadHint(l.fs, seg)
		if err != nil {
			return nil, err
		}
		if h == nil || h.used != it.Used {
			l.log.Info("segment has no usable hint, scanning it", "segment", seg.name())
			b := hintBuilder{seed: l.seed}
			seg.used.Store(it.Used)
			seg.last.Store(it.Last)
			if err := l.scan(seg, func(e Entry, off int64) {
				b.add(e, off)
				e.Raw.Into(&l.scratch)
				l.scratch.Stamps(l.sealedOrigins.observe)
			}); err != nil {
				return nil, err
			}
			h = b.finish(it.Used, l.sealedOrigins.list())
			if err := l.sealWith(seg, h, nil); err != nil {
				return nil, err
			}
		}
		l.adopt(seg, it.Used, it.First, it.Last)
		l.sealed.Add(1)
		for _, o := range h.origins {
			l.origins.observe(o.stamp)
			l.sealedOrigins.observe(o.stamp)
		}
		total += len(h.entries)
		sealed = append(sealed, loaded{seg, h})
	}
	slices.SortFunc(l.chain, func(a, b *segment) int { return cmp.Compare(a.first, b.first) })
	if rec.Reserve != nil {
		rec.Reserve(total)
	}

	var workers sync.WaitGroup
	for w := range 2 {
		workers.Go(func() {
			var group newestTable
			for g := w; g < hintGroups; g += 2 {
				group.reset()
				for i := range sealed {
					for _, e := range groupOf(sealed[i].h.entries, uint64(g)) {
						group.add(e, i)
					}
				}
				group.each(func(e hintEntry, i int) {
					seg := sealed[i].seg
					loc := seg.loc(e.offset())
					size := seg.entrySize(e)
					seg.live.Add(size)
					rec.Hint(e.hash, loc, size, e.tomb())
				})
			}
		})
	}
	workers.Wait()

	var specials []Entry
	for _, s := range sealed {
		for _, sp := range s.h.specials {
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
	return tail, nil
}

// entrySize is the space of an entry; the hint cannot say it of the largest.
func (s *segment) entrySize(e hintEntry) int64 {
	if size := e.size(); size < sizeUnitsMax*entryAlign {
		return size
	}
	return min(align(int64(sizeOf(s.data[e.offset():]))), s.size)
}

// groupOf returns the entries whose hash begins with the six bits g.
func groupOf(entries []hintEntry, g uint64) []hintEntry {
	from := sort.Search(len(entries), func(i int) bool { return entries[i].hash>>58 >= g })
	to := from + sort.Search(len(entries)-from, func(i int) bool { return entries[from+i].hash>>58 > g })
	return entries[from:to]
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
