package observe

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

const (
	// MaxKey is the longest key that is noted as hot or big, bytes.
	MaxKey = 1024
	// hotKept is how many keys are counted at once. Of a key that is asked for more often than every hotKept-th time the count is
	// off by at most the count of the least of them.
	hotKept = 64
	// hotSpan is the age at which counts become those of before; they are forgotten at twice that.
	hotSpan = 30 * time.Second
	// hotLeast is how many samples of a key are no accident.
	hotLeast = 4
)

var seed = maphash.MakeSeed()

// HotKeys counts a sample of the keys that are asked for, in bounded memory: a table of counts in which a new key takes the place, and
// the count, of the one that was seen least (Metwally, Agrawal, El Abbadi: "Efficient computation of frequent and top-k elements in
// data streams", 2005). The zero value is empty. It must not be copied.
type HotKeys struct {
	mu          sync.Mutex
	now, before counted
}

// counted are the counts of one span of time.
type counted struct {
	since  time.Duration // when it began; 0: it is empty
	total  uint64        // samples
	used   int
	hashes [hotKept]uint64
	keys   [hotKept]hotKey
}

type hotKey struct {
	key           []byte
	reads, writes uint64 // since the key took its place
	inherited     uint64 // of the key whose place it took
}

func (k *hotKey) count() uint64 { return k.reads + k.writes + k.inherited }

// Note counts a sample of a key at a time, which only rises. The key is not kept. Keys beyond MaxKey count for the total alone.
func (h *HotKeys) Note(key []byte, write bool, at time.Duration) {
	hash := maphash.Bytes(seed, key)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turnLocked(at)
	c := &h.now
	c.total++
	if len(key) > MaxKey {
		return
	}
	i := slices.Index(c.hashes[:c.used], hash)
	if i < 0 {
		if i = c.used; i < hotKept {
			c.used++
		} else {
			i = c.least()
		}
		k := &c.keys[i]
		k.inherited, k.reads, k.writes = k.count(), 0, 0
		k.key = append(k.key[:0], key...)
		c.hashes[i] = hash
	}
	if write {
		c.keys[i].writes++
	} else {
		c.keys[i].reads++
	}
}

func (c *counted) least() (at int) {
	for i := range c.keys[:c.used] {
		if c.keys[i].count() < c.keys[at].count() {
			at = i
		}
	}
	return at
}

// turnLocked begins a new span when the present one is old.
func (h *HotKeys) turnLocked(at time.Duration) {
	at = max(at, 1)
	if h.now.since == 0 {
		h.now.since = at
	}
	age := at - h.now.since
	if age < hotSpan {
		return
	}
	h.now, h.before = h.before, h.now
	h.now.reset(at)
	if age >= 2*hotSpan {
		h.before.reset(0)
	}
}

// reset empties the counts and keeps the memory of the keys.
func (c *counted) reset(since time.Duration) {
	c.since, c.total, c.used = since, 0, 0
	for i := range c.keys {
		c.keys[i].reads, c.keys[i].writes, c.keys[i].inherited = 0, 0, 0
	}
}

// Hot is a key that is asked for often.
type Hot struct {
	Key           []byte
	Reads, Writes uint64 // samples in which it was surely seen
}

// Sample is what several HotKeys saw in the last half to whole minute.
type Sample struct {
	Total uint64        // samples of any key
	Span  time.Duration // in which they were taken
	Keys  []Hot         // those that were seen more often than by accident, the most frequent first
}

// Hottest joins what tables have seen up to now.
func Hottest(tables []*HotKeys, at time.Duration) Sample {
	var s Sample
	sums := map[string]*Hot{}
	for _, h := range tables {
		h.mu.Lock()
		h.turnLocked(at)
		for _, c := range []*counted{&h.now, &h.before} {
			if c.since == 0 {
				continue
			}
			s.Total += c.total
			s.Span = max(s.Span, at-c.since)
			for i := range c.keys[:c.used] {
				k := &c.keys[i]
				sum := sums[string(k.key)]
				if sum == nil {
					sum = &Hot{Key: bytes.Clone(k.key)}
					sums[string(k.key)] = sum
				}
				sum.Reads += k.reads
				sum.Writes += k.writes
			}
		}
		h.mu.Unlock()
	}
	for _, k := range sums {
		if k.Reads+k.Writes >= hotLeast {
			s.Keys = append(s.Keys, *k)
		}
	}
	slices.SortFunc(s.Keys, func(a, b Hot) int {
		return cmp.Or(cmp.Compare(b.Reads+b.Writes, a.Reads+a.Writes), bytes.Compare(a.Key, b.Key))
	})
	return s
}
