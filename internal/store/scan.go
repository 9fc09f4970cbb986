package store

import (
	"sync"

	"github.com/futago/futago/internal/record"
)

// ScanParts is the number of parts that ScanPart divides the records into.
const ScanParts = shardCount

// scanState keeps compaction and scans apart: a compaction would move what a scan has listed.
type scanState struct {
	mu        sync.Mutex
	idle      sync.Cond // no compaction runs
	scans     int
	compacts  bool
	interrupt bool // the running compaction must stop: a scan waits, or the store closes
}

// BeginScan keeps compaction away until EndScan; it waits for a running one to stop.
func (s *Store) BeginScan() {
	c := &s.scans
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scans++
	for c.compacts {
		c.interrupt = true
		c.idle.Wait()
	}
}

// EndScan ends what BeginScan began.
func (s *Store) EndScan() {
	s.scans.mu.Lock()
	s.scans.scans--
	s.scans.mu.Unlock()
}

func (c *scanState) beginCompaction() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.scans > 0 || c.interrupt || c.compacts {
		return false
	}
	c.compacts = true
	return true
}

func (c *scanState) endCompaction() {
	c.mu.Lock()
	c.compacts, c.interrupt = false, false
	c.idle.Broadcast()
	c.mu.Unlock()
}

func (c *scanState) interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupt
}

func (c *scanState) abort() {
	c.mu.Lock()
	c.interrupt = true
	c.mu.Unlock()
}

// ScanPart calls f with every record, tombstones included, that part (0 <= part < ScanParts) held at some moment of the
// call; a record that changes meanwhile comes in its old or its new state. The record is valid during the call of f
// only, and f must not block: collect in it. flush is called between, without a lock, and may block; it returns false to
// stop. The caller is between BeginScan and EndScan.
func (s *Store) ScanPart(part int, f func(r *record.Record) (full bool), flush func() bool) bool {
	sh := &s.shards[part]
	sh.mu.Lock()
	locs := make([]uint64, 0, sh.idx.Len())
	sh.idx.Each(func(loc uint64) bool { locs = append(locs, loc); return true })
	sh.mu.Unlock()
	var r record.Record
	for len(locs) > 0 {
		full := false
		sh.mu.Lock()
		for len(locs) > 0 && !full {
			// The entry stays readable when the key moved on: nothing is compacted meanwhile.
			if s.at(part, locs[0], &r) {
				full = f(&r)
			}
			locs = locs[1:]
		}
		sh.mu.Unlock()
		if full && !flush() {
			return false
		}
	}
	return flush()
}

// Items is the number of records, deleted ones included.
func (s *Store) Items() int64 { return s.items.Load() + s.tombs.Load() }

// PartOf is the part that ScanPart finds a hash of the log in.
func PartOf(h uint64) int { return int(h >> 54) }
