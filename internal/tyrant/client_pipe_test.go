package tyrant

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestBatch(t *testing.T) {
	requests := []Request{
		{Command: Put, Key: k, Value: v}, {Command: AddInt, Key: k, Num: 1}, {Command: AddDouble, Key: k}, {Command: Out, Key: k}, {Command: Vanish},
	}
	var wire []byte
	for i := range requests {
		wire = AppendRequest(wire, &requests[i])
	}
	reply := bytesOf(t, "00 00 00000005 00 0000000000000001 0000000000000002 01 00")
	done, err := scripted(t, ClientConfig{}, wire, reply).Batch(requests)
	if want := []bool{true, true, true, false, true}; err != nil || !slices.Equal(done, want) {
		t.Errorf("got %v, %v, want %v", done, err, want)
	}
	for n := range reply {
		if _, err := scripted(t, ClientConfig{}, wire, reply[:n]).Batch(requests); CodeOf(err) != CodeRecv {
			t.Errorf("reply cut at %d: got %v, want a recv error", n, err)
		}
	}
	c := scripted(t, ClientConfig{}, nil, nil)
	if _, err := c.Batch([]Request{{Command: Get, Key: k}}); CodeOf(err) != CodeInvalid {
		t.Errorf("batch of get: got %v, want an invalid operation", err)
	}
}

func TestIterNexts(t *testing.T) {
	f := &fake{records: map[string]string{}}
	for i := range 25 {
		f.records[string(rune('a'+i))] = "1"
	}
	c := dial(t, f.listen(t, "tcp"))
	if err := c.IterInit(); err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for range 3 {
		keys, end, err := c.IterNexts(10)
		if all = append(all, keys...); err != nil || end != (len(all) == 25) {
			t.Fatalf("%d keys: end is %v, error %v", len(all), end, err)
		}
	}
	if got := string(bytes.Join(all, nil)); got != "abcdefghijklmnopqrstuvwxy" {
		t.Errorf("got keys %q", got)
	}
	keys, end, err := scripted(t, ClientConfig{}, bytesOf(t, "C8 51 C8 51 C8 51"), bytesOf(t, "00 00000001 'x' 01 00 00000001 'y'")).IterNexts(3)
	if err != nil || !end || len(keys) != 1 {
		t.Errorf("a cursor that is set back behind its end: got %q, %v, %v", keys, end, err)
	}
}

func TestReplyTooLarge(t *testing.T) {
	c := scripted(t, ClientConfig{MaxReply: 10}, bytesOf(t, "C8 30 00000001 'k'"), bytesOf(t, "00 0000000B"))
	if _, err := c.Get([]byte("k")); !errors.Is(err, ErrReply) || CodeOf(err) != CodeRecv {
		t.Errorf("got %v, want %v", err, ErrReply)
	}
}
