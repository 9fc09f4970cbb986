package server

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// conversation has every command, errors, a refused value and noreply.
var conversation = "set a 5 0 3\r\nabc\r\nget a b a\r\nadd a 0 0 1\r\nx\r\nappend a 0 0 2\r\nde\r\nprepend a 0 0 1\r\n>\r\nget a\r\n" +
	"set n 0 0 2\r\n10\r\nincr n 5\r\ndecr n 100\r\nincr a 1\r\ntouch n 100\r\ngat 50 n q a\r\ndelete n\r\ndelete n\r\n" +
	"set big 0 0 5000\r\n" + bigValue + "\r\ncas a 0 0 1 1\r\nz\r\nset s 0 0 1 noreply\r\ny\r\nget s\r\nfoo\r\nverbosity 1\r\n" +
	"set bad 0 0 1\r\nxyz\r\nversion\r\nflush_all\r\nget a s\r\ngat -1 s\r\nset e 0 -1 1\r\nq\r\nget e\r\n"

var bigValue = strings.Repeat("flush_all ", 500)

// conversationReplies are the replies to conversation where values end at 4000 bytes.
const conversationReplies = "STORED\r\nVALUE a 5 3\r\nabc\r\nVALUE a 5 3\r\nabc\r\nEND\r\nNOT_STORED\r\nSTORED\r\nSTORED\r\nVALUE a 5 6\r\n>abcde\r\nEND\r\n" +
	"STORED\r\n15\r\n0\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\nTOUCHED\r\nVALUE n 0 1\r\n0\r\nVALUE a 5 6\r\n>abcde\r\nEND\r\n" +
	"DELETED\r\nNOT_FOUND\r\nSERVER_ERROR object too large for cache\r\nEXISTS\r\nVALUE s 0 1\r\ny\r\nEND\r\nERROR\r\nOK\r\n" +
	"CLIENT_ERROR bad data chunk\r\nERROR\r\nVERSION 0.1.0\r\nOK\r\nEND\r\nEND\r\nSTORED\r\nEND\r\n"

// newSession returns a session without sockets.
func newSession(t testing.TB, maxValue int) (*session, *worker) {
	t.Helper()
	st := openStore(t, func(c *store.Config) { c.MaxValue = int64(maxValue) })
	cfg := testConfig(t, "127.0.0.1:0")
	cfg.MaxValue = int64(maxValue)
	cfg.Goroutines = true
	srv, err := New(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	w := newWorker(srv, srv.totals[0])
	s := &session{}
	s.dec.MaxValue = maxValue
	return s, &w
}

// feedAll feeds until everything is consumed or waits for more; it returns what is left.
func feedAll(s *session, w *worker, in []byte) []byte {
	for {
		in = in[s.feed(w, in):]
		if !s.more {
			return in
		}
		s.marks = s.marks[:0]
	}
}

func TestSessionInPieces(t *testing.T) {
	for _, size := range []int{1, 2, 3, 7, 64, 4096, len(conversation)} {
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
			s, w := newSession(t, 4000)
			var pending, got []byte
			for rest := []byte(conversation); len(rest) > 0; {
				n := min(size, len(rest))
				pending = append(pending, rest[:n]...)
				rest = rest[n:]
				left := feedAll(s, w, pending)
				pending = pending[:copy(pending, left)]
				w.flush()
				got = append(got, s.out...)
				s.out, s.marks = s.out[:0], s.marks[:0]
			}
			if string(got) != conversationReplies {
				t.Errorf("got  %q\nwant %q", got, conversationReplies)
			}
			if len(pending) != 0 {
				t.Errorf("left over: got %q, want nothing", pending)
			}
		})
	}
}

func TestSessionAllocatesNothing(t *testing.T) {
	s, w := newSession(t, 1<<20)
	feedAll(s, w, []byte("set k 1 0 100\r\n"+strings.Repeat("v", 100)+"\r\nset n 0 0 1\r\n1\r\nset gone 0 0 1\r\nx\r\nincr n 1\r\n"))
	checkAllocations(t, s, w, []namedInput{
		{"get", "get k\r\n"},
		{"miss", "get nothing\r\n"},
		{"multi-get", "get k n nothing k k k k k k k\r\n"},
		{"gets", "gets k\r\n"},
		{"set", "set k 1 0 100\r\n" + strings.Repeat("w", 100) + "\r\n"},
		{"set with exptime", "set k 1 100 3\r\nabc\r\n"},
		{"add to nothing", "add k 1 0 3\r\nabc\r\n"},
		{"incr", "incr n 1\r\n"},
		{"decr", "decr n 1\r\n"},
		{"delete", "delete gone\r\nset gone 0 0 1\r\nx\r\n"},
		{"touch", "touch k 1000\r\n"},
		{"gat", "gat 1000 k\r\n"},
		{"cas", "cas k 0 0 1 1\r\nx\r\n"},
		{"pipeline", "get k\r\nset k 0 0 1\r\na\r\nget n\r\ndelete nothing\r\nincr n 1\r\n"},
		{"noreply", "set k 0 0 1 noreply\r\na\r\n"},
	})
}

// namedInput is a piece of input for a session.
type namedInput struct{ name, in string }

// checkAllocations feeds each input to s again and again, and demands that this allocates nothing.
func checkAllocations(t *testing.T, s *session, w *worker, tests []namedInput) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := []byte(tt.in)
			run := func() {
				if n := s.feed(w, in); n != len(in) {
					t.Fatalf("feed %q: consumed %d, want %d", in, n, len(in))
				}
				s.advance(s.unsent())
				s.marks = s.marks[:0]
				w.tally.publish(w.totals)
			}
			for range 10 {
				run()
			}
			w.flush()
			if n := testing.AllocsPerRun(200, run); n != 0 {
				t.Errorf("%q: got %v allocations, want 0", in, n)
			}
			w.flush()
		})
	}
}

func TestSessionHoldsFromTheFirstWrite(t *testing.T) {
	s, w := newSession(t, 1000)
	s.feed(w, []byte("get x\r\nversion\r\nset a 0 0 1\r\nv\r\nget a\r\n"))
	if got, want := string(s.sendable()), "END\r\nVERSION 0.1.0\r\n"; got != want {
		t.Fatalf("before the gate: got %q, want %q", got, want)
	}
	s.advance(len(s.sendable()))
	s.feed(w, []byte("delete a\r\n"))
	if got := s.sendable(); len(got) != 0 {
		t.Fatalf("before the gate: got %q, want nothing", got)
	}
	s.passed(1)
	if got, want := string(s.sendable()), "STORED\r\nVALUE a 0 1\r\nv\r\nEND\r\n"; got != want {
		t.Fatalf("after the first mark: got %q, want %q", got, want)
	}
	s.advance(len(s.sendable()))
	s.passed(1)
	if got, want := string(s.sendable()), "DELETED\r\n"; got != want {
		t.Fatalf("after the second mark: got %q, want %q", got, want)
	}
}

// A write without a reply holds the replies that follow it.
func TestSessionHoldsAfterNoreply(t *testing.T) {
	s, w := newSession(t, 1000)
	s.feed(w, []byte("set a 0 0 1 noreply\r\nv\r\n"))
	s.advance(0)
	s.feed(w, []byte("get b\r\n"))
	if got := s.sendable(); len(got) != 0 {
		t.Fatalf("before the gate: got %q, want nothing", got)
	}
	for range 10 * maxMarks {
		s.feed(w, []byte("set a 0 0 1\r\nv\r\n"))
	}
	if len(s.marks) > maxMarks {
		t.Errorf("marks: got %d, want at most %d", len(s.marks), maxMarks)
	}
	for len(s.marks) > 0 {
		s.passed(1)
	}
	if got, want := string(s.sendable()), "END\r\n"+strings.Repeat("STORED\r\n", 10*maxMarks); got != want {
		t.Errorf("after the gate: got %d bytes, want %d", len(got), len(want))
	}
}

func TestSessionAdvanceKeepsMarks(t *testing.T) {
	s := &session{out: bytes.Repeat([]byte("f"), 200<<10)}
	s.out = append(s.out, "held"...)
	s.marks = []mark{{pos: 200 << 10, seq: 7}}
	s.advance(150 << 10)
	if s.sent != 0 || s.marks[0].pos != 50<<10 {
		t.Errorf("after compaction: got sent %d and mark at %d, want 0 and %d", s.sent, s.marks[0].pos, 50<<10)
	}
	s.advance(50 << 10)
	s.passed(1)
	if got := string(s.sendable()); got != "held" {
		t.Errorf("sendable: got %.20q, want held", got)
	}
}

// One line can ask for much more than memory holds: it pauses, and goes on where it was.
func TestSessionPausesAGet(t *testing.T) {
	s, w := newSession(t, 1<<20)
	value := strings.Repeat("v", 300<<10)
	feedAll(s, w, []byte("set k 0 0 307200\r\n"+value+"\r\n"))
	s.advance(s.unsent())
	s.marks = nil
	const keys = 20
	in := []byte("get" + strings.Repeat(" k", keys) + "\r\nversion\r\n")
	var got strings.Builder
	for {
		in = in[s.feed(w, in):]
		if n := s.unsent(); n > feedStep+len(value)+100 {
			t.Fatalf("output of one feed: got %d bytes, want about %d", n, feedStep)
		}
		got.Write(s.sendable())
		s.advance(s.unsent())
		if !s.more {
			break
		}
	}
	want := strings.Repeat("VALUE k 0 307200\r\n"+value+"\r\n", keys) + "END\r\nVERSION 0.1.0\r\n"
	if got.String() != want {
		t.Errorf("got %d bytes, want %d", got.Len(), len(want))
	}
}

// An mget, and a getlist, of large values is made and sent in steps, and is whole.
func TestSessionGathers(t *testing.T) {
	const size, keys = 300 << 10, 40
	for _, kind := range []struct {
		request tyrant.Request
		record  string
	}{
		{tyrant.Request{Command: tyrant.MGet}, from(`00000001 0004b000 "k"`)},
		{tyrant.Request{Command: tyrant.Misc, Name: []byte("getlist")}, from(`00000001 "k" 0004b000`)},
	} {
		s, w := newSession(t, 1<<20)
		s.speak(isTyrant, w.srv)
		value := strings.Repeat("v", size)
		feedAll(s, w, []byte(ask(tyrant.Request{Command: tyrant.Put, Key: []byte("k"), Value: []byte(value)})))
		s.advance(s.unsent())
		s.marks = nil
		for range keys {
			kind.request.Args = append(kind.request.Args, []byte("k"), []byte("none"))
		}
		in := []byte(ask(kind.request) + from(`c8 80`))
		var got strings.Builder
		for {
			before := s.kept()
			n := s.feed(w, in)
			clear(in[:n]) // nothing of it may be kept
			in = in[n:]
			if made := s.unsent() + max(s.kept()-before, 0); made > feedStep+2*size {
				t.Fatalf("%v: one feed made %d bytes, want about %d", kind.request.Command, made, feedStep)
			}
			got.Write(s.sendable())
			s.advance(s.unsent())
			if s.slow != nil {
				t.Fatalf("%v waits for the turn of a command that takes long", kind.request.Command)
			}
			if !s.more {
				break
			}
		}
		count := map[tyrant.Command]string{tyrant.MGet: "00 00000028", tyrant.Misc: "00 00000050"}[kind.request.Command]
		if want := from(count) + strings.Repeat(kind.record+value, keys) + from(`00 0000000000000001`); got.String() != want {
			t.Errorf("%v: got %d bytes, want %d", kind.request.Command, got.Len(), len(want))
		}
		if s.kept() != 0 {
			t.Errorf("%v: the session keeps %d bytes", kind.request.Command, s.kept())
		}
	}
}

func TestMemcacheReply(t *testing.T) {
	tests := []struct {
		op   memcache.Op
		err  error
		want string
	}{
		{memcache.OpReplace, store.ErrNotFound, "NOT_STORED\r\n"},
		{memcache.OpAppend, store.ErrNotFound, "NOT_STORED\r\n"},
		{memcache.OpPrepend, store.ErrNotFound, "NOT_STORED\r\n"},
		{memcache.OpCAS, store.ErrNotFound, "NOT_FOUND\r\n"},
		{memcache.OpDelete, store.ErrNotFound, "NOT_FOUND\r\n"},
		{memcache.OpIncr, store.ErrNotFound, "NOT_FOUND\r\n"},
		{memcache.OpTouch, store.ErrNotFound, "NOT_FOUND\r\n"},
		{memcache.OpAdd, store.ErrExists, "NOT_STORED\r\n"},
		{memcache.OpCAS, store.ErrConflict, "EXISTS\r\n"},
		{memcache.OpIncr, store.ErrNotNumeric, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"},
		{memcache.OpSet, store.ErrTooLarge, "SERVER_ERROR object too large for cache\r\n"},
		{memcache.OpAppend, store.ErrTooLarge, "NOT_STORED\r\n"},
		{memcache.OpPrepend, store.ErrTooLarge, "NOT_STORED\r\n"},
		{memcache.OpSet, store.ErrKey, "CLIENT_ERROR bad command line format\r\n"},
		{memcache.OpSet, store.ErrNoMemory, "SERVER_ERROR out of memory storing object\r\n"},
		{memcache.OpSet, store.ErrNoSpace, "SERVER_ERROR " + store.ErrNoSpace.Error() + "\r\n"},
		{memcache.OpFlushAll, store.ErrReadOnly, "SERVER_ERROR " + store.ErrReadOnly.Error() + "\r\n"},
		{memcache.OpSet, store.ErrClock, "SERVER_ERROR " + store.ErrClock.Error() + "\r\n"},
		{memcache.OpSet, store.ErrClosed, "SERVER_ERROR " + store.ErrClosed.Error() + "\r\n"},
		{memcache.OpTouch, store.ErrNoPeer, refusedLine},
		{memcache.OpSet, errors.New("two\r\nlines"), "SERVER_ERROR internal error\r\n"},
		{memcache.OpSet, fmt.Errorf("wrapped: %w", store.ErrNoMemory), "SERVER_ERROR out of memory storing object\r\n"},
	}
	for _, tt := range tests {
		if got := memcacheReply(tt.op, tt.err); got != tt.want {
			t.Errorf("memcacheReply(%v, %v): got %q, want %q", tt.op, tt.err, got, tt.want)
		}
	}
}

// FuzzSession compares a session fed whole with one fed in two pieces.
func FuzzSession(f *testing.F) {
	f.Add([]byte(conversation), uint16(17))
	f.Add([]byte("set k 0 0 5\r\nab\r\n\r\nget k\r\nquit\r\nget k\r\n"), uint16(14))
	f.Add([]byte("gat -1 a b\r\n\x00\xff\r\nset a 0 0 99999\r\nabc"), uint16(3))
	_, w := newSession(f, 4000)
	fresh := func(t *testing.T) *session {
		if _, err := w.store.FlushAll(0); err != nil {
			t.Fatal(err)
		}
		w.flush()
		s := &session{}
		s.dec.MaxValue = 4000
		return s
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		// Uniques and counters differ from run to run, and a delayed flush would hit the next one.
		for _, word := range []string{"gets", "gats", "stats", "flush_all "} {
			if len(in) > 8<<10 || bytes.Contains(bytes.ReplaceAll(in, []byte(bigValue), nil), []byte(word)) {
				return
			}
		}
		whole := fresh(t)
		feedAll(whole, w, in)
		pieces := fresh(t)
		at := min(int(cut), len(in))
		rest := feedAll(pieces, w, in[:at])
		if !pieces.closing {
			feedAll(pieces, w, append(bytes.Clone(rest), in[at:]...))
		}
		// A line over the limit closes when its first part shows that, and is decoded when all of it is there.
		if whole.closing == pieces.closing && !bytes.Equal(whole.out, pieces.out) {
			t.Errorf("feed %q\nwhole  %q\ncut at %d %q", in, whole.out, at, pieces.out)
		}
	})
}
