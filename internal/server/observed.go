package server

import (
	"time"

	"github.com/futago/futago/internal/observe"
	"github.com/futago/futago/internal/store"
)

// Latencies are how long requests took, since the start.
type Latencies struct {
	// Commands are by name; of those without one request there is none.
	Commands map[string]observe.Times
	// All are those of Commands that run in the network loops, together.
	All observe.Times
	// Rounds are the rounds of the network loops, each of them: what a request waits for that comes with others.
	Rounds observe.Times
	// Gate is how long replies were held until disk or peer had what was written, each of them.
	Gate observe.Times
}

// Latencies returns what was noted up to now.
func (s *Server) Latencies() Latencies {
	l := Latencies{Commands: map[string]observe.Times{}}
	for c := range classes {
		var t observe.Times
		for _, of := range s.totals {
			t.Add(&of.times[c])
		}
		if t.Count() == 0 {
			continue
		}
		l.Commands[classNames[c]] = t
		if !c.aside() {
			l.All.Join(&t)
		}
	}
	for _, of := range s.totals {
		l.Rounds.Add(&of.rounds)
		l.Gate.Add(&of.gate)
	}
	return l
}

// SlowLog is the log of slow requests.
func (s *Server) SlowLog() *observe.SlowLog { return &s.slow }

// SampleRequests is the mean distance of requests that are timed and whose keys are noted.
func (s *Server) SampleRequests() int { return s.cfg.SampleRequests }

// HotKeys returns the keys that were asked for most in the last half to whole minute.
func (s *Server) HotKeys() observe.Sample {
	tables := make([]*observe.HotKeys, 0, len(s.totals))
	for _, t := range s.totals {
		tables = append(tables, &t.hot)
	}
	return observe.Hottest(tables, time.Duration(nanos()))
}

// BigKeys returns the keys of the largest values that were written or read since the start and are there now, with their size.
func (s *Server) BigKeys() []observe.Big {
	lists := make([][]observe.Big, 0, len(s.totals))
	for _, t := range s.totals {
		lists = append(lists, t.big.Review(s.sizeOf))
	}
	return observe.Largest(lists...)
}

// sizeOf looks up the size of a value, which does not count as a read.
func (s *Server) sizeOf(key []byte) (size int, there bool) {
	var v store.View
	if !s.store.Peek(key, &v) {
		return 0, false
	}
	defer v.Release()
	return len(v.Value), true
}
