package bench

import (
	"cmp"
	"fmt"
	"strings"
)

// TargetFigure is what futago must reach beside a peer in a case, and what it reached.
type TargetFigure struct {
	Case string `json:"case"`
	// Of is what is compared: ops/s, CPU us or p99 us.
	Of   string `json:"of"`
	Peer string `json:"peer"`
	// Ratios to the peer, above 1 is better: what futago must reach, what it aims at, what was measured.
	Must  float64 `json:"must"`
	Aim   float64 `json:"aim"`
	Ratio float64 `json:"ratio"`
	// Quiet says that the ratio is of quiet rounds.
	Quiet bool `json:"quiet"`
	// Reached is "aim", "must" or "no".
	Reached string `json:"reached"`
}

const (
	ofOps = "ops/s"
	ofCPU = "CPU us"
	ofP99 = "p99 us"
)

// target is one comparison that counts.
type target struct {
	group, placement, benchCase string
	server                      string // that is judged; "" is futago
	of, peer                    string
	must, aim                   float64
	// instead says that peer, which no Debian has, is so many times as fast as this one: measured once on another
	// machine with the same load. "" for a peer that takes part.
	instead string
	share   float64
}

var targets = []target{
	{group: "core", placement: "pinned", benchCase: "P=1", of: ofOps, peer: "memcached -t 1", must: 1.05, aim: 1.18},
	{group: "core", placement: "pinned", benchCase: "P=1", of: ofCPU, peer: "memcached -t 1", must: 1.05, aim: 1.18},
	{group: "core", placement: "free", benchCase: "P=1", of: ofOps, peer: "memcached -t 4", must: 1.4, aim: 1.7},
	{group: "core", placement: "pinned", benchCase: "P=16", of: ofOps, peer: "memcached -t 1", must: 5, aim: 8},
	{group: "core", placement: "pinned", benchCase: "P=16", of: ofOps, peer: "redis", must: 1.3, aim: 2},
	{group: "core", placement: "pinned", benchCase: "ten-key gets", of: ofOps, peer: "memcached -t 1", must: 1.3, aim: 1.6},
	{group: "protocols", placement: "pinned", benchCase: "tyrant P=1", of: ofOps, peer: "ttserver", must: 1.5, aim: 1.9,
		instead: "memcached -t 1", share: 0.64},
	{group: "protocols", placement: "pinned", benchCase: "tyrant P=16", of: ofOps, peer: "ttserver", must: 6, aim: 10,
		instead: "memcached -t 1", share: 0.76},
	{group: "http", placement: "pinned", benchCase: "GET", of: ofOps, peer: "ttserver", must: 2, aim: 4,
		instead: "memcached -t 1", share: 0.25},
	{group: "fsync", placement: "free", benchCase: syncedAlways, of: ofOps, peer: "redis", must: 1.15, aim: 1.5},
	{group: "fsync", placement: "free", benchCase: syncedSoon, of: ofOps, peer: "redis", must: 1, aim: 1.2},
	{group: "gateway", placement: "free", benchCase: "GET", server: "futago gateway", of: ofOps, peer: "nginx, keepalive", must: 0.6, aim: 1},
}

// judged and against name the servers that are compared.
func (t *target) judged() string  { return cmp.Or(t.server, "futago") }
func (t *target) against() string { return cmp.Or(t.instead, t.peer) }

// targets judges what was measured; what was not is left out.
func (r *Report) targets() (judged []TargetFigure) {
	for _, t := range targets {
		ours := r.row(t.group, t.placement, t.benchCase, t.judged())
		theirs := r.row(t.group, t.placement, t.benchCase, t.against())
		if ours == nil || theirs == nil {
			continue
		}
		f := TargetFigure{Case: t.group + " " + t.benchCase + ", " + t.placement, Of: t.of, Peer: t.peer, Must: t.must, Aim: t.aim}
		f.Ratio, f.Quiet = ratioOf(t.of, ours, theirs)
		if t.instead != "" {
			f.Ratio /= t.share
			f.Peer = fmt.Sprintf("%s, taken as %.2f x %s", t.peer, t.share, t.instead)
		}
		judged = append(judged, f.judge())
	}
	if worst, ok := r.worstP99(); ok {
		judged = append(judged, worst.judge())
	}
	return judged
}

// ratioOf returns how much better ours is.
func ratioOf(of string, ours, theirs *row) (ratio float64, quiet bool) {
	switch of {
	case ofCPU:
		return medianRatio(theirs.results, ours.results, serverCPU)
	case ofP99:
		return medianRatio(theirs.results, ours.results, p99)
	default:
		return medianRatio(ours.results, theirs.results, opsPerSecond)
	}
}

// worstP99 compares p99 with memcached's in every case that memcached takes part in, in the same protocol or its own.
func (r *Report) worstP99() (worst TargetFigure, ok bool) {
	for _, ours := range r.rows {
		theirs := r.reference(ours)
		if ours.server != "futago" || !strings.HasPrefix(theirs.server, "memcached") {
			continue
		}
		ratio, quiet := ratioOf(ofP99, ours, theirs)
		if ok && ratio >= worst.Ratio {
			continue
		}
		ok = true
		worst = TargetFigure{Case: fmt.Sprintf("every case, worst: %s %s, %s", ours.group, ours.benchCase, ours.placement), Of: ofP99,
			Peer: theirs.server, Must: 1, Aim: 2, Ratio: ratio, Quiet: quiet}
	}
	return worst, ok
}

func (f TargetFigure) judge() TargetFigure {
	switch {
	case f.Ratio >= f.Aim:
		f.Reached = "aim"
	case f.Ratio >= f.Must:
		f.Reached = "must"
	default:
		f.Reached = "no"
	}
	return f
}
