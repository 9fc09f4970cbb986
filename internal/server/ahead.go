package server

import (
	"bytes"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

// Batcher is a Store that reads several keys in the time of one. It fills a view for each, as Acquire does; found says which.
type Batcher interface {
	AcquireAll(keys [][]byte, views []store.View, found []bool)
}

// aheadMost is how many keys of a get are read at once, so how many values are in memory before they are sent.
const aheadMost = 16

// ahead are records of the present get that were read together.
type ahead struct {
	batch Batcher  // nil: the store has none
	keys  [][]byte // still to be answered, in order
	views [aheadMost]store.View
	found [aheadMost]bool
	next  int
}

// read reads the next keys of a get.
func (a *ahead) read(keys memcache.KeyList) {
	a.keys, a.next = a.keys[:0], 0
	for key, ok := keys.Next(); ok && len(a.keys) < aheadMost; key, ok = keys.Next() {
		a.keys = append(a.keys, key)
	}
	if len(a.keys) < 2 {
		a.keys = a.keys[:0]
		return
	}
	a.batch.AcquireAll(a.keys, a.views[:len(a.keys)], a.found[:len(a.keys)])
}

// take gives the record of a key if it was read; ok is false if it was not.
func (a *ahead) take(key []byte, v *store.View) (found, ok bool) {
	if a.next == len(a.keys) || !bytes.Equal(a.keys[a.next], key) {
		return false, false
	}
	i := a.next
	a.next++
	*v, a.views[i] = a.views[i], store.View{}
	return a.found[i], true
}

// drop lets go of what was read and not asked for.
func (a *ahead) drop() {
	for ; a.next < len(a.keys); a.next++ {
		a.views[a.next] = store.View{}
	}
	a.keys, a.next = a.keys[:0], 0
}

// acquire is Acquire of the store, or what was read ahead.
func (w *worker) acquire(key []byte, v *store.View) bool {
	if w.ahead.batch != nil {
		if found, ok := w.ahead.take(key, v); ok {
			return found
		}
	}
	return w.store.Acquire(key, v)
}
