package store

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// wrongRule breaks one rule; a search from some start must find where that leads.
type wrongRule struct {
	name    string
	change  func(ru *modelRules)
	nodes   int
	start   string
	actions string
	depth   int
}

// acceptWith is bounds.accept with another merge.
func acceptWith(merge func(a, b *record.Record) record.Record) func(b bounds, p *present, r *record.Record) (record.Record, verdict) {
	return func(b bounds, p *present, r *record.Record) (record.Record, verdict) {
		if r.DeadBelow(b.floor) || !p.found && r.NewestStamp() <= b.horizon {
			return record.Record{}, dead
		}
		if !p.found {
			return *r, merged
		}
		next := merge(&p.rec, r)
		if record.Equal(&next, &p.rec) {
			return next, known
		}
		return next, replace
	}
}

// forgotten is a key that both of two nodes have forgotten to have deleted.
const forgotten = "set A, settle, delete A, settle, tick, tick, decide A, decide B, settle, drop A, drop B"

// neverRemovable leaves everything after a whole copy. While it does not, a follower without the delete is mended by that:
// the rule that members must have it, and the removal, each cover for the other.
func neverRemovable(*record.Record, hlc.Stamp) bool { return false }

var wrongRules = []wrongRule{
	{name: "19: an increment brings back what was deleted and forgotten", nodes: 2, start: "set A, settle, delete A, tick, tick", actions: "advance:a pullall incr:b drop:a", depth: 8,
		change: judgeByNewest},
	{name: "19: the same from an old disk", nodes: 2, start: "set A, settle, save, delete A, settle, tick, tick, decide A, settle, drop A, restore B", actions: "incr:b join pullall", depth: 3,
		change: judgeByNewest},
	{name: "20: the horizon in the welcome is older than the scan", nodes: 2, start: "set A, settle, save, delete A, settle, tick, tick, step A, beat B<A, sync B, confirm B<A, pullall A<B, step A", actions: "restore connect scan step:a forget:a trim:a", depth: 6,
		change: func(ru *modelRules) { ru.lateScan = true }},
	{name: "3: a creation forgets the tombstone", nodes: 2, start: "set A, settle", actions: "set delete add pull", depth: 5,
		change: func(ru *modelRules) {
			ru.absence = func(b bounds, p *present) hlc.Stamp { return max(b.floor, b.born) }
		}},
	{name: "3: a creation forgets the floor", nodes: 2, start: "set A, settle", actions: "flush add pull sweep", depth: 5,
		change: func(ru *modelRules) {
			ru.absence = func(b bounds, p *present) hlc.Stamp { return bounds{born: b.born}.absence(p) }
		}},
	{name: "3: a creation forgets the horizon", nodes: 2, start: "set A, settle, delete A, settle, tick, tick, decide A, settle", actions: "drop add pull set", depth: 5,
		change: func(ru *modelRules) {
			ru.absence = func(b bounds, p *present) hlc.Stamp { return bounds{floor: b.floor}.absence(p) }
		}},
	{name: "4: an expired record forgets its generation", nodes: 2, start: "set A, settle", actions: "touch touchpast add tick pull", depth: 5,
		change: func(ru *modelRules) {
			ru.absence = func(b bounds, p *present) hlc.Stamp {
				if p.found && p.rec.Expires != 0 {
					return max(hlc.Make(int64(p.rec.Expires), 0, 0), b.floor, b.born)
				}
				return b.absence(p)
			}
		}},
	{name: "4: a creation in the generation of the expired one", nodes: 2, start: "", actions: "add touch touchpast tick pull", depth: 5,
		change: func(ru *modelRules) {
			ru.absence = func(b bounds, p *present) hlc.Stamp {
				if p.found && p.rec.Expires != 0 {
					return max(p.rec.Gen().Stamp, hlc.Make(int64(p.rec.Expires), 0, 0), b.floor, b.born)
				}
				return b.absence(p)
			}
		}},
	{name: "5: a record is dead by its newest stamp", nodes: 2, start: "set A, settle", actions: "flush incr pull", depth: 5,
		change: func(ru *modelRules) {
			deadBelow := func(r *record.Record, floor hlc.Stamp) bool { return r.NewestStamp() < floor }
			ru.living = func(r *record.Record, now int64, floor hlc.Stamp) bool {
				return r.Kind != record.Tombstone && !r.ExpiredAt(now) && !deadBelow(r, floor)
			}
			ru.accept = func(b bounds, p *present, r *record.Record) (record.Record, verdict) {
				if deadBelow(r, b.floor) {
					return record.Record{}, dead
				}
				return bounds{horizon: b.horizon}.accept(p, r)
			}
		}},
	{name: "5: a snapshot without the floor", nodes: 2, start: "set A, settle", actions: "flush trim wipe join cut pull", depth: 6,
		change: func(ru *modelRules) { ru.noFloorInSnapshot = true }},
	{name: "6: one epoch for ever", nodes: 2, start: "set A, settle", actions: "incr pull power join", depth: 6,
		change: func(ru *modelRules) { ru.oneEpoch = true }},
	{name: "7: contributions go when the base is no number", nodes: 2, start: "", actions: "add addx incr pull", depth: 6,
		change: func(ru *modelRules) {
			ru.accept = acceptWith(func(a, b *record.Record) record.Record {
				m := record.Merge(a, b)
				if m.Kind == record.Counter {
					if c, _ := record.DecodeCounter(m.Value); c.N() > 0 {
						if _, ok := record.ParseNumber(c.Base); !ok {
							return record.Record{Kind: record.Value, Stamp: m.Stamp, Replaced: m.Gen().Stamp, Created: m.Created, Value: c.Base}
						}
					}
				}
				return m
			})
		}},
	{name: "8: a touch begins a generation", nodes: 2, start: "set A, settle", actions: "incr touch pull", depth: 5,
		change: func(ru *modelRules) {
			ru.sign = func(req *Request, p *present, next record.Record, by record.Author) record.Record {
				if req.Op == Touch {
					next.Value = p.rec.AppendVisible(nil)
					next.Stamp = by.Stamp
					return next
				}
				return req.sign(p, next, by, &Result{})
			}
		}},
	{name: "an increment is a set", nodes: 2, start: "set A, settle", actions: "incr pull", depth: 5,
		change: func(ru *modelRules) {
			ru.sign = func(req *Request, p *present, next record.Record, by record.Author) record.Record {
				if req.Op == Incr {
					v, _ := p.rec.Number()
					next.Value, next.Stamp = strconv.AppendUint(nil, v+req.Delta, 10), by.Stamp
					return next
				}
				return req.sign(p, next, by, &Result{})
			}
		}},
	{name: "the newest stamp wins whole", nodes: 2, start: "set A, settle", actions: "set incr pull", depth: 5,
		change: func(ru *modelRules) {
			ru.accept = acceptWith(func(a, b *record.Record) record.Record {
				if a.Stamp >= b.Stamp {
					return *a
				}
				return *b
			})
		}},
	{name: "the receiver wins", nodes: 2, start: "set A, settle", actions: "set pull", depth: 4,
		change: func(ru *modelRules) {
			ru.accept = acceptWith(func(a, _ *record.Record) record.Record { return *a })
		}},
	{name: "10: what may be lost is later than the node's own newest stamp", nodes: 2, start: "set A, settle", actions: "slow:b set:b pull power:b", depth: 5,
		change: func(ru *modelRules) { ru.ownMargin = true }},
	{name: "11: recovery takes the newest stamp", nodes: 2, start: "set A, settle", actions: "set incr pull kill", depth: 6,
		change: func(ru *modelRules) { ru.recoverByStamp = true }},
	{name: "12: a position is a sequence", nodes: 2, start: "set A, settle", actions: "set pull power join", depth: 7,
		change: func(ru *modelRules) { ru.positionIsSequence = true }},
	{name: "13: a cut log keeps its identity", nodes: 2, start: "set A, settle", actions: "set incr pull power join", depth: 7,
		change: func(ru *modelRules) { ru.sameLife = true }},
	{name: "14: a position is ahead of what is held", nodes: 2, start: "set A, settle", actions: "set pull power join", depth: 5,
		change: func(ru *modelRules) { ru.markAhead = true }},
	{name: "15: complete is the newest that is held", nodes: 2, start: "set A, settle", actions: "set incr pull power join", depth: 6,
		change: func(ru *modelRules) { ru.completeIsNewest = true }},
	{name: "16: own writes never come back", nodes: 2, start: "set A, settle", actions: "set pull power join", depth: 5,
		change: func(ru *modelRules) { ru.ownNeverBack = true }},
	{name: "16: a counter originates where its stamp does", nodes: 3, start: "set A, settle, incr A, incr C, incr C, pullall A<C, wipe B, join C<B, join B<A", actions: "join pullall power:a", depth: 4,
		change: func(ru *modelRules) { ru.counterByStamp = true }},
	{name: "18: no member promises", nodes: 2, start: "set A, settle, delete A, settle, tick, tick", actions: "set:b back:b advance drop pullall", depth: 8,
		change: func(ru *modelRules) { ru.noPromise, ru.noApplied = true, true }},
	{name: "18: members' logs are not applied", nodes: 2, start: "set A, settle, delete A, pullall B<A, set B, tick, tick", actions: "advance:a drop:a pullall", depth: 7,
		change: func(ru *modelRules) { ru.noApplied = true }},
	{name: "18: a log with gaps is applied", nodes: 2, start: "set A, settle, delete A, pullall B<A, set B, tick, tick, cut A<B, trim B, connect A<B", actions: "advance:a drop:a scan deliver complete pullall", depth: 8,
		change: func(ru *modelRules) { ru.holdsWithGaps = true }},
	{name: "18: members need not have the deletes", nodes: 2, start: "set A, settle, delete A, tick, tick, trim A", actions: "advance:a pullall forget:a trim:a", depth: 7,
		change: func(ru *modelRules) { ru.noDurable, ru.removable = true, neverRemovable }},
	{name: "18: members need not have the deletes durably", nodes: 2, start: "set A, settle, delete A, tick, tick, step A, beat B<A, sync B, confirm B<A, pullall A<B, pullall B<A, confirm B<A, step A", actions: "sync:a step:a forget:a trim:a power:b", depth: 6,
		change: func(ru *modelRules) { ru.retainApplied, ru.removable = true, neverRemovable }},
	{name: "18: a promise is not durable", nodes: 2, start: "set A, settle, delete A, settle, tick, tick, settle, step A, beat B<A", actions: "confirm pullall step:a sync:a back:b power:b set:b", depth: 8,
		change: func(ru *modelRules) { ru.promiseVolatile = true }},
	{name: "18: the horizon is in force before it is durable", nodes: 2, start: "set A, settle, delete A, settle, trim A, tick, tick, settle, step A, beat B<A, sync B, confirm B<A, pullall A<B, step A", actions: "step:a forget:a trim:a power:a add:a", depth: 6,
		change: func(ru *modelRules) { ru.horizonVolatile = true }},
	{name: "18: a delete goes before older entries", nodes: 2, start: "set A, settle, delete A, settle, tick, tick, decide A, settle", actions: "forget squeeze kill pullall", depth: 5,
		change: func(ru *modelRules) { ru.forgetEarly = true }},
	{name: "a compaction before what superseded is durable", nodes: 2, start: "set A, settle", actions: "set trim power pullall", depth: 4,
		change: func(ru *modelRules) { ru.compactUnsynced = true }},
	{name: "18: deletes above the horizon go", nodes: 2, start: "set A, settle, delete A, settle, tick, tick, decide A, settle, set A, delete A, settle", actions: "forget kill pullall set drop add", depth: 5,
		change: func(ru *modelRules) {
			ru.forgettable = func(r *record.Record, now int64, horizon hlc.Stamp) bool { return r.Kind == record.Tombstone }
		}},
	{name: "19: what is old is taken", nodes: 3, start: "set A, settle, save, delete A, settle, tick, tick, decide A, decide B, settle, drop A, drop B", actions: "restore join pullall", depth: 5,
		change: func(ru *modelRules) {
			ru.accept = func(b bounds, p *present, r *record.Record) (record.Record, verdict) {
				return bounds{floor: b.floor}.accept(p, r)
			}
		}},
	{name: "19: anybody joins", nodes: 3, start: "set A, settle, cut C<A, cut C<B, cut A<C, cut B<C, delete A, leave C at A, pullall B<A, set C, set C, tick, tick, decide A, trim A, forget A, trim A", actions: "join pullall", depth: 4,
		change: func(ru *modelRules) { ru.anybodyJoins = true }},
	{name: "20: nothing is removed", nodes: 3, start: "set A, settle, save, delete A, settle, tick, tick, decide A, decide B, settle, drop A, drop B", actions: "restore join pullall", depth: 5,
		change: func(ru *modelRules) { ru.removable = neverRemovable }},
	{name: "20: what is newer is removed", nodes: 2, start: forgotten + ", cut B<A, tick, step B, beat A<B, tick, step B, beat A<B, set B, trim A", actions: "connect scan deliver complete pullall", depth: 4,
		change: func(ru *modelRules) {
			ru.removable = func(r *record.Record, _ hlc.Stamp) bool { return r.Kind != record.Tombstone }
		}},
	{name: "20: what is there is removed", nodes: 2, start: "set A, settle, tick, tick, decide A, wipe B", actions: "connect scan deliver complete pullall", depth: 5,
		change: func(ru *modelRules) { ru.removeSeen = true }},
	{name: "20: the horizon is not adopted", nodes: 3, start: "set A, settle, save, delete A, settle, tick, tick, decide A, decide B, settle, drop A, drop B, restore C, wipe B", actions: "join pullall wipe:c", depth: 5,
		change: func(ru *modelRules) { ru.noAdoption = true }},
	{name: "21: a cut log keeps its horizon", nodes: 2, start: "set A, settle, tick, tick, decide A, settle", actions: "damage:a join pullall mend", depth: 5,
		change: func(ru *modelRules) { ru.horizonStays = true }},
}

// judgeByNewest takes a record for new because of any newer stamp in it.
func judgeByNewest(ru *modelRules) {
	ru.accept = func(b bounds, p *present, r *record.Record) (record.Record, verdict) {
		if !p.found && !p.spoilt && r.NewestStamp() > b.horizon && !r.DeadBelow(b.floor) {
			return *r, merged
		}
		return b.accept(p, r)
	}
	ru.removable = func(r *record.Record, horizon hlc.Stamp) bool {
		return r.Kind != record.Tombstone && r.NewestStamp() <= horizon
	}
}

// A rule that nothing breaks is not needed, or not tested: each wrong one must be found out.
func TestModelCatchesWrongRules(t *testing.T) {
	only := os.Getenv("FUTAGO_MODEL_PROFILE")
	for _, wrong := range wrongRules {
		if only != "" && only != wrong.name {
			continue
		}
		t.Run(wrong.name, func(t *testing.T) { wrong.catch(t) })
	}
}

// catch searches with the right rules, which must pass, and with the wrong one, which must not.
func (wrong *wrongRule) catch(t *testing.T) {
	p := modelProfile{nodes: wrong.nodes, starts: []string{wrong.start}, actions: wrong.actions}
	ru, limit := rightRules(), 1000
	if modelDeep() {
		limit = 20_000
	}
	found, err := newBench(&ru).search(&p, wrong.depth, limit)
	if err != nil && !errors.Is(err, errNothing) { // such a start may need the wrong rule
		t.Fatal(err)
	}
	if found.broken != "" {
		t.Fatalf("the right rules: %s\n%s", found.history, found.broken)
	}
	wrong.change(&ru)
	found, err = newBench(&ru).search(&p, wrong.depth, 200_000)
	switch {
	case err != nil:
		t.Fatal(err)
	case found.broken == "":
		t.Fatalf("not caught in %d states of up to %d actions", found.states, wrong.depth)
	}
	t.Logf("caught after %d states: %s\n%s", found.states, found.history, found.broken)
}
