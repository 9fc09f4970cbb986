package tyrant

import (
	"bytes"
	"errors"
	"testing"
)

// goldenPayloads has one of every command that is logged. The first is in the middle of an entry that the original wrote.
var goldenPayloads = []struct {
	request Request
	ok      bool
	payload string
}{
	{Request{Command: Put, Key: []byte("k"), Value: []byte("v")}, true, "C8 10 00000001 00000001 'kv' 00"},
	{Request{Command: PutKeep, Key: k, Value: v}, false, "C8 11 00000003 00000005 'keyvalue' 01"},
	{Request{Command: PutCat, Key: k, Value: v}, true, "C8 12 00000003 00000005 'keyvalue' 00"},
	{Request{Command: PutShl, Key: k, Value: v, Width: 258}, true, "C8 13 00000003 00000005 00000102 'keyvalue' 00"},
	{Request{Command: Out, Key: k}, false, "C8 20 00000003 'key' 01"},
	{Request{Command: AddInt, Key: k, Num: -2}, true, "C8 60 00000003 FFFFFFFE 'key' 00"},
	{Request{Command: AddDouble, Key: k, Double: DoubleOf(-1.75)}, true, "C8 61 00000003 FFFFFFFFFFFFFFFF FFFFFF5160843400 'key' 00"},
	{Request{Command: Sync}, true, "C8 70 00"},
	{Request{Command: Optimize, Text: []byte("bnum=1")}, true, "C8 71 00000006 'bnum=1' 00"},
	{Request{Command: Vanish}, true, "C8 72 00"},
	{Request{Command: Misc, Name: []byte("putlist"), Args: list("key", "value")}, true, "C8 90 00000007 00000002 'putlist' 00000003 'key' 00000005 'value' 00"},
	{Request{Command: Misc, Name: []byte("get")}, false, "C8 90 00000003 00000000 'get' 01"},
}

func TestPayload(t *testing.T) {
	for _, g := range goldenPayloads {
		want := bytesOf(t, g.payload)
		if got := AppendPayload(nil, &g.request, g.ok); !bytes.Equal(got, want) {
			t.Errorf("log %s: got %x, want %x", describe(&g.request), got, want)
		}
		var r Request
		if ok, err := DecodePayload(want, &r); ok != g.ok || err != nil || describe(&r) != describe(&g.request) {
			t.Errorf("decode %s: got %s, %v, %v", g.payload, describe(&r), ok, err)
		}
		for n := range want {
			if _, err := DecodePayload(want[:n], &r); err != ErrPayload {
				t.Errorf("decode %s cut at %d: got %s, %v, want ErrPayload", g.payload, n, describe(&r), err)
			}
		}
		if _, err := DecodePayload(append(want, 0), &r); err != ErrPayload {
			t.Errorf("decode %s with a byte more: got %s, %v, want ErrPayload", g.payload, describe(&r), err)
		}
	}
	loose := Request{Command: PutNR, Key: k, Value: v, Options: 7}
	if got, want := AppendPayload(nil, &loose, true), bytesOf(t, "C8 10 00000003 00000005 'keyvalue' 00"); !bytes.Equal(got, want) {
		t.Errorf("log putnr: got %x, want %x", got, want)
	}
	quiet := Request{Command: Misc, Name: []byte("get"), Options: 7}
	if got, want := AppendPayload(nil, &quiet, false), bytesOf(t, "C8 90 00000003 00000000 'get' 01"); !bytes.Equal(got, want) {
		t.Errorf("log misc with options: got %x, want %x", got, want)
	}
}

func TestPayloadOfOthers(t *testing.T) {
	var r Request
	for _, payload := range []string{
		"", "C8", "C8 10", "C8 72 02", "C9 72 00", "C8 18 00000001 00000001 'kv' 00", "C8 80 00", "C8 30 00000001 'k' 00", "C8 FF 00",
		"C8 90 00000003 00000000 00000000 'get' 00", // with options
		"C8 90 00000001 FFFFFFFF 'n' 00", "C8 10 FFFFFFFF FFFFFFFF 'kv' 00", "C8 13 00000001 00000001 FFFFFFFF 'kv' 00",
	} {
		if ok, err := DecodePayload(bytesOf(t, payload), &r); ok || err != ErrPayload {
			t.Errorf("decode %s: got %s, %v, %v, want ErrPayload", payload, describe(&r), ok, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("log a get: no panic")
		}
	}()
	AppendPayload(nil, &Request{Command: Get}, true)
}

// A payload has no limit but its own size.
func TestLargePayload(t *testing.T) {
	key := bytes.Repeat([]byte("k"), DefaultMaxKey+1)
	var r Request
	if ok, err := DecodePayload(AppendPayload(nil, &Request{Command: Out, Key: key}, true), &r); !ok || err != nil || !bytes.Equal(r.Key, key) {
		t.Errorf("decode a payload with a large key: %v, %v", ok, err)
	}
}

// The disk form is an entry that the original wrote for put k=v at server 1.
func TestEntry(t *testing.T) {
	e := Entry{Time: 1234567890123456, SID: 1, MID: 258, Payload: AppendPayload(nil, &goldenPayloads[0].request, true)}
	for _, form := range []struct {
		name   string
		decode func([]byte, *Entry, int) (n, need int, err error)
		got    []byte
		want   string
		mid    uint16
	}{
		{"disk", DecodeEntry, AppendEntry(nil, &e), "C9 000462D53C8ABAC0 0001 0102 0000000D C8100000000100000001 6B7600", 258},
		{"stream", DecodeStreamEntry, AppendStreamEntry(nil, &e), "C9 000462D53C8ABAC0 00000001 0000000D C8100000000100000001 6B7600", 0},
	} {
		want := bytesOf(t, form.want)
		if !bytes.Equal(form.got, want) {
			t.Errorf("%s: got %x, want %x", form.name, form.got, want)
		}
		var back Entry
		n, _, err := form.decode(append(want, want...), &back, 0)
		if n != len(want) || err != nil || back.Time != e.Time || back.SID != 1 || back.MID != form.mid || !bytes.Equal(back.Payload, e.Payload) {
			t.Errorf("%s: decode %x: got %d, %v, %+v", form.name, want, n, err, back)
		}
		for cut := range want {
			need := 0
			if cut >= entryHead {
				need = len(want)
			}
			if n, got, err := form.decode(want[:cut], &back, 0); n != 0 || got != need || err != ErrIncomplete {
				t.Errorf("%s: decode cut at %d: got %d, %d, %v, want ErrIncomplete and %d", form.name, cut, n, got, err, need)
			}
		}
		if _, _, err := form.decode(want, &back, 12); err != ErrEntry {
			t.Errorf("%s: decode over the limit: got %v, want ErrEntry", form.name, err)
		}
		if _, _, err := form.decode(bytesOf(t, "C9 8000000000000000 0001 0000 00000000"), &back, 0); err != ErrEntry {
			t.Errorf("%s: decode a time before 1970: got %v, want ErrEntry", form.name, err)
		}
		if _, _, err := form.decode(bytesOf(t, "C8"), &back, 0); err != ErrEntry {
			t.Errorf("%s: decode another magic: got %v, want ErrEntry", form.name, err)
		}
	}
}

func TestStream(t *testing.T) {
	var e Entry
	if n, _, err := DecodeStreamEntry(AppendKeepAlive(nil), &e, 0); n != 1 || err != nil || e.Payload != nil {
		t.Errorf("decode a keep-alive: got %d, %v, %+v", n, err, e)
	}
	if _, _, err := DecodeEntry(AppendKeepAlive(nil), &e, 0); err != ErrEntry {
		t.Errorf("decode a keep-alive in a file: got %v, want ErrEntry", err)
	}
	if n, _, err := DecodeStreamEntry(AppendStreamEntry(nil, &Entry{SID: 1}), &e, 0); n != entryHead || err != nil || e.Payload == nil {
		t.Errorf("decode an entry without payload: got %d, %v, %+v; it is no keep-alive", n, err, e)
	}
	if _, _, err := DecodeStreamEntry(bytesOf(t, "C9 0000000000000001 00010000 00000000"), &e, 0); err != ErrEntry {
		t.Errorf("decode a sid of 65536: got %v, want ErrEntry", err)
	}
	if got, want := AppendSID(nil, 258), bytesOf(t, "00000102"); !bytes.Equal(got, want) {
		t.Errorf("append a sid: got %x, want %x", got, want)
	}
}

func FuzzPayload(f *testing.F) {
	for _, g := range goldenPayloads {
		f.Add(bytesOf(f, g.payload))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		ok, err := DecodePayload(b, &r)
		if cap(r.Args) > len(b) {
			t.Fatalf("decode %x: room for %d arguments", b, cap(r.Args))
		}
		if err != nil {
			return
		}
		if back := AppendPayload(nil, &r, ok); !bytes.Equal(back, b) {
			t.Fatalf("append what was decoded: got %x, want %x", back, b)
		}
	})
}

func FuzzEntry(f *testing.F) {
	e := Entry{Time: 1, SID: 2, MID: 3, Payload: []byte("payload")}
	f.Add(AppendEntry(nil, &e))
	f.Add(AppendStreamEntry(nil, &e))
	f.Add(AppendKeepAlive(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, form := range []struct {
			decode func([]byte, *Entry, int) (n, need int, err error)
			encode func([]byte, *Entry) []byte
		}{{DecodeEntry, AppendEntry}, {DecodeStreamEntry, AppendStreamEntry}} {
			var e Entry
			n, need, err := form.decode(b, &e, 1<<20)
			switch {
			case n > len(b), need != 0 && need <= len(b), need > entryHead+1<<20, (err == nil) != (n > 0):
				t.Fatalf("decode %x: %d, %d, %v", b, n, need, err)
			case err == nil && e.Payload != nil && !bytes.Equal(form.encode(nil, &e), b[:n]):
				t.Fatalf("append what was decoded of %x: got %+v", b[:n], e)
			case err != nil && !errors.Is(err, ErrIncomplete) && !errors.Is(err, ErrEntry):
				t.Fatalf("decode %x: %v", b, err)
			}
		}
	})
}
