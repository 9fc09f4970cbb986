package store

import "sync/atomic"

// accesses remembers when records were last read, of as many as there is room for. It is a hint of this node alone, and
// starts empty: a lost time reads as that of the last write.
type accesses struct {
	second atomic.Uint32                  // now, seconds since hlc.Epoch; written by housekeep
	slots  [1 << accessBits]atomic.Uint64 // by hash: part of the hash 32, second 32
}

const accessBits = 16

// note remembers a read now, and returns the second of the one before; 0 = not known.
func (a *accesses) note(hash uint64) (before uint32) {
	slot, now := a.slot(hash), hash<<32|uint64(a.second.Load())
	old := slot.Load()
	if old != now { // mostly equal: readers of one key share a cache line only once a second
		slot.Store(now)
	}
	return secondOf(hash, old)
}

// last is note without remembering.
func (a *accesses) last(hash uint64) uint32 { return secondOf(hash, a.slot(hash).Load()) }

func (a *accesses) slot(hash uint64) *atomic.Uint64 { return &a.slots[hash>>(64-accessBits)] }

func secondOf(hash, slot uint64) uint32 {
	if slot>>32 != hash&(1<<32-1) {
		return 0
	}
	return uint32(slot)
}
