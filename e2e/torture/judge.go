//go:build linux

package main

import (
	"time"
)

// judge compares everything that was seen with everything that is promised. Nothing may run any more.
func (r *run) judge() []verdict {
	e := r.evidence()
	verdicts := checkHistory(r.history.all(), e)
	verdicts = append(verdicts, r.unequal)
	var blocked [2][]span
	for i, n := range r.nodes {
		blocked[i] = append(blocked[i], r.calm...)
		for _, ev := range r.events {
			for _, p := range ev.parts {
				if p == processOf(n) || p == diskOf(n) {
					blocked[i] = append(blocked[i], ev.span)
				}
			}
		}
	}
	verdicts = append(verdicts, checkAvailable(r.load.traffic.sorted(), e, blocked))
	life := verdict{name: "lives", unit: "starts of a node",
		rule: "A node ends only when it is told to, with exit code 0 after SIGTERM, is ready within a minute of its start, and the pair is whole within a minute of the last fault."}
	for _, n := range r.nodes {
		life.checked += len(n.seen.lives)
		for _, text := range n.crashes {
			life.fail(0, nil, "%s", text)
		}
	}
	for _, p := range r.problems {
		life.fail(p.at, nil, "%s", p.text)
	}
	return append(verdicts, life)
}

func (r *run) evidence() *evidence {
	e := &evidence{settled: r.settled}
	for i, n := range r.nodes {
		e.nodes[i] = n.seen
	}
	return e
}

// failed counts the violations.
func failed(verdicts []verdict) (n int) {
	for _, v := range verdicts {
		n += v.wrong
	}
	return n
}

// jointShare is the share of acknowledged writes that both nodes certainly had at their reply.
func (r *run) jointShare(e *evidence) (joint, all int) {
	for _, k := range r.history.all() {
		for i := range k.ops {
			if o := &k.ops[i]; o.kind != get && o.outcome == done {
				all++
				if e.joint(o) {
					joint++
				}
			}
		}
	}
	return joint, all
}

// end is when the run ended, for the report.
func (r *run) end() time.Duration {
	var last time.Duration
	for _, n := range r.nodes {
		for _, l := range n.seen.lives {
			if l.end != never {
				last = max(last, l.end)
			}
		}
	}
	return last
}
