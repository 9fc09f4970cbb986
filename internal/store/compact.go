package store

import (
	"sync"
	"time"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// retention knows how far each peer has durably followed this log, and who else needs it.
type retention struct {
	mu       sync.Mutex
	peers    map[int]uint64
	readings map[*Reading]struct{}
	kept     kept
}

// expectKnown keeps the log for the members that it knows, until they say what they have.
func (s *Store) expectKnown() {
	for _, node := range s.otherMembers() {
		s.retained.add(node)
	}
}

// add makes a peer known.
func (r *retention) add(peer int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers == nil {
		r.peers = map[int]uint64{}
	}
	if _, ok := r.peers[peer]; !ok {
		r.peers[peer] = 0
	}
}

// of is the position that a peer durably holds.
func (r *retention) of(peer int) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[peer]
}

// Retain tells that a peer durably holds this log up to seq.
func (s *Store) Retain(peer int, seq uint64) {
	s.retained.add(peer)
	s.retained.mu.Lock()
	defer s.retained.mu.Unlock()
	s.retained.peers[peer] = max(s.retained.peers[peer], seq)
}

// Release ends what Retain has begun: nothing is kept for the peer.
func (s *Store) Release(peer int) {
	s.retained.mu.Lock()
	defer s.retained.mu.Unlock()
	delete(s.retained.peers, peer)
}

// retentionPoint is the lowest position that a peer or another reader still needs.
func (s *Store) retentionPoint() uint64 {
	s.retained.mu.Lock()
	defer s.retained.mu.Unlock()
	point := s.log.Last()
	for peer, seq := range s.retained.peers {
		if m, ok := s.Member(peer); !ok || !m.Gone {
			point = min(point, seq)
		}
	}
	if s.cfg.InMemory || s.cfg.Evict { // memory is for records
		return point
	}
	return s.retained.readersPointLocked(point, s.clock.Now())
}

const (
	// compactFrom is the live share below which a segment is worth copying: above, copying costs more than it frees.
	compactFrom = 0.5
	// compactBatch bounds the segments of one compaction.
	compactBatch = 8
)

// compactLoop rewrites segments whose dead share is high.
func (s *Store) compactLoop() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			if s.forgetDue() {
				s.ForgetOnce()
			}
			for s.log.Failed() == nil && s.CompactOnce() {
			}
		}
	}
}

// CompactOnce copies the live entries of the segments that are worth it most. It reports whether it freed anything: not
// while another compaction or a scan is on.
func (s *Store) CompactOnce() bool {
	if !s.scans.beginCompaction() {
		return false
	}
	defer s.scans.endCompaction()
	ids := s.victims()
	if len(ids) == 0 {
		return false
	}
	return s.compact(ids, &pacer{rate: s.compactRate(), start: time.Now()}, true)
}

// compact copies what is live in the segments; true when it was finished. Without a pace it does so at once. keep says that
// what was read still counts as read. The caller has begun a compaction.
func (s *Store) compact(ids []uint64, pace *pacer, keep bool) bool {
	finished := true
	err := s.log.Compact(ids, ulog.Compaction{
		Live:    s.isLive,
		Indexed: s.isIndexed,
		Moved:   func(raw record.Raw, old, new uint64) bool { return s.moved(raw, old, new, keep) },
		Damaged: s.letGo,
		Hurry:   pace == nil || pace.rate > s.limits.Load().CompactRate,
		Pace: func(n int64) bool {
			if pace != nil {
				pace.wait(n)
			}
			select {
			case <-s.stop:
				finished = false
			default:
				finished = finished && !s.scans.interrupted()
			}
			return finished
		},
	})
	if err != nil {
		s.logger.Error("compaction stopped", "err", err)
		s.counts.compactFailed.Add(1)
		return false
	}
	if finished {
		s.counts.compactions.Add(1)
	}
	return finished
}

// compactRate is the configured rate, and more when the log outgrows its promise of twice the live data.
func (s *Store) compactRate() int64 {
	u := s.log.Usage()
	room := 2*u.Live + 4*s.cfg.SegmentSize
	switch {
	case u.Bytes > 2*room:
		return 16 * s.limits.Load().CompactRate
	case u.Bytes > room:
		return 4 * s.limits.Load().CompactRate
	}
	return s.limits.Load().CompactRate
}

// victims picks segments with the least live share that fit one output, behind the retention point; beyond LogRetain the
// point is given up, and the peer that needed it gets a snapshot.
func (s *Store) victims() []uint64 {
	sealed := s.log.Sealed()
	point := s.retentionPoint()
	held := int64(0) // log that is kept for a peer
	for _, g := range sealed {
		if g.Log && g.Last >= point {
			held += g.Size
		}
	}
	var ids []uint64
	room, freed, live := s.cfg.SegmentSize*7/8, int64(0), int64(0)
	for _, g := range sealed {
		if float64(g.Live) > compactFrom*float64(g.Size) || len(ids) == compactBatch {
			break
		}
		if g.Log && g.Last >= point && held <= s.limits.Load().LogRetain {
			continue
		}
		if g.Live > room && len(ids) > 0 {
			continue
		}
		if g.Log && g.Last >= point {
			s.logger.Warn("log is kept no longer for a peer or backup that is behind: it will be a full copy", "segment", g.ID, "seq", g.Last, "retained", s.limits.Load().LogRetain)
			held -= g.Size
		}
		room -= g.Live
		freed, live = freed+g.Size, live+g.Live
		ids = append(ids, g.ID)
	}
	// A small output is mostly spare room: copying it again would never end.
	if freed <= s.log.CompactedSize(live) {
		return nil
	}
	return ids
}

// isLive reports whether the log entry is what the index, the floors or the marks point to.
func (s *Store) isLive(e ulog.Entry) bool {
	switch e.Raw.Kind() {
	case record.Floor:
		s.floors.mu.Lock()
		defer s.floors.mu.Unlock()
		for _, f := range s.floors.list {
			if f.loc == e.Loc {
				return true
			}
		}
		return false
	case record.Mark:
		s.marks.mu.Lock()
		defer s.marks.mu.Unlock()
		return s.marks.all[string(e.Raw.Key())].loc == e.Loc
	case record.Member:
		s.members.mu.Lock()
		defer s.members.mu.Unlock()
		for _, m := range s.members.all {
			if m.loc == e.Loc {
				return true
			}
		}
		return false
	}
	return s.isIndexed(s.log.Hash(e.Raw.Key()), e.Loc)
}

func (s *Store) isIndexed(h, loc uint64) bool {
	sh := s.shardOf(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.idx.Has(h, loc)
}

// moved points whatever pointed to old to new.
func (s *Store) moved(raw record.Raw, old, new uint64, keep bool) bool {
	switch raw.Kind() {
	case record.Floor:
		s.floors.mu.Lock()
		defer s.floors.mu.Unlock()
		for i := range s.floors.list {
			if s.floors.list[i].loc == old {
				s.floors.list[i].loc = new
				return true
			}
		}
		return false
	case record.Mark:
		s.marks.mu.Lock()
		defer s.marks.mu.Unlock()
		m, name := s.marks.all[string(raw.Key())], string(raw.Key())
		if m.loc != old {
			return false
		}
		m.loc = new
		s.marks.all[name] = m
		return true
	case record.Member:
		s.members.mu.Lock()
		defer s.members.mu.Unlock()
		for node, m := range s.members.all {
			if m.loc == old {
				m.loc = new
				s.members.all[node] = m
				return true
			}
		}
		return false
	}
	h := s.log.Hash(raw.Key())
	sh := s.shardOf(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.idx.Replace(h, old, new, keep) {
		return false
	}
	s.log.AddLive(old, -int64(len(raw)))
	s.log.AddLive(new, int64(len(raw)))
	return true
}

// pacerStep is after how many bytes a pacer sleeps: a fraction of a millisecond of work, or others would wait for the processor.
const pacerStep = 64 << 10

// pacer slows a reader down to a rate.
type pacer struct {
	rate  int64 // bytes a second
	start time.Time
	done  int64
	slept int64
}

func (p *pacer) wait(n int64) {
	p.done += n
	if p.done-p.slept < pacerStep {
		return
	}
	p.slept = p.done
	due := time.Duration(float64(p.done) / float64(p.rate) * float64(time.Second))
	time.Sleep(due - time.Since(p.start))
}
