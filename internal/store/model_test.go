package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/zeebo/xxh3"
)

// The model: one key on two or three nodes. Every decision is made by the real functions of this package and of record;
// what replication does around them, positions and who sends what, is written down once more as small as it goes, each
// part with the name of the code that it stands for. The search walks every state that some actions can lead to, breadth
// first, so what it finds wrong is the shortest way there, and judges each by the laws in model_laws_test.go.
//
// FUTAGO_MODEL=deep searches deeper (make model), FUTAGO_MODEL_PROFILE one profile only.

// modelRules are the rules, which a test replaces by wrong ones.
type modelRules struct {
	living      func(r *record.Record, now int64, floor hlc.Stamp) bool
	absence     func(b bounds, p *present) hlc.Stamp
	sign        func(req *Request, p *present, next record.Record, by record.Author) record.Record
	accept      func(b bounds, p *present, r *record.Record) (record.Record, verdict)
	forgettable func(r *record.Record, now int64, horizon hlc.Stamp) bool
	removable   func(r *record.Record, horizon hlc.Stamp) bool

	oneEpoch           bool // 6
	recoverByStamp     bool // 11
	positionIsSequence bool // 12
	sameLife           bool // 13
	markAhead          bool // 14
	completeIsNewest   bool // 15
	ownNeverBack       bool // 16
	counterByStamp     bool // 16
	noFloorInSnapshot  bool // 5
	noPromise          bool // 18
	noApplied          bool // 18
	holdsWithGaps      bool // 18
	noDurable          bool // 18
	retainApplied      bool // 18
	promiseVolatile    bool // 18
	horizonVolatile    bool // 18
	anybodyJoins       bool // 19
	removeSeen         bool // 20
	resumeAnyway       bool // 20
	noAdoption         bool // 20
	horizonStays       bool // 21
	forgetEarly        bool // 18
	compactUnsynced    bool
	ownMargin          bool // 10
	lateScan           bool // 20
}

// rightRules are the real ones.
func rightRules() modelRules {
	return modelRules{
		living:  living,
		absence: bounds.absence,
		sign: func(req *Request, p *present, next record.Record, by record.Author) record.Record {
			return req.sign(p, next, by, &Result{})
		},
		accept:      bounds.accept,
		forgettable: forgettable,
		removable:   removable,
	}
}

// modelAction is something that can happen; do returns false when it cannot, or changes nothing.
type modelAction struct {
	name string
	do   func(k *bench, w *world) bool
}

// at makes an action for each node, between one for each ordered pair.
func at(nodes int, name string, do func(k *bench, w *world, i int) bool) (list []modelAction) {
	for i := range nodes {
		list = append(list, modelAction{name + " " + nodeName(i), func(k *bench, w *world) bool { return do(k, w, i) }})
	}
	return list
}

func between(nodes int, name string, do func(k *bench, w *world, f, s int) bool) (list []modelAction) {
	for f := range nodes {
		for s := range nodes {
			if f != s {
				list = append(list, modelAction{fmt.Sprintf("%s %s<%s", name, nodeName(f), nodeName(s)), func(k *bench, w *world) bool { return do(k, w, f, s) }})
			}
		}
	}
	return list
}

// modelActions are the actions with these names, for so many nodes.
func modelActions(nodes int, names string) (list []modelAction) {
	op := func(name string, req Request) {
		list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool { return k.commit(w, i, req) })...)
	}
	for _, name := range strings.Fields(names) {
		name, which, only := strings.Cut(name, ":") // set:b, of one node only
		had := len(list)
		switch name {
		case "set":
			op(name, Request{Op: Set, Value: []byte("5")})
		case "setx":
			op(name, Request{Op: Set, Value: []byte("x")})
		case "add":
			op(name, Request{Op: Add, Value: []byte("7")})
		case "addx":
			op(name, Request{Op: Add, Value: []byte("y")})
		case "delete":
			op(name, Request{Op: Delete})
		case "incr":
			op(name, Request{Op: Incr, Delta: 1})
		case "set4":
			op(name, Request{Op: Set, Value: []byte("1234")})
		case "addint":
			op(name, Request{Op: AddInt, Int: 1})
		case "putcat":
			op(name, Request{Op: Append, Value: []byte("00"), Create: true})
		case "putshl":
			op(name, Request{Op: Shift, Value: []byte("00"), Create: true, Width: 4})
		case "append":
			op(name, Request{Op: Append, Value: []byte("0")})
		case "touch": // expires before the next hour
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool {
				return k.commit(w, i, Request{Op: Touch, Expires: uint64(w.wall + w.n[i].offset + modelTick/2)})
			})...)
		case "touchpast":
			op(name, Request{Op: Touch, Expires: 1})
		case "flush":
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool { return k.flush(w, i, 0) })...)
		case "flushlater":
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool { return k.flush(w, i, w.wall+w.n[i].offset+modelTick/2) })...)
		case "sweep":
			list = append(list, at(nodes, name, (*bench).sweep)...)
		case "sync":
			list = append(list, at(nodes, name, (*bench).sync)...)
		case "kill":
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool { k.kill(w, i); return true })...)
		case "power":
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool { k.power(w, i); return true })...)
		case "wipe":
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool {
				if w.n[i].disk.blank {
					return false
				}
				k.wipe(w, i)
				return true
			})...)
		case "restore":
			list = append(list, modelAction{name + " " + nodeName(nodes-1), (*bench).restore})
		case "back": // by more than the retention, or right again
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool {
				w.n[i].offset = -2*modelTick - w.n[i].offset
				return true
			})...)
		case "slow": // by less than the allowed drift
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool {
				w.n[i].offset = -30_000 - w.n[i].offset
				return true
			})...)
		case "ahead":
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool {
				w.n[i].offset = modelTick - w.n[i].offset
				return true
			})...)
		case "step":
			list = append(list, at(nodes, name, (*bench).step)...)
		case "advance":
			list = append(list, at(nodes, name, (*bench).advance)...)
		case "decide":
			list = append(list, at(nodes, name, (*bench).decide)...)
		case "forget":
			list = append(list, at(nodes, name, (*bench).forget)...)
		case "drop":
			list = append(list, at(nodes, name, (*bench).drop)...)
		case "squeeze":
			list = append(list, at(nodes, name, (*bench).squeeze)...)
		case "damage":
			list = append(list, at(nodes, name, (*bench).damage)...)
		case "trim":
			list = append(list, at(nodes, name, func(k *bench, w *world, i int) bool { return k.compact(w, i, true) })...)
		case "connect":
			list = append(list, between(nodes, name, (*bench).connect)...)
		case "join": // everything that a link does until the stream flows
			list = append(list, between(nodes, name, func(k *bench, w *world, f, s int) bool {
				moved := k.connect(w, f, s)
				moved = k.scan(w, f, s) || moved
				moved = k.deliver(w, f, s) || moved
				return k.complete(w, f, s) || moved
			})...)
		case "cut":
			list = append(list, between(nodes, name, (*bench).unlink)...)
		case "pull":
			list = append(list, between(nodes, name, func(k *bench, w *world, f, s int) bool { return k.pull(w, f, s, false) })...)
		case "pullall":
			list = append(list, between(nodes, name, func(k *bench, w *world, f, s int) bool { return k.pull(w, f, s, true) })...)
		case "scan":
			list = append(list, between(nodes, name, (*bench).scan)...)
		case "deliver":
			list = append(list, between(nodes, name, (*bench).deliver)...)
		case "complete":
			list = append(list, between(nodes, name, (*bench).complete)...)
		case "beat":
			list = append(list, between(nodes, name, (*bench).beat)...)
		case "confirm":
			list = append(list, between(nodes, name, (*bench).confirm)...)
		case "mend":
			list = append(list, between(nodes, name, (*bench).mend)...)
		case "leave": // all but the last node remove the last one
			list = append(list, modelAction{"leave " + nodeName(nodes-1) + " at A", func(k *bench, w *world) bool {
				if w.n[0].member[nodes-1].gone {
					return false
				}
				k.setMember(w, 0, nodes-1, true)
				k.part(w, nodes-1)
				for s := range nodes - 1 {
					k.unlink(w, nodes-1, s)
				}
				w.excuse()
				return true
			}})
		case "tick":
			list = append(list, modelAction{name, (*bench).tick})
		default:
			panic("unknown action " + name)
		}
		if only {
			kept := list[:had:had]
			for _, a := range list[had:] {
				if a.name == name+" "+strings.ToUpper(which) {
					kept = append(kept, a)
				}
			}
			list = kept
		}
	}
	return list
}

// modelProfile is one search.
type modelProfile struct {
	name    string
	nodes   int
	starts  []string // histories that begin it, actions divided by commas
	actions string
	depth   int // of the shallow search; of the deep one
	deep    int
	later   bool // judge also what time makes of each state
}

// start is a world of linked nodes that hold nothing.
func (k *bench) start(nodes int) world {
	w := world{wall: 100 * modelTick, count: nodes, n: make([]modelNode, nodes)}
	for i := range nodes {
		n := &w.n[i]
		n.lives = 1
		n.disk = modelDisk{life: (i+1)<<8 | 1, blank: true}
		k.open(&w, i, false)
	}
	for i := range nodes { // a first note, so that positions are not empty
		k.setMark(&w, i, modelMark{name: "life", life: w.n[i].disk.life})
	}
	for range 3 {
		if why := k.heal(&w); why != "" {
			panic(why)
		}
		for i := range nodes {
			k.sync(&w, i)
		}
		for f := range nodes {
			for s := range nodes {
				if f != s {
					k.confirm(&w, f, s)
				}
			}
		}
	}
	return w
}

// run executes a history; names that end in * are repeated until nothing changes.
func (k *bench) run(w *world, history string) error {
	for _, step := range strings.Split(history, ",") {
		step = strings.TrimSpace(step)
		if step == "" {
			continue
		}
		switch step {
		case "settle": // all links at rest, all logs synced and confirmed
			offsets := [maxModelNodes]int64{}
			for i := range w.count {
				offsets[i] = w.n[i].offset
			}
			for range 4 {
				if why := k.heal(w); why != "" {
					return fmt.Errorf("settle: %s", why)
				}
				for i := range w.count {
					k.sync(w, i)
				}
				for f := range w.count {
					for s := range w.count {
						if f != s {
							k.confirm(w, f, s)
						}
					}
				}
			}
			for i := range w.count {
				w.n[i].offset = offsets[i]
			}
			w.base, w.exact = w.n[0].rec.Number()
			w.exact, w.sum = w.exact && w.n[0].found && w.n[0].rec.Expires == 0, 0
			continue
		case "save":
			i := w.count - 1
			k.sync(w, i)
			d := w.n[i].disk
			w.saved = &d
			continue
		}
		name, _, _ := strings.Cut(step, " ")
		found := false
		for _, a := range modelActions(w.count, name) {
			if a.name == step {
				found = true
				if !a.do(k, w) {
					return fmt.Errorf("%s: %w", step, errNothing)
				}
			}
		}
		if !found {
			return fmt.Errorf("%s: unknown", step)
		}
		if k.fault != "" {
			return fmt.Errorf("%s: %s", step, k.fault)
		}
	}
	return nil
}

// errNothing says that an action of a start changes nothing.
var errNothing = errors.New("nothing happens")

// searched is what a search found.
type searched struct {
	states, histories int
	broken            string // law, "" = none
	history           string
}

// search walks all states of a profile. limit bounds the states, 0 = none.
func (k *bench) search(p *modelProfile, depth, limit int) (found searched, err error) {
	type step struct {
		parent int32
		action int16
	}
	actions := modelActions(p.nodes, p.actions)
	var steps []step
	var begins []string
	visited := map[xxh3.Uint128]bool{}
	var buf []byte
	var stamps []hlc.Stamp
	type state struct {
		w  world
		at int32
	}
	var layer []state
	tell := func(at int32, last string) string {
		list := []string{last}
		for ; steps[at].parent >= 0; at = steps[at].parent {
			list = append([]string{actions[steps[at].action].name}, list...)
		}
		return strings.Trim(begins[at]+" | "+strings.Join(list, ", "), " ,|")
	}
	for _, s := range p.starts {
		k.fault = ""
		w := k.start(p.nodes)
		if err := k.run(&w, s); err != nil {
			return found, fmt.Errorf("start %q: %w", s, err)
		}
		begins, steps = append(begins, s), append(steps, step{-1, -1})
		layer = append(layer, state{w, int32(len(steps) - 1)})
		if why := k.check(&w, p.later); why != "" {
			found.broken, found.history = why, tell(int32(len(steps)-1), "")
			return found, nil
		}
		k.fault = ""
	}
	for d := 1; d <= depth && len(layer) > 0; d++ {
		var next []state
		for i := range layer {
			from := &layer[i]
			for a := range actions {
				w := from.w.clone()
				k.fault = ""
				if !actions[a].do(k, &w) {
					continue
				}
				found.histories++
				if k.fault != "" {
					found.broken, found.history = k.fault, tell(from.at, actions[a].name)
					return found, nil
				}
				var key xxh3.Uint128
				key, buf, stamps = w.key(buf, stamps)
				if visited[key] {
					continue
				}
				visited[key] = true
				found.states++
				if why := k.check(&w, p.later); why != "" {
					found.broken, found.history = why, tell(from.at, actions[a].name)
					return found, nil
				}
				if limit > 0 && found.states >= limit {
					return found, nil
				}
				if d < depth {
					steps = append(steps, step{from.at, int16(a)})
					next = append(next, state{w, int32(len(steps) - 1)})
				}
			}
			from.w = world{}
		}
		layer = next
	}
	return found, nil
}

// decided is a key that both of two nodes have agreed to forget to have deleted.
const decided = "set A, settle, delete A, settle, tick, tick, decide A, decide B"

var modelProfiles = []modelProfile{
	{name: "operations", nodes: 2, starts: []string{"", "set A, settle", "setx A, settle"},
		actions: "set setx add addx delete incr touch touchpast append tick pull", depth: 2, deep: 4},
	{name: "operations on a number", nodes: 2, starts: []string{"set A, settle"},
		actions: "set add delete incr touch tick pull", depth: 3, deep: 5},
	{name: "operations of Tokyo Tyrant", nodes: 2, starts: []string{"", "set4 A, settle", "addint A, settle"},
		actions: "set4 addint incr putcat putshl delete tick pull", depth: 2, deep: 4},
	{name: "operations of three", nodes: 3, starts: []string{"set A, settle"},
		actions: "set add delete incr pull", depth: 2, deep: 5},
	{name: "losses", nodes: 2, starts: []string{"", "set A, settle"},
		actions: "set add delete incr pull connect scan deliver complete sync kill power wipe", depth: 2, deep: 5},
	{name: "losses of three", nodes: 3, starts: []string{"set A, settle"},
		actions: "set incr delete pull join sync power wipe", depth: 2, deep: 4},
	{name: "floors", nodes: 2, starts: []string{"set A, settle"},
		actions: "set add incr delete flush flushlater tick pull sweep kill", depth: 2, deep: 5},
	{name: "floors and clocks", nodes: 2, starts: []string{"set A, settle"},
		actions: "set add incr flush flushlater tick pull sweep power join back slow ahead", depth: 2, deep: 5},
	{name: "horizon", nodes: 2, starts: []string{"set A, settle, delete A, settle, tick, tick", "set A, settle, tick, tick, delete A"},
		actions: "set add delete pullall advance drop tick kill power join", depth: 1, deep: 4, later: true},
	{name: "horizon in steps", nodes: 2, starts: []string{"set A, settle, delete A, settle, tick, tick, step A", "set A, settle, tick, tick, step A, beat B<A, sync B"},
		actions: "set:b incr:b delete:a pullall step:a beat confirm sync drop:a kill power join", depth: 3, deep: 6},
	{name: "horizon and clocks", nodes: 2, starts: []string{"set A, settle, delete A, settle, tick, tick"},
		actions: "set add pullall advance drop back slow kill power join", depth: 2, deep: 5},
	{name: "horizon of three", nodes: 3, starts: []string{"set A, settle, delete B, settle, tick, tick"},
		actions: "set:c add:a incr:b pullall advance drop power join", depth: 2, deep: 5},
	{name: "snapshots", nodes: 2, starts: []string{decided, "set A, settle, set A, settle, tick, tick, set A, settle, trim A"},
		actions: "set add delete pullall drop trim connect cut scan deliver complete wipe power", depth: 2, deep: 5},
	{name: "old disk", nodes: 3, starts: []string{"set A, settle, save, delete A, settle, tick, tick, decide A, decide B, settle, drop A, drop B"},
		actions: "restore set:c add incr:c join pullall mend", depth: 3, deep: 6},
	{name: "old disk in a decision", nodes: 2, starts: []string{"set A, settle, save, delete A, settle, tick, tick, step A, beat B<A, sync B, confirm B<A, pullall A<B, step A"},
		actions: "restore incr:b connect scan deliver complete sync:a step:a forget:a trim:a beat pullall", depth: 3, deep: 9},
	{name: "leaving", nodes: 3, starts: []string{"set A, settle, delete A, settle, tick, tick"},
		actions: "leave set:c add:a pullall advance drop wipe:c join", depth: 2, deep: 6},
	{name: "mending", nodes: 2, starts: []string{"set A, settle", "set A, settle, delete A, settle, tick, tick"},
		actions: "set delete pullall advance drop mend power join", depth: 2, deep: 5},
	{name: "damage", nodes: 2, starts: []string{"set A, settle, tick, tick, decide A, decide B, settle"},
		actions: "set:b add:b delete damage pullall advance drop mend join", depth: 2, deep: 6},
}

func modelDeep() bool { return os.Getenv("FUTAGO_MODEL") == "deep" }

func TestModel(t *testing.T) {
	for _, p := range modelProfiles {
		if only := os.Getenv("FUTAGO_MODEL_PROFILE"); only != "" && only != p.name {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			depth := p.depth
			if modelDeep() {
				depth = p.deep
			}
			if s := os.Getenv("FUTAGO_MODEL_DEPTH"); s != "" {
				depth, _ = strconv.Atoi(s)
			}
			ru := rightRules()
			found, err := newBench(&ru).search(&p, depth, 0)
			if err != nil {
				t.Fatal(err)
			}
			if found.broken != "" {
				t.Fatalf("after %d states: %s\n%s", found.states, found.history, found.broken)
			}
			t.Logf("%d states, %d histories of up to %d actions", found.states, found.histories, depth)
		})
	}
}

// TestModelHistory shows what FUTAGO_MODEL_HISTORY does to FUTAGO_MODEL_NODES nodes: "set A, pull B<A".
func TestModelHistory(t *testing.T) {
	history := os.Getenv("FUTAGO_MODEL_HISTORY")
	if history == "" {
		return
	}
	nodes := 2
	if s := os.Getenv("FUTAGO_MODEL_NODES"); s != "" {
		nodes, _ = strconv.Atoi(s)
	}
	ru := rightRules()
	for _, wrong := range wrongRules {
		if wrong.name == os.Getenv("FUTAGO_MODEL_WRONG") {
			wrong.change(&ru)
		}
	}
	k := newBench(&ru)
	w := k.start(nodes)
	for _, step := range strings.Split(strings.ReplaceAll(history, "|", ","), ",") {
		err := k.run(&w, step)
		t.Logf("%s: %v%s", step, err, w.dump())
	}
	c := w.clone()
	why := k.heal(&c)
	t.Logf("healed: %s%s", why, c.dump())
	t.Logf("judged: %s", k.judge(&c))
}
