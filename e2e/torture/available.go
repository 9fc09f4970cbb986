//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// silenceLimit is the longest time without any success that passes. A client waits a second for a node that hangs.
const silenceLimit = 5 * time.Second

// checkAvailable finds the longest time in which no operation succeeded on the pair although a node was alive and ready.
// successes are in order; blocked are times in which nothing may be expected of a node, or in which no client worked.
func checkAvailable(successes []time.Duration, e *evidence, blocked [2][]span) verdict {
	v := verdict{name: "availability", unit: "successful operations", checked: len(successes),
		rule: fmt.Sprintf("While a node is alive and ready, never does %v pass without a success.", silenceLimit)}
	var able []span
	for i := range e.nodes {
		able = append(able, e.nodes[i].able(blocked[i])...)
	}
	var longest, at time.Duration
	for _, s := range union(able) {
		last := s.begin
		i, _ := slices.BinarySearch(successes, s.begin)
		for ; ; i++ {
			next := s.end
			if i < len(successes) {
				next = min(next, successes[i])
			}
			if silence := next - last; silence > longest {
				longest, at = silence, last
			}
			if next == s.end {
				break
			}
			last = next
		}
	}
	v.note = fmt.Sprintf("longest silence %v, at %v", longest.Round(time.Millisecond), at.Round(time.Millisecond))
	if longest > silenceLimit {
		v.fail(at, nil, "%v without a success", longest.Round(time.Millisecond))
	}
	if len(successes) == 0 {
		v.fail(0, nil, "no operation succeeded at all")
	}
	return v
}

// able returns when a node was alive and said before and after that it was ready.
func (n *nodeEvidence) able(blocked []span) []span {
	const longestGap = 1500 * time.Millisecond // between two samples
	var spans []span
	for i := 1; i < len(n.samples); i++ {
		a, b := &n.samples[i-1], &n.samples[i]
		if a.PID != b.PID || !a.Ready || !b.Ready || b.received-a.received > longestGap ||
			touches(blocked, a.received, b.received) || touches(n.frozen, a.received, b.received) {
			continue
		}
		if last := len(spans) - 1; last >= 0 && spans[last].end == a.received {
			spans[last].end = b.received
		} else {
			spans = append(spans, span{a.received, b.received})
		}
	}
	return spans
}

// union joins spans that touch.
func union(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return int(a.begin - b.begin) })
	var out []span
	for _, s := range spans {
		if last := len(out) - 1; last >= 0 && s.begin <= out[last].end {
			out[last].end = max(out[last].end, s.end)
		} else {
			out = append(out, s)
		}
	}
	return out
}
