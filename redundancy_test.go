package futago

import (
	"errors"
	"slices"
	"testing"
)

// newCopies returns a client that writes to two of three fake servers, a key whose first server is a:1, the first
// server, and the one with the copy.
func newCopies(t *testing.T, php bool) (c *Client, net *fakeNet, key string, first, second *fake) {
	t.Helper()
	net = newFakeNet()
	var servers []Server
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		net.server(addr)
		servers = append(servers, Server{Addr: addr})
	}
	c = open(t, Config{Servers: servers, Redundancy: 2, PHPCompatible: php, Dial: net.dial})
	key = keyOf(t, c, "a:1")
	r := c.pool.route(key)
	copies := r.copies(c.pool.servers[0])
	if len(copies) != 1 {
		t.Fatalf("got %d servers for copies, want 1", len(copies))
	}
	return c, net, key, net.server("a:1"), net.server(copies[0].Addr)
}

func TestRedundantWrites(t *testing.T) {
	for _, php := range []bool{false, true} {
		c, net, key, first, second := newCopies(t, php)
		ctx := t.Context()
		same := func(what, value string) {
			t.Helper()
			if a, b := first.value(key), second.value(key); a != value || b != value {
				t.Errorf("PHP %v, %s: got %q and %q, want %q", php, what, a, b, value)
			}
		}
		want(t, "add", c.Add(ctx, &Item{Key: key, Value: []byte("1")}), nil)
		same("add", "1")
		if n, err := c.Increment(ctx, key, 4); n != 5 || err != nil {
			t.Errorf("incr: got %d and error %v", n, err)
		}
		same("incr", "5")
		want(t, "append", c.Append(ctx, &Item{Key: key, Value: []byte("0")}), nil)
		same("append", "50")
		want(t, "replace", c.Replace(ctx, &Item{Key: key, Value: []byte("7")}), nil)
		same("replace", "7")
		first.executed()
		second.executed()
		want(t, "touch", c.Touch(ctx, key, 0), nil)
		_, err := c.GetAndTouch(ctx, key, 0)
		want(t, "gat", err, nil)
		if got := second.executed(); !slices.Equal(got, []string{"touch " + key, "touch " + key}) {
			t.Errorf("PHP %v: the copy got %q, want two touches", php, got)
		}

		// Reads ask the first server only.
		want(t, "get", func() error { _, err := c.Get(ctx, key); return err }(), nil)
		if got := second.executed(); len(got) != 0 {
			t.Errorf("PHP %v: the copy got %q", php, got)
		}
		// A delete that misses at the first server still removes the copy.
		delete(first.items, key)
		want(t, "delete", c.Delete(ctx, key), ErrCacheMiss)
		if second.has(key) {
			t.Errorf("PHP %v: the copy is still there", php)
		}
		// When the first server fails, the reads find the copy.
		want(t, "set", c.Set(ctx, &Item{Key: key, Value: []byte("v")}), nil)
		net.refuse("a:1")
		first.set(hangUp, true)
		if item, err := c.Get(ctx, key); err != nil || string(item.Value) != "v" {
			t.Errorf("PHP %v: get after the failure: got %+v and error %v", php, item, err)
		}
	}
}

// TestRedundantConditions: the first server decides, the copy follows; in PHP each decides for itself.
func TestRedundantConditions(t *testing.T) {
	for _, php := range []bool{false, true} {
		c, _, key, first, second := newCopies(t, php)
		ctx := t.Context()
		second.items[key] = Item{Value: []byte("stale")}
		want(t, "add", c.Add(ctx, &Item{Key: key, Value: []byte("new")}), nil)
		if got, stale := second.value(key), php; (got == "stale") != stale {
			t.Errorf("PHP %v, add: the copy is %q", php, got)
		}
		second.items[key] = Item{Value: []byte("other"), CAS: 1000}
		item, err := c.Gets(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		item.Value = []byte("swapped")
		want(t, "cas", c.CompareAndSwap(ctx, item), nil)
		if got := second.value(key); (got == "swapped") == php {
			t.Errorf("PHP %v, cas: the copy is %q", php, got)
		}
		second.items[key] = Item{Value: []byte("kept")}
		want(t, "add again", c.Add(ctx, &Item{Key: key, Value: []byte("no")}), ErrNotStored)
		if got := second.value(key); got != "kept" {
			t.Errorf("PHP %v, refused add: the copy is %q", php, got)
		}
		if first.value(key) != "swapped" {
			t.Errorf("PHP %v: the first server has %q", php, first.value(key))
		}
	}
}

// TestRedundancyWithFailures: a failing copy is no error, and another server takes it where one is left.
func TestRedundancyWithFailures(t *testing.T) {
	c, net, key, first, second := newCopies(t, false)
	second.set(hangUp, true)
	want(t, "set", c.Set(t.Context(), &Item{Key: key, Value: []byte("1")}), nil)
	want(t, "set", c.Set(t.Context(), &Item{Key: key, Value: []byte("2")}), nil)
	holders := 0
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		if net.server(addr).value(key) == "2" {
			holders++
		}
	}
	if holders != 2 || first.value(key) != "2" {
		t.Errorf("%d servers hold the item, want 2", holders)
	}
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		net.server(addr).set(hangUp, true)
	}
	if err := c.Set(t.Context(), &Item{Key: key}); !errors.Is(err, ErrNoServers) {
		t.Errorf("set with all dead: got error %v, want %v", err, ErrNoServers)
	}
}
