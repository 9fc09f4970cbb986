package ulog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Recovery receives what an opened log holds.
type Recovery struct {
	// Opened is called first: the log can already be read at the locations that follow.
	Opened func(l *Log)
	// Reserve tells how many keys Hint will bring whose hash has these highest six bits, just before, from the same goroutine.
	Reserve func(first6, n int)
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
		kick: make(chan struct{}, 1), spares: make(keeper, 1), seals: make(keeper, 1), stop: make(chan struct{})}
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
	l.done.Add(3)
	go l.keep(l.spares, l.makeSpare)
	go l.keep(l.seals, l.sealDue)
	if cfg.Policy == Always {
		go l.commitLoop()
	} else {
		go l.syncLoop()
	}
	return l, nil
}

func (l *Log) open(rec Recovery) (err error) {
	defer func(before bool) {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			err = l.faultAt(p)
		}
	}(debug.SetPanicOnFault(true))
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
	if !intact && l.cut == nil || slices.ContainsFunc(l.man.Holes, func(h hole) bool { return h.Life == l.life }) {
		l.newLife()
	}
	l.man.Clean, l.man.Boot = false, l.fs.Boot()
	if err := storeManifest(l.fs, l.man); err != nil {
		return err
	}
	l.findLastCRC()
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
func (l *Log) findLastCRC() {
	if l.lastCRC != 0 {
		return
	}
	for _, seg := range slices.Backward(l.chain) {
		if seg.last.Load() != l.last.Load() {
			break
		}
		if seg.used.Load() > segmentHeader { // a cut may have left nothing of the newest
			last := seg.last.Load()
			seg.walk(l.sums, noHint, func(e Entry, _ int64) error {
				if e.Seq == last {
					l.lastCRC = e.CRC
				}
				return nil
			}, func(gap) error { return nil }) // whoever reads there finds the damage
			return
		}
	}
}

func (l *Log) newManifest() (*manifest, error) {
	if err := noManifest(l.fs); err != errNoManifest {
		return nil, err
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
	l.man.newLife(l.last.Load())
	l.life = l.man.Identity
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
