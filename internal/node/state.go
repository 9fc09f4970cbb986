package node

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// State is where a node is in its life.
type State string

const (
	Starting   State = "starting"
	Recovering State = "recovering"  // reading its own log
	CatchingUp State = "catching-up" // reading what the peer has and it has not
	Ready      State = "ready"
	Drained    State = "drained" // by an operator: it would be ready, and has no clients
	Draining   State = "draining"
)

// caughtUpReason is why a node that has what its peers have is ready.
const caughtUpReason = "caught up with the peer"

// stateBox holds the state and why.
type stateBox struct {
	mu     sync.Mutex
	state  State
	reason string
	since  time.Time
	// without says that a ready node has become so without what its peers have: the reason changes once it has that.
	without bool
}

func (b *stateBox) get() (State, string, time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.reason, b.since
}

// setState enters a state. Nothing follows draining.
func (n *Node) setState(s State, reason string) {
	b := &n.state
	b.mu.Lock()
	old := b.state
	if old == Draining {
		b.mu.Unlock()
		return
	}
	if old != s {
		b.since = time.Now()
	}
	b.state, b.reason, b.without = s, reason, false
	b.mu.Unlock()
	if old != s {
		n.logger.Info("node is "+string(s), "reason", reason)
	}
}

// current is the state that anybody is told: a ready node that stood still is not, also before watchFreeze has noticed, nor one that an
// operator holds back.
func (n *Node) current() (s State, reason string, since time.Time) {
	s, reason, since = n.state.get()
	if gap, frozen := n.stoodStill(); s == Ready && frozen && n.source != nil {
		return CatchingUp, fmt.Sprintf("stood still for %v", gap), time.Now()
	}
	if at := n.hold.since.Load(); s == Ready && at != nil {
		return Drained, "by an operator; clients are sent away", *at
	}
	return s, reason, since
}

// readiness is what load balancers are told.
func (n *Node) readiness() (ok bool, text string) {
	state, reason, _ := n.current()
	if state != Ready {
		return false, fmt.Sprintf("%s: %s", state, reason)
	}
	if err := n.store.Healthy(); err != nil {
		return false, fmt.Sprintf("%s: %v", "unhealthy", err)
	}
	for _, l := range n.pullers() {
		if err := l.Stuck(); err != nil {
			return false, fmt.Sprintf("unhealthy: what the peer sends cannot be applied: %v", err)
		}
	}
	return true, fmt.Sprintf("%s: %s", state, n.withSolo(reason))
}

// withSolo adds to the reason of a ready node that it is alone now, whatever it was when it became ready, and that it takes no writes:
// it serves reads then.
func (n *Node) withSolo(reason string) string {
	if a := n.store.Acknowledgement(); a.Solo {
		reason += "; solo now: " + a.SoloReason
	}
	if refusal := n.store.Stats().Refusal; refusal != "" {
		reason += "; writes are refused now: " + refusal
	}
	return reason
}

// catchUp blocks until this node holds what its peers have, or those that are missing made no progress for the timeout.
// The error says why this node must not serve.
func (n *Node) catchUp(reason string) error {
	if len(n.pullers()) == 0 {
		if n.peerLn != nil {
			n.readyWithout("no peer is known yet")
		}
		return nil
	}
	n.setState(CatchingUp, reason)
	begin := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, l := range n.pullers() {
			if err := l.Twin(); err != nil && !n.listening.Load() {
				return err
			}
		}
		if why := n.outcast(); why != "" {
			n.setState(CatchingUp, "refused by the mesh: "+why)
			if !n.pause(tick) {
				return nil
			}
			continue
		}
		ok, waits := n.caughtUp(begin)
		if ok && !n.followsOthers() {
			if n.knowsOthers() && time.Since(begin) <= n.cfg.CatchupTimeout { // watchMembers is about to follow them
				if !n.pause(tick) {
					return nil
				}
				continue
			}
			n.logger.Warn("peer names this node alone: no other node is followed", "peer", n.cfg.Peer)
			n.readyWithout("no other node is known: peer names this node itself")
			return nil
		}
		if ok {
			n.ready(caughtUpReason)
			return nil
		}
		if !waits {
			n.logger.Warn("serving without the peer's latest writes", "err", "peer made no progress", "took", n.cfg.CatchupTimeout)
			why := "peer did not answer"
			for _, l := range n.pullers() {
				if st := l.Status(); st.State == "refused" {
					why = st.Reason + "; no other peer answered"
				}
			}
			if slices.ContainsFunc(n.pullers(), func(l *link) bool {
				caught, _ := l.CaughtUp()
				return !caught && l.Status().State == "stream"
			}) {
				why = "peer is solo and this node does not keep up with it"
			}
			n.readyWithout(fmt.Sprintf("%s within %v; serving what is here", why, n.cfg.CatchupTimeout))
			return nil
		}
		if !n.pause(tick) {
			return nil
		}
	}
}

// pause waits until links may have changed; false when the node stops.
func (n *Node) pause(tick *time.Ticker) bool {
	select {
	case <-n.stopping:
		return false
	case <-n.nudge:
	case <-tick.C:
	}
	return true
}

func (n *Node) ready(reason string) { n.setState(Ready, reason) }

// readyWithout is ready of a node that lacks what its peers have.
func (n *Node) readyWithout(reason string) {
	n.ready(reason)
	b := &n.state
	b.mu.Lock()
	defer b.mu.Unlock()
	b.without = b.state == Ready
}

// noticeCaughtUp lets the reason of a node that became ready without its peers follow what has come since.
func (n *Node) noticeCaughtUp() {
	if ok, _ := n.caughtUp(time.Time{}); !ok || !n.followsOthers() {
		return
	}
	b := &n.state
	b.mu.Lock()
	late := b.without && b.state == Ready
	if late {
		b.reason, b.without = caughtUpReason, false
	}
	b.mu.Unlock()
	if late {
		n.logger.Info("node has caught up with its peers since it is ready")
	}
}

// again makes a node that may have missed writes catch up once more. Its listeners stay open; readiness goes, and with away
// also the clients, until it has caught up.
func (n *Node) again(reason string, away bool) {
	c := &n.catching
	c.mu.Lock()
	defer c.mu.Unlock()
	if away {
		n.server.Suspend()
		n.feed.Interrupt()
	}
	if len(n.pullers()) > 0 {
		n.setState(CatchingUp, reason) // before this returns, so that nobody finds the node ready
	}
	if c.once = true; c.running {
		return
	}
	c.running = true
	n.workers.Go(func() {
		for c.goOn(n.resume) {
			if err := n.catchUp(reason); err != nil {
				n.logger.Error("node cannot catch up", "err", err)
			}
		}
	})
}

// catching is whether the node catches up, after it has served.
type catching struct {
	mu      sync.Mutex
	running bool
	once    bool // more, from the beginning
}

// goOn reports whether it must be done once more; if not it calls over.
func (c *catching) goOn(over func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running, c.once = c.once, false; !c.running {
		over()
	}
	return c.running
}

// watchFreeze notices that this process stood still (a paused machine, SIGSTOP) for longer than its peer waits.
func (n *Node) watchFreeze() {
	every := n.cfg.PeerTimeout / 6
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		n.noticeFreeze()
		now := time.Now()
		n.beat.Store(&now)
		select {
		case <-n.stopping:
			return
		case <-tick.C:
		}
	}
}

// noticeFreeze does what is due when the process stood still: what it holds is old, and its clients have gone to a peer, or
// should. They are sent away until it has caught up.
func (n *Node) noticeFreeze() {
	if _, frozen := n.stoodStill(); !frozen {
		return
	}
	n.thawing.Lock()
	defer n.thawing.Unlock()
	gap, frozen := n.stoodStill()
	if !frozen {
		return
	}
	now := time.Now()
	n.logger.Warn("this process stood still", "took", gap)
	if n.source != nil {
		for _, l := range n.pullers() {
			l.Drop()
		}
		n.source.Drop()
		n.again(fmt.Sprintf("stood still for %v", gap), len(n.pullers()) > 0)
	}
	n.beat.Store(&now) // only now: until then who asks is told that it stood still
}

// stoodStill says how long ago watchFreeze looked last, and whether that is longer than a peer waits. Who asks may run
// before it does when the process goes on.
func (n *Node) stoodStill() (gap time.Duration, frozen bool) {
	last, now := n.beat.Load(), time.Now()
	if last == nil {
		return 0, false
	}
	// A suspended machine stops the monotonic clock, a process that is stopped does not.
	gap = max(now.Sub(*last), now.Round(0).Sub(last.Round(0)))
	return gap.Round(time.Millisecond), gap > n.cfg.PeerTimeout
}
