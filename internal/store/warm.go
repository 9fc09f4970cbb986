package store

import (
	"unsafe"

	"github.com/futago/futago/internal/prefetch"
	"github.com/futago/futago/internal/record"
)

// MostWarm is how many keys Warm takes.
const MostWarm = 16

// Warm asks the processor for what a read or a write of each of these keys will look at. Memory that is not in a cache is so waited for once
// instead of once for each key, where they follow soon. At most MostWarm keys are looked at.
func (s *Store) Warm(keys [][]byte) {
	var hashes [MostWarm]uint64
	keys = keys[:min(len(keys), MostWarm)]
	for i, key := range keys {
		h := s.log.Hash(key)
		hashes[i] = h
		sh := s.shardOf(h)
		sh.mu.Lock()
		sh.idx.Prefetch(h)
		sh.mu.Unlock()
		prefetch.Line(unsafe.Pointer(s.accesses.slot(h)))
	}
	for _, h := range hashes[:len(keys)] {
		sh := s.shardOf(h)
		sh.mu.Lock()
		if loc, ok := sh.idx.Likely(h); ok {
			s.log.Prefetch(loc)
		}
		sh.mu.Unlock()
	}
}

// warmRecords is Warm for what is to be applied.
func (s *Store) warmRecords(recs []record.Record) {
	var keys [MostWarm][]byte
	recs = recs[:min(len(recs), MostWarm)]
	for i := range recs {
		keys[i] = recs[i].Key
	}
	if len(recs) > 1 {
		s.Warm(keys[:len(recs)])
	}
}
