package store

import (
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// forgetBatch bounds how many records are forgotten after one reading of the hints.
const forgetBatch = 1 << 20

// candidate is a delete or expired record that may be forgotten.
type candidate struct{ hash, loc uint64 }

// forgetting knows what the last pass left.
type forgetting struct {
	horizon hlc.Stamp // of the last pass that finished
	kept    int       // that may be forgotten, once older entries of their keys have left the log
	runs    int64     // compactions finished at that time
}

// ForgetOnce drops deletes and expired records at or below the horizon from the index; compaction then removes them from
// the disk. A key of which an older entry is still in the log is left for later: without its delete a start would bring it
// back. It returns how many were dropped. Compactions and scans do not run meanwhile.
func (s *Store) ForgetOnce() (dropped int) {
	s.horizon.mu.Lock()
	durable := s.safe() >= s.horizon.noted
	s.horizon.mu.Unlock()
	horizon := s.Horizon()
	if horizon == 0 || !durable || !s.scans.beginCompaction() {
		return 0
	}
	defer s.scans.endCompaction()
	runs := s.counts.compactions.Load()
	var batch []candidate
	kept := 0
	flush := func() bool {
		n, err := s.forget(batch, horizon)
		if err != nil {
			s.logger.Warn("deletes are remembered for longer", "err", err)
			return false
		}
		dropped, kept = dropped+n, kept+len(batch)-n
		batch = batch[:0]
		return true
	}
	for part := range ScanParts {
		if s.scans.interrupted() {
			return dropped
		}
		s.eachLoc(part, func(loc uint64, r *record.Record) {
			if forgettable(r, s.clock.Now(), horizon) {
				batch = append(batch, candidate{s.log.Hash(r.Key), loc})
			}
		})
		if len(batch) >= forgetBatch && !flush() {
			return dropped
		}
	}
	if flush() {
		s.forgetting = forgetting{horizon: horizon, kept: kept, runs: runs}
	}
	return dropped
}

// forgetDue reports whether a pass could drop anything.
func (s *Store) forgetDue() bool {
	f := &s.forgetting
	return s.Horizon() > f.horizon || f.kept > 0 && s.counts.compactions.Load() > f.runs
}

// forget drops the candidates of which nothing older is left.
func (s *Store) forget(batch []candidate, horizon hlc.Stamp) (dropped int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	newest := make(map[uint64]uint64, len(batch))
	for _, c := range batch {
		sh := s.shardOf(c.hash)
		sh.mu.Lock()
		if sh.idx.Has(c.hash, c.loc) {
			newest[c.hash] = s.log.SeqAt(c.loc)
		}
		sh.mu.Unlock()
	}
	if err := s.log.Oldest(newest); err != nil {
		return 0, err
	}
	var r record.Record
	for _, c := range batch {
		seq, ok := newest[c.hash]
		if !ok {
			continue
		}
		sh := s.shardOf(c.hash)
		sh.mu.Lock()
		// Two keys may share a hash: the sequence says which of them was looked for.
		if sh.idx.Has(c.hash, c.loc) && s.at(PartOf(c.hash), c.loc, &r) && s.log.SeqAt(c.loc) == seq {
			s.drop(sh, c.hash, c.loc, &r)
			dropped++
		}
		sh.mu.Unlock()
	}
	s.counts.forgotten.Add(int64(dropped))
	return dropped, nil
}

// drop takes a record out of the index; the caller holds the shard.
func (s *Store) drop(sh *shard, h, loc uint64, r *record.Record) {
	sh.idx.Delete(h, loc)
	s.log.AddLive(loc, -int64(r.Size()))
	s.count(r.Kind, -1)
	s.tally(h, r, -1)
}

// eachLoc calls f, under the lock of the shard, with every record of a part that is still the one of its key. Compactions
// must not run meanwhile.
func (s *Store) eachLoc(part int, f func(loc uint64, r *record.Record)) {
	sh := &s.shards[part]
	sh.mu.Lock()
	locs := make([]uint64, 0, sh.idx.Len())
	sh.idx.Each(func(loc uint64) bool { locs = append(locs, loc); return true })
	sh.mu.Unlock()
	const stretch = 128 // records looked at under one hold of the lock
	var r record.Record
	for len(locs) > 0 {
		n := min(stretch, len(locs))
		sh.mu.Lock()
		for _, loc := range locs[:n] {
			if s.at(part, loc, &r) && sh.idx.Has(s.log.Hash(r.Key), loc) {
				f(loc, &r)
			}
		}
		sh.mu.Unlock()
		locs = locs[n:]
	}
}
