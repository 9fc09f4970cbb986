package store

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/ulog"
)

// horizon is the stamp up to which this node may have forgotten deletes. A foreign record that is wholly at or below it,
// of a key that is not held, is therefore dead: it may have been deleted.
//
// It rises in steps, each decided before anything is forgotten, and only when no write at or below the new horizon can
// be anywhere but here, and every delete here is everywhere:
//
//  1. it is proposed to every member of the mesh. Each moves its clock past it, notes that durably, and answers with the
//     end of its log: what it writes later is above the horizon;
//  2. this node has applied each member's log up to that end: it holds everything at or below the horizon;
//  3. each member durably holds this node's log up to the end that it had then;
//  4. the new horizon is durable here. Only now it is in force.
type horizon struct {
	value atomic.Uint64 // in force
	born  atomic.Uint64 // the highest in force on any node, as far as this one heard: creations come after it

	mu       sync.Mutex
	noted    uint64 // position of the mark that holds value
	proposal hlc.Stamp
	promises map[int]promise // of members, for the proposal
	applied  map[int]promise // how far members' logs are held here, completely
	turn     uint64          // end of this log when step 2 was done, 0 = it is not
	deciding uint64          // position of the mark that will bring the proposal into force, 0 = none

	promised   hlc.Stamp // this node writes nothing at or below it, whatever its clock says
	promisedAt uint64    // position of the mark that holds it
}

// promise is a position in one life of a member's log.
type promise struct {
	life ulog.Identity
	seq  uint64
}

// horizonMark is the note in the log.
type horizonMark struct {
	Horizon hlc.Stamp `json:"horizon"`
	Born    hlc.Stamp `json:"born"`
}

const (
	horizonMarkName = "horizon"
	promiseMarkName = "promise"
)

// openHorizon reads what was noted. A log that may have lost something has forgotten nothing: what it lost must be taken
// back from a peer, however old it is.
func (s *Store) openHorizon(whole bool) error {
	h := &s.horizon
	h.promises, h.applied = map[int]promise{}, map[int]promise{}
	if b := s.Mark(promiseMarkName); b != nil {
		var at hlc.Stamp
		if json.Unmarshal(b, &at) == nil {
			h.promised = at
			s.clock.Restore(at)
		}
	}
	b := s.Mark(horizonMarkName)
	if b == nil {
		return nil
	}
	var m horizonMark
	if err := json.Unmarshal(b, &m); err != nil {
		s.logger.Warn("noted horizon is unreadable: deletes are remembered anew", "err", err)
		return nil
	}
	h.born.Store(uint64(max(m.Horizon, m.Born)))
	s.clock.Restore(m.Horizon)
	if whole {
		h.value.Store(uint64(m.Horizon))
		return nil
	}
	if m.Horizon == 0 {
		return nil
	}
	_, err := s.SetMark(horizonMarkName, encodeMark(horizonMark{Born: max(m.Horizon, m.Born)}))
	return err
}

func encodeMark(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: mark does not marshal: " + err.Error())
	}
	return b
}

// Horizon is the stamp up to which this node may have forgotten deletes.
func (s *Store) Horizon() hlc.Stamp { return hlc.Stamp(s.horizon.value.Load()) }

// Authority is the horizon up to which a peer may take what this node lacks for forgotten: 0 while something may be missing
// here for another reason.
func (s *Store) Authority() hlc.Stamp {
	if !s.Whole() {
		return 0
	}
	return s.Horizon()
}

func (s *Store) bounds() bounds {
	return bounds{floor: s.floors.current(s), horizon: s.Horizon(), born: hlc.Stamp(s.horizon.born.Load())}
}

// HearHorizon takes the horizon of a peer: creations here come after it, too.
func (s *Store) HearHorizon(at hlc.Stamp) error {
	if uint64(at) <= s.horizon.born.Load() {
		return nil
	}
	if err := s.clock.Observe(at); err != nil {
		return err
	}
	raise(&s.horizon.born, at)
	return nil
}

func raise(v *atomic.Uint64, to hlc.Stamp) {
	for {
		old := v.Load()
		if old >= uint64(to) || v.CompareAndSwap(old, uint64(to)) {
			return
		}
	}
}

// NoteBorn notes the highest horizon that the store had heard of whose records are copied here: creations come after it, also
// after a restart. Nothing is forgotten for that.
func (s *Store) NoteBorn(at hlc.Stamp) error {
	if err := s.HearHorizon(at); err != nil {
		return err
	}
	_, err := s.SetMark(horizonMarkName, encodeMark(horizonMark{Horizon: s.Horizon(), Born: s.Born()}))
	return err
}

// Born is the highest horizon of any node, as far as this one heard.
func (s *Store) Born() hlc.Stamp { return hlc.Stamp(s.horizon.born.Load()) }

// AdoptHorizon makes the horizon of a peer, of which this node has taken a whole copy, its own.
func (s *Store) AdoptHorizon(at hlc.Stamp) error {
	if at <= s.Horizon() {
		return nil
	}
	if err := s.HearHorizon(at); err != nil {
		return err
	}
	h := &s.horizon
	h.mu.Lock()
	defer h.mu.Unlock()
	seq, err := s.SetMark(horizonMarkName, encodeMark(horizonMark{Horizon: at}))
	if err != nil {
		return err
	}
	h.noted = seq
	raise(&h.value, at)
	return nil
}

// Proposal is the horizon that members are asked to promise, 0 for none, and the position in this log that they are asked
// to hold durably, 0 for none.
func (s *Store) Proposal() (at hlc.Stamp, awaited uint64) {
	s.horizon.mu.Lock()
	defer s.horizon.mu.Unlock()
	return s.horizon.proposal, s.horizon.turn
}

// Promise makes this node never write at or below a stamp again, across restarts too.
func (s *Store) Promise(at hlc.Stamp) error {
	h := &s.horizon
	h.mu.Lock()
	defer h.mu.Unlock()
	if at <= h.promised {
		return nil
	}
	if err := s.clock.Observe(at); err != nil {
		return err
	}
	seq, err := s.SetMark(promiseMarkName, encodeMark(at))
	if err != nil {
		return err
	}
	h.promised, h.promisedAt = at, seq
	return nil
}

// Promised returns what this node has promised durably and the end of its log now: whatever it wrote or will write behind
// that end is above the promise.
func (s *Store) Promised() (at hlc.Stamp, end uint64) {
	h := &s.horizon
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.promised == 0 || s.safe() < h.promisedAt {
		return 0, 0
	}
	return h.promised, s.log.End().Seq
}

// safe is the position that survives what the policy protects from.
func (s *Store) safe() uint64 {
	if s.cfg.Fsync == ulog.Never {
		return s.log.Written()
	}
	return s.log.Durable()
}

// HearPromise takes the promise of a member, given when a life of its log ended at end.
func (s *Store) HearPromise(node int, life ulog.Identity, at hlc.Stamp, end uint64) {
	h := &s.horizon
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.proposal == 0 || at < h.proposal || h.promises[node].life == life { // the first end counts, later ones run away
		return
	}
	h.promises[node] = promise{life, end}
}

// Holds tells that this node completely holds a member's log, in one life of it, up to seq.
func (s *Store) Holds(node int, life ulog.Identity, seq uint64) {
	h := &s.horizon
	h.mu.Lock()
	h.applied[node] = promise{life, seq}
	h.mu.Unlock()
}

// Held is how far a member's log is held here, completely.
func (s *Store) Held(node int) (ulog.Identity, uint64) {
	s.horizon.mu.Lock()
	defer s.horizon.mu.Unlock()
	p := s.horizon.applied[node]
	return p.life, p.seq
}

// HoldsNothing tells that a member's log is held with gaps, or not at all.
func (s *Store) HoldsNothing(node int) { s.Holds(node, ulog.Identity{}, 0) }

// stepHorizon takes the next step as soon as it may.
func (s *Store) stepHorizon() {
	h := &s.horizon
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deciding != 0 {
		if s.safe() >= h.deciding {
			raise(&h.value, h.proposal)
			raise(&h.born, h.proposal)
			s.logger.Debug("deletes and expired records are forgotten", "until", h.proposal.Time())
			h.noted = h.deciding
			h.proposal, h.turn, h.deciding = 0, 0, 0
			clear(h.promises)
			s.gate.logRose() // peers hear of it at once: until they do, two creations of one key may differ
		}
		return
	}
	next := s.nextHorizon()
	if next <= s.Horizon() {
		return
	}
	members := s.otherMembers()
	if next != h.proposal && h.turn == 0 {
		if s.clock.Observe(next) != nil {
			return
		}
		h.proposal = next
		clear(h.promises)
	}
	if h.turn == 0 {
		for _, node := range members {
			p, ok := h.promises[node]
			if a := h.applied[node]; !ok || a.life != p.life || a.seq < p.seq {
				return
			}
		}
		h.turn = s.log.End().Seq
	}
	for _, node := range members {
		if s.retained.of(node) < h.turn {
			return
		}
	}
	seq, err := s.SetMark(horizonMarkName, encodeMark(horizonMark{Horizon: h.proposal, Born: h.proposal}))
	if err != nil {
		h.turn = 0
		return
	}
	h.deciding = seq
	s.log.Flush()
}

// nextHorizon is where the horizon could be by the clock, in whole steps; 0 while nothing may be forgotten.
func (s *Store) nextHorizon() hlc.Stamp {
	if s.cfg.AwaitPeer && !s.metAnybody() {
		return 0
	}
	step := s.cfg.HorizonStep.Milliseconds()
	at := (s.clock.Now() - s.cfg.TombstoneRetention.Milliseconds()) / step * step
	return hlc.Make(max(at, 0), 0, 0)
}

// WaitsFor lists the members without which the horizon cannot rise, once it is due for longer than a step.
func (s *Store) WaitsFor() (nodes []int) {
	h := &s.horizon
	if s.nextHorizon().Millis()-s.Horizon().Millis() <= s.cfg.HorizonStep.Milliseconds() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, node := range s.otherMembers() {
		p, ok := h.promises[node]
		a := h.applied[node]
		if !ok || a.life != p.life || a.seq < p.seq || h.turn != 0 && s.retained.of(node) < h.turn {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// horizonStep is the default of Config.HorizonStep.
const horizonStep = time.Hour
