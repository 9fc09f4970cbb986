package node

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/futago/futago/internal/store"
)

// look asks the admin port for a key.
func look(t *testing.T, r *running, query string) (d KeyDocument) {
	t.Helper()
	code, body := fetch(t, r, "/key?"+query)
	if code != 200 {
		t.Fatalf("look up %s: status %d, %s", query, code, body)
	}
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatalf("look up %s: %v", query, err)
	}
	return d
}

func TestLookUpKey(t *testing.T) {
	r := start(t, testConfig(t, 3))
	r.waitReady(t)
	commit := func(req store.Request) {
		t.Helper()
		if err := r.store.Commit(&req, new(store.Result)); err != nil {
			t.Fatal(err)
		}
	}
	soon := uint64(r.store.Now()) + 3_600_000
	commit(store.Request{Op: store.Set, Key: []byte("a b"), Value: []byte("v\x00\xff"), Flags: 7, Type: []byte("text/plain"), Expires: soon})
	d := look(t, r, "key=a+b")
	if d.Node != 3 || d.State != "live" || d.Kind != "value" || string(d.Value) != "v\x00\xff" || d.Size != 3 || d.Flags != 7 || d.Type != "text/plain" ||
		d.Expires == nil || uint64(d.Expires.UnixMilli()-1577836800000) != soon || d.Write == nil || d.Write.Node != 3 || d.Token != d.Write.Stamp {
		t.Errorf("value: got %+v", d)
	}
	var v store.View
	if !r.store.Peek([]byte("a b"), &v) {
		t.Fatal("the key is gone")
	}
	read := v.Read
	v.Release()
	if read {
		t.Error("the look-up counted as a read")
	}

	commit(store.Request{Op: store.Set, Key: []byte{0, 255, '+'}, Value: []byte("bin")})
	if d = look(t, r, "key64="+url.QueryEscape("AP8r")); d.State != "live" || string(d.Value) != "bin" {
		t.Errorf("key in base64: got %+v", d)
	}
	commit(store.Request{Op: store.Set, Key: []byte("large"), Value: []byte(strings.Repeat("x", maxShown+1))})
	if d = look(t, r, "key=large"); len(d.Value) != maxShown || d.Size != maxShown+1 {
		t.Errorf("large value: got %d bytes of %d", len(d.Value), d.Size)
	}
	commit(store.Request{Op: store.Delete, Key: []byte("large")})
	if d = look(t, r, "key=large"); d.State != "deleted" || d.Kind != "tombstone" || len(d.Value) != 0 || d.Write == nil || d.Token != "" {
		t.Errorf("deleted key: got %+v", d)
	}
	commit(store.Request{Op: store.Set, Key: []byte("past"), Value: []byte("v"), Expires: 1})
	if d = look(t, r, "key=past"); d.State != "expired" {
		t.Errorf("expired key: got %+v", d)
	}
	commit(store.Request{Op: store.Set, Key: []byte("ever"), Value: []byte("v"), Expires: 1<<48 - 1})
	if d = look(t, r, "key=ever"); d.State != "live" || d.Expires == nil || d.Expires.Year() != 9999 {
		t.Errorf("key that expires in thousands of years: got %+v", d)
	}
	if d = look(t, r, "key=none"); d.State != "absent" || d.Write != nil {
		t.Errorf("no such key: got %+v", d)
	}
	if d = look(t, r, "key="+strings.Repeat("%00", 65535)); d.State != "absent" || len(d.Key) != 65535 {
		t.Errorf("longest key: got a key of %d bytes, state %s", len(d.Key), d.State)
	}
	for _, query := range []string{"", "key=", "key64=%21", "key=" + strings.Repeat("k", 65536)} {
		if code, body := fetch(t, r, "/key?"+query); code != 400 {
			t.Errorf("look up %.20q: got status %d and %.100q, want 400", query, code, body)
		}
	}
}

// A counter shows what each node added, and the other node says the same.
func TestLookUpCounterOnPair(t *testing.T) {
	a, b := startPair(t)
	a.set(t, "n", "10")
	eventually(t, "the counter is on both", func() bool { return b.has("n", "10") })
	add := func(r *running, delta uint64) {
		t.Helper()
		if err := r.store.Commit(&store.Request{Op: store.Incr, Key: []byte("n"), Delta: delta}, new(store.Result)); err != nil {
			t.Fatal(err)
		}
		r.store.Flush()
	}
	add(a, 5)
	add(b, 7)
	eventually(t, "both have both additions", func() bool { return a.has("n", "22") && b.has("n", "22") })
	var d KeyDocument
	eventually(t, "the peer is asked", func() bool {
		d = look(t, a, "key=n&peers=1")
		return len(d.Peers) == 1 && d.Peers[0].Answer != nil
	})
	c := d.Counter
	if d.Kind != "counter" || string(d.Value) != "22" || c == nil || c.Domain != "decimal" || string(c.Base) != "10" || len(c.Contributions) != 2 ||
		c.Contributions[0].Sum != "5" || c.Contributions[0].Write.Node != 1 || c.Contributions[1].Sum != "7" || c.Contributions[1].Write.Node != 2 {
		t.Fatalf("counter: got %+v, %+v", d, c)
	}
	var there KeyDocument
	if err := json.Unmarshal(d.Peers[0].Answer, &there); err != nil || there.Node != 2 || string(there.Value) != "22" || there.Token != d.Token {
		t.Errorf("the peer's answer: %v, %+v", err, there)
	}
	_, body := fetch(t, a, "/peers")
	var peers struct{ Peers []PeerAnswer }
	var s Status
	if err := json.Unmarshal([]byte(body), &peers); err != nil || len(peers.Peers) != 1 || peers.Peers[0].Node != 2 {
		t.Fatalf("peers: %v, %s", err, body)
	}
	if err := json.Unmarshal(peers.Peers[0].Answer, &s); err != nil || s.Node != 2 || s.State != Ready {
		t.Errorf("the peer's status: %v, %+v", err, s)
	}
	b.end(t)
	eventually(t, "a peer that is gone is named", func() bool {
		_, body := fetch(t, a, "/peers")
		peers.Peers = nil
		return json.Unmarshal([]byte(body), &peers) == nil && len(peers.Peers) == 1 && peers.Peers[0].Answer == nil && peers.Peers[0].Error != ""
	})
}
