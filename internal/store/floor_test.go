package store

import (
	"testing"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// A flush made where the clock is ahead is in force here at once: its stamp was seen.
func TestFlushFromAClockAhead(t *testing.T) {
	w := newWall()
	s := open(t, testConfig(1, vfs.Memory(), w))
	defer s.Close()
	set(t, s, "k", "old")
	stamp := hlc.Make(hlc.Millis(w.t.Add(30*time.Second)), 0, 2)
	if n, err := s.Apply([]record.Record{record.NewFloor(stamp, stamp)}, Feed{Stream: 2}); n != 1 || err != nil {
		t.Fatalf("apply: %d changed, %v", n, err)
	}
	wantAbsent(t, s, "k")
	set(t, s, "k", "new")
	wantValue(t, s, "k", "new")
	w.t = w.t.Add(time.Minute)
	wantValue(t, s, "k", "new")
}

// A flush stays in force when the wall is set back, across a restart too.
func TestFlushStaysWhenTheWallIsSetBack(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"at once": 0, "scheduled": time.Second} {
		t.Run(name, func(t *testing.T) {
			w, fs := newWall(), vfs.Memory()
			s := open(t, testConfig(1, fs, w))
			set(t, s, "k", "old")
			at := uint64(0)
			if ahead > 0 {
				at = uint64(hlc.Millis(w.t.Add(ahead)))
			}
			if _, err := s.FlushAll(at); err != nil {
				t.Fatal(err)
			}
			w.t = w.t.Add(ahead)
			wantAbsent(t, s, "k")
			w.t = w.t.Add(-20 * time.Second)
			set(t, s, "k", "new")
			wantValue(t, s, "k", "new")
			set(t, s, "other", "new")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			w.t = w.t.Add(-20 * time.Second)
			s = open(t, testConfig(1, fs, w))
			defer s.Close()
			wantValue(t, s, "k", "new")
			do(t, s, Request{Op: Delete, Key: []byte("k")})
			wantValue(t, s, "other", "new")
		})
	}
}

// What a flush killed does not come back when a node restarts with its wall set back.
func TestFlushedStaysAwayAfterRestart(t *testing.T) {
	w, fs := newWall(), vfs.Memory()
	s := open(t, testConfig(1, fs, w))
	set(t, s, "k", "old")
	if _, err := s.FlushAll(0); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w.t = w.t.Add(-20 * time.Second)
	s = open(t, testConfig(1, fs, w))
	defer s.Close()
	wantAbsent(t, s, "k")
}
