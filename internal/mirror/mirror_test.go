package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// side is a node as far as replication needs one.
type side struct {
	t *testing.T
	*cabinet.Client
	store   *store.Store
	cabinet *cabinet.Cabinet
	source  *Source
}

func newSide(t *testing.T, change func(*store.Config)) *side {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.MinFree = 0
	if change != nil {
		change(&cfg)
	}
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	cab := cabinet.New(st, 1<<26)
	return &side{t, cab.Client(new(cabinet.Scratch)), st, cab, NewSource(st, cab, 1, slog.New(slog.DiscardHandler))}
}

func (s *side) all() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	c := s.cabinet.Client(new(cabinet.Scratch))
	if err := c.IterInit(); err != nil {
		s.t.Fatal(err)
	}
	for {
		key, err := c.IterNext()
		if errors.Is(err, cabinet.ErrEnd) {
			return all
		}
		value, err := c.Get(key)
		if err != nil {
			s.t.Fatal(err)
		}
		all[string(key)] = string(value)
	}
}

// follow follows a master until the returned function is called.
func (s *side) follow(m *master, change func(*FollowerConfig)) (f *Follower, stop func()) {
	cfg := FollowerConfig{
		Store: s.store, Cabinet: s.cabinet, Node: 1, Master: m.ln.Addr().String(), Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	f = NewFollower(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	return f, func() { cancel(); <-ended }
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// random makes requests of every kind on few keys.
func random(r *rand.Rand) tyrant.Request {
	key := fmt.Appendf(nil, "key %d", r.IntN(6))
	number := []byte("number")
	switch r.IntN(20) {
	case 0, 1, 2:
		return tyrant.Request{Command: tyrant.Put, Key: key, Value: fmt.Appendf(nil, "v%d", r.IntN(100))}
	case 3:
		return tyrant.Request{Command: tyrant.PutKeep, Key: key, Value: []byte("kept")}
	case 4, 5, 6:
		return tyrant.Request{Command: tyrant.PutCat, Key: key, Value: []byte{byte('a' + r.IntN(26))}}
	case 7, 8:
		return tyrant.Request{Command: tyrant.PutShl, Key: key, Value: []byte{byte('A' + r.IntN(26))}, Width: 7}
	case 9, 10:
		return tyrant.Request{Command: tyrant.Out, Key: key}
	case 11:
		return tyrant.Request{Command: tyrant.AddDouble, Key: []byte("double"), Double: tyrant.DoubleOf(float64(r.IntN(9)))}
	case 12:
		return tyrant.Request{Command: tyrant.Misc, Name: []byte("putlist"), Args: [][]byte{key, []byte("x"), []byte("other"), []byte("y")}}
	case 13:
		if r.IntN(10) == 0 {
			return tyrant.Request{Command: tyrant.Vanish}
		}
		return tyrant.Request{Command: tyrant.Misc, Name: []byte("get"), Args: [][]byte{key}}
	}
	return tyrant.Request{Command: tyrant.AddInt, Key: number, Num: int32(r.IntN(100) - 50)}
}

// A node that follows ends with what the master has: over cut connections, and when it dies between an operation and the note of it,
// which the notes of the past stand for.
func TestFollow(t *testing.T) {
	for seed := range 12 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(seed), 1))
			m, s := newMaster(t, 7), newSide(t, nil)
			for range 20 {
				f, stop := s.follow(m, nil)
				for range r.IntN(120) {
					m.do(random(r), 0)
				}
				switch r.IntN(4) {
				case 0:
					m.hangUp()
				case 1:
					eventually(t, "it is at the end", func() bool {
						m.mu.Lock()
						defer m.mu.Unlock()
						return len(m.log) == 0 || f.Status().Position == m.log[len(m.log)-1].Time
					})
				}
				before := f.Status().Position
				for range r.IntN(50) {
					m.do(random(r), 0)
				}
				stop()
				if r.IntN(2) == 0 && f.place.at > before { // the last notes are lost, what they speak of is not
					lost := f.place
					lost.at = before
					f.place = lost
					if err := f.note(); err != nil {
						t.Fatal(err)
					}
				}
			}
			_, stop := s.follow(m, nil)
			defer stop()
			eventually(t, "both are equal", func() bool { return maps.Equal(s.all(), m.all()) })
		})
	}
}

// Entries of one time, such as those of a copy, are all executed, however many there are.
func TestFollowEqualTimes(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	for i := range 5 * maxBatch {
		m.do(tyrant.Request{Command: tyrant.Put, Key: fmt.Appendf(nil, "key %d", i), Value: []byte("v")}, 0)
		m.log[i].Time = copying
	}
	_, stop := s.follow(m, nil)
	defer stop()
	eventually(t, "both are equal", func() bool { return maps.Equal(s.all(), m.all()) })
}

// A follower whose master logs an earlier time behind a later one does not add twice when it connects again.
func TestFollowTimesThatGoBack(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	m.do(tyrant.Request{Command: tyrant.AddInt, Key: []byte("k"), Num: 1}, 0)
	m.do(tyrant.Request{Command: tyrant.AddInt, Key: []byte("k"), Num: 2}, 0)
	m.log[0].Time, m.log[1].Time = m.log[1].Time, m.log[0].Time
	f, stop := s.follow(m, nil)
	eventually(t, "both are executed", func() bool { return f.Status().Position == m.log[1].Time })
	stop()
	_, stop = s.follow(m, nil)
	defer stop()
	m.do(tyrant.Request{Command: tyrant.Put, Key: []byte("end")}, 0)
	eventually(t, "it follows again", func() bool { return s.all()["end"] == "" && len(s.all()) == 2 })
	if got, want := s.all(), m.all(); !maps.Equal(got, want) {
		t.Errorf("has %q, want %q", got, want)
	}
}

// A value that was taken from a node covers what lies before it in the log of that node, whose times are not those of its clock.
func TestFollowTakesFromNode(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	m.ahead = 1e12
	add := func() { m.do(tyrant.Request{Command: tyrant.AddInt, Key: []byte("k"), Num: 1}, 0) }
	equal := func() bool { return maps.Equal(s.all(), m.all()) }
	add()
	f, stop := s.follow(m, nil)
	eventually(t, "it is executed", equal)
	stop()
	f.place.at-- // the note behind it is lost
	if err := f.note(); err != nil {
		t.Fatal(err)
	}
	f, stop = s.follow(m, nil)
	defer stop()
	eventually(t, "the value is taken", func() bool { return f.Status().Position == m.log[0].Time })
	if !equal() {
		t.Errorf("has %q, want %q", s.all(), m.all())
	}
	add()
	eventually(t, "what comes behind it is executed", equal)
}

// A follower ends at once, also while it waits for a value of a master that does not answer.
func TestFollowEnds(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	m.mute = true
	m.do(tyrant.Request{Command: tyrant.AddInt, Key: []byte("k"), Num: 1}, 0)
	f := NewFollower(FollowerConfig{Store: s.store, Cabinet: s.cabinet, Node: 1, Master: m.ln.Addr().String()})
	f.place.upTo = m.log[0].Time
	if err := f.note(); err != nil {
		t.Fatal(err)
	}
	_, stop := s.follow(m, nil)
	eventually(t, "it has asked for the time", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.asked > 0
	})
	began := time.Now()
	stop()
	if took := time.Since(began); took > silence/2 {
		t.Errorf("it took %v to end", took)
	}
}

// An operation with another result is told, and ends a follower that is to check.
func TestFollowChecks(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	if err := s.Put([]byte("k"), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	m.do(tyrant.Request{Command: tyrant.PutKeep, Key: []byte("k"), Value: []byte("theirs")}, 0)
	m.do(tyrant.Request{Command: tyrant.Put, Key: []byte("after"), Value: []byte("x")}, 0)
	f, stop := s.follow(m, func(c *FollowerConfig) { c.Check = true })
	eventually(t, "it has stopped", func() bool { return f.Status().State == "stopped" })
	stop()
	if _, err := s.Get([]byte("after")); err == nil {
		t.Error("it went on")
	}
	f, stop = s.follow(m, nil)
	defer stop()
	eventually(t, "without the check it goes on", func() bool { _, err := s.Get([]byte("after")); return err == nil })
	if st := f.Status(); st.State != "following" || st.SID != 7 || st.Heard == nil {
		t.Errorf("status is %+v", st)
	}
}

// What cannot be stored is skipped, and what only is there in form does not stop anything.
func TestFollowSkips(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, func(c *store.Config) { c.MaxValue = 10 })
	m.do(tyrant.Request{Command: tyrant.Put, Value: []byte("an empty key")}, 0)
	m.do(tyrant.Request{Command: tyrant.Put, Key: []byte("big"), Value: make([]byte, 11)}, 0)
	m.mu.Lock()
	m.log = append(m.log, tyrant.Entry{Time: m.clock, SID: 7, Payload: []byte("no request")})
	m.clock += 10
	m.mu.Unlock()
	m.do(tyrant.Request{Command: tyrant.Sync}, 0)
	m.do(tyrant.Request{Command: tyrant.Put, Key: []byte("k"), Value: []byte("v")}, 0)
	f, stop := s.follow(m, nil)
	defer stop()
	eventually(t, "it goes on", func() bool { _, err := s.Get([]byte("k")); return err == nil })
	if st := f.Status(); st.Skipped != 3 {
		t.Errorf("skipped %d, want 3: %+v", st.Skipped, st)
	}
}

// write does something as a client of the node.
func (s *side) write(r tyrant.Request) {
	if err := execute(context.Background(), s.Client, &r); !isOutcome(err) {
		s.t.Error(err)
	}
	s.store.Flush()
}

// A server that follows a node ends with what the node has, however often it breaks off; increments come as such.
func TestServe(t *testing.T) {
	for seed := range 8 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(seed), 2))
			m, s := newMaster(t, 7), newSide(t, nil)
			for range 50 {
				s.write(random(r))
			}
			at := int64(0)
			for range 10 {
				_, stop := m.follow(at+1, func(c net.Conn, from int64, sid uint32) { s.source.Serve(t.Context(), c, from, sid) })
				for range r.IntN(200) {
					s.write(random(r))
				}
				at = stop()
			}
			_, stop := m.follow(at+1, func(c net.Conn, from int64, sid uint32) { s.source.Serve(t.Context(), c, from, sid) })
			eventually(t, "both are equal", func() bool { return maps.Equal(s.all(), m.all()) })
			at = stop()
			m.mu.Lock()
			before := len(m.log)
			m.mu.Unlock()
			_, stop = m.follow(at+1, func(c net.Conn, from int64, sid uint32) { s.source.Serve(t.Context(), c, from, sid) })
			s.write(tyrant.Request{Command: tyrant.AddInt, Key: []byte("fresh"), Num: 5})
			s.write(tyrant.Request{Command: tyrant.AddInt, Key: []byte("fresh"), Num: -2})
			eventually(t, "the increments are there", func() bool { return m.all()["fresh"] == "\x03\x00\x00\x00" })
			stop()
			m.mu.Lock()
			defer m.mu.Unlock()
			var q tyrant.Request
			for _, e := range m.log[before:] {
				if _, err := tyrant.DecodePayload(e.Payload, &q); err != nil || q.Command != tyrant.AddInt {
					t.Errorf("after everything was sent there comes %v %q", q.Command, q.Key)
				}
			}
		})
	}
}

// A follower whose position is in no log, or was given up, gets a copy of everything.
func TestServeCopies(t *testing.T) {
	s := newSide(t, nil)
	for i := range 1000 {
		s.write(tyrant.Request{Command: tyrant.Put, Key: fmt.Appendf(nil, "key %d", i), Value: []byte("v")})
	}
	for _, from := range []int64{1, 12345, time.Now().UnixMicro() - 1e9, time.Now().UnixMicro() + 1e12} {
		m := newMaster(t, 7)
		_, stop := m.follow(from, func(c net.Conn, from int64, sid uint32) { s.source.Serve(t.Context(), c, from, sid) })
		eventually(t, "it has everything", func() bool { return maps.Equal(s.all(), m.all()) })
		stop()
	}
	own := newMaster(t, 1)
	mine, theirs := net.Pipe()
	defer mine.Close()
	s.source.Serve(t.Context(), theirs, 1, uint32(own.sid))
	if n, err := mine.Read(make([]byte, 1)); err == nil {
		t.Errorf("a server with the node's own id got %d bytes", n)
	}
}

// The log is kept for a server that may return, and not for one that has been gone for long.
func TestServeForgets(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	gone := func() int {
		s.source.mu.Lock()
		defer s.source.mu.Unlock()
		return len(s.source.gone)
	}
	serve := func(c net.Conn, from int64, sid uint32) { s.source.Serve(t.Context(), c, from, sid) }
	follow := func() (stop func() int64) {
		position, stop := m.follow(1, serve)
		eventually(t, "it follows", func() bool { return position() > copying })
		return stop
	}
	follow()()
	if gone() != 1 {
		t.Fatal("who left is forgotten at once")
	}
	stop := follow()
	if gone() != 0 {
		t.Error("who has returned is to be forgotten")
	}
	s.source.mu.Lock()
	s.source.keepFor = 0
	s.source.mu.Unlock()
	stop()
	eventually(t, "it is forgotten", func() bool { return gone() == 0 })
}

// A full copy to the server of a mixed pair does not undo what that has written since; a server that is new gets all.
func TestServeCopiesNotBack(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	m.do(tyrant.Request{Command: tyrant.Put, Key: []byte("theirs"), Value: []byte("old")}, 0)
	f, stop := s.follow(m, nil)
	eventually(t, "it is executed", func() bool { return s.all()["theirs"] == "old" })
	stop()
	s.source.Master = func() int { return f.Status().SID }
	s.write(tyrant.Request{Command: tyrant.Put, Key: []byte("mine"), Value: []byte("m")})
	m.do(tyrant.Request{Command: tyrant.Put, Key: []byte("theirs"), Value: []byte("new")}, 0)
	serve := func(c net.Conn, from int64, sid uint32) { s.source.Serve(t.Context(), c, from, sid) }
	for _, from := range []int64{12345, 1} { // it had a position that is in no log now, or none
		before := len(m.log)
		position, stop := m.follow(from, serve)
		eventually(t, "the copy is whole", func() bool { return position() > from+copying })
		stop()
		if all := m.all(); all["theirs"] != "new" || all["mine"] != "m" {
			t.Errorf("after a copy from %d it has %q", from, all)
		}
		if len(m.log) == before {
			t.Errorf("nothing came from %d", from)
		}
	}
	fresh := newMaster(t, 8)
	_, stopFresh := fresh.follow(1, serve)
	eventually(t, "a new server has everything", func() bool { return maps.Equal(fresh.all(), s.all()) })
	stopFresh()
}

// Node and server follow each other: what is written on one side comes to the other once, and does not come back. Increments on
// both sides all count.
func TestBothWays(t *testing.T) {
	m, s := newMaster(t, 7), newSide(t, nil)
	_, stopSlave := m.follow(1, func(c net.Conn, from int64, sid uint32) { s.source.Serve(t.Context(), c, from, sid) })
	defer stopSlave()
	f, stop := s.follow(m, nil)
	defer stop()
	eventually(t, "it follows", func() bool { return f.Status().State == "following" })
	s.write(tyrant.Request{Command: tyrant.AddInt, Key: []byte("sum"), Num: 1})
	eventually(t, "the first is there", func() bool { return len(m.all()) == 1 })
	const n = 300
	for i := range n {
		m.do(tyrant.Request{Command: tyrant.Put, Key: fmt.Appendf(nil, "theirs %d", i), Value: []byte("t")}, 0)
		m.do(tyrant.Request{Command: tyrant.AddInt, Key: []byte("sum"), Num: 1000}, 0)
		s.write(tyrant.Request{Command: tyrant.Put, Key: fmt.Appendf(nil, "mine %d", i), Value: []byte("m")})
		s.write(tyrant.Request{Command: tyrant.AddInt, Key: []byte("sum"), Num: 1})
	}
	eventually(t, "both are equal, and all increments count", func() bool {
		sum, _ := s.AddInt([]byte("sum"), 0)
		all := s.all()
		return sum == n*1001+1 && len(all) == 2*n+1 && maps.Equal(all, m.all())
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sent != 2*n {
		t.Errorf("the server sent %d entries, want its own %d", m.sent, 2*n)
	}
	for _, e := range m.log {
		var q tyrant.Request
		if tyrant.DecodePayload(e.Payload, &q); e.MID != 0 && len(q.Key) > 5 && string(q.Key[:6]) == "theirs" {
			t.Fatalf("%s came back", q.Key)
		}
	}
}
