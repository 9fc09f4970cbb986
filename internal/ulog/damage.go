package ulog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/futago/futago/internal/record"
)

// CorruptError reports damage in what was written: the log does not open with it, and does not return it.
type CorruptError struct {
	Segment string // name of the file
	Offset  int64
	Seq     uint64 // expected there, 0 = unknown
	Err     error
}

func (e *CorruptError) Error() string {
	at := ""
	if e.Seq != 0 {
		at = fmt.Sprintf(", sequence %d", e.Seq)
	}
	return fmt.Sprintf("log is damaged: %s at %d%s: %v: 'futago log verify' shows all of it; stop the node and run 'futago log repair', the peer gives back what is lost", e.Segment, e.Offset, at, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// gap is a stretch of a segment in which no entry can be read.
type gap struct {
	off, end int64
	first, n uint64 // the sequences that are missing: n from first on; 0 = unknown
	err      error  // what is wrong at off
}

// walk goes through a full segment: entry gets every good entry, in order, with its offset, and gap every stretch that
// has none. An error of theirs ends it. known returns where entries begin, as a hint says, or nil; without it what
// follows a gap is searched.
func (s *segment) walk(k sums, known func() []int64, entry func(e Entry, off int64) error, lost func(gap) error) error {
	end, next := s.used.Load(), uint64(0)
	if s.kind == kindLog {
		next = s.first
	}
	var pass ahead
	for off := int64(segmentHeader); off < end; {
		pass.at(s, off)
		e, err := s.entryAt(k, off, end)
		if err == nil && next != 0 && e.Seq != next {
			err = fmt.Errorf("sequence %d is there", e.Seq)
		}
		if err != nil {
			g := s.gapAt(k, known(), off, next)
			g.err = err
			if err := lost(g); err != nil {
				return err
			}
			off = g.end
			if next != 0 {
				next += g.n
			}
			continue
		}
		if next != 0 {
			next++
		}
		if err := entry(e, off); err != nil {
			return err
		}
		off += e.Size()
	}
	if last := s.last.Load(); next != 0 && next <= last { // only a wrong end of the entries can hide so many
		return lost(gap{off: end, end: end, first: next, n: last - next + 1, err: errNoEntry})
	}
	return nil
}

// entryAt is checked, with a look into the record.
func (s *segment) entryAt(k sums, off, end int64) (Entry, error) {
	b, err := s.checked(k, off, end)
	if err != nil {
		return Entry{}, err
	}
	if _, err := record.Decode(b[entryHeader:]); err != nil {
		return Entry{}, err
	}
	return entryOf(b, s.loc(off)), nil
}

// gapAt finds the end of a gap that begins at off, where sequence next belongs: the following good entry, or the end.
func (s *segment) gapAt(k sums, known []int64, off int64, next uint64) gap {
	end, last := s.used.Load(), s.last.Load()
	g := gap{off: off, end: end, first: next}
	if next != 0 && last >= next {
		g.n = last - next + 1
	}
	reached := func(off int64, seq uint64) gap {
		g.end = off
		if next != 0 {
			g.n = seq - next
		}
		return g
	}
	if known == nil {
		if at, seq := s.search(k, off, end, max(next, 1), last); seq != 0 {
			return reached(at, seq)
		}
		return g
	}
	i, _ := slices.BinarySearch(known, off)
	for _, at := range known[i:] {
		e, err := s.entryAt(k, at, end)
		if err == nil && e.Seq >= next && e.Seq <= last {
			return reached(at, e.Seq)
		}
		if next == 0 {
			g.n++
		}
	}
	return g
}

// search finds the first good entry from off on whose sequence is from first to last, 0 = none.
func (s *segment) search(k sums, off, end int64, first, last uint64) (at int64, seq uint64) {
	for ; off+minEntry <= end; off += entryAlign {
		// The sequence first: a checksum at every offset would take hours in data that look like sizes.
		seq, err := s.word(off + 8)
		if err != nil { // the whole page
			off = off | 4095 + 1 - entryAlign
			continue
		}
		if seq < first || seq > last {
			continue
		}
		if _, err := s.entryAt(k, off, end); err == nil {
			return off, seq
		}
	}
	return 0, 0
}

// word reads eight bytes of the mapping.
func (s *segment) word(off int64) (v uint64, err error) {
	defer s.caught(debug.SetPanicOnFault(true), &err)
	return binary.LittleEndian.Uint64(s.data[off:]), nil
}

// hole says that entries in the middle of one life of the log are lost. It stays in the manifest until the owner has them
// back from a peer.
type hole struct {
	Life  Identity `json:"life"`
	First uint64   `json:"first,omitempty"` // all were in between, inclusive; 0 = unknown
	Last  uint64   `json:"last"`
}

// addHole notes that what is missing in a gap of a segment that ends with sequence last is lost in the present life. The
// slice is a new one: manifests share theirs.
func (m *manifest) addHole(g gap, last uint64) {
	if g.first != 0 && g.n == 0 { // bytes that were no entry
		return
	}
	first := g.first
	if first != 0 {
		last = first + g.n - 1
	}
	m.Holes = slices.Clone(m.Holes)
	if n := len(m.Holes); n > 0 && m.Holes[n-1].Life == m.Identity {
		h := &m.Holes[n-1]
		h.First, h.Last = min(h.First, first), max(h.Last, last)
		return
	}
	m.Holes = append(m.Holes, hole{m.Identity, first, last})
	if n := len(m.Holes); n > maxPast {
		m.Holes = m.Holes[n-maxPast:]
	}
}

// Hole reports whether entries in the middle of the log, of this node or of others, were lost before it was opened, and
// CloseHole was not called yet: nothing that it holds is surely the newest. What is lost while the log is open counts from
// the next Open on, in a new life; until then Compaction.Damaged and Read tell.
func (l *Log) Hole() bool {
	l.manMu.Lock()
	defer l.manMu.Unlock()
	return slices.ContainsFunc(l.man.Holes, func(h hole) bool { return h.Life != l.life })
}

// CloseHole notes durably that everything which was lost before Open is back.
func (l *Log) CloseHole() error {
	l.manMu.Lock()
	next := *l.man
	next.Holes = slices.DeleteFunc(slices.Clone(next.Holes), func(h hole) bool { return h.Life != l.life })
	var err error
	if len(next.Holes) != len(l.man.Holes) {
		if err = storeManifest(l.fs, &next); err == nil {
			l.man = &next
		}
	}
	l.manMu.Unlock()
	if errors.Is(err, errInDoubt) {
		l.fail(err)
	}
	return err
}

// Damage is the number of damaged places that readers of the stream, seals and compactions met since Open.
func (l *Log) Damage() int64 { return l.damage.Load() }

// note tells of damage that somebody met.
func (l *Log) note(seg *segment, g gap, consequence string) {
	l.damage.Add(1)
	l.log.Error("log is damaged", "segment", seg.name(), "offset", g.off, "bytes", g.end-g.off, "seq", g.first, "err", g.err, "consequence", consequence)
}

// leaveStream ends the stream of everything up to the end of seg, in which sequence seq at off cannot be read.
func (l *Log) leaveStream(seg *segment, off int64, seq uint64, damage error) {
	if seq <= l.streamFrom.Load() {
		return
	}
	last := seg.last.Load()
	l.manMu.Lock()
	sealed := slices.ContainsFunc(l.man.Segments, func(it segmentItem) bool { return it.ID == seg.id && it.Sealed })
	var err error
	if sealed && last > l.man.StreamFrom { // a start reads the others anyway
		next := *l.man
		next.StreamFrom = last
		if err = storeManifest(l.fs, &next); err == nil {
			l.man = &next
		}
	}
	l.manMu.Unlock()
	if errors.Is(err, errInDoubt) {
		l.fail(err)
	}
	l.mu.Lock()
	again := seq <= l.streamFrom.Load()
	l.streamFrom.Store(max(l.streamFrom.Load(), last))
	l.mu.Unlock()
	if !again {
		l.note(seg, gap{off: off, end: off, first: seq, err: damage}, "entries up to this segment's end are streamed no more: peers behind it get a snapshot")
	}
}
