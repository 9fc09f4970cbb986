//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// part is what a fault takes for itself: no two faults work on one part at the same time.
type part int

const (
	processA part = iota
	processB
	theLink
	diskA
	diskB
	parts
)

func (p part) String() string {
	return [...]string{"process A", "process B", "link", "disk A", "disk B"}[p]
}

func processOf(n *node) part { return processA + part(n.index) }
func diskOf(n *node) part    { return diskA + part(n.index) }

// fault is one kind of trouble.
type fault struct {
	name string
	// takes are the parts that it needs, of the node that it is chosen for.
	takes func(n *node) []part
	// may says whether it can begin now; nil: always.
	may func(r *run, n *node) bool
	// missing says why it cannot be done here; nil: it can.
	missing func(r *run) error
	// do makes trouble for about the given time and ends it.
	do func(t *trouble) error
	// length is how long it may take.
	shortest, longest time.Duration
}

// event is one fault that happened.
type event struct {
	span
	fault string
	node  string // A, B, or empty for both or the link
	parts []part
}

func onProcess(n *node) []part { return []part{processOf(n)} }
func onDisk(n *node) []part    { return []part{diskOf(n)} }
func onBoth(n *node) []part    { return []part{processOf(n), diskOf(n)} }
func onLink(*node) []part      { return []part{theLink} }

// faults are all kinds. A node that loses what it has must not have the only copy: may demands that the other one is whole.
var faults = []fault{
	{name: "kill", takes: onProcess, shortest: 0, longest: 4 * time.Second, do: func(t *trouble) error {
		t.n.kill()
		t.pass(t.length)
		return t.r.startNode(t.ctx, t.n)
	}},
	{name: "terminate", takes: onProcess, shortest: 0, longest: 3 * time.Second, do: func(t *trouble) error {
		err := t.n.terminate()
		if err != nil {
			t.r.broken(err)
		}
		t.pass(t.length)
		return t.r.startNode(t.ctx, t.n)
	}},
	{name: "kill both", takes: func(*node) []part { return []part{processA, processB} }, shortest: 0, longest: 2 * time.Second,
		do: func(t *trouble) error {
			other := t.r.other(t.n)
			t.n.kill()
			other.kill()
			t.pass(t.length)
			if err := t.n.start(); err != nil {
				return err
			}
			t.pass(t.length)
			if err := t.r.startNode(t.ctx, other); err != nil {
				return err
			}
			return t.r.waitReady(t.n)
		}},
	// The peer counts as gone after 3 s.
	{name: "short freeze", takes: onProcess, shortest: 100 * time.Millisecond, longest: 2 * time.Second, do: freeze},
	{name: "long freeze", takes: onProcess, shortest: 3500 * time.Millisecond, longest: 6 * time.Second, do: freeze},
	{name: "cut", takes: onLink, shortest: 300 * time.Millisecond, longest: 6 * time.Second, do: func(t *trouble) error {
		t.r.link.set(0, conditions{cut: true})
		t.r.link.set(1, conditions{cut: true})
		t.pass(t.length)
		return nil
	}},
	{name: "one-way cut", takes: onLink, shortest: 300 * time.Millisecond, longest: 6 * time.Second, do: func(t *trouble) error {
		t.r.link.set(t.n.index, conditions{cut: true})
		t.pass(t.length)
		return nil
	}},
	{name: "slow link", takes: onLink, shortest: time.Second, longest: 5 * time.Second, do: func(t *trouble) error {
		c := conditions{delay: time.Duration(5+t.rng.IntN(150)) * time.Millisecond, bandwidth: 16 << 10 << t.rng.IntN(6)}
		t.r.link.set(0, c)
		t.r.link.set(1, c)
		t.pass(t.length)
		return nil
	}},
	{name: "lossy link", takes: onLink, shortest: time.Second, longest: 5 * time.Second, missing: func(r *run) error {
		if _, ok := r.link.(*tunLink); !ok {
			return fmt.Errorf("a proxy cannot lose packets (%v)", r.notIsolated)
		}
		return nil
	}, do: func(t *trouble) error {
		c := conditions{loss: 0.01 + 0.2*t.rng.Float64()}
		t.r.link.set(0, c)
		t.r.link.set(1, c)
		t.pass(t.length)
		return nil
	}},
	{name: "slow disk", takes: onDisk, shortest: time.Second, longest: 4 * time.Second, missing: needs(ext4), do: func(t *trouble) error {
		end := time.Now().Add(t.length)
		for time.Now().Before(end) && t.ctx.Err() == nil {
			if err := t.n.disk.freeze(); err != nil {
				return err
			}
			t.pass(time.Duration(20+t.rng.IntN(1000)) * time.Millisecond)
			if err := t.n.disk.thaw(); err != nil {
				return err
			}
			t.pass(time.Duration(t.rng.IntN(300)) * time.Millisecond)
		}
		return nil
	}},
	{name: "nearly full disk", takes: onBoth, shortest: time.Second, longest: 4 * time.Second, missing: needs(tmpfs), do: func(t *trouble) error {
		return t.fillDisk(8 << 20)
	}},
	{name: "full disk", takes: onBoth, shortest: time.Second, longest: 4 * time.Second, missing: needs(tmpfs), do: func(t *trouble) error {
		return t.fillDisk(0)
	}},
	{name: "wipe", takes: onBoth, shortest: 0, longest: 2 * time.Second, may: otherIsWhole, do: func(t *trouble) error {
		return t.lose(false, t.n.disk.wipe)
	}},
	{name: "power cut", takes: onBoth, shortest: 0, longest: 2 * time.Second, may: otherIsWhole, missing: needs(ext4), do: func(t *trouble) error {
		return t.lose(true, t.n.disk.powerCut)
	}},
}

// needs says that a kind of disk is needed on both nodes.
func needs(k diskKind) func(r *run) error {
	return func(r *run) error {
		for _, n := range r.nodes {
			if n.disk.kind < k {
				return fmt.Errorf("the disk of node %s is %v: %w", n.name, n.disk.kind, n.disk.why)
			}
		}
		return nil
	}
}

// otherIsWhole reports whether the other node has all that was ever acknowledged by both, and serves.
func otherIsWhole(r *run, n *node) bool {
	other := r.other(n)
	s, fresh := other.latest()
	return fresh && s.Ready && s.Store.Refusal == "" && other.running() && other.whole() && r.idle(processOf(other), diskOf(other))
}

func freeze(t *trouble) error {
	n := t.n
	n.note("freeze")
	begin := n.clock.now()
	n.signal(syscall.SIGSTOP, false)
	t.pass(t.length)
	n.note("thaw")
	n.signal(syscall.SIGCONT, false)
	n.mu.Lock()
	n.seen.frozen = append(n.seen.frozen, span{begin, n.clock.now()})
	n.mu.Unlock()
	return nil
}

// fillDisk takes the space, gives it back, and does what an operator does then: restart a node whose log has stopped.
func (t *trouble) fillDisk(leave int64) error {
	n := t.n
	n.note(fmt.Sprintf("fill the disk, %d bytes free", leave))
	if err := n.disk.fill(leave); err != nil {
		return err
	}
	t.pass(t.length)
	if err := n.disk.free(); err != nil {
		return err
	}
	n.note("space again")
	if _, reason := n.readyz(context.Background()); n.running() && !unhealthy(reason) {
		return nil
	}
	n.kill()
	return t.r.startNode(t.ctx, n)
}

// lose kills a node, destroys what it has, and starts it again. From then on it is not whole.
func (t *trouble) lose(power bool, destroy func() error) error {
	n := t.n
	n.sample(context.Background())
	n.kill()
	n.mu.Lock()
	at := n.clock.now()
	n.seen.losses = append(n.seen.losses, loss{at, power})
	n.seen.hollow = append(n.seen.hollow, span{at, never})
	n.mu.Unlock()
	if power {
		n.note("power cut")
	} else {
		n.note("wipe")
	}
	if err := destroy(); err != nil {
		return err
	}
	t.pass(t.length)
	return t.r.startNode(t.ctx, n)
}

// trouble is a fault under way.
type trouble struct {
	ctx    context.Context // of the round
	r      *run
	n      *node
	length time.Duration
	rng    *rand.Rand
}

// pass waits, at most until the round is over.
func (t *trouble) pass(d time.Duration) {
	select {
	case <-t.ctx.Done():
	case <-time.After(d):
	}
}
