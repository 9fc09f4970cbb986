package record

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/futago/futago/internal/hlc"
)

// The model: one key, two nodes that execute operations as the store does and pull each other's state, in every history up
// to a depth. FUTAGO_DEPTH asks for a deeper search.
//
// In every history each write must be later than what it replaced, both nodes must agree once each has pulled, and while
// nothing but increments, touches and pulls follows a set, all increments must count.

// rules can be replaced by wrong ones, which the search must catch.
type rules struct {
	gone    func(r *Record) hlc.Stamp                             // stamp of an expired record as a tombstone
	absence func(tombstone *Record) hlc.Stamp                     // that a creation after a delete belongs to
	touch   func(cur *Record, by Author, expires uint64) Record   // of a number
	merge   func(a, b *Record) Record                             //
	epoch   func(node int, losses uint64) uint64                  // of a node's contributions
	incr    func(cur *Record, by Author, delta uint64) (r Record) //
}

func rightRules() rules {
	return rules{
		gone:    (*Record).GoneStamp,
		absence: func(t *Record) hlc.Stamp { return t.Stamp },
		touch:   func(cur *Record, by Author, expires uint64) Record { return Renew(cur, by, expires, nil) },
		merge:   Merge,
		epoch:   func(node int, losses uint64) uint64 { return uint64(node)<<8 | losses },
		incr: func(cur *Record, by Author, delta uint64) Record {
			r, _ := Contribute(cur, by, true, delta, nil)
			return r
		},
	}
}

// world is a state of the model. Nodes are 0 and 1, their ids 1 and 2.
type world struct {
	rec    [2]Record // Kind 0: nothing
	last   [2]int64  // logical clock
	synced [2]Record // what a loss leaves
	losses [2]uint64
	wall   int64
	sum    int64 // what the increments since a set that both nodes know add up to
	exact  bool  // nothing else happened since
}

const (
	doSet = iota
	doAdd
	doDelete
	doIncr
	doTouch     // expires with the next tick
	doTouchPast // has expired
	doPull
	doLose // the node loses everything
	doTick
	actions
)

var actionNames = [actions]string{"set", "add", "delete", "incr", "touch", "touch into the past", "pull", "lose", "tick"}

func (w *world) live(n int) bool {
	r := &w.rec[n]
	return r.Kind != 0 && r.Kind != Tombstone && !r.ExpiredAt(w.wall)
}

// act executes an action; applies is false when it would change nothing, err names a broken law.
func (w *world) act(ru *rules, action, n int) (applies bool, err error) {
	cur := w.rec[n]
	stamp := hlc.Make(max(w.last[n]+1, w.wall), 0, n+1)
	by := Author{Stamp: stamp, Epoch: ru.epoch(n, w.losses[n])}
	var next Record
	switch action {
	case doSet:
		next = Record{Kind: Value, Stamp: stamp, Replaced: cur.Stamp, Value: []byte("5")}
	case doAdd:
		if w.live(n) {
			return false, nil
		}
		next = Record{Kind: Value, Stamp: stamp, Created: true, Value: []byte("7")}
		switch {
		case cur.Kind == Tombstone:
			next.Replaced = ru.absence(&cur)
		case cur.Kind != 0:
			next.Replaced = ru.gone(&cur)
		}
	case doDelete, doIncr, doTouch, doTouchPast:
		if !w.live(n) {
			return false, nil
		}
		switch action {
		case doDelete:
			next = Record{Kind: Tombstone, Stamp: stamp, Replaced: cur.Stamp}
		case doIncr:
			next = ru.incr(&cur, by, 1)
			w.sum++
		case doTouch:
			next = ru.touch(&cur, by, uint64(w.wall+50))
		case doTouchPast:
			next = ru.touch(&cur, by, 1)
		}
	case doPull:
		from := &w.rec[1-n]
		if from.Kind == 0 {
			return false, nil
		}
		w.last[n] = max(w.last[n], w.last[1-n])
		if cur.Kind == 0 {
			w.rec[n] = *from
			return true, nil
		}
		next = ru.merge(&cur, from)
		if Equal(&next, &cur) {
			return false, nil
		}
		w.rec[n] = next
		return true, nil
	case doLose:
		if cur.Kind == w.synced[n].Kind && (cur.Kind == 0 || Equal(&cur, &w.synced[n])) {
			return false, nil
		}
		other := &w.rec[1-n]
		if other.Kind == 0 {
			w.exact = false
		} else if m := ru.merge(&cur, other); !Equal(&m, other) {
			w.exact = false // the other node does not hold all that is lost
		}
		// The peer tells the newest stamps, not yet the record.
		w.rec[n] = w.synced[n]
		w.losses[n]++
		w.last[n] = max(w.last[n], w.last[1-n])
		return true, nil
	case doTick:
		w.wall += 100
		return true, nil
	}
	if action != doIncr && action != doTouch {
		w.exact = false
	}
	w.last[n] = stamp.Millis()
	w.rec[n] = next
	if cur.Kind != 0 {
		if m := ru.merge(&cur, &next); !Equal(&m, &next) {
			return true, fmt.Errorf("%s at node %d is not later than what it replaced:\n%s\n%s", actionNames[action], n+1, show(&cur), show(&next))
		}
	}
	return true, nil
}

// meet lets both nodes pull and compares them.
func (w world) meet(ru *rules) error {
	for range 2 {
		for n := range 2 {
			if _, err := w.act(ru, doPull, n); err != nil {
				return err
			}
		}
	}
	a, b := &w.rec[0], &w.rec[1]
	if a.Kind != b.Kind || a.Kind != 0 && !Equal(a, b) {
		return fmt.Errorf("nodes differ:\n%s\n%s", show(a), show(b))
	}
	if v, ok := a.Number(); w.exact && (!ok || v != uint64(5+w.sum)) {
		return fmt.Errorf("%d increments of 5 give %s", w.sum, show(a))
	}
	return nil
}

// search tries every history and returns the first that breaks a law.
func search(ru *rules, w world, depth int, count *int) (history string, err error) {
	*count++
	if err := w.meet(ru); err != nil {
		return "", err
	}
	if depth == 0 {
		return "", nil
	}
	for action := range actions {
		for n := range 2 {
			if action == doTick && n == 1 {
				continue
			}
			next := w
			applies, err := next.act(ru, action, n)
			if applies && err == nil {
				history, err = search(ru, next, depth-1, count)
			}
			if err != nil {
				return fmt.Sprintf("%s at %d, %s", actionNames[action], n+1, history), err
			}
		}
	}
	return "", nil
}

// starts are the worlds that histories begin in: nothing there, and a number that both nodes hold.
func starts() []world {
	w := world{wall: 100, last: [2]int64{100, 100}}
	held := w
	number := Record{Kind: Value, Stamp: hlc.Make(100, 0, 1), Value: []byte("5")}
	held.rec, held.synced, held.exact = [2]Record{number, number}, [2]Record{number, number}, true
	return []world{w, held}
}

func TestModel(t *testing.T) {
	depth := 4
	if s := os.Getenv("FUTAGO_DEPTH"); s != "" {
		var err error
		if depth, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	ru, count := rightRules(), 0
	for _, w := range starts() {
		if history, err := search(&ru, w, depth, &count); err != nil {
			t.Fatalf("%s: %v", history, err)
		}
	}
	t.Logf("%d histories of up to %d actions", count, depth)
}

// The search must find what breaks without each rule.
func TestModelCatchesWrongRules(t *testing.T) {
	for name, wrong := range map[string]func(ru *rules){
		"a creation forgets the tombstone": func(ru *rules) {
			ru.absence = func(*Record) hlc.Stamp { return 0 }
		},
		"an expired record forgets its generation": func(ru *rules) {
			ru.gone = func(r *Record) hlc.Stamp { return hlc.Make(int64(r.Expires), 0, 0) }
		},
		"a creation in the generation of the expired one": func(ru *rules) {
			ru.gone = func(r *Record) hlc.Stamp { return max(r.Gen().Stamp, hlc.Make(int64(r.Expires), 0, 0)) }
		},
		"a touch begins a generation": func(ru *rules) {
			ru.touch = func(cur *Record, by Author, expires uint64) Record {
				return Record{Kind: Value, Stamp: by.Stamp, Replaced: cur.Stamp, Expires: expires, Value: cur.AppendVisible(nil)}
			}
		},
		"an increment is a set": func(ru *rules) {
			ru.incr = func(cur *Record, by Author, delta uint64) Record {
				v, _ := cur.Number()
				return Record{Kind: Value, Stamp: by.Stamp, Replaced: cur.Stamp, Value: strconv.AppendUint(nil, v+delta, 10)}
			}
		},
		"the newest stamp wins whole": func(ru *rules) {
			ru.merge = func(a, b *Record) Record { return *later(a, b) }
		},
		"the receiver wins": func(ru *rules) {
			ru.merge = func(a, _ *Record) Record { return *a }
		},
		"one epoch for ever": func(ru *rules) {
			ru.epoch = func(node int, _ uint64) uint64 { return uint64(node) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			ru, count := rightRules(), 0
			wrong(&ru)
			for depth := range 6 {
				for _, w := range starts() {
					if history, err := search(&ru, w, depth, &count); err != nil {
						t.Logf("caught after %d histories: %s", count, history)
						return
					}
				}
			}
			t.Fatalf("not caught in %d histories", count)
		})
	}
}
