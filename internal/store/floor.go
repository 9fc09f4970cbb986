package store

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// floors holds the flushes: every generation below the highest floor whose time has come is dead. All floors that are
// not yet reached are kept, because the highest one that is due must be the same on every node, whatever order they
// arrived in.
type floors struct {
	active  atomic.Uint64 // stamp of the floor in force
	nextDue atomic.Int64  // milliseconds since hlc.Epoch of the first future floor, 0 = none

	mu   sync.Mutex
	list []floorEntry // the active one first, then future ones by stamp
	sink hlc.Stamp    // floor up to which the index was swept

	sweeping sync.Mutex // held while it is swept
}

type floorEntry struct {
	floor hlc.Stamp
	loc   uint64 // its log entry
	raw   record.Record
}

// maxFutureFloors bounds scheduled flushes; a further one is refused as long as that many are ahead.
const maxFutureFloors = 1024

// current is the floor in force now.
func (f *floors) current(s *Store) hlc.Stamp {
	if due := f.nextDue.Load(); due != 0 && due <= f.now(s) {
		f.mu.Lock()
		f.settleLocked(s)
		f.mu.Unlock()
	}
	return hlc.Stamp(f.active.Load())
}

// now is the time that decides which floors are due. Stamps may be ahead of the wall: a flush that is in force where it
// was made, or was in force before the wall was set back, is in force here too once its stamp, or a later one, was seen.
func (f *floors) now(s *Store) int64 { return max(s.clock.Now(), s.clock.Last().Millis()) }

// settleLocked makes the highest floor that is due the active one and forgets those below.
func (f *floors) settleLocked(s *Store) {
	now := f.now(s)
	top := -1
	for i, e := range f.list {
		if e.floor.Millis() <= now {
			top = i
		}
	}
	if top > 0 {
		f.list = f.list[top:]
	}
	f.nextDue.Store(0)
	for _, e := range f.list {
		if e.floor.Millis() <= now {
			s.clock.Restore(e.floor) // or writes after it were dead at once when the wall is set back
			f.active.Store(uint64(e.floor))
		} else {
			f.nextDue.Store(e.floor.Millis())
			break
		}
	}
}

// insertLocked adds a floor; false when it is there already or changes nothing.
func (f *floors) insertLocked(e floorEntry) bool {
	if uint64(e.floor) <= f.active.Load() {
		return false
	}
	i, found := slices.BinarySearchFunc(f.list, e.floor, func(x floorEntry, t hlc.Stamp) int {
		switch {
		case x.floor < t:
			return -1
		case x.floor > t:
			return 1
		}
		return 0
	})
	if found {
		return false
	}
	f.list = slices.Insert(f.list, i, e)
	return true
}

// FlushAll kills every record written before now, or before the time at (milliseconds since hlc.Epoch) once it comes.
// Records written afterwards stay.
func (s *Store) FlushAll(at uint64) (seq uint64, err error) { return s.flush(at, false) }

// FlushRelayed is FlushAll for what the update log of a Tokyo Tyrant server says.
func (s *Store) FlushRelayed() (seq uint64, err error) { return s.flush(0, true) }

func (s *Store) flush(at uint64, relayed bool) (seq uint64, err error) {
	if err := s.writable(true); err != nil {
		return 0, err
	}
	if err := s.gate.admit(DefaultLevel); err != nil {
		return 0, err
	}
	f := &s.floors
	f.mu.Lock()
	defer f.mu.Unlock()
	if at != 0 && len(f.list) > maxFutureFloors {
		return 0, ErrNoMemory
	}
	s.log.Lock()
	stamp := s.clock.Next()
	floor := stamp
	if at != 0 {
		floor = hlc.Make(int64(at), 0, 0)
	}
	if at != 0 && floor <= stamp { // the time is already here
		floor = stamp
	}
	r := record.NewFloor(stamp, floor)
	r.Relayed = relayed
	seq, loc, err := s.log.Append(&r)
	if err == nil { // in force before anybody gets a later stamp: no later write may grow out of what it kills
		f.insertLocked(floorEntry{floor, loc, r})
		f.settleLocked(s)
	}
	s.log.Unlock()
	if err != nil {
		return 0, appendError(err)
	}
	return seq, nil
}

// applyFloor takes a floor from a peer.
func (s *Store) applyFloor(r *record.Record) (bool, error) {
	f := &s.floors
	f.mu.Lock()
	defer f.mu.Unlock()
	e := floorEntry{floor: r.FloorStamp(), raw: r.Clone()}
	if !f.insertLocked(e) {
		return false, nil
	}
	s.log.Lock()
	_, loc, err := s.log.Append(r)
	s.log.Unlock()
	for i := range f.list {
		if f.list[i].floor == e.floor {
			f.list[i].loc = loc
		}
	}
	if err != nil {
		f.list = slices.DeleteFunc(f.list, func(x floorEntry) bool { return x.floor == e.floor })
		return false, appendError(err)
	}
	f.settleLocked(s)
	return true, nil
}

func (s *Store) recoverFloor(r *record.Record, loc uint64) {
	f := &s.floors
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.insertLocked(floorEntry{r.FloorStamp(), loc, r.Clone()}) {
		f.settleLocked(s)
	}
}

// Floors returns the floor in force and the future ones, as records for a peer.
func (s *Store) Floors() []record.Record {
	s.floors.mu.Lock()
	defer s.floors.mu.Unlock()
	var list []record.Record
	for _, e := range s.floors.list {
		list = append(list, e.raw)
	}
	return list
}

// SweepFlush is done when what the last flush killed is not counted any more. It is swept soon without it.
func (s *Store) SweepFlush() { s.sweepFloor() }

// sweepFloor drops what a new floor killed: the floor itself keeps it dead, on every node.
func (s *Store) sweepFloor() {
	s.floors.sweeping.Lock()
	defer s.floors.sweeping.Unlock()
	floor := s.floors.current(s)
	if floor == s.floors.sink {
		return
	}
	var dead []uint64
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		dead = dead[:0]
		var r record.Record
		sh.idx.Each(func(loc uint64) bool {
			if s.at(i, loc, &r) && r.DeadBelow(floor) {
				dead = append(dead, loc)
			}
			return true
		})
		for _, loc := range dead {
			s.log.At(loc).Into(&r)
			s.drop(sh, s.log.Hash(r.Key), loc, &r)
		}
		sh.mu.Unlock()
	}
	s.floors.mu.Lock()
	s.floors.sink = floor
	s.floors.mu.Unlock()
}
