package ulog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/futago/futago/internal/vfs"
)

// Repaired is what Repair found and did.
type Repaired struct {
	Report
	Kept     []string `json:"kept"`      // files with the damaged bytes
	Rewrote  []string `json:"rewrote"`   // segments that lost something, or their header
	Removed  []string `json:"removed"`   // segments with nothing that could be read
	Hints    []string `json:"hints"`     // written anew
	Rebuilt  bool     `json:"rebuilt"`   // the manifest was lost, and is made from the segments
	NewLife  bool     `json:"new_life"`  // entries are lost: the log has a new identity, and the hole is noted
	NextLast uint64   `json:"next_last"` // last sequence afterwards
}

// RepairConfig says what Repair may do.
type RepairConfig struct {
	FS vfs.FS // not in use by a node
	// Node is the id of the node. It is needed only when the manifest is lost: nothing else in the folder names it.
	Node     int
	Dry      bool                    // only report
	Progress func(done, total int64) // of bytes; may be nil
}

// Repair makes a damaged log one that opens: what can be read stays, damaged bytes are copied to files and taken out. When
// entries are lost the log notes the hole and has a new identity, so that the node asks its peers for everything. A log
// that opens anyway is not changed.
func Repair(cfg RepairConfig) (*Repaired, error) {
	lock, err := cfg.FS.Lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	man, rebuilt, err := manifestOrRebuilt(cfg)
	if err != nil {
		return nil, err
	}
	f, err := folderOf(cfg.FS, man)
	if err != nil {
		return nil, err
	}
	defer f.close()
	m := &mender{folder: f, next: *f.man}
	m.next.Segments, m.next.Holes = nil, slices.Clone(f.man.Holes)
	m.done.Report = *f.verify(cfg.Progress, &m.origins)
	m.done.NextLast = f.last
	if rebuilt != nil { // it has another key hash: hints fit no more
		m.done.Rebuilt, m.done.NewLife = true, true
		m.done.Damage = slices.DeleteFunc(m.done.Damage, func(d Damage) bool { return strings.HasSuffix(d.File, ".hint") })
		m.done.Damage = slices.Insert(m.done.Damage, 0, Damage{File: manifestName, Problem: rebuilt.Error()})
	}
	if cfg.Dry || m.done.Sound() {
		return &m.done, nil
	}
	if err := m.mend(); err != nil {
		return nil, err
	}
	return &m.done, nil
}

// manifestOrRebuilt returns the manifest, or one made from the segments and why.
func manifestOrRebuilt(cfg RepairConfig) (man *manifest, rebuilt, err error) {
	if man, err = loadManifest(cfg.FS); err == nil && man == nil {
		err = noManifest(cfg.FS)
	}
	damage, ok := errors.AsType[*CorruptError](err)
	if !ok || cfg.Node == 0 {
		return man, nil, err
	}
	rebuilt = damage.Err
	man, err = rebuild(cfg.FS, cfg.Node)
	if err != nil {
		return nil, nil, fmt.Errorf("make %s from the segments: %w", manifestName, err)
	}
	return man, rebuilt, nil
}

// mender repairs a folder. Everything new is written first, then the manifest names it, then the old files go: an
// interrupted repair is begun again.
type mender struct {
	*folder
	next    manifest
	origins originTable
	old     []string // files that the new manifest does not name
	done    Repaired
}

func (m *mender) mend() error {
	if m.done.Rebuilt {
		if err := m.keepManifest(); err != nil {
			return err
		}
	}
	for _, p := range m.sealed {
		switch {
		case p.wrong != nil || len(p.lost) > 0:
			if err := m.rewrite(p); err != nil {
				return err
			}
			continue
		case p.badHint:
			if _, err := m.writeHint(p); err != nil {
				return err
			}
		}
		m.next.Segments = append(m.next.Segments, p.item)
	}
	if err := m.mendTail(); err != nil {
		return err
	}
	if m.done.NewLife {
		m.next.newLife(m.last)
	}
	m.done.Identity = m.next.Identity
	if err := storeManifest(m.fs, &m.next); err != nil {
		return err
	}
	for _, name := range m.old {
		m.fs.Remove(name) // what stays is removed by the next start
	}
	return m.fs.SyncDir()
}

// mendTail seals an end that a start would refuse. Another one it leaves to the start.
func (m *mender) mendTail() error {
	if !m.refused {
		for _, it := range m.man.Segments {
			if !it.Sealed {
				m.next.Segments = append(m.next.Segments, it)
			}
		}
		return nil
	}
	for _, p := range m.tail {
		var err error
		switch {
		case p.wrong != nil || len(p.lost) > 0:
			err = m.rewrite(p)
		case p.entries == 0:
			m.old = append(m.old, p.name())
		default:
			err = m.seal(p)
		}
		if err != nil {
			return err
		}
	}
	for _, p := range m.spares {
		if p.wrong != nil { // nobody knows what was in it
			m.lose(gap{})
		}
		m.old = append(m.old, p.name())
	}
	return nil
}

// seal makes a whole segment of the end a sealed one.
func (m *mender) seal(p *piece) error {
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("sync segment %s: %w", p.name(), err)
	}
	h, err := m.writeHint(p)
	if err != nil {
		return err
	}
	m.next.Segments = append(m.next.Segments, segmentItem{ID: p.id, Kind: p.kind, Size: p.size, Sealed: true, Used: h.used, First: h.first, Last: h.last})
	return nil
}

// writeHint writes the hint of a sound segment.
func (m *mender) writeHint(p *piece) (*hint, error) {
	b := hintBuilder{seed: m.man.Seed}
	m.good(p, b.add)
	h := b.finish(p.used.Load(), m.origins.list())
	if err := writeFile(m.fs, hintName(p.id), encodeHint(h, &p.segment), nil); err != nil {
		return nil, fmt.Errorf("write hint of %s: %w", p.name(), err)
	}
	m.done.Hints = append(m.done.Hints, hintName(p.id))
	return h, nil
}

// good calls f with the good entries of a segment.
func (m *mender) good(p *piece, f func(e Entry, off int64)) {
	p.load()
	defer p.drop()
	p.survey(m.sums, func() []int64 { return m.hinted(p) }, f)
}

// rewrite copies the good entries to a new segment, of the kind that may have gaps.
func (m *mender) rewrite(p *piece) error {
	lost := slices.Clone(p.lost)
	if err := m.keep(p); err != nil {
		return err
	}
	m.old = append(m.old, p.name(), hintName(p.id))
	if p.kind == kindLog {
		m.next.StreamFrom = max(m.next.StreamFrom, p.last.Load())
	}
	for i := range lost {
		if lost[i].loses() {
			m.lose(lost[i].gap)
		}
	}
	if p.entries == 0 {
		m.done.Removed = append(m.done.Removed, p.name())
		return nil
	}
	id := m.next.NextID
	m.next.NextID++
	m.fs.Remove(segmentName(id, kindCompacted))                                 // of an interrupted repair
	out, err := newSegment(m.fs, id, kindCompacted, (p.size+4095)&^4095, false) // the padding of the last entry may be cut off
	if err != nil {
		return err
	}
	defer out.free()
	b := hintBuilder{seed: m.man.Seed}
	off := int64(segmentHeader)
	m.good(p, func(e Entry, _ int64) {
		dst := out.buf[off : off+int64(entryHeader+len(e.Raw))]
		copy(dst[entryHeader:], e.Raw)
		m.sums.sealEntry(dst, e.Seq, distanceMax)
		b.add(e, off)
		off += e.Size()
	})
	putSegmentHeader(out.buf, kindCompacted, m.man.Identity, id, 0)
	if _, err = out.file.WriteAt(out.buf[:off], 0); err == nil {
		err = out.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("write segment %s: %w", out.name(), err)
	}
	h := b.finish(off, m.origins.list())
	if err := writeFile(m.fs, hintName(id), encodeHint(h, out), nil); err != nil {
		return fmt.Errorf("write hint of %s: %w", out.name(), err)
	}
	m.done.Rewrote = append(m.done.Rewrote, p.name())
	m.next.Segments = append(m.next.Segments, segmentItem{ID: id, Kind: kindCompacted, Size: out.size, Sealed: true, Used: h.used, First: h.first, Last: h.last})
	return nil
}

// lose notes that entries are gone.
func (m *mender) lose(g gap) {
	m.done.NewLife = true
	if g.n == 0 { // nobody knows how many
		g = gap{}
	}
	m.next.addHole(g, m.last)
}

// keepManifest copies a damaged manifest to a file.
func (m *mender) keepManifest() error {
	f, err := m.fs.Open(manifestName)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, maxManifest))
	if len(b) == 0 { // not one byte is there, or can be read
		return nil
	}
	const name = "cut-" + manifestName + "-0"
	if err := writeFile(m.fs, name, b, nil); err != nil {
		return fmt.Errorf("keep the damaged manifest: %w", err)
	}
	m.done.Kept = append(m.done.Kept, name)
	return nil
}

// keep copies the damaged bytes of a segment to a file: from the first to the last, with what lies between.
func (m *mender) keep(p *piece) error {
	if p.file == nil {
		return nil
	}
	from, to := p.size, int64(0)
	if p.wrong != nil {
		from, to = 0, segmentHeader
	}
	for _, l := range p.lost {
		from, to = min(from, l.off), max(to, l.end)
	}
	if to = min(to, p.there); from >= to {
		return nil
	}
	p.load()
	defer p.drop()
	name := fmt.Sprintf("cut-%s-%d", p.name(), from)
	if err := writeFile(m.fs, name, p.data[from:to], nil); err != nil {
		return fmt.Errorf("keep the damaged bytes: %w", err)
	}
	m.done.Kept = append(m.done.Kept, name)
	return nil
}
