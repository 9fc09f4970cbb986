package ulog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// folder is a log that is read without being opened, beside a running node too: nothing is changed, and files are read
// with pread, so that a block that the device cannot read is damage and no fault.
type folder struct {
	fs     vfs.FS
	man    *manifest
	sums   sums
	slots  []*piece // all, by the slot in a location
	sealed []*piece
	tail   []*piece // without a seal, in order of sequence
	spares []*piece // never written to
	last   uint64   // sequence of the last entry that is part of the log

	// refused says that a start would not take the end of the log: that is damage. Otherwise torn is what it would cut.
	refused bool
	torn    *lostPart
}

// piece is one segment of a folder. Its data is there between load and drop.
type piece struct {
	segment
	item    segmentItem
	there   int64 // bytes of the file
	short   error // the file is missing, or has not its size
	wrong   error // with the file as a whole: short, or its header is damaged
	lost    []lostPart
	entries uint64
	badHint bool
}

// lostPart is a gap and the stamps of the entries around it, 0 = unknown.
type lostPart struct {
	gap
	piece         *piece
	after, before hlc.Stamp
}

// openFolder reads the manifest and the end of the log, and opens all segments: they stay readable when a running node
// removes them.
func openFolder(fs vfs.FS) (*folder, error) {
	man, err := loadManifest(fs)
	if err != nil {
		return nil, err
	}
	if man == nil {
		return nil, noManifest(fs)
	}
	return folderOf(fs, man)
}

// folderOf is openFolder with a manifest.
func folderOf(fs vfs.FS, man *manifest) (*folder, error) {
	for {
		f := &folder{fs: fs, man: man, sums: newSums(man.Seed)}
		missing, err := f.openPieces()
		if err == nil && missing {
			// A compaction may have come between: then the manifest is another one.
			if again, err := loadManifest(fs); err == nil && again != nil && !slices.Equal(again.Segments, man.Segments) {
				f.close()
				man = again
				continue
			}
		}
		if err != nil {
			f.close()
			return nil, err
		}
		f.readTail()
		return f, nil
	}
}

func (f *folder) openPieces() (missing bool, err error) {
	for _, it := range f.man.Segments {
		p := &piece{item: it}
		p.slot = len(f.slots)
		f.slots = append(f.slots, p)
		if it.Sealed {
			f.sealed = append(f.sealed, p)
		} else {
			f.tail = append(f.tail, p)
		}
		if err := p.open(f.fs); err != nil {
			return false, err
		}
		missing = missing || p.file == nil
	}
	return missing, nil
}

// open opens the file of a segment; a missing one is no error.
func (p *piece) open(fs vfs.FS) error {
	it := p.item
	p.id, p.kind, p.size, p.first = it.ID, it.Kind, max(it.Size, it.Used), it.First
	p.used.Store(it.Used)
	p.last.Store(it.Last)
	file, err := fs.Open(p.name())
	if errors.Is(err, os.ErrNotExist) {
		p.short = errors.New("the file is missing")
		return nil
	}
	if err != nil {
		return err
	}
	p.file = file
	if p.there, err = file.Size(); err != nil {
		return err
	}
	if p.there < p.size {
		p.short = fmt.Errorf("the file has %d bytes of %d", p.there, p.size)
	}
	p.size = max(p.size, p.there)
	return nil
}

func (f *folder) close() {
	for _, p := range f.slots {
		p.drop()
		if p.file != nil {
			p.file.Close()
		}
	}
}

// bytes is the size of all segments.
func (f *folder) bytes() (n int64) {
	for _, p := range f.slots {
		n += p.size
	}
	return n
}

// load reads the file. What is missing or cannot be read is filled with ones: no entry, and not empty.
func (p *piece) load() {
	p.data = make([]byte, p.size)
	p.written.Store(p.size)
	if p.file == nil {
		blank(p.data)
		return
	}
	const chunk, block = 1 << 20, 4096
	for off := 0; off < len(p.data); off += chunk {
		b := p.data[off:min(off+chunk, len(p.data))]
		n, err := p.file.ReadAt(b, int64(off))
		if err == nil || n == len(b) {
			continue
		}
		if errors.Is(err, io.EOF) {
			blank(b[n:])
			continue
		}
		for i := 0; i < len(b); i += block {
			part := b[i:min(i+block, len(b))]
			if n, err := p.file.ReadAt(part, int64(off+i)); err != nil && n < len(part) {
				blank(part[n:])
			}
		}
	}
}

func (p *piece) drop() { p.data = nil }

func blank(b []byte) {
	for i := range b {
		b[i] = 0xff
	}
}

// inspect loads a sealed segment and walks it; visit sees the good entries.
func (f *folder) inspect(p *piece, visit func(e Entry, off int64)) {
	p.load()
	_, used, err := readSegmentHeader(p.data, p.kind, p.id)
	if err == nil && !used {
		err = errNoHeader
	}
	p.wrong = cmp.Or(p.short, err)
	p.survey(f.sums, func() []int64 { return f.hinted(p) }, visit)
}

// hinted returns where entries of a compacted segment begin. In a log segment all are found by their sequence, those too
// that the hint leaves out.
func (f *folder) hinted(p *piece) []int64 {
	if p.kind == kindLog {
		return nil
	}
	h, _ := loadHint(f.fs, &p.segment)
	if h == nil {
		return nil
	}
	return h.offsets()
}

// survey walks a loaded segment and collects what is lost in it.
func (p *piece) survey(k sums, known func() []int64, visit func(e Entry, off int64)) {
	p.lost, p.entries = p.lost[:0], 0
	var stamp hlc.Stamp
	open := 0 // parts in lost that nothing follows yet
	p.walk(k, known, func(e Entry, off int64) error {
		p.entries++
		if s := e.Raw.Stamp(); p.kind == kindLog && s != 0 {
			stamp = s
			for ; open > 0; open-- {
				p.lost[len(p.lost)-open].before = s
			}
		}
		visit(e, off)
		return nil
	}, func(g gap) error {
		p.lost = append(p.lost, lostPart{gap: g, piece: p, after: stamp})
		open++
		return nil
	})
}

// readTail finds the end of the log. Beside a running node the segments are read at different moments, the later ones
// first; what looks damaged by that alone is right when it is read again.
func (f *folder) readTail() {
	all := f.tail
	slices.SortFunc(all, func(a, b *piece) int { return cmp.Compare(b.id, a.id) })
	before := ""
	for range 10 {
		f.judgeTail(all)
		now := ""
		for _, p := range f.tail {
			now += fmt.Sprintln(p.id, p.entries, p.wrong, len(p.lost))
		}
		if !f.refused || now == before {
			break
		}
		before = now
	}
	for _, p := range all {
		p.drop()
	}
}

// judgeTail reads the segments without a seal and decides as recoverTail does.
func (f *folder) judgeTail(all []*piece) {
	f.tail, f.spares, f.torn, f.refused = nil, nil, nil, false
	f.last = f.man.StreamFrom
	for _, p := range f.sealed {
		f.last = max(f.last, p.item.Last)
	}
	next := f.last + 1
	for _, p := range all {
		p.load()
		if used := p.readHead(f.sums, next); used {
			f.tail = append(f.tail, p)
		} else {
			f.spares = append(f.spares, p)
		}
	}
	slices.SortFunc(f.tail, func(a, b *piece) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.id, b.id)) })

	intact := f.man.Clean || f.man.Boot != "" && f.man.Boot == f.fs.Boot()
	at, from := -1, uint64(0) // the piece that the damage begins in, and the sequence that belongs there
	for i, p := range f.tail {
		p.surveyTail(f.sums, func(Entry) {})
		if p.wrong != nil && p.entries == 0 { // nobody knows where it began
			for i := range p.lost {
				p.lost[i].first = 0
			}
		}
		if p.first != next {
			g := gap{off: segmentHeader, end: segmentHeader, first: next, err: errNoEntry}
			if p.entries > 0 {
				g.n, g.err = max(p.first, next)-next, fmt.Errorf("segment begins with sequence %d", p.first)
			}
			p.lost = slices.Insert(p.lost, 0, lostPart{gap: g, piece: p})
		}
		f.refused = f.refused || p.short != nil
		if at < 0 { // as a start: the first damage decides
			f.refused = f.refused || p.wrong != nil && intact || p.first < next // the last is sealed already in part
		}
		if at < 0 && (p.wrong != nil || len(p.lost) > 0) {
			at, from = i, next
		}
		if p.entries > 0 {
			next = max(next, p.last.Load()+1)
		}
	}
	for _, p := range f.spares {
		f.refused = f.refused || p.wrong != nil
	}
	f.last = next - 1
	if at < 0 {
		return
	}
	p := f.tail[at]
	damage := lostPart{gap: gap{off: segmentHeader, first: from, err: p.wrong}, piece: p}
	if len(p.lost) > 0 && p.wrong == nil {
		damage = p.lost[0]
	}
	durable, follows := uint64(0), false
	for i, p := range f.tail[at:] {
		off := int64(segmentHeader)
		if i == 0 {
			off = damage.off
		}
		d, behind := f.sums.provablyDurable(p.data[off:], damage.first)
		durable, follows = max(durable, d), follows || behind
	}
	if f.refused = f.refused || damage.first <= durable || intact && follows; f.refused {
		return
	}
	damage.end = p.size
	f.torn, f.last = &damage, damage.first-1
	p.used.Store(damage.off)
	p.last.Store(damage.first - 1)
	f.tail = f.tail[:at+1]
	p.lost, p.wrong = nil, nil
}

// readHead finds out where a segment without a seal begins; false when it was never written to.
func (p *piece) readHead(k sums, next uint64) (used bool) {
	p.wrong = p.short
	first, used, err := readSegmentHeader(p.data, p.kind, p.id)
	switch {
	case p.file == nil || err == nil && !used && isZero(p.data):
		return false
	case err == nil && !used:
		err = errNoHeader
	}
	if err != nil {
		p.wrong = cmp.Or(p.wrong, err)
		if _, first = p.search(k, segmentHeader, p.size, next, next+maxTail); first == 0 {
			first = next + maxTail // sorts behind the others
		}
	}
	p.first = first
	return true
}

// surveyTail is survey of a segment whose end is not known: the last good entry, when zeros follow.
func (p *piece) surveyTail(k sums, visit func(e Entry)) {
	p.used.Store(p.size)
	p.last.Store(p.first + maxTail)
	end, last := int64(segmentHeader), p.first-1
	p.survey(k, noHint, func(e Entry, off int64) {
		end, last = off+e.Size(), e.Seq
		visit(e)
	})
	p.lost = slices.DeleteFunc(p.lost, func(g lostPart) bool { return g.off >= end && isZero(p.data[g.off:]) })
	if n := len(p.lost); n > 0 && p.lost[n-1].off >= end { // nobody knows how many there were
		p.lost[n-1].n = 0
		end = p.size
	}
	p.used.Store(min(end, p.size))
	p.last.Store(last)
}

// scratch decodes records only to see their stamps.
type scratch struct {
	r record.Record
	f func(hlc.Stamp)
}

func newScratch(f func(hlc.Stamp)) *scratch { return &scratch{f: f} }

func (s *scratch) stamps(e Entry) {
	e.Raw.Into(&s.r)
	s.r.Stamps(s.f)
}
