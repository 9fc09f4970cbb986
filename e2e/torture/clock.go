//go:build linux

package main

import "time"

// clock counts from the start of the run. Everything that is recorded has times of this one clock, which never goes back.
type clock struct{ start time.Time }

func (c *clock) now() time.Duration { return time.Since(c.start) }

// never is a time after all others, to which some may be added.
const never = time.Duration(1 << 62)

// span is a piece of time.
type span struct{ begin, end time.Duration }

// within reports whether a piece of time lies in one of the spans, which are in order and apart.
func within(spans []span, begin, end time.Duration) bool {
	for _, s := range spans {
		if s.begin <= begin && end <= s.end {
			return true
		}
	}
	return false
}

// touches reports whether a piece of time has anything in common with one of the spans.
func touches(spans []span, begin, end time.Duration) bool {
	for _, s := range spans {
		if s.begin <= end && begin <= s.end {
			return true
		}
	}
	return false
}
