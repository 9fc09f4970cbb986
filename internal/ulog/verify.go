package ulog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/vfs"
)

// Report is what Verify found.
type Report struct {
	Node     int       `json:"node"`
	Identity Identity  `json:"identity"`
	Segments int       `json:"segments"`
	Bytes    int64     `json:"bytes"` // of all segment files
	Entries  uint64    `json:"entries"`
	Last     uint64    `json:"last_seq"`
	Newest   time.Time `json:"newest"` // time of the newest stamp; zero: no entry

	// Hole says that entries were lost before, are noted as such, and are not back yet.
	Hole bool `json:"hole"`
	// Torn is an end of the log that the next start cuts: unfinished writes of a node that runs, was killed or lost power.
	// It is no damage.
	Torn *Damage `json:"torn,omitempty"`
	// Damage is everything else that is not as it was written.
	Damage []Damage `json:"damage"`
}

// Damage is one damaged place of a log.
type Damage struct {
	File    string    `json:"file"`
	Offset  int64     `json:"offset"`
	Bytes   int64     `json:"bytes"`
	Seq     uint64    `json:"seq,omitempty"`     // first sequence that is lost, 0 = unknown
	Entries uint64    `json:"entries,omitempty"` // that are lost, 0 = none, or unknown: see Lost
	Lost    bool      `json:"lost"`              // entries are lost; otherwise repair makes all of it good again
	After   time.Time `json:"after,omitzero"`    // of the entry before the lost ones
	Before  time.Time `json:"before,omitzero"`   // of the entry behind them
	Problem string    `json:"problem"`
}

// Sound reports whether nothing is damaged.
func (r *Report) Sound() bool { return len(r.Damage) == 0 }

// Verify reads every byte of the log in fs and changes nothing; a running node may use it meanwhile. progress may be nil;
// it is called with the bytes that were read and the bytes of all.
func Verify(fs vfs.FS, progress func(done, total int64)) (*Report, error) {
	f, err := openFolder(fs)
	if ce, ok := errors.AsType[*CorruptError](err); ok && ce.Segment == manifestName {
		return &Report{Damage: []Damage{{File: manifestName, Problem: ce.Err.Error()}}}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.close()
	return f.verify(progress, &originTable{}), nil
}

// verify inspects all segments. origins gets every stamp that is found.
func (f *folder) verify(progress func(done, total int64), origins *originTable) *Report {
	r := &Report{Node: f.man.Node, Identity: f.man.Identity, Segments: len(f.man.Segments), Bytes: f.bytes(), Last: f.last, Hole: len(f.man.Holes) > 0, Damage: []Damage{}}
	if progress == nil {
		progress = func(_, _ int64) {}
	}
	newest, done := hlc.Stamp(0), int64(0)
	scratch := newScratch(func(s hlc.Stamp) {
		origins.observe(s)
		newest = max(newest, s)
	})
	for _, p := range f.sealed {
		b := hintBuilder{seed: f.man.Seed}
		f.inspect(p, func(e Entry, off int64) {
			b.add(e, off)
			scratch.stamps(e)
		})
		p.drop()
		r.add(f, p)
		if p.wrong == nil && len(p.lost) == 0 {
			if err := f.checkHint(p, b.finish(p.item.Used, nil), origins); err != nil {
				p.badHint = true
				r.Damage = append(r.Damage, Damage{File: hintName(p.id), Problem: err.Error()})
			}
		}
		done += p.size
		progress(done, r.Bytes)
	}
	for _, p := range f.tail {
		p.load()
		p.walk(f.sums, noHint, func(e Entry, _ int64) error { scratch.stamps(e); return nil }, func(gap) error { return nil })
		p.drop()
		if f.refused {
			r.add(f, p)
		} else {
			r.Entries += p.entries
		}
		done += p.size
		progress(done, r.Bytes)
	}
	for _, p := range f.spares {
		r.add(f, p)
	}
	progress(r.Bytes, r.Bytes)
	if newest != 0 {
		r.Newest = newest.Time().UTC()
	}
	if f.torn != nil {
		d := f.torn.report()
		r.Torn = &d
	}
	return r
}

// add reports one segment.
func (r *Report) add(f *folder, p *piece) {
	r.Entries += p.entries
	if p.wrong != nil {
		d := Damage{File: p.name(), Bytes: segmentHeader, Problem: p.wrong.Error()}
		if p.file == nil {
			d.Bytes, d.Lost, d.Seq = p.item.Size, true, p.item.First
			switch {
			case p.item.Sealed && p.item.Used <= segmentHeader:
				d.Lost = false
			case p.item.Sealed && p.kind == kindLog:
				d.Entries = p.item.Last - p.item.First + 1
			}
			r.Damage = append(r.Damage, d)
			return
		}
		r.Damage = append(r.Damage, d)
	}
	for i := range p.lost {
		r.Damage = append(r.Damage, p.lost[i].report())
	}
}

func (l *lostPart) report() Damage {
	d := Damage{File: l.piece.name(), Offset: l.off, Bytes: l.end - l.off, Seq: l.first, Entries: l.n, Lost: l.loses(), Problem: l.err.Error()}
	if l.after != 0 {
		d.After = l.after.Time().UTC()
	}
	if l.before != 0 {
		d.Before = l.before.Time().UTC()
	}
	return d
}

// loses reports whether entries are missing: bytes between two that follow each other may have been none.
func (l *lostPart) loses() bool { return l.n > 0 || l.first == 0 || l.end == l.piece.used.Load() }

// checkHint compares the hint of a sound segment with what is in it. origins gets the stamps of the hint.
func (f *folder) checkHint(p *piece, want *hint, origins *originTable) error {
	file, err := f.fs.Open(hintName(p.id))
	if errors.Is(err, os.ErrNotExist) {
		if man, err := loadManifest(f.fs); err == nil && man != nil && !slices.ContainsFunc(man.Segments, func(it segmentItem) bool { return it.ID == p.id }) {
			return nil // a running node removed both
		}
		return errors.New("the file is missing")
	}
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return err
	}
	if size > hintHeader+p.size {
		return fmt.Errorf("the file has %d bytes, more than its segment", size)
	}
	b := make([]byte, size)
	if _, err := file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, err := decodeHint(b, p.id, p.kind)
	if err != nil {
		return err
	}
	for _, o := range h.origins {
		origins.observe(o.stamp)
	}
	bySeq := func(a, b hintSpecial) int { return cmp.Compare(a.seq, b.seq) }
	slices.SortFunc(h.specials, bySeq)
	slices.SortFunc(want.specials, bySeq)
	if h.used != want.used || !slices.Equal(h.entries, want.entries) || !slices.Equal(h.specials, want.specials) {
		return errors.New("the hint says something else than its segment")
	}
	return nil
}
