package store

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/vfs"
)

// A reader keeps the log from where it is, and somebody who comes back from where it means to go on, until then and over
// restarts.
func TestKeepForReaders(t *testing.T) {
	fs := vfs.Memory()
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var past atomic.Int64
	c := testConfig(1, fs, nil)
	c.InMemory, c.Now = false, func() time.Time { return begin.Add(time.Duration(past.Load())) }
	s := open(t, c)
	for range 10 {
		set(t, s, "k", "v")
	}
	want := func(what string, point uint64) {
		t.Helper()
		if got := s.retentionPoint(); got != point {
			t.Errorf("%s: kept from %d on, want from %d on", what, got, point)
		}
	}
	want("nobody", s.log.Last())
	a, b := s.KeepForReader(3), s.KeepForReader(5)
	want("two readers", 3)
	a.Passed(7)
	want("one has passed the other", 5)
	b.Passed(2)
	want("readers do not go back", 5)
	b.End()
	b.End()
	want("one is left", 7)
	a.End()
	want("none is left", s.log.Last())
	if err := s.KeepUntil(4, begin.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want("one comes back", 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, c)
	want("after a restart", 4)
	past.Store(int64(time.Hour))
	want("too late", s.log.Last())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.InMemory = true
	s = open(t, c)
	defer s.Close()
	s.KeepForReader(3)
	want("where the log takes memory", s.log.Last())
}

// What a store had heard of horizons is known to its copy, which has forgotten nothing.
func TestNoteBorn(t *testing.T) {
	fs := vfs.Memory()
	s := open(t, testConfig(1, fs, nil))
	set(t, s, "k", "v")
	at := s.clock.Last()
	if err := s.NoteBorn(at); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, testConfig(1, fs, nil))
	defer s.Close()
	if s.Born() != at || s.Horizon() != 0 {
		t.Errorf("born %v, horizon %v, want %v and none", s.Born(), s.Horizon(), at)
	}
}
