//go:build linux

package main

import (
	"slices"
	"sort"
	"time"
)

// evidence is what was seen of the nodes from outside, and what follows from it. Three things must be known to judge a
// missing write: whether both nodes had it when it was acknowledged (joint), since when the other node had it (shown), and
// whether the only copy was destroyed before that (exempt). Each is claimed only where the status documents prove it.
type evidence struct {
	nodes [2]nodeEvidence
	// settled are times at which no request of an earlier connection was left anywhere.
	settled []time.Duration

	ahead []span // worked out by index: stamps of writes may be as late as the end of the span
}

// nodeEvidence is what was seen of one node.
type nodeEvidence struct {
	samples []sample
	lives   []span // of its process
	losses  []loss
	// hollow are times from a loss until the node had everything again: what it serves alone then is not promised.
	hollow []span
	frozen []span

	// Worked out by index.
	joined  []span  // certainly not solo
	handed  []proof // the peer had everything
	durable []proof // the disk had everything
}

// sample is a status document, which was made between sent and received.
type sample struct {
	sent, received time.Duration
	status
}

// loss is the loss of a disk, or of what was not synced there.
type loss struct {
	at    time.Duration // the process was gone before
	power bool          // only what was not synced
}

// proof says that at a time everything was safe that had been acknowledged up to another time.
type proof struct{ upTo, at time.Duration }

// index works out what follows from the samples. It must be called before the evidence is used.
func (e *evidence) index() {
	for i := range e.nodes {
		n := &e.nodes[i]
		n.joined = n.findJoined()
		n.handed = n.findProofs(func(s *sample) uint64 { return s.Acknowledgement.Confirmed })
		n.durable = n.findProofs(func(s *sample) uint64 { return s.Store.DurableSeq })
	}
	slices.Sort(e.settled)
	e.ahead = e.findAhead()
}

// findJoined joins neighbouring samples of one process that was solo at neither, nor between: its sum of solo time is the
// same to the last bit.
func (n *nodeEvidence) findJoined() []span {
	var spans []span
	for i := 1; i < len(n.samples); i++ {
		a, b := &n.samples[i-1], &n.samples[i]
		if a.Log == "" || a.PID != b.PID || a.Acknowledgement.Solo || b.Acknowledgement.Solo ||
			a.Acknowledgement.SoloSeconds != b.Acknowledgement.SoloSeconds {
			continue
		}
		if last := len(spans) - 1; last >= 0 && spans[last].end == a.sent {
			spans[last].end = b.sent
		} else {
			spans = append(spans, span{a.received, b.sent})
		}
	}
	return spans
}

// findProofs finds samples at which a position was reached at which the log had ended in an earlier one.
func (n *nodeEvidence) findProofs(reached func(*sample) uint64) []proof {
	var proofs []proof
	oldest := 0 // sample whose end is not reached yet
	for i := range n.samples {
		s := &n.samples[i]
		if i > 0 && s.Log != n.samples[i-1].Log {
			oldest = i
		}
		if s.Log == "" {
			continue
		}
		for oldest <= i && n.samples[oldest].Store.LastSeq <= reached(s) {
			p := proof{n.samples[oldest].sent, s.received}
			if last := len(proofs) - 1; last >= 0 && proofs[last].at == p.at {
				proofs[last] = p
			} else {
				proofs = append(proofs, p)
			}
			oldest++
		}
	}
	return proofs
}

// lostMargin is more than a node puts its clock ahead of the newest stamp that is left when its log may have lost its end.
const lostMargin = 10 * time.Second

// findAhead returns the times in which the clocks of the nodes may be ahead of this program's. That begins at the end of a
// process whose log may have lost something, and each time adds to what is left of earlier ones, for nodes take over each
// other's clock.
func (e *evidence) findAhead() []span {
	var begins []time.Duration
	for i := range e.nodes {
		begins = append(begins, e.nodes[i].setbacks()...)
	}
	slices.Sort(begins)
	var spans []span
	for _, at := range begins {
		end := at + lostMargin
		if last := len(spans) - 1; last >= 0 && spans[last].end > at {
			end = spans[last].end + lostMargin
		}
		spans = append(spans, span{at, end})
	}
	return union(spans)
}

// setbacks returns when the log of a node may have lost something: at a power cut, and when its identity changed.
func (n *nodeEvidence) setbacks() (list []time.Duration) {
	for _, l := range n.losses {
		if l.power {
			list = append(list, l.at)
		}
	}
	last := "" // identity
	var seen time.Duration
	for i := range n.samples {
		s := &n.samples[i]
		if s.Log == "" {
			continue
		}
		if last != "" && s.Log != last {
			for _, life := range n.lives {
				if life.end >= seen && life.end < s.received && !n.lostAt(life.end) {
					list = append(list, life.end)
				}
			}
		}
		last, seen = s.Log, s.sent
	}
	return list
}

// lostAt reports whether a loss is known that came just after a life.
func (n *nodeEvidence) lostAt(end time.Duration) bool {
	return slices.ContainsFunc(n.losses, func(l loss) bool { return l.at >= end && l.at < end+time.Second })
}

// provenAt returns when everything acknowledged up to t was proven safe; never if it was not.
func provenAt(proofs []proof, t time.Duration) time.Duration {
	i := sort.Search(len(proofs), func(i int) bool { return proofs[i].upTo > t })
	if i == len(proofs) {
		return never
	}
	return proofs[i].at
}

// joint reports whether both nodes certainly had an acknowledged write at its reply.
func (e *evidence) joint(o *op) bool {
	return within(e.nodes[o.node].joined, o.inv, o.ret)
}

// shown returns since when a node certainly holds an acknowledged write, losses apart; never if that is not known.
func (e *evidence) shown(o *op, node int) time.Duration {
	if int(o.node) == node || e.joint(o) {
		return o.ret
	}
	return provenAt(e.nodes[o.node].handed, o.ret)
}

// exempt reports whether an acknowledged write may be gone: the disk of the node that acknowledged it was lost before it is
// known that the other node had it.
func (e *evidence) exempt(o *op) bool {
	n := &e.nodes[o.node]
	for _, l := range n.losses {
		if o.ret > l.at || e.joint(o) || provenAt(n.handed, o.ret) <= l.at {
			continue
		}
		if l.power && provenAt(n.durable, o.ret) <= l.at {
			continue
		}
		return true
	}
	return false
}

// effectEnd returns the time after which an operation certainly takes no effect any more. A node that did not answer may
// still have the request until its process ends or all connections were seen to be done with.
func (e *evidence) effectEnd(o *op) time.Duration {
	end := o.ret
	for i := range e.nodes {
		if o.pending&(1<<i) == 0 {
			continue
		}
		last := never
		for _, life := range e.nodes[i].lives {
			if life.end >= o.ret {
				last = life.end
				break
			}
		}
		if j := sort.Search(len(e.settled), func(j int) bool { return e.settled[j] >= o.ret }); j < len(e.settled) {
			last = min(last, e.settled[j])
		}
		end = max(end, last)
	}
	return end
}

// later reports whether one write is certainly later than another, which took effect before end, in the order of stamps. The
// clocks agree within margin, except where one is ahead.
func (e *evidence) later(w, than *op, end time.Duration) bool {
	if w.inv <= end+margin {
		return false
	}
	ahead := end
	for _, s := range e.ahead {
		if touches([]span{s}, than.inv, end) {
			ahead = max(ahead, s.end)
		}
	}
	switch {
	case w.inv > ahead+margin:
		return true
	case than.outcome != done || than.pending != 0 || !e.trusted(w):
		return false
	}
	return e.shown(than, int(w.node)) < w.inv // it knew of it
}

// trusted reports whether a node owed the truth during a read.
func (e *evidence) trusted(o *op) bool {
	return !touches(e.nodes[o.node].hollow, o.inv, o.ret)
}
