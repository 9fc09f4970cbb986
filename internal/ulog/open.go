package ulog

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Recovery receives what an opened log holds.
type Recovery struct {
	// Opened is called first: the log can already be read at the locations that follow.
	Opened func(l *Log)
	// Reserve tells how many keys Hint will bring at most.
	Reserve func(n int)
	// Hint is called once for each distinct key of the sealed segments, with its newest entry, by several goroutines; calls
	// for hashes with the same highest six bits come from one.
	Hint func(hash, loc uint64, size int64, tombstone bool)
	// Entry is called afterwards with floors and marks of sealed segments and with every entry of the others, in order of
	// sequence, by one goroutine.
	Entry func(e Entry)
}

// Open recovers the log and makes it ready for appends. A torn tail is cut, kept aside and reported by Cut; damage to
// what was durable is a *CorruptError.
func Open(cfg Config, rec Recovery) (*Log, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.SyncInterval <= 0 {
		cfg.SyncInterval = time.Second
	}
	if cfg.SegmentSize < 4096 || cfg.SegmentSize > MaxSegmentSize {
		return nil, fmt.Errorf("segment size %d: allowed is 4096 to %d", cfg.SegmentSize, MaxSegmentSize)
	}
	l := &Log{cfg: cfg, fs: cfg.FS, log: cfg.Logger,
		kick: make(chan struct{}, 1), keep: make(chan struct{}, 1), stop: make(chan struct{})}
	l.room.L, l.turn.L = &l.mu, &l.mu
	l.observe = l.origins.observe
	lock, err := l.fs.Lock()
	if err != nil {
		return nil, err
	}
	l.lock = lock
	if rec.Opened != nil {
		rec.Opened(l)
	}
	if err := l.open(rec); err != nil {
		for i := range l.slots {
			if seg := l.slots[i].Load(); seg != nil {
				seg.free()
			}
		}
		lock.Close()
		return nil, err
	}
	l.done.Add(2)
	go l.keepLoop()
	if cfg.Policy == Always {
		go l.commitLoop()
	} else {
		go l.syncLoop()
	}
	return l, nil
}

func (l *Log) open(rec Recovery) error {
	man, err := loadManifest(l.fs)
	if err != nil {
		return err
	}
	if man == nil {
		if man, err = l.newManifest(); err != nil {
			return err
		}
	}
	if man.Node != l.cfg.Node {
		return fmt.Errorf("data folder belongs to node %d, this is node %d: start it with --node %d, or with an empty folder", man.Node, l.cfg.Node, man.Node)
	}
	l.man, l.seed, l.sums, l.life = man, man.Seed, newSums(man.Seed), man.Identity
	l.streamFrom.Store(man.StreamFrom)
	if err := l.removeStrays(); err != nil {
		return err
	}
	tail, err := l.loadSealed(rec)
	if err != nil {
		return err
	}
	l.last.Store(max(l.last.Load(), man.StreamFrom)) // the newest entry of a compacted segment may have been dead
	intact := man.Clean || man.Boot != "" && man.Boot == l.fs.Boot()
	resume, err := l.recoverTail(tail, intact, rec.Entry)
	if err != nil {
		return err
	}
	if !intact && l.cut == nil {
		l.newLife()
	}
	l.man.Clean, l.man.Boot = false, l.fs.Boot()
	if err := storeManifest(l.fs, l.man); err != nil {
		return err
	}
	if err := l.findLastCRC(); err != nil {
		return err
	}
	l.renewed = len(l.man.Past) > 0
	l.written.Store(l.last.Load())
	l.durable.Store(l.last.Load())
	l.mu.Lock()
	defer l.mu.Unlock()
	if resume != nil {
		l.active, l.pending = resume, []*segment{resume}
		l.dirty = []*segment{resume} // it is sealed when it is full, even if nothing more fits
		return nil
	}
	first, err := l.createSegment(l.cfg.SegmentSize)
	if err != nil {
		return err
	}
	l.activateLocked(first)
	return nil
}

// findLastCRC reads the end of the log when no tail was scanned.
func (l *Log) findLastCRC() error {
	if l.lastCRC != 0 {
		return nil
	}
	for _, seg := range slices.Backward(l.chain) {
		if seg.last.Load() != l.last.Load() {
			break
		}
		if used := seg.used.Load(); used > segmentHeader { // a cut may have left nothing of the newest
			return l.scan(seg, used, func(e Entry, _ int64) bool { l.lastCRC = e.CRC; return true })
		}
	}
	return nil
}

func (l *Log) newManifest() (*manifest, error) {
	names, err := l.fs.List()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".log") || strings.HasSuffix(n, ".compacted") {
			return nil, fmt.Errorf("data folder has segments (%s) but no manifest: put MANIFEST back from a backup, or start with an empty folder and let the peer fill it", n)
		}
	}
	m := &manifest{Format: formatVersion, Node: l.cfg.Node, NextID: 1, Clean: true, Identity: randomIdentity()}
	var seed [8]byte
	rand.Read(seed[:])
	m.Seed = binary.LittleEndian.Uint64(seed[:])
	return m, storeManifest(l.fs, m)
}

func randomIdentity() (id Identity) {
	rand.Read(id[:])
	return id
}

// newLife begins another identity: what the old one wrote behind the present end is lost.
func (l *Log) newLife() {
	for i := range l.man.Past {
		l.man.Past[i].Last = min(l.man.Past[i].Last, l.last.Load())
	}
	l.man.Past = append(l.man.Past, pastLife{l.life, l.last.Load()})
	if n := len(l.man.Past); n > maxPast {
		l.man.Past = l.man.Past[n-maxPast:]
	}
	l.life = randomIdentity()
	l.man.Identity = l.life
}

// removeStrays deletes what a dead process left half made.
func (l *Log) removeStrays() error {
	names, err := l.fs.List()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, it := range l.man.Segments {
		known[segmentName(it.ID, it.Kind)] = true
		known[hintName(it.ID)] = true
	}
	for _, n := range names {
		stray := strings.HasSuffix(n, ".tmp") || !known[n] && (strings.HasSuffix(n, ".log") || strings.HasSuffix(n, ".compacted") || strings.HasSuffix(n, ".hint"))
		if stray {
			if err := l.fs.Remove(n); err != nil {
				return fmt.Errorf("remove stray file: %w", err)
			}
		}
	}
	return nil
}

// place opens a segment of the manifest in a free slot.
func (l *Log) place(it segmentItem) (*segment, error) {
	seg, err := openSegment(l.fs, it.ID, it.Kind)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errNoHeader) {
		return nil, &CorruptError{Segment: segmentName(it.ID, it.Kind), Seq: it.First, Err: err}
	}
	if err != nil {
		return nil, err
	}
	if seg.size < max(it.Size, it.Used) || it.Sealed && it.Used < segmentHeader {
		seg.free()
		return nil, &CorruptError{Segment: segmentName(it.ID, it.Kind), Offset: seg.size, Err: fmt.Errorf("file has %d bytes of %d", seg.size, max(it.Size, it.Used))}
	}
	seg.slot = l.freeSlot()
	if seg.slot < 0 {
		return nil, errSlots
	}
	seg.readers.Store(1)
	l.slots[seg.slot].Store(seg)
	return seg, nil
}

// adopt makes a scanned or hinted segment part of the log.
func (l *Log) adopt(seg *segment, used int64, first, last uint64) {
	seg.first = first
	seg.used.Store(used)
	seg.written.Store(seg.size) // all of it is read from data
	seg.last.Store(last)
	seg.synced = used
	if seg.kind == kindLog {
		l.chain = append(l.chain, seg)
	}
	l.last.Store(max(l.last.Load(), last))
}

// recoverTail scans the segments without a seal. It returns the one that appends may go on in, nil for none.
func (l *Log) recoverTail(tail []*segment, intact bool, visit func(Entry)) (*segment, error) {
	var used, spares []*segment
	headless := map[*segment]error{}
	next := l.last.Load() + 1
	for _, seg := range tail {
		first, written, err := readSegmentHeader(seg.data, seg.kind, seg.id)
		if err == nil && !written {
			if isZero(seg.data) {
				spares = append(spares, seg)
				continue
			}
			err = errNoHeader
		}
		if err != nil {
			headless[seg] = err
			first = l.sums.firstSequence(seg.data[segmentHeader:], next)
		}
		seg.first = first
		used = append(used, seg)
	}
	// An empty segment begins with the same sequence as the one that was made after it for a large entry.
	slices.SortFunc(used, func(a, b *segment) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.id, b.id)) })
	kept, err := l.recoverUsed(used, headless, intact, visit)
	if err != nil {
		return nil, err
	}
	for _, seg := range spares {
		if err := l.drop(seg); err != nil {
			return nil, err
		}
	}
	return l.settleTail(kept, intact)
}

// recoverUsed reads the segments in order up to the first damage, and cuts there. It returns those that stay. headless
// are the ones without a good header, with the reason.
func (l *Log) recoverUsed(used []*segment, headless map[*segment]error, intact bool, visit func(Entry)) (kept []*segment, err error) {
	for i, seg := range used {
		next, damage := l.last.Load()+1, headless[seg]
		switch {
		case damage != nil && intact, seg.first < next: // the second is sealed already in part: no crash does that
			return nil, &CorruptError{Segment: seg.name(), Seq: next, Err: cmp.Or(damage, fmt.Errorf("segment begins with sequence %d", seg.first))}
		case damage == nil && seg.first > next:
			damage = fmt.Errorf("segment begins with sequence %d", seg.first)
		}
		if damage != nil {
			return used[:i], l.cutTail(used[i:], segmentHeader, intact, damage)
		}
		end, damage := l.recoverSegment(seg, visit)
		if damage != nil {
			return used[:i+1], l.cutTail(used[i:], end, intact, damage)
		}
	}
	return used, nil
}

// recoverSegment reads the good entries from the start. damage says why it ended before an empty rest.
func (l *Log) recoverSegment(seg *segment, visit func(Entry)) (end int64, damage error) {
	end = segmentHeader
	next := seg.first
	// The entries must be readable through the slot while visit indexes them.
	seg.written.Store(seg.size)
	for end < seg.size {
		b, err := l.sums.checkEntry(seg.data[end:])
		if b == nil && err == nil {
			if !isZero(seg.data[end:]) {
				damage = fmt.Errorf("a hole of zeros with data behind it")
			}
			break
		}
		if err != nil {
			damage = err
			break
		}
		e := entryOf(b, seg.loc(end))
		if e.Seq != next {
			damage = fmt.Errorf("sequence %d where %d belongs", e.Seq, next)
			break
		}
		visit(e)
		l.lastCRC = e.CRC
		e.Raw.Into(&l.scratch)
		l.scratch.Stamps(l.observe)
		next++
		end += e.Size()
	}
	l.adopt(seg, end, seg.first, next-1)
	return end, damage
}

// cutTail removes everything from end of the first segment on, when it may: what was provably durable must not be cut.
// The first segment stays when it has entries.
func (l *Log) cutTail(rest []*segment, end int64, intact bool, damage error) error {
	seg, next := rest[0], l.last.Load()+1
	durable, follows := uint64(0), false
	for i, s := range rest {
		from := int64(segmentHeader)
		if i == 0 {
			from = end
		}
		d, f := l.sums.provablyDurable(s.data[from:], next)
		durable, follows = max(durable, d), follows || f
	}
	if next <= durable || intact && follows {
		return &CorruptError{Segment: seg.name(), Offset: end, Seq: next, Err: damage}
	}
	l.cut = &Cut{Segment: seg.name(), Offset: end, After: next - 1}
	for i, s := range rest {
		from := int64(0)
		if i == 0 {
			from = end
		}
		kept := fmt.Sprintf("cut-%s-%d", s.name(), from)
		l.fs.Remove(kept)
		if err := writeFile(l.fs, kept, s.data[from:]); err != nil {
			return fmt.Errorf("keep the cut tail: %w", err)
		}
		l.cut.Kept = append(l.cut.Kept, kept)
		l.cut.Bytes += s.size - from
	}
	// The new life is recorded before the first byte is removed: a position in the cut part is never valid again.
	l.newLife()
	if err := storeManifest(l.fs, l.man); err != nil {
		return err
	}
	l.log.Warn("torn end of the log was cut", "segment", seg.name(), "offset", end, "after", next-1, "kept", l.cut.Kept, "err", damage)
	if seg.used.Load() != 0 {
		if _, err := seg.file.WriteAt(make([]byte, seg.size-end), end); err != nil {
			return fmt.Errorf("clear the cut tail of %s: %w", seg.name(), err)
		}
		if !seg.mapped {
			clear(seg.data[end:])
		}
		rest = rest[1:]
	}
	for _, s := range rest {
		if err := l.drop(s); err != nil {
			return err
		}
	}
	return nil
}

// provablyDurable searches b, behind a bad entry, for good ones: the highest position that they prove to have been
// durable, and whether one of sequence next or later is there at all.
func (k sums) provablyDurable(b []byte, next uint64) (durable uint64, follows bool) {
	k.search(b, next, func(e Entry) bool {
		follows = true
		if e.Distance != distanceMax {
			durable = max(durable, e.Seq-min(e.Seq, uint64(e.Distance)*distanceUnit))
		}
		return true
	})
	return durable, follows
}

// firstSequence is the sequence of the first good entry in b, the rest of a segment without a header, from next on.
func (k sums) firstSequence(b []byte, next uint64) uint64 {
	first := uint64(math.MaxUint64)
	k.search(b, next, func(e Entry) bool {
		first = e.Seq
		return false
	})
	return first
}

// maxTail bounds how many entries can follow the last good one: all segments full of the smallest.
const maxTail = maxSlots * (MaxSegmentSize / minEntry)

// search calls f with the good entries of b from sequence next on, wherever they begin, while f returns true. Entries of
// older lives are passed over.
func (k sums) search(b []byte, next uint64, f func(e Entry) bool) {
	for off := int64(0); off+minEntry <= int64(len(b)); off += entryAlign {
		// The sequence first: a checksum at every offset would take hours in data that look like sizes.
		if seq := binary.LittleEndian.Uint64(b[off+8:]); seq < next || seq-next > maxTail {
			continue
		}
		entry, err := k.checkEntry(b[off:])
		if entry == nil || err != nil {
			continue
		}
		e := entryOf(entry, 0)
		if !f(e) {
			return
		}
		off += e.Size() - entryAlign
	}
}

// settleTail syncs and seals the scanned segments; the last one may take further appends when it has room.
func (l *Log) settleTail(used []*segment, intact bool) (*segment, error) {
	for i, seg := range used {
		if err := seg.file.Sync(); err != nil {
			return nil, fmt.Errorf("sync segment %s: %w", seg.name(), err)
		}
		resumable := i == len(used)-1 && l.cut == nil && intact && seg.size <= l.cfg.SegmentSize
		if resumable {
			if err := l.reopen(seg); err != nil {
				return nil, err
			}
			return seg, nil
		}
		if err := l.seal(seg); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// reopen gives a recovered segment an append buffer again.
func (l *Log) reopen(seg *segment) error {
	buf, err := unix.Mmap(-1, 0, int(seg.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("take %d bytes of memory: %w", seg.size, err)
	}
	seg.buf = buf
	if !seg.mapped {
		copy(buf, seg.data)
		seg.data = buf
	}
	seg.released = 0
	seg.written.Store(seg.used.Load())
	return nil
}

// drop removes an unused segment from slots and manifest; the caller stores the manifest later.
func (l *Log) drop(seg *segment) error {
	l.slots[seg.slot].Store(nil)
	l.man.Segments = slices.DeleteFunc(l.man.Segments, func(it segmentItem) bool { return it.ID == seg.id })
	name := seg.name()
	seg.free()
	// The file goes only after no manifest names it.
	if err := storeManifest(l.fs, l.man); err != nil {
		return err
	}
	return l.fs.Remove(name)
}

func isZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Close flushes, syncs and marks the log as closed in order. Appends fail from then on.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.room.Broadcast()
	l.mu.Unlock()
	close(l.stop)
	l.done.Wait()
	l.Flush()
	err := l.Failed()
	if err == nil {
		err = l.Sync()
	}
	if err == nil {
		l.sealDue()
		l.manMu.Lock()
		next := *l.man
		next.Clean = true
		err = storeManifest(l.fs, &next)
		l.manMu.Unlock()
	}
	for i := range l.slots {
		if seg := l.slots[i].Load(); seg != nil {
			seg.retire()
		}
	}
	return errors.Join(err, l.lock.Close())
}
