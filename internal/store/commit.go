package store

import (
	"errors"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// present is what Commit found under a key.
type present struct {
	found bool          // there is a record, live or not
	live  bool          // clients see it
	loc   uint64        // of it
	rec   record.Record // in place
}

// Commit evaluates one operation of a client on the current record, stamps it, appends it to the log and points the
// index at it, all under the shard lock of the key. It never waits for disk or peer: call Flush after a round, then ask
// Passed(res.Seq). An error means that nothing changed.
func (s *Store) Commit(req *Request, res *Result) error {
	*res = Result{}
	if len(req.Key) == 0 || len(req.Key) > record.MaxKey {
		return ErrKey
	}
	if int64(len(req.Value)) > s.cfg.MaxValue || len(req.Type) > record.MaxType {
		return ErrTooLarge
	}
	if err := s.writable(req.Op == Delete); err != nil {
		return err
	}
	h := s.log.Hash(req.Key)
	sh := s.shardOf(h)
	sh.mu.Lock()
	var p present
	err := errFlushed
	for err == errFlushed {
		s.look(sh, h, req.Key, &p)
		if err = s.evaluate(req, &p); err == nil {
			err = s.write(sh, h, req, &p, res)
		}
	}
	sh.mu.Unlock()
	return err
}

// errFlushed says that a flush came between the look at a record and the stamp of what follows from it.
var errFlushed = errors.New("record was flushed")

func (s *Store) look(sh *shard, h uint64, key []byte, p *present) {
	p.loc, p.found = sh.idx.Find(h, key)
	if p.found {
		s.log.At(p.loc).Into(&p.rec)
		p.live = s.alive(&p.rec)
	}
}

// evaluate decides whether the operation applies.
func (s *Store) evaluate(req *Request, p *present) error {
	switch req.Op {
	case Add:
		if p.live {
			return ErrExists
		}
		return nil
	case Set:
		if req.CAS == 0 {
			return nil
		}
	}
	if !p.live {
		return ErrNotFound
	}
	if (req.CAS != 0 || req.Op == CAS) && req.CAS != p.rec.Token() {
		return ErrConflict
	}
	switch req.Op {
	case Append, Prepend:
		n := len(p.rec.Value)
		if p.rec.Kind == record.Counter {
			req.scratch = p.rec.AppendVisible(req.scratch[:0])
			n = len(req.scratch)
		}
		if int64(n+len(req.Value)) > s.cfg.MaxValue {
			return ErrTooLarge
		}
	case Incr, Decr:
		if _, ok := p.rec.Number(); !ok {
			return ErrNotNumeric
		}
	}
	return nil
}

// write stamps and appends. The value of a joined record is built in req.scratch.
func (s *Store) write(sh *shard, h uint64, req *Request, p *present, res *Result) error {
	next := record.Record{Kind: record.Value, Key: req.Key, Flags: req.Flags, Expires: req.Expires, Type: req.Type, Value: req.Value}
	if p.found {
		next.Replaced = p.rec.Stamp
	}
	numeric := false
	switch req.Op {
	case Add:
		next.Created, next.Replaced = true, s.absence(p)
	case Append, Prepend:
		next.Flags, next.Expires, next.Type = p.rec.Flags, p.rec.Expires, p.rec.Type
		req.join(&p.rec)
		next.Value = req.scratch
	case Delete:
		next = record.Record{Kind: record.Tombstone, Key: req.Key, Replaced: p.rec.Stamp}
	case Touch:
		_, numeric = p.rec.Number()
		next.Flags, next.Type, next.Value = p.rec.Flags, p.rec.Type, p.rec.Value
	}

	s.log.Lock()
	if p.live && p.rec.DeadBelow(hlc.Stamp(s.floors.active.Load())) {
		s.log.Unlock()
		return errFlushed
	}
	next.Stamp = s.clock.Next()
	by := record.Author{Stamp: next.Stamp, Epoch: s.epoch}
	switch {
	case req.Op == Incr || req.Op == Decr:
		next, res.Number = record.Contribute(&p.rec, by, req.Op == Incr, req.Delta, req.scratch)
	case req.Op == Touch && numeric:
		next = record.Renew(&p.rec, by, req.Expires, req.scratch)
	}
	seq, loc, err := s.log.Append(&next)
	s.log.Unlock()
	if err != nil {
		return appendError(err)
	}
	if next.Kind == record.Counter {
		req.scratch = next.Value
	}
	s.point(sh, h, p, loc, &next)
	res.Seq, res.Token, res.Fresh = seq, next.Token(), !p.live
	return nil
}

// join puts the present value and the new one together in r.scratch.
func (r *Request) join(cur *record.Record) {
	if r.Op == Append {
		r.scratch = append(cur.AppendVisible(r.scratch[:0]), r.Value...)
		return
	}
	r.scratch = cur.AppendVisible(append(r.scratch[:0], r.Value...))
}

// absence is the stamp that a creation comes right after: of the tombstone, expired record or floor that it replaces.
func (s *Store) absence(p *present) hlc.Stamp {
	floor := s.floors.current(s)
	switch {
	case !p.found:
		return floor
	case p.rec.Kind == record.Tombstone:
		return max(p.rec.Stamp, floor)
	case p.rec.DeadBelow(floor): // whether it is swept already or not
		return floor
	}
	return max(p.rec.GoneStamp(), floor)
}

// point makes the entry at loc the record of its key and keeps the books.
func (s *Store) point(sh *shard, h uint64, p *present, loc uint64, next *record.Record) {
	if p.found {
		if !sh.idx.Replace(h, p.loc, loc) {
			panic("store: index lost a record under its lock")
		}
		s.log.AddLive(p.loc, -int64(p.rec.Size()))
		s.count(p.rec.Kind, -1)
	} else {
		sh.idx.Add(h, loc)
	}
	s.log.AddLive(loc, int64(next.Size()))
	s.count(next.Kind, 1)
}

func (s *Store) count(k record.Kind, n int64) {
	if k == record.Tombstone {
		s.tombs.Add(n)
	} else {
		s.items.Add(n)
	}
}

// Apply merges records that a peer sent, in the order given. It returns how many changed something here. A
// *hlc.DriftError stops it before the record whose stamp is refused; the ones before it are applied.
func (s *Store) Apply(recs []record.Record) (changed int, err error) {
	for i := range recs {
		ok, err := s.apply(&recs[i])
		if err != nil {
			return changed, err
		}
		if ok {
			changed++
		}
	}
	return changed, nil
}

func (s *Store) apply(r *record.Record) (bool, error) {
	if s.log.Failed() != nil {
		return false, ErrReadOnly
	}
	switch {
	case r.Kind == record.Mark:
		return false, nil // bookkeeping of another log
	case r.Kind == record.Floor:
		if err := s.clock.Observe(r.Stamp); err != nil {
			return false, err
		}
		return s.applyFloor(r)
	case len(r.Key) == 0:
		return false, ErrKey
	}
	var refused error
	r.Stamps(func(st hlc.Stamp) {
		if err := s.clock.Observe(st); err != nil {
			refused = err
		}
	})
	if refused != nil {
		return false, refused
	}
	if r.DeadBelow(s.floors.current(s)) {
		return false, nil
	}
	h := s.log.Hash(r.Key)
	sh := s.shardOf(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var p present
	s.look(sh, h, r.Key, &p)
	next := *r
	if p.found {
		next = record.Merge(&p.rec, r)
		if record.Impossible(&p.rec, r) {
			s.counts.impossible.Add(1)
			s.logger.Error("two records share a stamp but differ: was a data folder copied?", "stamp", r.Stamp, "node", r.Stamp.Node())
		}
		if record.Equal(&next, &p.rec) {
			return false, nil
		}
	}
	s.log.Lock()
	_, loc, err := s.log.Append(&next)
	s.log.Unlock()
	if err != nil {
		return false, appendError(err)
	}
	s.point(sh, h, &p, loc, &next)
	return true, nil
}
