package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
)

const (
	unknownLine = "SERVER_ERROR effect unknown: no peer confirmed the write, ack=strict\r\n"
	refusedLine = "SERVER_ERROR not stored: no peer is connected, ack=strict\r\n"
)

// strictStore is a store with ack=strict and a peer that has everything and confirms when it is told to.
func strictStore(t testing.TB, timeout time.Duration) (st *store.Store, confirm func()) {
	st = openStore(t, func(c *store.Config) { c.AckStrict, c.AckTimeout = true, timeout })
	joinPeer(st)
	return st, func() { st.Confirm(2, st.Log().Last()) }
}

func joinPeer(st *store.Store) {
	st.Linked(2, true)
	st.Confirm(2, st.Log().Written())
}

// strictEnd is a client of a server with ack=strict, and the way in which the writes that are held shall end.
type strictEnd struct {
	st        *store.Store
	confirm   func()
	s         *Server
	c         *client
	confirmed bool // else their effect is unknown:
	closed    bool // the link is closed; else nothing happens, and the time is over
}

// onStrictEnds runs a test for every end, on every carrier.
func onStrictEnds(t *testing.T, test func(t *testing.T, e *strictEnd)) {
	for _, end := range []string{"confirmed", "closed", "silent"} {
		t.Run(end, func(t *testing.T) {
			onCarriers(t, func(t *testing.T, carrier func(*Config)) {
				timeout := time.Hour
				if end == "silent" {
					timeout = 2 * time.Second // goOn must confirm within it
				}
				e := &strictEnd{confirmed: end == "confirmed", closed: end == "closed"}
				e.st, e.confirm = strictStore(t, timeout)
				e.s = startServer(t, e.st, carrier)
				e.c = dial(t, e.s)
				test(t, e)
			})
		})
	}
}

// decide brings the end of the writes that were sent, once they are held and nothing more has come.
func (e *strictEnd) decide(t *testing.T) {
	t.Helper()
	eventually(t, "the replies are held", func() bool { return e.s.sum()[repliesHeld] > 0 })
	if n := e.c.r.Buffered(); n != 0 {
		t.Fatalf("before the peer has decided: got %d bytes, want none", n)
	}
	switch {
	case e.confirmed:
		e.confirm()
	case e.closed:
		e.st.Linked(2, false)
	}
}

// checkUnconfirmed demands that all of the writes are counted, or none where they were confirmed.
func (e *strictEnd) checkUnconfirmed(t *testing.T, writes int) {
	t.Helper()
	if e.confirmed {
		writes = 0
	}
	if got := e.st.Acknowledgement().Unconfirmed; got != uint64(writes) {
		t.Errorf("unconfirmed: got %d, want %d", got, writes)
	}
}

// goOn sends what begins with a write to the peer's being there again, and confirms it.
func (e *strictEnd) goOn(t *testing.T, in string) {
	t.Helper()
	joinPeer(e.st)
	held := e.s.sum()[repliesHeld]
	e.c.send(in)
	eventually(t, "the reply is held", func() bool { return e.s.sum()[repliesHeld] > held })
	e.confirm()
}

// allWrites is every command that writes, each with what a node without faults answers when it runs after the ones before.
var allWrites = []struct{ command, reply string }{
	{"set a 0 0 1\r\n1\r\n", "STORED\r\n"},
	{"add b 0 0 1\r\n2\r\n", "STORED\r\n"},
	{"replace b 0 0 1\r\n3\r\n", "STORED\r\n"},
	{"append b 0 0 1\r\n4\r\n", "STORED\r\n"},
	{"prepend b 0 0 1\r\n5\r\n", "STORED\r\n"},
	{"incr a 5\r\n", "6\r\n"},
	{"decr a 1\r\n", "5\r\n"},
	{"touch b 100\r\n", "TOUCHED\r\n"},
	{"gat 100 b none a\r\n", "VALUE b 0 3\r\n534\r\nVALUE a 0 1\r\n5\r\nEND\r\n"},
	{"gat -1 b\r\n", "VALUE b 0 3\r\n534\r\nEND\r\n"},
	{"ms m 1 T0\r\n1\r\n", "HD\r\n"},
	{"ms m 1 MA q k\r\n2\r\n", ""},
	{"ma m v k\r\n", "VA 2 km\r\n13\r\n"},
	{"ma m N0 v q\r\n", ""},
	{"md a I q\r\n", ""},
	{"md m O1\r\n", "HD O1\r\n"},
	{"delete a\r\n", "DELETED\r\n"},
	{"flush_all\r\n", "OK\r\n"},
}

// A pipeline of every write, with reads and writes without replies between. Each write whose effect is unknown is answered
// with one line in its place, nothing else changes, and the connection goes on.
func TestStrictPipeline(t *testing.T) {
	onStrictEnds(t, func(t *testing.T, e *strictEnd) {
		var in, want strings.Builder
		add := func(command, reply string) {
			in.WriteString(command)
			want.WriteString(reply)
		}
		add("get none\r\n", "END\r\n")
		for _, w := range allWrites {
			add("set quiet 0 0 1 noreply\r\nq\r\n", "")
			if e.confirmed {
				add(w.command, w.reply)
			} else {
				add(w.command, unknownLine)
			}
			add("get none\r\nbad\r\nincr none 1\r\n", "END\r\nERROR\r\nNOT_FOUND\r\n")
		}
		// Two writes without replies, one behind the other, and nothing that writes after them.
		add("set quiet 0 0 1 noreply\r\nq\r\nset quiet 0 0 1 noreply\r\nr\r\nget quiet\r\n", "VALUE quiet 0 1\r\nr\r\nEND\r\n")
		e.c.send(in.String())
		e.c.expect("END\r\n")
		e.decide(t)
		e.c.expect(strings.TrimPrefix(want.String(), "END\r\n"))
		e.checkUnconfirmed(t, len(allWrites))
		e.goOn(t, "set a 0 0 1\r\nx\r\nget a\r\n")
		e.c.expect("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
	})
}

// Without a peer nothing is executed, and every write says so; reads are answered.
func TestStrictRefusesBeforehand(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := strictStore(t, time.Hour)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		c.send("set a 0 0 1\r\n1\r\nset b 0 0 1\r\n2\r\n")
		eventually(t, "the replies are held", func() bool { return s.sum()[repliesHeld] > 0 })
		confirm()
		c.expect("STORED\r\nSTORED\r\n")
		st.Linked(2, false)
		last := st.Log().Last()
		var in, want strings.Builder
		for _, w := range allWrites {
			in.WriteString(w.command + "set quiet 0 0 1 noreply\r\nq\r\nget a\r\n")
			want.WriteString(refusedLine + "VALUE a 0 1\r\n1\r\nEND\r\n")
		}
		c.send(in.String() + "get quiet b\r\n")
		c.expect(want.String() + "VALUE b 0 1\r\n2\r\nEND\r\n")
		if now := st.Log().Last(); now != last {
			t.Errorf("the log grew from %d to %d", last, now)
		}
		if got := st.Acknowledgement().Refused; got != 2*uint64(len(allWrites)) {
			t.Errorf("refused: got %d, want %d", got, 2*len(allWrites))
		}
	})
}

// Each write has its own fate: what was confirmed before the link closed is stored.
func TestStrictDecidesEachWrite(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, _ := strictStore(t, time.Hour)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		before := st.Log().Last()
		c.send("set a 0 0 1\r\n1\r\nset b 0 0 1\r\n2\r\nset c 0 0 1\r\n3\r\nget a b c\r\n")
		eventually(t, "the replies are held", func() bool { return s.sum()[repliesHeld] > 0 })
		st.Confirm(2, before+1)
		c.expect("STORED\r\n")
		st.Confirm(2, before+2)
		st.Linked(2, false)
		c.expect("STORED\r\n" + unknownLine + "VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nVALUE c 0 1\r\n3\r\nEND\r\n")
	})
}

// A pipeline longer than a session holds stops until the first writes are decided, and every write is answered in order.
func TestStrictLongPipeline(t *testing.T) {
	const writes = 3*maxHeld + 7
	set := func(i int) string { return fmt.Sprintf("set k%d 0 0 1\r\nx\r\n", i) }
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := strictStore(t, time.Hour)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		var in strings.Builder
		for i := range writes {
			in.WriteString(set(i))
		}
		sendLong(t, s, confirm, c, in.String(), writes)
		c.expect(strings.Repeat("STORED\r\n", writes))

		before, held := s.sum()[cmdSet], s.sum()[repliesHeld]
		c.send(in.String())
		var executed uint64
		eventually(t, "nothing more is executed", func() bool {
			executed = s.sum()[cmdSet] - before
			// A goroutine decides on what it read at once, a loop on what fits.
			return s.cfg.Goroutines && s.sum()[repliesHeld] > held || executed == maxHeld
		})
		st.Linked(2, false)
		c.expect(strings.Repeat(unknownLine, int(executed)) + strings.Repeat(refusedLine, writes-int(executed)))
	})
}

// sendLong sends more writes than a session holds, and confirms them as they are executed.
func sendLong(t *testing.T, s *Server, confirm func(), c *client, in string, writes uint64) {
	t.Helper()
	const notes = 4 // of the store itself, at most
	st := s.store
	before := s.sum()[cmdSet]
	c.send(in)
	eventually(t, "all writes are executed, as the first ones are confirmed", func() bool {
		if held := st.Last() - st.Acknowledgement().Confirmed; held > maxHeld+notes {
			t.Fatalf("%d writes are held, want %d at most", held, maxHeld)
		}
		confirm()
		return s.sum()[cmdSet] == before+writes
	})
	confirm()
}

// A set with a value that is too large keeps that answer: the old value may or may not be gone at the peer.
func TestStrictKeepsTheAnswerToATooLargeValue(t *testing.T) {
	st, _ := strictStore(t, time.Hour)
	s := startServer(t, st, func(c *Config) { c.MaxValue = 10 })
	c := dial(t, s)
	c.send("set a 0 0 1\r\n1\r\nset a 0 0 11\r\n12345678901\r\nget a\r\n")
	eventually(t, "the replies are held", func() bool { return s.sum()[repliesHeld] > 0 })
	st.Linked(2, false)
	c.expect(unknownLine + "SERVER_ERROR object too large for cache\r\nEND\r\n")
}

// newStrictSession returns a session of a server with ack=strict, without sockets.
func newStrictSession(t testing.TB) (s *session, w *worker, confirm func()) {
	t.Helper()
	st, confirm := strictStore(t, time.Hour)
	cfg := testConfig(t, "127.0.0.1:0")
	cfg.Goroutines = true
	srv, err := New(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	worker := newWorker(srv, srv.totals[0])
	s = &session{}
	s.dec.MaxValue = 1 << 20
	return s, &worker, confirm
}

// take decides on what is held and returns what may leave.
func (s *session) take(t testing.TB, w *worker) string {
	t.Helper()
	w.flush()
	if err := s.decide(w, false); err != nil {
		t.Fatal(err)
	}
	got := string(s.sendable())
	s.advance(len(got))
	return got
}

// A gat that pauses leaves in parts as its touches are confirmed. When one is not, it ends with one error line, whatever
// has left already, and the commands behind it go on.
func TestStrictPausedGat(t *testing.T) {
	const keys, size = 20, 300 << 10
	value := fmt.Sprintf("VALUE k 0 %d\r\n%s\r\n", size, strings.Repeat("v", size))
	for _, confirmed := range []int{keys, 2, 0} { // feeds that are confirmed
		t.Run(fmt.Sprint(confirmed), func(t *testing.T) {
			s, w, confirm := newStrictSession(t)
			s.feed(w, fmt.Appendf(nil, "set k 0 0 %d\r\n%s\r\n", size, strings.Repeat("v", size)))
			w.flush()
			confirm()
			if got := s.take(t, w); got != "STORED\r\n" {
				t.Fatalf("set: got %q", got)
			}
			in := []byte("gat 100" + strings.Repeat(" k", keys) + "\r\nversion\r\n")
			var got strings.Builder
			for feed := 0; ; feed++ {
				in = in[s.feed(w, in):]
				if out := s.take(t, w); out != "" && out != "VERSION 0.1.0\r\n" {
					t.Fatalf("feed %d: %d bytes leave before the peer has decided", feed, len(out))
				}
				if feed < confirmed {
					confirm()
				} else {
					w.store.(*store.Store).Linked(2, false)
				}
				got.WriteString(s.take(t, w))
				if !s.more {
					break
				}
			}
			out := got.String()
			want := strings.Repeat(value, keys) + "END\r\nVERSION 0.1.0\r\n"
			if confirmed < keys {
				whole := strings.Count(out, value)
				want = strings.Repeat(value, whole) + unknownLine + "VERSION 0.1.0\r\n"
				if (whole > 0) != (confirmed > 0) || whole >= keys {
					t.Errorf("values that left: %d", whole)
				}
			}
			// The version may have left before the last look.
			if out = strings.TrimSuffix(out, "VERSION 0.1.0\r\n"); out != strings.TrimSuffix(want, "VERSION 0.1.0\r\n") {
				t.Errorf("got %d bytes, ending in %.200q, want %d", len(out), out[max(len(out)-200, 0):], len(want))
			}
			if len(in) != 0 || len(s.keys) != 0 || len(s.marks) != 0 || s.open {
				t.Errorf("left over: %q, keys %q, marks %v, open %v", in, s.keys, s.marks, s.open)
			}
		})
	}
}

// A write fails while one behind it still waits, after output in front of both has left.
func TestStrictFailsOneAfterTheOther(t *testing.T) {
	const size = 200 << 10
	s, w, confirm := newStrictSession(t)
	big := strings.Repeat("v", size)
	s.feed(w, fmt.Appendf(nil, "set k 0 0 %d\r\n%s\r\n", size, big))
	w.flush()
	confirm()
	s.take(t, w)
	s.feed(w, []byte("get k\r\nset a 0 0 1\r\n1\r\nget a\r\nset b 0 0 1 noreply\r\n2\r\nset b 0 0 1\r\n3\r\nget b\r\n"))
	if got := s.take(t, w); len(got) < size || s.sent != 0 {
		t.Fatalf("in front of the writes: got %d bytes, %d of the rest are gone", len(got), s.sent)
	}
	// The gate decides on one write after the other; here in a way that takes no time.
	s.marks[0].failed = true
	if n := s.fail(1); n != 1 {
		t.Errorf("replaced %d replies, want 1", n)
	}
	s.passed(1)
	if got, want := string(s.sendable()), unknownLine+"VALUE a 0 1\r\n1\r\nEND\r\n"; got != want {
		t.Errorf("after the first: got %q, want %q", got, want)
	}
	w.store.(*store.Store).Linked(2, false)
	if got, want := s.take(t, w), unknownLine+"VALUE a 0 1\r\n1\r\nEND\r\n"+unknownLine+"VALUE b 0 1\r\n3\r\nEND\r\n"; got != want {
		t.Errorf("after the last: got %q, want %q", got, want)
	}
}

// Writes without replies wait together, however many they are.
func TestStrictNoreply(t *testing.T) {
	s, w, confirm := newStrictSession(t)
	s.feed(w, []byte(strings.Repeat("set a 0 0 1 noreply\r\n1\r\n", 2*maxHeld)+"get a\r\n"))
	if len(s.marks) != 1 || s.more {
		t.Errorf("got %d marks, paused %v, want 1 and false", len(s.marks), s.more)
	}
	if got := s.take(t, w); got != "" {
		t.Errorf("before the peer has it: got %q, want nothing", got)
	}
	confirm()
	if got, want := s.take(t, w), "VALUE a 0 1\r\n1\r\nEND\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStrictSessionAllocatesNothing(t *testing.T) {
	s, w, confirm := newStrictSession(t)
	in := []byte("set k 0 0 1\r\na\r\nget k\r\nset n 0 0 1\r\n1\r\nincr n 1\r\nset k 0 0 1 noreply\r\na\r\ngat 100 k n\r\ntouch k 100\r\ndelete n\r\n")
	run := func() {
		if n := s.feed(w, in); n != len(in) {
			t.Fatalf("feed: consumed %d, want %d", n, len(in))
		}
		w.flush()
		confirm()
		if err := s.decide(w, false); err != nil || len(s.marks) != 0 {
			t.Fatalf("decide: %v, %d marks left", err, len(s.marks))
		}
		s.advance(s.unsent())
		w.tally.publish(w.totals)
	}
	for range 10 {
		run()
	}
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// What mg changes fails like a write; what it only reads is answered, also where nothing is executed any more.
func TestStrictMetaGet(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := strictStore(t, time.Hour)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		c.send("ms k 1 T100\r\nv\r\nmd k I\r\n")
		eventually(t, "the replies are held", func() bool { return s.sum()[repliesHeld] > 0 })
		confirm()
		c.expect("HD\r\nHD\r\n")
		held := s.sum()[repliesHeld]
		c.send("mg k v\r\nmg k v\r\nmg k T50 q\r\nmg new N30\r\nmg none q\r\nmn\r\n")
		eventually(t, "the replies are held", func() bool { return s.sum()[repliesHeld] > held })
		st.Linked(2, false)
		c.expect(unknownLine + "VA 1 Z X\r\nv\r\n" + unknownLine + unknownLine + "MN\r\n")
		c.send("mg k v\r\nmg k T60 v\r\nmg newer N30\r\nmg none\r\n")
		c.expect("VA 1 Z X\r\nv\r\n" + refusedLine + refusedLine + "EN\r\n")
	})
}
