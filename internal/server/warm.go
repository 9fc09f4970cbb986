package server

import (
	"github.com/futago/futago/internal/httphead"
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// Warmer is a Store with records in memory that are slow to reach: for several keys at once it takes hardly longer than for one.
type Warmer interface {
	// Warm prepares for operations on these keys, which follow soon.
	Warm(keys [][]byte)
}

// mostWarm is how many keys are prepared for at once.
const mostWarm = store.MostWarm

// lookOn has the store prepare for the requests at the front of in, and returns the size of those that it has looked at.
func (s *session) lookOn(w *worker, in []byte) (n int) {
	if w.warmer == nil {
		return len(in)
	}
	keys, n := s.glance(w.warm[:0], in)
	w.prepare(keys)
	return n
}

// glance appends keys of the requests at the front of in, and returns the size of those that were looked at.
func (s *session) glance(keys [][]byte, in []byte) (found [][]byte, n int) {
	switch s.proto {
	case isMemcache:
		return memcache.Glance(keys, in)
	case isBinary:
		return memcache.GlanceBinary(keys, in)
	case isTyrant:
		return tyrant.Glance(keys, in)
	case isHTTP:
		if path := httphead.Glance(in); len(path) > 0 {
			keys = append(keys, path)
		}
	}
	return keys, len(in)
}

// warmKeys has the store prepare for the next keys of a get.
func (w *worker) warmKeys(list memcache.KeyList) {
	if w.warmer == nil {
		return
	}
	keys := w.warm[:0]
	for key, ok := list.Next(); ok && len(keys) < cap(keys); key, ok = list.Next() {
		keys = append(keys, key)
	}
	w.prepare(keys)
}

// prepare has the store prepare for keys, unless there is nothing to gain.
func (w *worker) prepare(keys [][]byte) {
	if len(keys) > 1 {
		w.warmer.Warm(keys)
	}
	clear(w.warm[:]) // nothing of the input may be held
}
