package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

// binaryPacket makes a request. The opaque numbers are those of the tests' own choice.
func binaryPacket(op memcache.Opcode, opaque uint32, extras, key, value string) string {
	b := []byte{0x80, byte(op)}
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	b = append(b, byte(len(extras)), 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(extras)+len(key)+len(value)))
	b = binary.BigEndian.AppendUint32(b, opaque)
	b = append(b, make([]byte, 8)...)
	return string(b) + extras + key + value
}

func noopPacket(opaque uint32) string { return binaryPacket(memcache.OpcodeNoop, opaque, "", "", "") }

func noopReply(opaque uint32) string {
	return string(memcache.AppendBinaryDone(nil, memcache.Echo{Opcode: memcache.OpcodeNoop, Opaque: opaque}, 0))
}

func setPacket(op memcache.Opcode, opaque uint32, key, value string) string {
	return binaryPacket(op, opaque, "\x00\x00\x00\x00\x00\x00\x00\x00", key, value)
}

func keyPacket(op memcache.Opcode, opaque uint32, key string) string {
	return binaryPacket(op, opaque, "", key, "")
}

// exptimePacket is a touch or gat.
func exptimePacket(op memcache.Opcode, opaque, exptime uint32, key string) string {
	return binaryPacket(op, opaque, string(binary.BigEndian.AppendUint32(nil, exptime)), key, "")
}

// countPacket is an incr or decr by 1 that creates the key with 5.
func countPacket(op memcache.Opcode, opaque uint32, key string) string {
	return binaryPacket(op, opaque, "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00", key, "")
}

// replies takes b apart: each reply is its opcode, opaque, status, key and value; the cas is not told.
func replies(t testing.TB, b string) (all []string) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 24 || b[0] != 0x81 || len(b) < 24+int(binary.BigEndian.Uint32([]byte(b[8:]))) {
			t.Fatalf("after %q: %.100q is no reply", all, b)
		}
		body := b[24 : 24+binary.BigEndian.Uint32([]byte(b[8:]))]
		all = append(all, fmt.Sprintf("%v %d %#x %q", memcache.Opcode(b[1]), binary.BigEndian.Uint32([]byte(b[12:])), binary.BigEndian.Uint16([]byte(b[6:])), body[b[4]:]))
		b = b[24+len(body):]
	}
	return all
}

// expectReplies reads as many replies as are wanted.
func (c *client) expectReplies(want ...string) {
	c.t.Helper()
	for _, w := range want {
		head, err := c.r.Peek(24)
		if err != nil {
			c.t.Fatalf("got %q and %v, want %s", head, err, w)
		}
		b := make([]byte, 24+binary.BigEndian.Uint32(head[8:]))
		for n := 0; n < len(b); {
			m, err := c.r.Read(b[n:])
			if n += m; err != nil {
				c.t.Fatalf("got %.100q and %v, want %s", b[:n], err, w)
			}
		}
		if got := replies(c.t, string(b))[0]; got != w {
			c.t.Fatalf("got %.300s, want %.300s", got, w)
		}
	}
}

// binaryConversation has quiet and loud commands, errors, values too large, and what is not known.
var (
	binaryConversation = setPacket(memcache.OpcodeSet, 1, "a", "abc") + setPacket(memcache.OpcodeSetQ, 2, "b", "x") +
		keyPacket(memcache.OpcodeGet, 3, "a") + keyPacket(memcache.OpcodeGetQ, 4, "none") + keyPacket(memcache.OpcodeGetKQ, 5, "b") +
		setPacket(memcache.OpcodeSet, 6, "b", bigValue) + keyPacket(memcache.OpcodeGetK, 7, "b") +
		binaryPacket(memcache.OpcodeAppendQ, 8, "", "none", "x") + binaryPacket(0x50, 9, "eeee", "key", bigValue) +
		countPacket(memcache.OpcodeIncr, 10, "n") + countPacket(memcache.OpcodeIncrQ, 11, "n") + countPacket(memcache.OpcodeIncr, 12, "a") +
		exptimePacket(memcache.OpcodeGatK, 13, 100, "n") + exptimePacket(memcache.OpcodeTouch, 14, 100, "none") +
		binaryPacket(memcache.OpcodePrepend, 15, "", "a", ">") + keyPacket(memcache.OpcodeDelete, 16, "a") +
		binaryPacket(memcache.OpcodeFlushQ, 17, "", "", "") + keyPacket(memcache.OpcodeGet, 18, "n") + noopPacket(19)
	binaryConversationReplies = []string{
		`set 1 0x0 ""`, `get 3 0x0 "abc"`, `getkq 5 0x0 "bx"`, `set 6 0x3 "Too large."`, `getk 7 0x1 "b"`, `appendq 8 0x5 "Not stored."`,
		`0x50 9 0x81 "Unknown command"`, `incr 10 0x0 "\x00\x00\x00\x00\x00\x00\x00\x05"`, `incr 12 0x6 "Non-numeric server-side value for incr or decr"`,
		`gatk 13 0x0 "n6"`, `touch 14 0x1 "Not found"`, `prepend 15 0x0 ""`, `delete 16 0x0 ""`, `get 18 0x1 "Not found"`, `noop 19 0x0 ""`,
	}
)

func TestBinaryInPieces(t *testing.T) {
	onPieces(t, binaryConversation, func(c *client) {
		c.expectReplies(binaryConversationReplies...)
		c.send(keyPacket(memcache.OpcodeQuit, 20, "") + noopPacket(21))
		c.expectReplies(`quit 20 0x0 ""`)
		c.expectEnd()
	})
}

// newBinarySession is newSession for the binary protocol.
func newBinarySession(t testing.TB) (*session, *worker) {
	s, w := newSession(t, 1<<20)
	s.proto, s.bin.MaxValue = isBinary, 1<<20
	return s, w
}

func TestBinarySessionAllocatesNothing(t *testing.T) {
	s, w := newBinarySession(t)
	value := strings.Repeat("v", 100)
	feedAll(s, w, []byte(setPacket(memcache.OpcodeSet, 1, "k", value)+countPacket(memcache.OpcodeIncr, 2, "n")))
	checkAllocations(t, s, w, []namedInput{
		{"get", keyPacket(memcache.OpcodeGet, 1, "k")},
		{"miss", keyPacket(memcache.OpcodeGetK, 1, "nothing")},
		{"getq", strings.Repeat(keyPacket(memcache.OpcodeGetKQ, 1, "k"), 10) + noopPacket(1)},
		{"set", setPacket(memcache.OpcodeSet, 1, "k", value)},
		{"setq", setPacket(memcache.OpcodeSetQ, 1, "k", value)},
		{"incr", countPacket(memcache.OpcodeIncr, 1, "n")},
		{"incr and delete", countPacket(memcache.OpcodeIncr, 1, "m") + keyPacket(memcache.OpcodeDelete, 1, "m")},
		{"gat", exptimePacket(memcache.OpcodeGat, 1, 1000, "k")},
		{"append to nothing", binaryPacket(memcache.OpcodeAppend, 1, "", "nothing", "x")},
	})
}

// What incr creates in the binary protocol leaves nothing behind for the text protocol of the same worker.
func TestBinaryIncrLeavesNoCreation(t *testing.T) {
	s, w := newBinarySession(t)
	feedAll(s, w, []byte(countPacket(memcache.OpcodeIncr, 1, "n")))
	text := &session{}
	if feedAll(text, w, []byte("incr none 1\r\n")); string(text.out) != "NOT_FOUND\r\n" {
		t.Errorf("text incr after a binary one: got %q, want NOT_FOUND", text.out)
	}
}

// A long row of quiet gets is answered in steps, so that its replies leave before more are made.
func TestBinaryPausesAtAStep(t *testing.T) {
	const size, count = 100 << 10, 100
	s, w := newBinarySession(t)
	feedAll(s, w, []byte(setPacket(memcache.OpcodeSetQ, 1, "k", strings.Repeat("v", size))))
	s.marks = s.marks[:0]
	in := []byte(strings.Repeat(keyPacket(memcache.OpcodeGetQ, 2, "k"), count) + noopPacket(3))
	got, feeds := 0, 0
	for {
		in = in[s.feed(w, in):]
		if n := s.unsent(); n > feedStep+size+100 {
			t.Fatalf("feed %d: %d bytes at once, want about %d", feeds, n, feedStep)
		}
		got += len(replies(t, string(s.sendable())))
		s.advance(s.unsent())
		feeds++
		if !s.more {
			break
		}
	}
	if got != count+1 || feeds < count*size/feedStep || len(in) != 0 {
		t.Errorf("got %d replies in %d feeds, %d bytes left; want %d replies in about %d", got, feeds, len(in), count+1, count*size/feedStep)
	}
}

func TestBinaryNeverReads(t *testing.T) {
	const limit = 4 << 20
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxPending = limit
			carrier(c)
		})
		c := dial(t, s)
		c.send(setPacket(memcache.OpcodeSet, 1, "k", strings.Repeat("v", 100000)))
		c.expectReplies(`set 1 0x0 ""`)
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = c.Write([]byte(strings.Repeat(keyPacket(memcache.OpcodeGetQ, 1, "k"), 1<<20)))
		}()
		readingStops(t, s, limit)
		c.Close()
		<-asked
	})
}

// Memory follows the bytes that arrive, not what a header announces.
func TestBinaryAnnouncedLength(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		var all []*client
		for i := range 100 {
			c := dial(t, s)
			b := []byte(noopPacket(1) + setPacket(memcache.OpcodeSet, 2, "k", "v"))
			size := 64<<20 + 9 // the largest value
			if i%2 == 0 {
				size = 1 << 30 // swallowed
			}
			binary.BigEndian.PutUint32(b[24+8:], uint32(size))
			c.send(string(b))
			c.expectReplies(`noop 1 0x0 ""`)
			if i%2 == 0 {
				c.expectReplies(`set 2 0x3 "Too large."`)
			}
			all = append(all, c)
		}
		if n := s.pending.Load(); n > int64(len(all))*(smallBuffer+keptBuffer) {
			t.Errorf("pending: got %d bytes for %d announcements", n, len(all))
		}
		c := dial(t, s)
		b := []byte(setPacket(memcache.OpcodeSet, 3, "k", "v"))
		binary.BigEndian.PutUint32(b[8:], 1<<30+1)
		c.send(string(b))
		c.expectReplies(`set 3 0x4 "Invalid arguments"`)
		c.expectEnd()
	})
}

func TestBinaryRepliesAreBounded(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxPendingTotal = 1 << 20
			carrier(c)
		})
		c := dial(t, s)
		large := strings.Repeat("v", 16<<20)
		c.send(setPacket(memcache.OpcodeSet, 1, "large", large) + setPacket(memcache.OpcodeSetQ, 2, "small", "s"))
		c.expectReplies(`set 1 0x0 ""`)
		eventually(t, "the input is counted no more", func() bool { return s.pending.Load() == 0 })
		holder := dial(t, s)
		holder.send(keyPacket(memcache.OpcodeGet, 1, "large"))
		eventually(t, "the value is counted", func() bool { return s.pending.Load() > 1<<20 })
		c.send(keyPacket(memcache.OpcodeGet, 1, "small") + keyPacket(memcache.OpcodeGetQ, 2, "large") + exptimePacket(memcache.OpcodeGat, 3, 0, "large") +
			exptimePacket(memcache.OpcodeGatKQ, 4, 2592001, "large") + exptimePacket(memcache.OpcodeTouch, 5, 0, "large") + keyPacket(memcache.OpcodeGetQ, 6, "none") + noopPacket(7))
		c.expectReplies(`get 1 0x0 "s"`, `getq 2 0x82 "`+binaryStarved+`"`, `gat 3 0x82 "`+binaryStarved+`"`, `gatkq 4 0x82 "`+binaryStarved+`"`, `touch 5 0x0 ""`, `noop 7 0x0 ""`)
		holder.Close()
		eventually(t, "the value is given up", func() bool { return s.pending.Load() == 0 })
		c.send(keyPacket(memcache.OpcodeGet, 1, "large"))
		c.expectReplies(`get 1 0x0 "` + large + `"`)
	})
}

func TestBinaryReply(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("around: %w", err) }
	for _, c := range []struct {
		op     memcache.Opcode
		err    error
		status memcache.BinaryStatus
		text   string
	}{
		{memcache.OpcodeSet, store.ErrNotFound, memcache.BinaryNotFound, ""},
		{memcache.OpcodeReplace, store.ErrNotFound, memcache.BinaryNotFound, ""},
		{memcache.OpcodeAppend, store.ErrNotFound, memcache.BinaryNotStored, ""},
		{memcache.OpcodePrepend, store.ErrNotFound, memcache.BinaryNotStored, ""},
		{memcache.OpcodeDelete, store.ErrNotFound, memcache.BinaryNotFound, ""},
		{memcache.OpcodeAdd, store.ErrExists, memcache.BinaryExists, ""},
		{memcache.OpcodeAppend, store.ErrConflict, memcache.BinaryExists, ""},
		{memcache.OpcodeIncr, store.ErrNotNumeric, memcache.BinaryNotNumeric, ""},
		{memcache.OpcodeSet, store.ErrTooLarge, memcache.BinaryTooLarge, ""},
		{memcache.OpcodePrepend, store.ErrTooLarge, memcache.BinaryNotStored, ""},
		{memcache.OpcodeSet, store.ErrKey, memcache.BinaryInvalid, ""},
		{memcache.OpcodeSet, errors.New("anything"), memcache.BinaryOutOfMemory, "internal error"},
	} {
		if status, text := binaryReply(c.op, wrap(c.err)); status != c.status || text != c.text {
			t.Errorf("%v, %v: got %#x %q, want %#x %q", c.op, c.err, uint16(status), text, uint16(c.status), c.text)
		}
	}
	for _, err := range []error{
		store.ErrNoMemory, store.ErrNoSpace, store.ErrClock, store.ErrClockAhead, store.ErrDamaged, store.ErrReadOnly, store.ErrNoPeer, store.ErrClosed,
	} {
		if status, text := binaryReply(memcache.OpcodeSet, wrap(err)); status != memcache.BinaryOutOfMemory || text != err.Error() {
			t.Errorf("%v: got %#x %q, want 0x82 with its own text", err, uint16(status), text)
		}
	}
}

// What writes is counted as in the text protocol.
func TestBinaryCounters(t *testing.T) {
	s, w := newBinarySession(t)
	feedAll(s, w, []byte(setPacket(memcache.OpcodeSetQ, 1, "a", "1")+keyPacket(memcache.OpcodeGetQ, 1, "a")+keyPacket(memcache.OpcodeGetQ, 1, "b")+
		countPacket(memcache.OpcodeIncrQ, 1, "n")+countPacket(memcache.OpcodeIncrQ, 1, "n")+countPacket(memcache.OpcodeDecrQ, 1, "a")+
		exptimePacket(memcache.OpcodeGatQ, 1, 0, "a")+exptimePacket(memcache.OpcodeTouch, 1, 0, "b")+keyPacket(memcache.OpcodeDeleteQ, 1, "a")+
		keyPacket(memcache.OpcodeDeleteQ, 1, "a")+binaryPacket(memcache.OpcodeFlushQ, 1, "", "", "")+noopPacket(1)+
		setPacket(memcache.OpcodeSet, 1, "a", strings.Repeat("v", 1<<20+1))))
	want := tally{
		cmdSet: 1, itemsStored: 2, cmdGet: 2, getHits: 1, getMisses: 1, incrHits: 1, decrHits: 1, cmdTouch: 2, touchHits: 1, touchMisses: 1,
		deleteHits: 1, deleteMisses: 1, cmdFlush: 1, storeTooLarge: 1, cmdOther: 3, // the incr that creates, the noop, and what is refused
	}
	if w.tally != want {
		t.Errorf("got  %v\nwant %v", w.tally, want)
	}
}

func TestBinaryRepliesWaitForTheGate(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := heldStore(t)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		c.send(keyPacket(memcache.OpcodeGet, 1, "b") + setPacket(memcache.OpcodeSetQ, 2, "a", "x") + keyPacket(memcache.OpcodeGetQ, 3, "a") + noopPacket(4))
		c.expectReplies(`get 1 0x1 "Not found"`)
		eventually(t, "the replies are held", func() bool { return s.sum()[repliesHeld] > 0 })
		if n := c.r.Buffered(); n != 0 {
			t.Fatalf("before the confirmation: got %d bytes, want none", n)
		}
		confirm()
		c.expectReplies(`getq 3 0x0 "x"`, `noop 4 0x0 ""`)
	})
}

// A packet that was begun must go on.
func TestBinaryRequestTimeout(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.RequestTimeout = time.Second
			carrier(c)
		})
		c := dial(t, s)
		c.send(noopPacket(1) + "\x80")
		c.expectReplies(`noop 1 0x0 ""`)
		c.expectEnd()
		if n := s.sum()[requestTimeouts]; n != 1 {
			t.Errorf("counted: got %d, want 1", n)
		}
	})
}
