package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

// binaryWrites is every write of the binary protocol, each with what a node without faults answers when it runs after the
// ones before; "" where it is quiet.
var binaryWrites = []struct {
	op     memcache.Opcode
	packet func(op memcache.Opcode, opaque uint32) string
	reply  string
}{
	{memcache.OpcodeSet, stored("a", "1"), `""`},
	{memcache.OpcodeSetQ, stored("a", "2"), ""},
	{memcache.OpcodeAdd, stored("b", "3"), `""`},
	{memcache.OpcodeAddQ, stored("c", "4"), ""},
	{memcache.OpcodeReplace, stored("b", "5"), `""`},
	{memcache.OpcodeReplaceQ, stored("b", "6"), ""},
	{memcache.OpcodeAppend, joined("b", "7"), `""`},
	{memcache.OpcodeAppendQ, joined("b", "8"), ""},
	{memcache.OpcodePrepend, joined("b", "9"), `""`},
	{memcache.OpcodePrependQ, joined("b", "0"), ""},
	{memcache.OpcodeIncr, counted("a"), `"\x00\x00\x00\x00\x00\x00\x00\x03"`},
	{memcache.OpcodeIncrQ, counted("n"), ""},
	{memcache.OpcodeDecr, counted("n"), `"\x00\x00\x00\x00\x00\x00\x00\x04"`},
	{memcache.OpcodeDecrQ, counted("n"), ""},
	{memcache.OpcodeTouch, touched("b", 100), `""`},
	{memcache.OpcodeGat, touched("b", 100), `"09678"`},
	{memcache.OpcodeGatQ, touched("b", 100), `"09678"`},
	{memcache.OpcodeGatK, touched("b", 100), `"b09678"`},
	{memcache.OpcodeGatKQ, touched("b", 2592001), `"b09678"`},
	{memcache.OpcodeDelete, deleted("a"), `""`},
	{memcache.OpcodeDeleteQ, deleted("c"), ""},
	{memcache.OpcodeFlush, flushed, `""`},
	{memcache.OpcodeFlushQ, flushed, ""},
}

func stored(key, value string) func(memcache.Opcode, uint32) string {
	return func(op memcache.Opcode, opaque uint32) string { return setPacket(op, opaque, key, value) }
}

func joined(key, value string) func(memcache.Opcode, uint32) string {
	return func(op memcache.Opcode, opaque uint32) string { return binaryPacket(op, opaque, "", key, value) }
}

func counted(key string) func(memcache.Opcode, uint32) string {
	return func(op memcache.Opcode, opaque uint32) string { return countPacket(op, opaque, key) }
}

func touched(key string, exptime uint32) func(memcache.Opcode, uint32) string {
	return func(op memcache.Opcode, opaque uint32) string { return exptimePacket(op, opaque, exptime, key) }
}

func deleted(key string) func(memcache.Opcode, uint32) string {
	return func(op memcache.Opcode, opaque uint32) string { return keyPacket(op, opaque, key) }
}

func flushed(op memcache.Opcode, opaque uint32) string { return keyPacket(op, opaque, "") }

func fault(op memcache.Opcode, opaque int, err error) string {
	return fmt.Sprintf("%v %d 0x82 %q", op, opaque, err)
}

// Every write in one pipeline, with reads between. Each whose effect is unknown is answered with an error in its place, quiet
// ones too; nothing else changes, and the connection goes on.
func TestBinaryStrictPipeline(t *testing.T) {
	onStrictEnds(t, func(t *testing.T, e *strictEnd) {
		var in strings.Builder
		var want []string
		for i, w := range binaryWrites {
			in.WriteString(w.packet(w.op, uint32(2*i)) + keyPacket(memcache.OpcodeGetK, uint32(2*i+1), "none"))
			switch {
			case !e.confirmed:
				want = append(want, fault(w.op, 2*i, store.ErrUnconfirmed))
			case w.reply != "":
				want = append(want, fmt.Sprintf("%v %d 0x0 %s", w.op, 2*i, w.reply))
			}
			want = append(want, fmt.Sprintf(`getk %d 0x1 "none"`, 2*i+1))
		}
		e.c.send(in.String())
		e.decide(t)
		e.c.expectReplies(want...)
		e.checkUnconfirmed(t, len(binaryWrites))
		e.goOn(t, setPacket(memcache.OpcodeSet, 1, "a", "x"))
		e.c.expectReplies(`set 1 0x0 ""`)
	})
}

// Quiet writes with nothing behind them, with and without the end of the connection: their errors still come.
func TestBinaryStrictQuietAlone(t *testing.T) {
	for name, last := range map[string]string{"open": "", "quitq": keyPacket(memcache.OpcodeQuitQ, 9, ""), "closed by the client": ""} {
		t.Run(name, func(t *testing.T) {
			onCarriers(t, func(t *testing.T, carrier func(*Config)) {
				st, _ := strictStore(t, time.Hour)
				s := startServer(t, st, carrier)
				c := dial(t, s)
				before := st.Log().Last()
				c.send(setPacket(memcache.OpcodeSetQ, 1, "a", "1") + setPacket(memcache.OpcodeSetQ, 2, "a", "2") + last)
				if name == "closed by the client" {
					if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "they are held", func() bool { return s.sum()[repliesHeld] > 0 })
				st.Confirm(2, before+1)
				st.Linked(2, false)
				c.expectReplies(fault(memcache.OpcodeSetQ, 2, store.ErrUnconfirmed))
				if name != "open" {
					c.expectEnd()
				}
			})
		})
	}
}

// Without a peer nothing is executed, and every write says so, quiet or not; reads are answered.
func TestBinaryStrictRefusesBeforehand(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, _ := strictStore(t, time.Hour)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		st.Linked(2, false)
		last := st.Log().Last()
		var in strings.Builder
		var want []string
		for i, w := range binaryWrites {
			if strings.HasSuffix(w.op.String(), "kq") {
				continue // with a time that is past it must find something to read
			}
			in.WriteString(w.packet(w.op, uint32(i)))
			want = append(want, fault(w.op, i, store.ErrNoPeer))
		}
		c.send(in.String() + noopPacket(99))
		c.expectReplies(append(want, `noop 99 0x0 ""`)...)
		if now := st.Log().Last(); now != last {
			t.Errorf("the log grew from %d to %d", last, now)
		}
		if got := st.Acknowledgement().Refused; got != uint64(len(want)) {
			t.Errorf("refused: got %d, want %d", got, len(want))
		}
	})
}

// A set with a value that is too large keeps that answer, and a quiet write in front of it its own.
func TestBinaryStrictTooLarge(t *testing.T) {
	st, _ := strictStore(t, time.Hour)
	s := startServer(t, st, func(c *Config) { c.MaxValue = 10 })
	c := dial(t, s)
	c.send(setPacket(memcache.OpcodeSetQ, 1, "a", "1") + setPacket(memcache.OpcodeSetQ, 2, "a", "12345678901") + keyPacket(memcache.OpcodeGet, 3, "a"))
	eventually(t, "the replies are held", func() bool { return s.sum()[repliesHeld] > 0 })
	st.Linked(2, false)
	c.expectReplies(fault(memcache.OpcodeSetQ, 1, store.ErrUnconfirmed), `setq 2 0x3 "Too large."`, `get 3 0x1 "Not found"`)
}

// A row of quiet writes longer than a session holds stops until the first are decided.
func TestBinaryStrictLongPipeline(t *testing.T) {
	const writes = 3*maxHeld + 7
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := strictStore(t, time.Hour)
		s := startServer(t, st, carrier)
		c := dial(t, s)
		var in strings.Builder
		for i := range writes {
			in.WriteString(setPacket(memcache.OpcodeSetQ, uint32(i), fmt.Sprint("k", i), "x"))
		}
		sendLong(t, s, confirm, c, in.String()+noopPacket(writes), writes)
		c.expectReplies(fmt.Sprintf(`noop %d 0x0 ""`, writes))
	})
}

// A write fails while one behind it still waits, after output in front of both has left.
func TestBinaryStrictFailsOneAfterTheOther(t *testing.T) {
	s, w, confirm := newStrictSession(t)
	s.proto = isBinary
	s.feed(w, []byte(noopPacket(1)+setPacket(memcache.OpcodeSetQ, 2, "a", "1")+setPacket(memcache.OpcodeSetQ, 3, "b", "2")+keyPacket(memcache.OpcodeGet, 4, "a")+setPacket(memcache.OpcodeSet, 5, "b", "3")))
	if got := replies(t, s.take(t, w)); !slices.Equal(got, []string{`noop 1 0x0 ""`}) {
		t.Fatalf("in front of the writes: got %q", got)
	}
	if len(s.marks) != 3 {
		t.Fatalf("got %d marks, want 3", len(s.marks))
	}
	s.marks[0].failed = true
	if n := s.fail(1); n != 1 {
		t.Errorf("replaced %d replies, want 1", n)
	}
	s.passed(1)
	if got := replies(t, s.take(t, w)); !slices.Equal(got, []string{fault(memcache.OpcodeSetQ, 2, store.ErrUnconfirmed)}) {
		t.Errorf("after the first: got %q", got)
	}
	confirm()
	if got := replies(t, s.take(t, w)); !slices.Equal(got, []string{`get 4 0x0 "1"`, `set 5 0x0 ""`}) {
		t.Errorf("after the last: got %q", got)
	}
	if s.owes() {
		t.Error("it still owes something")
	}
}
