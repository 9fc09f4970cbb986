package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The move of one slot as docs/design/sharding.md describes it, searched over every history of four nodes, two writes, two
// crashes and two removals. What a node notes or tells is one step, and every step may be late or never come, so cut links and
// lost replies are in it. Each node keeps what it noted; one that was removed is lost with its disk.

const (
	nodeA = iota // P, which keeps the slot
	nodeB
	nodeC // Q, which is to get it; C leads
	nodeD
	moveNodes
)

const (
	maxWrites   = 2
	maxCrashes  = 2
	maxRemovals = 2
)

// life is whether a node runs.
type life uint8

const (
	up life = iota
	down
	removed
)

// stage is what a node noted last of the slot. In P a later one wins over an earlier one; taken back and given are never both
// there.
type stage uint8

const (
	kept stage = iota
	closing
	takenBack // kept again, the epoch of the move is used up
	given
	keptAgain // with the epoch behind that of the move

	importing
	opened
	gaveUp
)

type moveNode struct {
	life    life
	stage   stage
	data    uint8 // writes that it holds, a bit each
	giver   int8  // while closing or given, else -1
	told    bool  // of C: P has given
	answers uint8 // of D: the members of P, a bit each, who said that they do not keep the slot and do not take it back
}

type moveState struct {
	nodes                     [moveNodes]moveNode
	writes, crashes, removals uint8
	acked                     uint8 // writes that somebody holds who was not removed
	given                     uint8 // what the giver held when it gave
	contradiction             bool
}

// wrong are rules that are left out.
type wrong struct {
	otherReads  bool // B reads on while closing, as A may
	otherTakes  bool // B takes back what A closed
	closedByOne bool // A gives before B has closed and both hold the same
	openUntold  bool // C opens without having been told
	openEarly   bool // C opens before it holds what P had given
	leadUnasked bool // D leads without asking P
	askAny      bool // D asks one member of P, not all
	oldAnswers  bool // an answer counts after a member of P was removed
}

func partner(n int) int { return n ^ 1 }

// serves says whether a node takes writes.
func (s *moveState) serves(n int) bool {
	x := &s.nodes[n]
	return x.life == up && (x.stage == kept || x.stage == takenBack || x.stage == keptAgain || x.stage == opened)
}

func (s *moveState) reads(n int, w wrong) bool {
	x := &s.nodes[n]
	return s.serves(n) || x.life == up && x.stage == closing && (int(x.giver) == n || w.otherReads)
}

// lead is the node of Q that decides: C until it is removed.
func (s *moveState) lead() int {
	if s.nodes[nodeC].life == removed {
		return nodeD
	}
	return nodeC
}

// next calls f with every state that one step leads to.
func (s moveState) next(w wrong, f func(step string, t moveState)) {
	change := func(step string, n int, edit func(x *moveNode)) {
		t := s
		edit(&t.nodes[n])
		if t != s {
			f(fmt.Sprintf("%s %c", step, 'A'+n), t)
		}
	}
	for n := range moveNodes {
		s.live(n, w, f)
		s.replicate(n, f)
	}
	for _, n := range []int{nodeA, nodeB} {
		x, other := &s.nodes[n], &s.nodes[partner(n)]
		if x.life != up || x.stage != closing {
			continue
		}
		if int(x.giver) == n || w.otherTakes {
			change("take back", n, func(x *moveNode) { x.stage = takenBack })
		}
		bothClosed := other.life == removed || other.life == up && other.stage == closing && int(other.giver) == n && other.data == x.data
		if int(x.giver) == n && (bothClosed || w.closedByOne) {
			t := s
			t.nodes[n].stage, t.given = given, x.data
			f(fmt.Sprintf("give %c", 'A'+n), t)
		}
	}
	if c := s.lead(); s.nodes[c].life == up {
		s.led(c, w, change)
	}
}

// live are writes, and the end and the return of a node.
func (s moveState) live(n int, w wrong, f func(string, moveState)) {
	x, t := &s.nodes[n], s
	if s.serves(n) && s.writes < maxWrites {
		t.nodes[n].data |= 1 << s.writes
		t.acked |= 1 << s.writes
		t.writes++
		f(fmt.Sprintf("write at %c", 'A'+n), t)
	}
	t = s
	switch {
	case x.life == up && s.crashes < maxCrashes:
		t.nodes[n].life, t.crashes = down, s.crashes+1
		f(fmt.Sprintf("crash %c", 'A'+n), t)
	case x.life == down:
		t.nodes[n].life = up
		f(fmt.Sprintf("start %c", 'A'+n), t)
		if s.nodes[partner(n)].life == up && s.removals < maxRemovals {
			t.nodes[n].life, t.removals = removed, s.removals+1
			held := uint8(0)
			for _, y := range t.nodes {
				if y.life != removed {
					held |= y.data
				}
			}
			t.acked &= held
			if n < nodeC && !w.oldAnswers { // who answered counted on that one to answer for itself
				t.nodes[nodeD].answers = 0
			}
			f(fmt.Sprintf("remove %c", 'A'+n), t)
		}
	}
}

// replicate brings what a node has to its partner.
func (s moveState) replicate(n int, f func(string, moveState)) {
	t, p := s, partner(n)
	x, y := &s.nodes[n], &t.nodes[p]
	if x.life != up || y.life != up {
		return
	}
	y.data |= x.data
	switch {
	case x.stage == given && y.stage == takenBack, x.stage == takenBack && y.stage == given:
		t.contradiction = true
	case x.stage > y.stage:
		y.stage, y.giver = x.stage, x.giver
	case x.stage == closing && y.stage == closing: // two closed at once: the later note wins, say B's
		y.giver = max(x.giver, y.giver)
	}
	if t != s {
		f(fmt.Sprintf("%c gets what %c has", 'A'+p, 'A'+n), t)
	}
}

// led are the steps of the node of Q that leads.
func (s moveState) led(c int, w wrong, change func(string, int, func(*moveNode))) {
	lead := &s.nodes[c]
	for _, n := range []int{nodeA, nodeB} {
		x := &s.nodes[n]
		if x.life != up {
			continue
		}
		if lead.stage == gaveUp && (x.stage == closing || x.stage == given) {
			change("the move was given up, says the lead to", n, func(x *moveNode) { x.stage, x.giver = keptAgain, -1 })
		}
		if lead.stage != importing {
			continue
		}
		change(fmt.Sprintf("copy from %c to", 'A'+n), c, func(l *moveNode) { l.data |= x.data })
		if x.stage == kept {
			change("close", n, func(x *moveNode) { x.stage, x.giver = closing, int8(n) })
		}
		if x.stage == given && c == nodeC {
			change(fmt.Sprintf("%c tells", 'A'+n), c, func(l *moveNode) { l.told = true })
		}
		// The other one of P may have taken it back, or given it: that one must answer too.
		if c == nodeD && (x.stage == given || x.stage == closing && int(x.giver) != n) {
			change(fmt.Sprintf("%c answers", 'A'+n), c, func(l *moveNode) { l.answers |= 1 << n })
		}
	}
	if lead.stage != importing {
		return
	}
	ready := (lead.told || w.openUntold) && (s.given&^lead.data == 0 || w.openEarly)
	if c == nodeD {
		ready = s.mayOpenAtD(w)
	}
	if ready {
		change("open", c, func(l *moveNode) { l.stage = opened })
	}
	if !lead.told {
		change("give up", c, func(l *moveNode) { l.stage = gaveUp })
	}
}

// mayOpenAtD: every member of P has answered, and D holds what they have.
func (s *moveState) mayOpenAtD(w wrong) bool {
	if w.leadUnasked {
		return true
	}
	d := &s.nodes[nodeD]
	for n, x := range s.nodes[:nodeC] {
		if x.life != removed && (d.answers&(1<<n) == 0 && !w.askAny || x.data&^d.data != 0) {
			return false
		}
	}
	return d.answers != 0
}

// broken says what promise a state breaks, "" for none.
func (s *moveState) broken(w wrong) string {
	if s.contradiction {
		return "a slot was given and taken back"
	}
	p := uint8(0) // what the members of P hold, those that are down included
	for _, x := range s.nodes[:nodeC] {
		if x.life != removed {
			p |= x.data
		}
	}
	for _, n := range []int{nodeC, nodeD} {
		if !s.serves(n) {
			continue
		}
		if s.serves(nodeA) || s.serves(nodeB) {
			return "two pairs keep the slot"
		}
		if s.reads(nodeA, w) || s.reads(nodeB, w) {
			return "P reads while Q keeps the slot"
		}
		if p&s.acked&^s.nodes[n].data != 0 {
			return "Q serves without an acknowledged write of P"
		}
	}
	for _, x := range s.nodes[nodeC:] {
		if x.life == down && x.stage == opened && (s.serves(nodeA) || s.serves(nodeB)) {
			return "P serves what Q has opened"
		}
	}
	return ""
}

// search goes through all states. It returns the history of the first one that breaks a promise, "" for none, and how many states
// each end of the move has.
func search(w wrong) (history string, ends map[string]int) {
	type from struct {
		state moveState
		step  string
	}
	first := moveState{}
	for n := range first.nodes {
		first.nodes[n].giver = -1
	}
	first.nodes[nodeC].stage, first.nodes[nodeD].stage = importing, importing
	came := map[moveState]from{first: {}}
	queue := []moveState{first}
	ends = map[string]int{}
	for len(queue) > 0 && history == "" {
		s := queue[0]
		queue = queue[1:]
		if why := s.broken(w); why != "" {
			steps := []string{why}
			for ; s != first; s = came[s].state {
				steps = append(steps, came[s].step)
			}
			slices.Reverse(steps)
			return strings.Join(steps, "\n"), ends
		}
		switch {
		case s.nodes[nodeC].stage == opened:
			ends["opened by C"]++
		case s.nodes[nodeD].stage == opened:
			ends["opened by D"]++
		case s.nodes[nodeA].stage == keptAgain:
			ends["given up"]++
		case s.nodes[nodeA].stage == takenBack:
			ends["taken back"]++
		}
		s.next(w, func(step string, t moveState) {
			if _, seen := came[t]; !seen {
				came[t] = from{s, step}
				queue = append(queue, t)
			}
		})
	}
	ends["states"] = len(came)
	return "", ends
}

// TestMove: in no history do two pairs serve the slot, and no acknowledged write is missing where it is served, other than those
// that only a removed node had.
func TestMove(t *testing.T) {
	history, ends := search(wrong{})
	if history != "" {
		t.Fatalf("a history breaks a promise:\n%s", history)
	}
	for _, end := range []string{"opened by C", "opened by D", "given up", "taken back"} {
		if ends[end] == 0 {
			t.Errorf("no history ends with: %s", end)
		}
	}
	t.Log(ends)
}

// TestMoveCanFail leaves out one rule at a time.
func TestMoveCanFail(t *testing.T) {
	for name, w := range map[string]wrong{
		"B reads while closing":  {otherReads: true},
		"B takes back":           {otherTakes: true},
		"one node closes":        {closedByOne: true},
		"C opens untold":         {openUntold: true},
		"C opens early":          {openEarly: true},
		"D asks nobody":          {leadUnasked: true},
		"D asks one":             {askAny: true},
		"D counts an old answer": {oldAnswers: true},
	} {
		t.Run(name, func(t *testing.T) {
			history, _ := search(w)
			if history == "" {
				t.Error("no history breaks a promise")
			}
			t.Log(history)
		})
	}
}
