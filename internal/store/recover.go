package store

import (
	"bytes"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// reserve sizes the shards of hashes with these first six bits before their hints come.
func (s *Store) reserve(first6, n int) {
	const each = shardCount / 64
	for i := first6 * each; i < (first6+1)*each; i++ {
		s.shards[i].idx.Reserve(n / each)
	}
}

// recoverHint takes one key of the sealed segments. Hashes with the same six first bits come from one goroutine, so a
// shard (ten bits) has one writer.
func (s *Store) recoverHint(hash, loc uint64, size int64, tombstone bool) {
	s.shardOf(hash).idx.Add(hash, loc)
	if tombstone {
		s.tombs.Add(1)
	} else {
		s.items.Add(1)
	}
}

// recoverEntry takes an entry of the tail, or a floor or mark: the higher sequence wins, always, for log order is apply
// order.
func (s *Store) recoverEntry(e ulog.Entry) {
	var r record.Record
	e.Raw.Into(&r)
	switch r.Kind {
	case record.Floor:
		s.recoverFloor(&r, e.Loc)
		return
	case record.Member:
		s.recoverMember(&r, e.Loc)
		return
	case record.Mark:
		s.marks.all[string(r.Key)] = mark{bytes.Clone(r.Value), e.Loc, e.Seq}
		return
	}
	h := s.log.Hash(r.Key)
	sh := s.shardOf(h)
	var p present
	if p.loc, p.found = sh.idx.Find(h, r.Key); p.found {
		if raw, err := s.log.Read(p.loc); err != nil {
			p.spoilt = true
		} else {
			raw.Into(&p.rec)
		}
	}
	s.point(sh, h, &p, e.Loc, &r, false)
}
