package observe

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// bigKept is how many keys are remembered.
	bigKept = 64
	// bigLeast is the size from which on a value is remembered at all, bytes.
	bigLeast = 1 << 10
)

// BigKeys remembers the keys of the largest values that were seen. The zero value is empty. It must not be copied.
type BigKeys struct {
	floor atomic.Int64 // sizes up to it change nothing; 0 is bigLeast-1

	mu   sync.Mutex
	list []Big
	hash []uint64 // of the keys, in the same order
}

// Big is a key with a large value.
type Big struct {
	Key  []byte
	Size int // of the value, bytes
}

// Wants reports whether a value of this size is worth a Note. It costs next to nothing.
func (b *BigKeys) Wants(size int) bool { return size >= bigLeast && int64(size) > b.floor.Load() }

// Note remembers the size of the value of a key, if it is among the largest. The key is not kept. Keys beyond MaxKey are passed over.
func (b *BigKeys) Note(key []byte, size int) {
	if !b.Wants(size) || len(key) > MaxKey {
		return
	}
	hash := maphash.Bytes(seed, key)
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.hash, hash)
	switch {
	case i >= 0:
		b.list[i].Size = size
	case len(b.list) < bigKept:
		b.list, b.hash = append(b.list, Big{bytes.Clone(key), size}), append(b.hash, hash)
	default:
		i = b.leastLocked()
		b.list[i] = Big{append(b.list[i].Key[:0], key...), size}
		b.hash[i] = hash
	}
	b.raiseLocked()
}

func (b *BigKeys) leastLocked() (at int) {
	for i := range b.list {
		if b.list[i].Size < b.list[at].Size {
			at = i
		}
	}
	return at
}

func (b *BigKeys) raiseLocked() {
	floor := 0
	if len(b.list) == bigKept {
		floor = b.list[b.leastLocked()].Size
	}
	b.floor.Store(int64(floor))
}

// Review asks what the values have become, forgets what is gone or small, and returns the rest. size must not call into b.
func (b *BigKeys) Review(size func(key []byte) (bytes int, there bool)) []Big {
	b.mu.Lock()
	seen := make([]Big, 0, len(b.list))
	for _, k := range b.list {
		seen = append(seen, Big{bytes.Clone(k.Key), k.Size})
	}
	b.mu.Unlock()
	sizes := make(map[string]int, len(seen))
	for i, k := range seen {
		if n, there := size(k.Key); there && n >= bigLeast {
			seen[i].Size, sizes[string(k.Key)] = n, n
		} else {
			sizes[string(k.Key)] = -1
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.list) - 1; i >= 0; i-- {
		switch n, asked := sizes[string(b.list[i].Key)]; {
		case !asked: // it came meanwhile
		case n < 0:
			b.list, b.hash = slices.Delete(b.list, i, i+1), slices.Delete(b.hash, i, i+1)
		default:
			b.list[i].Size = n
		}
	}
	b.raiseLocked()
	return slices.DeleteFunc(seen, func(k Big) bool { return sizes[string(k.Key)] < 0 })
}

// Largest joins lists: each key once, the largest first.
func Largest(lists ...[]Big) []Big {
	var all []Big
	known := map[string]bool{}
	for _, list := range lists {
		for _, k := range list {
			if !known[string(k.Key)] {
				known[string(k.Key)] = true
				all = append(all, k)
			}
		}
	}
	slices.SortFunc(all, func(a, b Big) int { return cmp.Or(cmp.Compare(b.Size, a.Size), bytes.Compare(a.Key, b.Key)) })
	return all
}
