package store

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// Eviction keeps the log below MaxMemory by giving up records that were not read for long. It goes through the segments in
// the order of their age, as the hand of a clock: a record that was read since the hand came by last is copied to the young
// end, the others go. One bit in the index is all that it costs.

const (
	// evictEvery is how often the room is looked at: less than what a loop fills in that time must be free.
	evictEvery = 5 * time.Millisecond
	// evictBatch is how many segments the hand passes at once, what is left of them makes one; evictMost when it lags behind.
	evictBatch, evictMost = 4, 32
	// EvictSegments is in how many segments MaxMemory should be cut at least: the ones that are being filled, prepared and
	// copied to are no room for records.
	EvictSegments = 128
)

// evictLoop makes room ahead of need.
func (s *Store) evictLoop() {
	tick := time.NewTicker(evictEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			if n%20 == 0 {
				s.byAge() // what is young must be known also while the hand rests
			}
			for s.Memory() > s.evictAbove() && s.log.Failed() == nil && s.EvictOnce() {
			}
			if p := s.refusal.Load(); p != nil && errors.Is(*p, ErrNoMemory) {
				s.judge()
			}
		}
	}
}

// evictAbove is the memory above which records go: writes must find room while the hand moves. Of nodes that follow each other
// the one with the lowest id begins, so that they do not all move their hands for the same room.
func (s *Store) evictAbove() int64 {
	most := s.MaxMemory()
	if s.gate.followedByLower(s.cfg.Node) {
		return most
	}
	return most - max(most/32, 4*s.cfg.SegmentSize)
}

// EvictOnce passes the oldest segments. It reports whether it freed anything: not while a compaction or a scan is on.
func (s *Store) EvictOnce() bool {
	if !s.scans.beginCompaction() {
		return false
	}
	defer s.scans.endCompaction()
	var ids []uint64
	live := int64(0)
	for _, id := range s.oldest() {
		// A segment that cannot be read is left to the compaction, which lets go of what is lost.
		if err := s.log.Walk(id, s.evict); err != nil {
			s.logger.Warn("evict the records of a segment", "err", err)
		}
		n := s.log.LiveOf(id)
		if live += n; live > ulog.MaxSegmentSize*7/8 && len(ids) > 0 {
			break // what is left must fit one segment
		}
		ids = append(ids, id)
	}
	return len(ids) > 0 && s.compact(ids, nil, false)
}

// oldest returns the segments that the hand passes next. What a peer still needs of the log is left alone as long as it is
// not too much: then the peer gets a snapshot.
func (s *Store) oldest() (ids []uint64) {
	sealed, old := s.byAge()
	lag := (s.Memory() - s.evictAbove()) / s.cfg.SegmentSize
	most := min(int(max(evictBatch, min(evictMost, 2*lag))), old)
	point := s.appliedPoint()
	held := int64(0)
	for _, g := range sealed {
		if g.Log && g.Last >= point {
			held += g.Size
		}
	}
	for _, g := range sealed {
		if len(ids) >= most {
			break
		}
		if g.Log && g.Last >= point {
			if held <= min(s.limits.Load().LogRetain, s.MaxMemory()/2) {
				break // going on with younger ones would take the hand round while it waits
			}
			held -= g.Size
		}
		ids = append(ids, g.ID)
	}
	return ids
}

// byAge lists the sealed segments from the oldest on. old is how many of them are no part of the young half, which is left
// alone, sealed or not: its readers must have had the time to come.
func (s *Store) byAge() (sealed []ulog.SegmentInfo, old int) {
	sealed = s.log.Sealed()
	slices.SortFunc(sealed, func(a, b ulog.SegmentInfo) int { return cmp.Compare(a.ID, b.ID) })
	old = max(0, len(sealed)-s.log.Usage().Segments/2)
	if old > 0 {
		s.youngFrom.Store(sealed[old-1].ID + 1)
	}
	return sealed, old
}

// appliedPoint is the lowest position that a peer has not applied. One that loses power may come back with less: it gets a
// snapshot.
func (s *Store) appliedPoint() uint64 {
	point := s.log.Last()
	for _, node := range s.otherMembers() {
		point = min(point, max(s.retained.of(node), s.gate.applied(node)))
	}
	return point
}

// evict gives up the record in an entry unless it was read since the hand passed it.
func (s *Store) evict(e ulog.Entry) {
	if k := e.Raw.Kind(); k != record.Value && k != record.Counter {
		return
	}
	h := s.log.Hash(e.Raw.Key())
	sh := s.shardOf(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := present{found: true, live: true, loc: e.Loc}
	e.Raw.Into(&p.rec)
	if !sh.idx.Has(h, e.Loc) || sh.idx.WasRead(h, e.Loc, false) && s.alive(&p.rec) {
		return // it counts as read until it has arrived at the young end
	}
	if s.alone() {
		s.drop(sh, h, e.Loc, &p.rec)
		s.counts.evicted.Add(1)
		return
	}
	// The other node, and a restart, must not take it for a record that is missing: it is deleted.
	var res Result
	if s.write(sh, h, &Request{Op: Delete, Key: p.rec.Key, evicts: true}, &p, &res) == nil {
		s.counts.evicted.Add(1)
	}
}

// inUse reports whether a record that another node has evicted is to stay: it was read here since the hand of this node passed
// it, or before and was kept for that, or the other node did not know it as it is.
func (s *Store) inUse(sh *shard, h uint64, p *present, r *record.Record) bool {
	if !r.Evicted || !s.cfg.Evict || !p.live {
		return false
	}
	young := s.youngFrom.Load()
	return sh.idx.WasRead(h, p.loc, true) || p.rec.Stamp != r.Replaced || young != 0 && s.log.SegmentAt(p.loc) >= young
}

// revive stores the record anew, later than its eviction; its token stays. The caller holds the shard.
func (s *Store) revive(sh *shard, h uint64, p *present, evicted *record.Record) error {
	var number [24]byte
	next := p.rec
	next.Kind, next.Value, next.Unique = record.Value, p.rec.Bytes(number[:0]), p.rec.Token()
	next.Created, next.Replaced = false, evicted.Stamp
	s.log.Lock()
	next.Stamp = s.clock.Next()
	_, loc, err := s.log.Append(&next)
	s.log.Unlock()
	if err != nil {
		return appendError(err)
	}
	s.point(sh, h, p, loc, &next, false)
	return nil
}

// alone reports that nobody else will ever see what this node holds.
func (s *Store) alone() bool { return s.cfg.InMemory && !s.cfg.AwaitPeer && len(s.otherMembers()) == 0 }

// evictPatience is how long writes wait for room once there is none.
const evictPatience = 300 * time.Millisecond

// awaitRoom waits for the hand where memory has just become short; true when there is room.
func (s *Store) awaitRoom() bool {
	for time.Since(s.refused()) < evictPatience {
		time.Sleep(evictEvery)
		if p := s.refusal.Load(); p == nil || !errors.Is(*p, ErrNoMemory) {
			return true
		}
	}
	return false
}

// refused is when the refusal of writes began.
func (s *Store) refused() time.Time {
	s.judging.Lock()
	defer s.judging.Unlock()
	return s.refusedAt
}
