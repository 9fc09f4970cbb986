package server

import (
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/observe"
	"github.com/futago/futago/internal/tyrant"
)

// noted is the newest note that has all of these: its command, what it waited for, its key.
func noted(s *Server, command string, waited observe.Wait, key string) (n observe.Slow, ok bool) {
	for _, n := range s.slow.Recent(1000) {
		if n.Command == command && n.Waited == waited && string(n.Key) == key {
			return n, true
		}
	}
	return n, false
}

// Where everything is slow and everything is sampled, everything is noted, whatever carries it.
func TestNotesOfRequests(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.SampleRequests, c.SlowThreshold = 1, 1
			carrier(c)
		})
		c := dial(t, s)
		for range 5 {
			c.send("set a 0 0 5000\r\n" + strings.Repeat("x", 5000) + "\r\n")
			c.expect("STORED\r\n")
			c.send("get b a\r\n")
			c.expect("VALUE a 0 5000\r\n" + strings.Repeat("x", 5000) + "\r\nEND\r\n")
		}
		web := dial(t, s)
		if status, _, _ := web.roundTrip(get("/w", ""), ""); status != 404 {
			t.Errorf("GET: got %d, want 404", status)
		}
		if status, _, _ := web.roundTrip(put("/w", "", strings.Repeat("y", 6000)), ""); status != 201 {
			t.Errorf("PUT: got %d, want 201", status)
		}
		for _, want := range []struct {
			command, key string
			bytes        int
		}{{"set", "a", 5000}, {"get", "b", 5000}, {"http_get", "w", 0}, {"http_put", "w", 6000}} {
			eventually(t, want.command+" is noted", func() bool { _, ok := noted(s, want.command, observe.ForExecution, want.key); return ok })
			n, _ := noted(s, want.command, observe.ForExecution, want.key)
			if n.Took <= 0 || n.Bytes < want.bytes || n.Bytes > want.bytes+500 || !strings.HasPrefix(n.Client, "127.0.0.1:") || time.Since(n.At) > time.Hour {
				t.Errorf("%s: got %+v", want.command, n)
			}
		}
		eventually(t, "all are timed", func() bool {
			l := s.Latencies()
			sets, gets, web, puts := l.Commands["set"], l.Commands["get"], l.Commands["http_get"], l.Commands["http_put"]
			return sets.Count() == 5 && gets.Count() == 5 && web.Count() == 1 && puts.Count() == 1 && l.All.Count() == 12 && l.All.Sum() > 0 &&
				(len(s.loops) == 0 || l.Rounds.Count() > 10)
		})
		hot := s.HotKeys()
		if len(hot.Keys) != 2 || string(hot.Keys[0].Key) != "a" || hot.Keys[0].Reads != 5 || hot.Keys[0].Writes != 5 || hot.Keys[1].Reads != 5 || hot.Total != 17 {
			t.Errorf("hot keys: got %+v", hot)
		}
		big := s.BigKeys()
		if len(big) != 2 || string(big[0].Key) != "w" || big[0].Size != 6000 || big[1].Size != 5000 {
			t.Errorf("big keys: got %+v", big)
		}
		c.send("delete a\r\n")
		c.expect("DELETED\r\n")
		if big := s.BigKeys(); len(big) != 1 {
			t.Errorf("big keys after a delete: got %+v", big)
		}
	})
}

func TestNothingIsNotedWhereItIsOff(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.SampleRequests, c.SlowThreshold = 0, 0
			carrier(c)
		})
		c := dial(t, s)
		for range 100 {
			c.send("set a 0 0 1\r\nx\r\nget a\r\n")
			c.expect("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
		}
		if l := s.Latencies(); len(l.Commands) != 0 {
			t.Errorf("times: got %d commands", len(l.Commands))
		}
		if n := s.slow.Recent(10); len(n) != 0 {
			t.Errorf("slow: got %+v", n)
		}
	})
}

// One request in so many is timed in the mean, whatever the pattern of the requests is.
func TestSampleFollowsNoPattern(t *testing.T) {
	s, w := newSession(t, 1<<20)
	w.every = 8
	const rounds = 4000
	for range rounds {
		feedAll(s, w, []byte("get a\r\nget b\r\nget c\r\nget d\r\nget e\r\nget f\r\nget g\r\nget h\r\n"))
		s.advance(s.unsent())
	}
	seen := observe.Hottest([]*observe.HotKeys{&w.totals.hot}, time.Duration(nanos()))
	if len(seen.Keys) != 8 || seen.Total < rounds*8/10 || seen.Total > rounds*12/10 {
		t.Fatalf("got %d samples of %d keys, want about %d of 8", seen.Total, len(seen.Keys), rounds)
	}
	for _, k := range seen.Keys {
		if k.Reads < rounds/8/2 || k.Reads > rounds/8*2 {
			t.Errorf("key %s: got %d samples, want about %d", k.Key, k.Reads, rounds/8)
		}
	}
}

// A reply that waited for the peer is noted with the write that it answers.
func TestNotesOfTheGate(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := heldStore(t)
		s := startServer(t, st, func(c *Config) {
			c.SlowThreshold = 1
			carrier(c)
		})
		c := dial(t, s)
		c.send("set k 0 0 1\r\nx\r\n")
		eventually(t, "the reply is held", func() bool { return s.sum()[repliesHeld] > 0 })
		if l := s.Latencies(); l.Gate.Count() != 0 {
			t.Errorf("before the confirmation: got %d waits", l.Gate.Count())
		}
		confirm()
		c.expect("STORED\r\n")
		eventually(t, "the wait is noted", func() bool { _, ok := noted(s, "set", observe.ForGate, "k"); return ok })
		if l := s.Latencies(); l.Gate.Count() != 1 || l.Gate.Sum() <= 0 {
			t.Errorf("got %d waits of %v", l.Gate.Count(), l.Gate.Sum())
		}
		web := dial(t, s)
		web.send(put("/w", "", "x"))
		eventually(t, "the reply to PUT is held", func() bool { return s.sum()[repliesHeld] > 1 })
		confirm()
		eventually(t, "its wait is noted", func() bool { _, ok := noted(s, "http_put", observe.ForGate, "w"); return ok })
	})
}

// The request that took long is named, and not those beside it.
func TestSlowRequestIsFound(t *testing.T) {
	s, w := newSession(t, 1<<20)
	w.limit = int64(time.Hour)
	w.lapped = nanos()
	feedAll(s, w, []byte("set quick 0 0 1\r\nx\r\n"))
	w.limit = int64(time.Millisecond)
	w.lapped = nanos() - int64(time.Minute) // as if it had begun then
	feedAll(s, w, []byte("get a\r\nset large 0 0 40000\r\n"+strings.Repeat("v", 40000)+"\r\nget c\r\n"))
	notes := w.srv.slow.Recent(10)
	if len(notes) == 0 {
		t.Fatal("nothing is noted")
	}
	first := notes[len(notes)-1]
	if first.Command != "set" || string(first.Key) != "large" || first.Requests != 2 || first.Took < time.Minute || first.Bytes < 40000 {
		t.Errorf("got %+v", first)
	}
	if _, ok := noted(w.srv, "set", observe.ForExecution, "quick"); ok {
		t.Error("a quick request is noted")
	}
	w.limit = int64(time.Millisecond)
	w.flushed(nanos() - int64(time.Second))
	if n, ok := noted(w.srv, "write", observe.ForLog, ""); !ok || n.Took < time.Second {
		t.Errorf("a slow write of the log: got %+v, %v", n, ok)
	}
	w.found, w.inRound = false, 7
	w.roundOver(nanos() - int64(time.Second))
	if n, ok := noted(w.srv, "round", observe.ForExecution, ""); !ok || n.Requests != 7 {
		t.Errorf("a slow round of quick requests: got %+v, %v", n, ok)
	}
}

// A get that is refused is noted with its own key, not with one of another client that was there before.
func TestNoteOfRefusedGet(t *testing.T) {
	s, w := newSession(t, 1<<20)
	feedAll(s, w, []byte("get before\r\n"))
	w.srv.cfg.Mask, _ = tyrant.ParseMask("get")
	w.limit, w.lapped = 1, nanos()-int64(time.Second)
	feedAll(s, w, []byte("get mine\r\n"))
	if notes := w.srv.slow.Recent(1); len(notes) != 1 || string(notes[0].Key) != "mine" {
		t.Errorf("got %+v", notes)
	}
}
