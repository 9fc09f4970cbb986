package ulog

import (
	"sync/atomic"
	"time"
)

const (
	// trustFrom is the size of entries from which a checksum takes noticeable time.
	trustFrom = 8 << 10
	// trustTick is the time within which, and within the next, a checksum is not made again. What the system then fetches from the disk
	// anew is no longer checked, so it is shorter than it leaves unused what was just used.
	trustTick = 256 * time.Millisecond

	trustSlots = 1 << 12
	trustBits  = 20 // of the tick
)

// trust remembers large entries whose checksum was right a moment ago: the hot ones are read many times in it. Each slot holds the entry
// that used it last.
type trust struct{ slots [trustSlots]atomic.Uint64 }

var trustEpoch = time.Now()

func trustNow() uint64 { return uint64(time.Since(trustEpoch)/trustTick) + 2 }

// of returns the slot of the entry at off of seg, and what it holds after a check at tick 0.
func (t *trust) of(seg *segment, off int64) (slot *atomic.Uint64, entry uint64) {
	entry = (seg.id<<offsetBits | uint64(off/entryAlign)) << trustBits
	return &t.slots[entry*0x9e3779b97f4a7c15>>(64-12)], entry
}

// note tells that the entry is right.
func (t *trust) note(seg *segment, off int64) {
	slot, entry := t.of(seg, off)
	slot.Store(entry | trustNow()&(1<<trustBits-1))
}

// has reports whether the entry was right a moment ago.
func (t *trust) has(seg *segment, off int64) bool {
	slot, entry := t.of(seg, off)
	held := slot.Load()
	return held^entry < 1<<trustBits && (trustNow()-held)&(1<<trustBits-1) < 2
}
