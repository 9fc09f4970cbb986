package store

import (
	"errors"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

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
	if err := s.gate.admit(req.Level); err != nil {
		return err
	}
	h := s.log.Hash(req.Key)
	sh := s.shardOf(h)
	sh.mu.Lock()
	var p present
	err := errFlushed
	for err == errFlushed {
		s.look(sh, h, req.Key, &p)
		if err = req.evaluate(&p, s.cfg.MaxValue); err == nil {
			err = s.write(sh, h, req, &p, res)
		}
	}
	sh.mu.Unlock()
	if cap(req.scratch) > maxScratch {
		req.scratch = nil
	}
	return err
}

// maxScratch is what a Request may keep of the memory in which a value was composed.
const maxScratch = 64 << 10

// errFlushed says that a flush came between the look at a record and the stamp of what follows from it.
var errFlushed = errors.New("record was flushed")

func (s *Store) look(sh *shard, h uint64, key []byte, p *present) {
	*p = present{}
	p.loc, p.found = sh.idx.Find(h, key)
	switch {
	case !p.found:
	case s.at(PartOf(h), p.loc, &p.rec):
		p.live = s.alive(&p.rec)
	default:
		p.spoilt = true
	}
}

// write stamps and appends.
func (s *Store) write(sh *shard, h uint64, req *Request, p *present, res *Result) error {
	next := req.compose(p, s.bounds())
	s.log.Lock()
	if p.live && p.rec.DeadBelow(hlc.Stamp(s.floors.active.Load())) {
		s.log.Unlock()
		return errFlushed
	}
	next = req.sign(p, next, record.Author{Stamp: s.clock.Next(), Epoch: s.epoch}, res)
	seq, loc, err := s.log.Append(&next)
	s.log.Unlock()
	if err != nil {
		return appendError(err)
	}
	if next.Kind == record.Counter {
		req.scratch = next.Value
	}
	s.point(sh, h, p, loc, &next, p.live && req.keepsValue())
	if (req.Op == Touch || req.Vivify) && !req.Unread {
		sh.idx.MarkRead(h, loc)
	}
	res.Seq, res.Token, res.Expires, res.Fresh = seq, next.Token(), next.Expires, !p.live
	res.Size = len(next.Value)
	return nil
}

// point makes the entry at loc the record of its key and keeps the books. keep says that readers know the record already.
func (s *Store) point(sh *shard, h uint64, p *present, loc uint64, next *record.Record, keep bool) {
	if p.found {
		if !sh.idx.Replace(h, p.loc, loc, keep) {
			panic("store: index lost a record under its lock")
		}
		if p.spoilt { // what it was is not known: a plain record, most likely
			s.items.Add(-1)
		} else {
			s.log.AddLive(p.loc, -int64(p.rec.Size()))
			s.count(p.rec.Kind, -1)
			s.tally(h, &p.rec, -1)
		}
	} else {
		sh.idx.Add(h, loc)
	}
	s.log.AddLive(loc, int64(next.Size()))
	s.count(next.Kind, 1)
	s.tally(h, next, 1)
}

func (s *Store) count(k record.Kind, n int64) {
	if k == record.Tombstone {
		s.tombs.Add(n)
	} else {
		s.items.Add(n)
	}
}
