package store

import (
	"fmt"

	"github.com/futago/futago/internal/record"
)

// Inspect shows what is stored under key, also what clients do not see: a delete that is remembered, a record that has expired. It does
// not count as a read. show is called, if there is anything, while the record is held in place: nothing that blocks, no other call to the
// store, and nothing of r is valid afterwards. live tells that clients see it.
func (s *Store) Inspect(key []byte, show func(r *record.Record, live bool)) error {
	if len(key) == 0 || len(key) > record.MaxKey {
		return fmt.Errorf("look up key of %d bytes: %w", len(key), ErrKey)
	}
	h := s.log.Hash(key)
	sh := s.shardOf(h)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	loc, _, ok := sh.idx.Read(h, key, false)
	if !ok {
		return nil
	}
	var r record.Record
	if !s.at(PartOf(h), loc, &r) {
		return ErrDamaged
	}
	show(&r, s.alive(&r))
	return nil
}
