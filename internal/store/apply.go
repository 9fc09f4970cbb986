package store

import (
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// Feed says how foreign records come.
type Feed struct {
	// Stream is the node whose log they are, in its order: what is dropped may be a conflict. 0 is a copy of what a peer
	// holds, whole or in part: all of it may have been here before.
	Stream int
}

// Apply merges records that a peer sent, in the order given. It returns how many changed something here. A
// *hlc.DriftError stops it before the record whose stamp is refused; the ones before it are applied.
func (s *Store) Apply(recs []record.Record, feed Feed) (changed int, err error) {
	for i := range recs {
		if i%MostWarm == 0 {
			s.warmRecords(recs[i:])
		}
		ok, err := s.apply(&recs[i], feed)
		if err != nil {
			return changed, err
		}
		if ok {
			changed++
		}
	}
	return changed, nil
}

func (s *Store) apply(r *record.Record, feed Feed) (bool, error) {
	if s.log.Failed() != nil {
		return false, ErrReadOnly
	}
	if r.Kind == record.Mark {
		return false, nil // bookkeeping of another log
	}
	var refused error
	r.Stamps(func(st hlc.Stamp) {
		if err := s.observe(st); err != nil {
			refused = err
		}
	})
	if refused != nil {
		return false, refused
	}
	switch {
	case r.Kind == record.Floor:
		return s.applyFloor(r)
	case r.Kind == record.Member:
		return s.applyMember(r)
	case len(r.Key) == 0:
		return false, ErrKey
	}
	h := s.log.Hash(r.Key)
	sh := s.shardOf(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var p present
	s.look(sh, h, r.Key, &p)
	if p.spoilt && feed.Stream != 0 { // it may be older than what cannot be read: what the peer holds comes
		return false, nil
	}
	b := s.bounds()
	if feed.Stream == 0 && s.missing(PartOf(h)) { // it is not held because it cannot be read any more
		b.horizon = 0
	}
	next, v := b.accept(&p, r)
	if p.found && !p.spoilt && record.Impossible(&p.rec, r) {
		s.counts.impossible.Add(1)
		s.logger.Error("two records share a stamp but differ: was a data folder copied?", "stamp", r.Stamp, "node", r.Stamp.Node())
	}
	if feed.Stream != 0 {
		if (v == lost || v == replace) && !r.Evicted && !p.rec.Evicted && s.conflicting(&p.rec, r, v == lost) {
			s.noteConflict(&p.rec, r, v == lost)
		}
		r.Stamps(func(st hlc.Stamp) {
			if st.Node() == feed.Stream {
				s.Cover(feed.Stream, st)
			}
		})
	}
	if v != merged && v != replace {
		return false, nil
	}
	if s.inUse(sh, h, &p, r) {
		return true, s.revive(sh, h, &p, r)
	}
	return true, s.put(sh, h, &p, &next)
}

// put appends a record that has its stamp and makes it the one of its key; the caller holds the shard.
func (s *Store) put(sh *shard, h uint64, p *present, next *record.Record) error {
	s.log.Lock()
	_, loc, err := s.log.Append(next)
	s.log.Unlock()
	if err != nil {
		return appendError(err)
	}
	s.point(sh, h, p, loc, next, false)
	return nil
}

// Seen are the records of some ranges that a peer's copy had, by the hash that this node's log gives their keys.
type Seen map[uint64]struct{}

// See notes the records of a copy.
func (s *Store) See(seen Seen, recs []record.Record) {
	for i := range recs {
		if k := recs[i].Kind; k == record.Value || k == record.Counter || k == record.Tombstone {
			seen[s.log.Hash(recs[i].Key)] = struct{}{}
		}
	}
}

// RemoveUnseen deletes, in the part of a copy that is complete, what the peer has forgotten: the records that it lacked and
// that are wholly at or below its horizon. Whatever the peer had of them it got from the same place as this node, and
// deleted since. in says which records the copy was of, nil means all of the part.
func (s *Store) RemoveUnseen(part int, seen Seen, horizon hlc.Stamp, in func(r *record.Record) bool) (removed int, err error) {
	s.BeginScan()
	defer s.EndScan()
	s.eachLoc(part, func(loc uint64, r *record.Record) {
		if err != nil || !removable(r, horizon) || in != nil && !in(r) {
			return
		}
		h := s.log.Hash(r.Key)
		if _, ok := seen[h]; ok {
			return
		}
		p := present{found: true, loc: loc, rec: *r}
		next := removal(r, horizon)
		if err = s.put(s.shardOf(h), h, &p, &next); err == nil {
			removed++
		}
	})
	return removed, err
}
