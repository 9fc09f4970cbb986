package hlc

import (
	"testing"
	"time"
)

func TestSteadyHoldsJumpsBack(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var passed, jumped time.Duration
	s := &Steady{bound: time.Minute, base: start,
		wall:    func() time.Time { return start.Add(passed + jumped) },
		elapsed: func() time.Duration { return passed }}
	never, always := func(time.Time) bool { return false }, func(time.Time) bool { return true }
	check := func(want time.Duration) {
		t.Helper()
		if got := s.Now().Sub(start); got != want {
			t.Errorf("got %v since the start, want %v", got, want)
		}
	}
	passed = time.Hour
	check(time.Hour)
	for _, jump := range []time.Duration{5 * time.Hour, -5 * time.Hour} {
		jumped = jump
		if got := s.Follow(never); got != jump {
			t.Errorf("Follow: got %v, want %v", got, jump)
		}
		check(time.Hour)
	}
	jumped = 30 * time.Second
	if got := s.Follow(never); got != 0 {
		t.Errorf("a small step is held back: %v", got)
	}
	check(time.Hour + 30*time.Second)
	jumped = 3 * time.Hour
	if got := s.Follow(always); got != 0 {
		t.Errorf("a step that others agree with is held back: %v", got)
	}
	check(4 * time.Hour)
}
