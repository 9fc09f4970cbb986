package tyrant

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestLogStream(t *testing.T) {
	r := Request{Command: Put, Key: k, Value: bytes.Repeat(v, clientChunk)}
	large := &Entry{Time: 2, SID: 9, Payload: AppendPayload(nil, &r, true)}
	f := &fake{log: [][]byte{AppendStreamEntry(nil, entryAt(1)), AppendStreamEntry(nil, large), AppendKeepAlive(nil), AppendStreamEntry(nil, entryAt(3))}}
	c := dial(t, f.listen(t, "tcp"))
	s, err := c.Repl(1, 2)
	if err != nil || s.SID != 7 {
		t.Fatalf("repl: got %+v, %v, want server 7", s, err)
	}
	var times []int64
	for range 6 {
		var e Entry
		if err := s.Next(&e); err != nil {
			t.Fatal(err)
		}
		if e.Payload == nil {
			e.Time = -1
		}
		if e.Time == 2 && (e.SID != 9 || !bytes.Equal(e.Payload, large.Payload)) {
			t.Errorf("the large entry has come as one of %d bytes of server %d", len(e.Payload), e.SID)
		}
		times = append(times, e.Time)
	}
	if want := []int64{-1, 1, 2, -1, 3, -1}; !slices.Equal(times, want) {
		t.Errorf("got entries of %v, want %v, -1 being keep-alives", times, want)
	}
	if err := c.Put(k, v); CodeOf(err) != CodeInvalid {
		t.Errorf("put while the log is followed: got %v, want an invalid operation", err)
	}
}

func TestLogStreamErrors(t *testing.T) {
	for _, tt := range []struct {
		name, reply string
		is          error
		text        string
	}{
		{"nothing", "", CodeRecv, "unexpected EOF"},
		{"a part of an entry", "C9 0000000000000001", CodeRecv, "unexpected EOF"},
		{"no entry", "C8", ErrEntry, "server 3"},
		{"a large entry", "C9 0000000000000001 00000001 00000065", ErrEntry, "server 3"},
	} {
		request := bytesOf(t, "C8 A0 0000000000000001 00000002")
		c := scripted(t, ClientConfig{MaxReply: 100}, request, bytesOf(t, "00000003"+tt.reply))
		s, err := c.Repl(1, 2)
		if err != nil {
			t.Fatal(err)
		}
		var e Entry
		if err := s.Next(&e); !errors.Is(err, tt.is) || CodeOf(err) != CodeRecv || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.is)
		}
		if err := s.Next(&e); CodeOf(err) != CodeInvalid {
			t.Errorf("%s: then got %v, want an invalid operation", tt.name, err)
		}
	}
}
