package futago

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestGetMultiAsksEachServerOnce: one line for each server, with its keys in the caller's order.
func TestGetMultiAsksEachServerOnce(t *testing.T) {
	net := newFakeNet()
	var servers []Server
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		net.server(addr)
		servers = append(servers, Server{Addr: addr})
	}
	c := open(t, Config{Servers: servers, Dial: net.dial})
	expected := make(map[string][]string)
	var keys []string
	for i := range 100 {
		key := fmt.Sprintf("key-%d", i)
		addr, err := c.ServerFor(key)
		if err != nil {
			t.Fatal(err)
		}
		if i%10 != 0 {
			want(t, "set", c.Set(t.Context(), &Item{Key: key, Value: []byte(key)}), nil)
		}
		if expected[addr] == nil {
			expected[addr] = []string{"get "}
		}
		expected[addr] = append(expected[addr], "key "+key)
		keys = append(keys, key)
	}
	for _, s := range servers {
		net.server(s.Addr).executed()
	}
	items, err := c.GetMulti(t.Context(), append(keys, keys[7]))
	if err != nil || len(items) != 90 {
		t.Fatalf("got %d items and error %v, want 90", len(items), err)
	}
	for key, item := range items {
		if item.Key != key || string(item.Value) != key {
			t.Errorf("key %s: got %+v", key, item)
		}
	}
	for _, s := range servers {
		if got := net.server(s.Addr).executed(); !slices.Equal(got, expected[s.Addr]) {
			t.Errorf("%s got %q, want %q", s.Addr, got, expected[s.Addr])
		}
	}
}

// TestGetMultiFailover: a server dies in the middle of its answer. Only what it did not answer is asked elsewhere.
func TestGetMultiFailover(t *testing.T) {
	p := newPair(t, Config{})
	keys := keysOf(t, p.client, p.addrs[0], 9)
	keys = append(keys, keysOf(t, p.client, p.addrs[1], 9)...)
	// Values of one size, so that half of the answer is known to end inside the fifth item.
	for i, f := range p.fakes {
		for _, key := range keys {
			f.items[key] = Item{Value: []byte(strings.Repeat(fmt.Sprint(i), 1000))}
		}
	}
	p.fakes[0].set(cut, true)
	items, err := p.client.GetMulti(t.Context(), keys)
	if err != nil || len(items) != len(keys) {
		t.Fatalf("got %d items and error %v, want %d", len(items), err, len(keys))
	}
	log := p.fakes[1].executed()
	for i, key := range keys {
		second := i >= 4
		if got := strings.HasPrefix(string(items[key].Value), "1"); got != second {
			t.Errorf("key %d: from the second server: %v, want %v", i, got, second)
		}
		if got := slices.Contains(log, "key "+key); got != second {
			t.Errorf("key %d: asked for at the second server: %v, want %v", i, got, second)
		}
	}
}

func TestGetMultiFailoverByBreak(t *testing.T) {
	for _, fault := range []fault{hangUp, lose, cut, garbage} {
		for _, php := range []bool{false, true} {
			p := newPair(t, Config{PHPCompatible: php})
			keys := append(keysOf(t, p.client, p.addrs[0], 5), keysOf(t, p.client, p.addrs[1], 5)...)
			for _, key := range keys {
				for _, f := range p.fakes {
					f.items[key] = Item{Value: []byte(key)}
				}
			}
			p.fakes[0].set(fault, true)
			items, err := p.client.GetMulti(t.Context(), keys)
			if err != nil || len(items) != len(keys) {
				t.Errorf("fault %d, PHP %v: got %d items and error %v, want %d", fault, php, len(items), err, len(keys))
			}
		}
	}
}

// TestGetMultiManyKeys needs several lines.
func TestGetMultiManyKeys(t *testing.T) {
	f := newFake()
	addr, _ := f.tcp(t)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}})
	var keys []string
	for i := range 6000 {
		key := fmt.Sprintf("%s-%d", strings.Repeat("k", 200), i)
		keys = append(keys, key)
		f.items[key] = Item{Value: []byte("v")}
	}
	items, err := c.GetMulti(t.Context(), keys)
	if err != nil || len(items) != len(keys) {
		t.Errorf("got %d items and error %v, want %d", len(items), err, len(keys))
	}
	lines := 0
	for _, entry := range f.executed() {
		if entry == "get " {
			lines++
		}
	}
	if lines != 3 {
		t.Errorf("%d lines, want 3", lines)
	}
}
