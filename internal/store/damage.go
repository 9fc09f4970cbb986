package store

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/futago/futago/internal/record"
)

// A record whose entry the disk spoiled is never served and never sent. Its part of the keys is asked from the peers, whose
// records replace it; until then operations on its key fail with ErrDamaged, but for those that need not know it.

// damages are parts of the store in which an entry could not be read.
type damages struct {
	any   atomic.Bool // there are parts
	mu    sync.Mutex
	parts map[int]bool
}

// missing reports whether records of a part were lost and are not given back yet.
func (s *Store) missing(part int) bool {
	d := &s.damages
	if !d.any.Load() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.parts[part]
}

var errLetGo = errors.New("a segment with damage was compacted")

// at reads the record at loc of a part; false when the disk spoiled it. The record is valid while the caller holds the shard.
func (s *Store) at(part int, loc uint64, r *record.Record) bool {
	raw, err := s.log.Read(loc)
	if err != nil {
		s.noteDamage(part, err)
		return false
	}
	raw.Into(r)
	return true
}

// noteDamage asks for a part, once until it came.
func (s *Store) noteDamage(part int, err error) {
	d := &s.damages
	d.mu.Lock()
	known := d.parts[part]
	d.parts[part] = true
	d.any.Store(true)
	d.mu.Unlock()
	if known {
		return
	}
	s.counts.damaged.Add(1)
	s.digests.spoil()
	s.logger.Error("a record is damaged on the disk: asking the peer for it", "err", err)
	if s.cfg.Damaged != nil {
		go s.cfg.Damaged(part) // the caller holds the shard
	}
}

// Damaged lists the parts that a peer must give back.
func (s *Store) Damaged() (parts []int) {
	d := &s.damages
	d.mu.Lock()
	defer d.mu.Unlock()
	for part := range d.parts {
		parts = append(parts, part)
	}
	return parts
}

// Mended ends the damage in a part: a peer has given back what it has of it. What still cannot be read was here alone, and
// is lost.
func (s *Store) Mended(part int) {
	d := &s.damages
	d.mu.Lock()
	known := d.parts[part]
	d.mu.Unlock()
	if !known {
		return
	}
	s.BeginScan()
	defer s.EndScan()
	sh := &s.shards[part]
	sh.mu.Lock()
	var spoiled []uint64
	sh.idx.Each(func(loc uint64) bool {
		if !s.log.Intact(loc) {
			spoiled = append(spoiled, loc)
		}
		return true
	})
	for _, loc := range spoiled {
		sh.idx.DropIn(loc, loc)
		s.items.Add(-1)
	}
	sh.mu.Unlock()
	d.mu.Lock()
	delete(d.parts, part)
	d.any.Store(len(d.parts) > 0)
	d.mu.Unlock()
	s.digests.spoil()
	if len(spoiled) > 0 {
		s.counts.lost.Add(int64(len(spoiled)))
		s.logger.Error("records are lost: the disk spoiled them and the peer does not have them", "items", len(spoiled))
	}
}

// letGo drops what the index has in a stretch of the log that goes without being copied.
func (s *Store) letGo(first, last uint64) {
	for part := range s.shards {
		sh := &s.shards[part]
		sh.mu.Lock()
		n := sh.idx.DropIn(first, last)
		sh.mu.Unlock()
		if n > 0 {
			s.items.Add(-int64(n))
			s.noteDamage(part, errLetGo)
		}
	}
}

// Whole reports whether nothing is known to be missing here: only then may a peer take what this node lacks for forgotten.
func (s *Store) Whole() bool {
	d := &s.damages
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.parts) == 0 && !s.log.Hole()
}
