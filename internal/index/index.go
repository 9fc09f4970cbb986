// Package index is an off-heap hash table from key to log location. It stores no keys: a slot has a tag of the hash and
// the location of the record, and candidates are compared through a func that reads the record.
//
// A slot is 8 bytes: 27 bits tag, a bit that says whether the record was read, 36 bits location; 0 is empty. The position in
// the table follows from the tag alone, so growing and deleting never read a record. One Index is one shard: its owner locks
// it.
package index

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/futago/futago/internal/prefetch"
)

const (
	// LocBits is the width of a location.
	LocBits = 36
	locMask = 1<<LocBits - 1
	readBit = 1 << LocBits
	tagPos  = LocBits + 1
	tagBits = 64 - tagPos
	// tagShift is how far the tag lies from the low end of a hash.
	tagShift = 26

	minSlots = 16
	// mapFrom is the size in bytes from which a table gets a mapping of its own.
	mapFrom = 64 << 10
)

// Match reports whether the record at loc has the key.
type Match func(loc uint64, key []byte) bool

// Index is one shard. Create it with New.
type Index struct {
	slots []uint64
	n     int // used slots
	limit int // grow above
	load  int // percent at which the table grows
	match Match
}

// New returns an empty shard. load is the percentage of used slots at which it grows; shards of one table should differ
// in it, so that they do not all grow at once.
func New(match Match, load int) *Index {
	if load < 40 || load > 90 {
		panic(fmt.Sprintf("index: load %d out of 40..90", load))
	}
	x := &Index{match: match, load: load}
	x.adopt(makeSlots(minSlots))
	return x
}

// Len is the number of locations held.
func (x *Index) Len() int { return x.n }

// Bytes is the memory of the table.
func (x *Index) Bytes() int64 { return int64(len(x.slots)) * 8 }

// tag takes the bits that the shard number (the highest ten) leaves.
func tag(h uint64) uint64 { return h >> tagShift & (1<<tagBits - 1) }

// Find returns the location of key, whose hash is h.
func (x *Index) Find(h uint64, key []byte) (loc uint64, ok bool) {
	if i, ok := x.find(h, key); ok {
		return x.slots[i] & locMask, true
	}
	return 0, false
}

func (x *Index) find(h uint64, key []byte) (i uint64, ok bool) {
	t := tag(h)
	mask := uint64(len(x.slots) - 1)
	for i = t & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s == 0 {
			return 0, false
		}
		if s>>tagPos == t && x.match(s&locMask, key) {
			return i, true
		}
	}
}

// Prefetch asks the processor for the place where a search for a key of hash h begins.
func (x *Index) Prefetch(h uint64) {
	prefetch.Line(unsafe.Pointer(&x.slots[tag(h)&uint64(len(x.slots)-1)]))
}

// Likely returns the first location that a search for a key of hash h compares.
func (x *Index) Likely(h uint64) (loc uint64, ok bool) {
	t := tag(h)
	mask := uint64(len(x.slots) - 1)
	for i := t & mask; ; i = (i + 1) & mask {
		if s := x.slots[i]; s == 0 || s>>tagPos == t {
			return s & locMask, s != 0
		}
	}
}

// Read is Find for a reader of the record: it says whether the record was read before, and with note that it is now.
func (x *Index) Read(h uint64, key []byte, note bool) (loc uint64, before, ok bool) {
	i, ok := x.find(h, key)
	if !ok {
		return 0, false, false
	}
	s := x.slots[i]
	if before = s&readBit != 0; note && !before {
		x.slots[i] = s | readBit
	}
	return s & locMask, before, true
}

// MarkRead notes that the record at loc was read.
func (x *Index) MarkRead(h, loc uint64) {
	if i, ok := x.at(h, loc); ok {
		x.slots[i] |= readBit
	}
}

// WasRead reports whether the record at loc was read, and with forget makes it count as not read.
func (x *Index) WasRead(h, loc uint64, forget bool) bool {
	i, ok := x.at(h, loc)
	if !ok || x.slots[i]&readBit == 0 {
		return false
	}
	if forget {
		x.slots[i] &^= readBit
	}
	return true
}

// Replace makes new the location of the key that is at old, in one step without reading a record. keep says that it is
// still the same value for readers; else it counts as not read. It reports false, and changes nothing, when old is not there
// (any more).
func (x *Index) Replace(h, old, new uint64, keep bool) bool {
	i, ok := x.at(h, old)
	if !ok {
		return false
	}
	s := tag(h)<<tagPos | new
	if keep {
		s |= x.slots[i] & readBit
	}
	x.slots[i] = s
	return true
}

// Has reports whether the location is in use for a key of hash h.
func (x *Index) Has(h, loc uint64) bool {
	_, ok := x.at(h, loc)
	return ok
}

func (x *Index) at(h, loc uint64) (uint64, bool) {
	want := tag(h)<<tagPos | loc
	mask := uint64(len(x.slots) - 1)
	for i := tag(h) & mask; ; i = (i + 1) & mask {
		switch x.slots[i] &^ readBit {
		case 0:
			return 0, false
		case want:
			return i, true
		}
	}
}

// Add inserts a key that is known not to be there. loc must not be 0.
func (x *Index) Add(h, loc uint64) {
	if loc == 0 || loc > locMask {
		panic(fmt.Sprintf("index: location %#x out of range", loc))
	}
	if x.n >= x.limit {
		x.grow(len(x.slots) * 2)
	}
	insert(x.slots, tag(h)<<tagPos|loc)
	x.n++
}

func insert(slots []uint64, s uint64) {
	mask := uint64(len(slots) - 1)
	i := s >> tagPos & mask
	for slots[i] != 0 {
		i = (i + 1) & mask
	}
	slots[i] = s
}

// Reserve makes room for n keys in all.
func (x *Index) Reserve(n int) {
	size := len(x.slots)
	for n > size*x.load/100 {
		size *= 2
	}
	if size > len(x.slots) {
		x.grow(size)
	}
}

func (x *Index) grow(size int) {
	old := x.slots
	slots := makeSlots(size)
	for _, s := range old {
		if s != 0 {
			insert(slots, s)
		}
	}
	x.adopt(slots)
	freeSlots(old)
}

func (x *Index) adopt(slots []uint64) {
	x.slots = slots
	x.limit = len(slots) * x.load / 100
}

// Delete removes the key at loc and reports whether it was there. Followers of its slot move up, so no grave is left.
func (x *Index) Delete(h, loc uint64) bool {
	i, ok := x.at(h, loc)
	if !ok {
		return false
	}
	mask := uint64(len(x.slots) - 1)
	for j := (i + 1) & mask; x.slots[j] != 0; j = (j + 1) & mask {
		home := x.slots[j] >> tagPos & mask
		if (j-home)&mask >= (j-i)&mask { // its probe passes i
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = 0
	x.n--
	return true
}

// DropIn removes every key whose location is from first to last, inclusive, and returns how many there were.
func (x *Index) DropIn(first, last uint64) (n int) {
	var doomed []uint64
	for _, s := range x.slots {
		if loc := s & locMask; s != 0 && loc >= first && loc <= last {
			doomed = append(doomed, s)
		}
	}
	for _, s := range doomed {
		if x.Delete(s>>tagPos<<tagShift, s&locMask) {
			n++
		}
	}
	return n
}

// Each calls f with every location, in no order, until f returns false. f must not change the index.
func (x *Index) Each(f func(loc uint64) bool) {
	for _, s := range x.slots {
		if s != 0 && !f(s&locMask) {
			return
		}
	}
}

// Tags is the number of tags. A tag is what a slot keeps of a hash, beside the shard; keys may share one.
const Tags = 1 << tagBits

// TagOf is the tag of a hash.
func TagOf(h uint64) uint32 { return uint32(tag(h)) }

// AppendTags appends the tags in use from first on and below end, in no order, those of several keys several times.
func (x *Index) AppendTags(dst []uint32, first, end uint32) []uint32 {
	for _, s := range x.slots {
		if t := uint32(s >> tagPos); s != 0 && t >= first && t < end {
			dst = append(dst, t)
		}
	}
	return dst
}

// EachOf calls f with the location of every key of a tag, and whether its record was read. f must not change the index.
func (x *Index) EachOf(tag uint32, f func(loc uint64, read bool)) {
	mask := uint64(len(x.slots) - 1)
	for i := uint64(tag) & mask; x.slots[i] != 0; i = (i + 1) & mask {
		if s := x.slots[i]; uint32(s>>tagPos) == tag {
			f(s&locMask, s&readBit != 0)
		}
	}
}

// Close frees the table.
func (x *Index) Close() {
	freeSlots(x.slots)
	x.slots = nil
}

func makeSlots(n int) []uint64 {
	if n*8 < mapFrom {
		return make([]uint64, n)
	}
	b, err := unix.Mmap(-1, 0, n*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]uint64, n) // the address space is limited; the heap is the same memory
	}
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

func freeSlots(s []uint64) {
	if len(s)*8 < mapFrom {
		return
	}
	unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*8)) // fails for a table on the heap, which the collector frees
}
