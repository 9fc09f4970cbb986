package store

import (
	"bytes"
	"sync"

	"github.com/futago/futago/internal/record"
)

// marks are this node's own notes in its log, such as the position held in a peer's log. A mark lies behind the entries
// that it speaks of, so it is exactly as durable as they are.
type marks struct {
	mu  sync.Mutex
	all map[string]mark
}

type mark struct {
	value []byte
	loc   uint64
	seq   uint64
}

// SetMark appends a note under a name and returns its position.
func (s *Store) SetMark(name string, value []byte) (seq uint64, err error) {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	r := record.Record{Kind: record.Mark, Key: []byte(name), Value: value}
	s.log.Lock()
	seq, loc, err := s.log.Append(&r)
	s.log.Unlock()
	if err != nil {
		return 0, appendError(err)
	}
	s.marks.all[name] = mark{bytes.Clone(value), loc, seq}
	return seq, nil
}

// Mark returns the last note under a name, nil when there is none.
func (s *Store) Mark(name string) []byte {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	return bytes.Clone(s.marks.all[name].value)
}
