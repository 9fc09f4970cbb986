package futago

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// TestOperations runs every operation on a server behind each kind of address.
func TestOperations(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = socketPath(t)
			}
			addr, _ = newFake().listen(t, network, addr)
			testOperations(t, open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}}))
		})
	}
}

func testOperations(t *testing.T, c *Client) {
	t.Helper()
	ctx := t.Context()
	item := &Item{Key: "k", Value: []byte("value\r\nEND\r\n"), Flags: 1<<32 - 1, Expiration: time.Minute}
	want(t, "replace missing", c.Replace(ctx, item), ErrNotStored)
	want(t, "append missing", c.Append(ctx, item), ErrNotStored)
	want(t, "add", c.Add(ctx, item), nil)
	want(t, "add again", c.Add(ctx, item), ErrNotStored)

	got, err := c.Get(ctx, "k")
	if err != nil || !reflect.DeepEqual(got, &Item{Key: "k", Value: item.Value, Flags: item.Flags}) {
		t.Errorf("get: got %+v and error %v", got, err)
	}
	_, err = c.Get(ctx, "missing")
	want(t, "get missing", err, ErrCacheMiss)

	held, err := c.Gets(ctx, "k")
	if err != nil || held.CAS == 0 {
		t.Fatalf("gets: got %+v and error %v", held, err)
	}
	want(t, "replace", c.Replace(ctx, &Item{Key: "k", Value: []byte("b")}), nil)
	want(t, "cas after a change", c.CompareAndSwap(ctx, held), ErrCASConflict)
	held, err = c.GetAndTouch(ctx, "k", time.Hour)
	if err != nil || string(held.Value) != "b" || held.CAS == 0 {
		t.Fatalf("gat: got %+v and error %v", held, err)
	}
	held.Value = []byte("c")
	want(t, "cas", c.CompareAndSwap(ctx, held), nil)
	want(t, "append", c.Append(ctx, &Item{Key: "k", Value: []byte("d")}), nil)
	want(t, "prepend", c.Prepend(ctx, &Item{Key: "k", Value: []byte("b")}), nil)
	if got, err := c.Get(ctx, "k"); err != nil || string(got.Value) != "bcd" {
		t.Errorf("get after append: got %+v and error %v", got, err)
	}
	_, err = c.Increment(ctx, "k", 1)
	want(t, "incr of text", err, ErrNotNumeric)

	want(t, "touch", c.Touch(ctx, "k", time.Hour), nil)
	want(t, "delete", c.Delete(ctx, "k"), nil)
	want(t, "delete again", c.Delete(ctx, "k"), ErrCacheMiss)
	want(t, "touch missing", c.Touch(ctx, "k", 0), ErrCacheMiss)
	want(t, "cas missing", c.CompareAndSwap(ctx, held), ErrCacheMiss)
	_, err = c.GetAndTouch(ctx, "k", 0)
	want(t, "gat missing", err, ErrCacheMiss)

	_, err = c.Increment(ctx, "n", 1)
	want(t, "incr missing", err, ErrCacheMiss)
	want(t, "set", c.Set(ctx, &Item{Key: "n", Value: []byte("40")}), nil)
	if n, err := c.Increment(ctx, "n", 2); n != 42 || err != nil {
		t.Errorf("incr: got %d and error %v", n, err)
	}
	if n, err := c.Decrement(ctx, "n", 100); n != 0 || err != nil {
		t.Errorf("decr: got %d and error %v", n, err)
	}
	for _, value := range [][]byte{nil, {}, bytes.Repeat([]byte("x"), 1<<20-200)} {
		want(t, "set", c.Set(ctx, &Item{Key: "size", Value: value}), nil)
		if got, err := c.Get(ctx, "size"); err != nil || !bytes.Equal(got.Value, value) || got.Value == nil {
			t.Errorf("get %d bytes: got %d and error %v", len(value), len(got.Value), err)
		}
	}

	items, err := c.GetMulti(ctx, []string{"n", "missing", "size", "n"})
	if err != nil || len(items) != 2 || items["n"].Key != "n" || string(items["n"].Value) != "0" {
		t.Errorf("get multi: got %v and error %v", items, err)
	}
	if items, err := c.GetMulti(ctx, nil); err != nil || items == nil || len(items) != 0 {
		t.Errorf("get no key: got %v and error %v", items, err)
	}
	want(t, "ping", c.Ping(ctx), nil)
	versions, err := c.Version(ctx)
	if err != nil || len(versions) != 1 || !strings.HasPrefix(versions[c.cfg.Servers[0].Addr], "1.") {
		t.Errorf("version: got %v and error %v", versions, err)
	}
	stats, err := c.Stats(ctx, "")
	if err != nil || stats[c.cfg.Servers[0].Addr]["curr_items"] != "2" {
		t.Errorf("stats: got %v and error %v", stats, err)
	}
	want(t, "flush", c.FlushAll(ctx, 0), nil)
	_, err = c.Get(ctx, "n")
	want(t, "get after flush", err, ErrCacheMiss)
}

func TestStrictKeys(t *testing.T) {
	f := newFake()
	addr, _ := f.tcp(t)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}, KeyPrefix: "app:"})
	ctx := t.Context()
	for _, key := range []string{"", " ", "a b", "a\r\nflush_all", "a\x00", "\x7f", strings.Repeat("k", 247)} {
		item := &Item{Key: key}
		_, getErr := c.Get(ctx, key)
		_, multiErr := c.GetMulti(ctx, []string{"good", key})
		_, incrErr := c.Increment(ctx, key, 1)
		_, forErr := c.ServerFor(key)
		for what, err := range map[string]error{
			"get": getErr, "get multi": multiErr, "incr": incrErr, "server for": forErr,
			"set": c.Set(ctx, item), "delete": c.Delete(ctx, key), "touch": c.Touch(ctx, key, 0),
		} {
			if !errors.Is(err, ErrKeyInvalid) {
				t.Errorf("%s %q: got error %v, want %v", what, key, err, ErrKeyInvalid)
			}
		}
	}
	if log := f.executed(); len(log) > 0 {
		t.Errorf("the server got %q", log)
	}
	want(t, "longest key", c.Set(ctx, &Item{Key: strings.Repeat("k", 246)}), nil)
	want(t, "utf-8 key", c.Set(ctx, &Item{Key: "ключ"}), nil)
	if !f.has("app:ключ") {
		t.Error("no item under the key with its prefix")
	}
	if item, err := c.Get(ctx, "ключ"); err != nil || item.Key != "ключ" {
		t.Errorf("get: got %+v and error %v", item, err)
	}
}

func TestPHPKeys(t *testing.T) {
	f := newFake()
	addr, _ := f.tcp(t)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}, KeyPrefix: "p ", PHPCompatible: true})
	ctx := t.Context()
	want(t, "empty key", c.Set(ctx, &Item{Key: ""}), ErrKeyInvalid)
	for key, wire := range map[string]string{
		"a b\x00\r\n":            "p_a_b___",
		"\x7f\x80":               "p_\x7f\x80",
		strings.Repeat("k", 300): "p_" + strings.Repeat("k", 248),
	} {
		want(t, "set", c.Set(ctx, &Item{Key: key, Value: []byte("v")}), nil)
		if !f.has(wire) {
			t.Errorf("key %q: the server has no %q", key, wire)
		}
	}
	// Keys that become one on the wire are asked for once, and each gets its item.
	f.executed()
	items, err := c.GetMulti(ctx, []string{"a b\x00\r\n", "a\tb\x00\r\n"})
	if err != nil || len(items) != 2 || items["a\tb\x00\r\n"].Key != "a\tb\x00\r\n" {
		t.Errorf("get multi: got %v and error %v", items, err)
	}
	if got := f.executed(); !reflect.DeepEqual(got, []string{"get ", "key p_a_b___"}) {
		t.Errorf("the server got %q", got)
	}
}

// TestErrorLines says for every error line whether it is the result of the request or makes the client go on to
// the other server.
func TestErrorLines(t *testing.T) {
	tests := []struct {
		line        string
		failover    bool
		phpFailover bool
		unknown     bool
		notANumber  bool
	}{
		{line: "ERROR", phpFailover: true},
		{line: "ERROR Too many open connections", failover: true, phpFailover: true},
		{line: "CLIENT_ERROR bad command line format"},
		{line: strings.TrimSpace(memcache.ReplyNotNumeric), notANumber: true},
		{line: strings.TrimSpace(memcache.ReplyTooLarge)},
		{line: strings.TrimSpace(memcache.ReplyNoMemory)},
		{line: "SERVER_ERROR not ready", failover: true, phpFailover: true},
		{line: "SERVER_ERROR not confirmed by the peer, effect unknown", unknown: true, phpFailover: true},
	}
	for _, tt := range tests {
		for _, php := range []bool{false, true} {
			net := newFakeNet()
			c := open(t, Config{
				Servers: []Server{{Addr: "a:1"}, {Addr: "b:1"}}, Strategy: Standard, PHPCompatible: php, Dial: net.dial,
			})
			a, b := net.server("a:1"), net.server("b:1")
			a.line, b.line = tt.line, tt.line
			key := keyOf(t, c, "a:1")
			a.set(refuse, false)
			failover := tt.failover
			if php {
				failover = tt.phpFailover
			}
			// An increment shows that even a request that must not be repeated goes on after an error line.
			b.items[key] = Item{Value: []byte("1")}
			n, err := c.Increment(t.Context(), key, 1)
			if failover {
				if n != 2 || err != nil {
					t.Errorf("%q, PHP %v: got %d and error %v, want the other server's answer", tt.line, php, n, err)
				}
				continue
			}
			var serverError *ServerError
			if !errors.As(err, &serverError) || serverError.Line != tt.line || serverError.Addr != "a:1" {
				t.Errorf("%q, PHP %v: got error %v, want the line", tt.line, php, err)
			}
			if got := errors.Is(err, ErrUnknown); got != tt.unknown {
				t.Errorf("%q, PHP %v: error %v: is ErrUnknown: %v", tt.line, php, err, got)
			}
			if got := errors.Is(err, ErrNotNumeric); got != tt.notANumber {
				t.Errorf("%q, PHP %v: error %v: is ErrNotNumeric: %v", tt.line, php, err, got)
			}
			if c.Servers()[0].Failed {
				t.Errorf("%q, PHP %v: the server is marked failed", tt.line, php)
			}
			// The connection goes on after a line, not after a refused data block.
			c.Increment(t.Context(), key, 1)
			if got := net.dialed("a:1"); got != 1 {
				t.Errorf("%q, PHP %v: %d connections for two requests", tt.line, php, got)
			}
			c.Set(t.Context(), &Item{Key: key, Value: []byte("x")})
			c.Increment(t.Context(), key, 1)
			if got := net.dialed("a:1"); got != 2 {
				t.Errorf("%q, PHP %v: %d connections after a refused data block, want 2", tt.line, php, got)
			}
		}
	}
}

// keyOf returns a key that goes to the server at addr.
func keyOf(t testing.TB, c *Client, addr string) string {
	t.Helper()
	for _, key := range keysOf(t, c, addr, 1) {
		return key
	}
	return ""
}

// keysOf returns n keys that go to the server at addr.
func keysOf(t testing.TB, c *Client, addr string, n int) []string {
	t.Helper()
	var keys []string
	for i := 0; len(keys) < n; i++ {
		key := "key" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26%26))
		got, err := c.ServerFor(key)
		if err != nil || i > 26*26 {
			t.Fatalf("no %d keys for %s: %v", n, addr, err)
		}
		if got == addr {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestClose(t *testing.T) {
	f := newFake()
	addr, _ := f.tcp(t)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}})
	want(t, "set", c.Set(t.Context(), &Item{Key: "k"}), nil)
	want(t, "close", c.Close(), nil)
	want(t, "close again", c.Close(), nil)
	_, err := c.Get(t.Context(), "k")
	want(t, "get", err, ErrClosed)
	_, err = c.GetMulti(t.Context(), []string{"k"})
	want(t, "get multi", err, ErrClosed)
	want(t, "ping", c.Ping(t.Context()), ErrClosed)
}

func TestCanceledBeforehand(t *testing.T) {
	net := newFakeNet()
	net.server("a:1")
	c := open(t, Config{Servers: []Server{{Addr: "a:1"}}, Dial: net.dial})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want(t, "set", c.Set(ctx, &Item{Key: "k"}), context.Canceled)
	_, err := c.GetMulti(ctx, []string{"k"})
	want(t, "get multi", err, context.Canceled)
	want(t, "ping", c.Ping(ctx), context.Canceled)
	if n := net.dialed("a:1"); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// TestConcurrentUse runs many goroutines; what they read must be what they wrote. It is of use with -race, too.
func TestConcurrentUse(t *testing.T) {
	f := newFake()
	addr, _ := f.tcp(t)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}, MaxIdle: 4})
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			key := "k" + string(rune('a'+g))
			for i := range 50 {
				value := []byte{byte(g), byte(i), '\r', '\n'}
				if err := c.Set(t.Context(), &Item{Key: key, Value: value}); err != nil {
					t.Errorf("set: %v", err)
					return
				}
				if item, err := c.Get(t.Context(), key); err != nil || !bytes.Equal(item.Value, value) {
					t.Errorf("get: got %+v and error %v, want %q", item, err, value)
					return
				}
			}
		})
	}
	all.Wait()
	s := c.pool.servers[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < 1 || len(s.idle) > 4 {
		t.Errorf("%d unused connections are kept, want 1 to 4", len(s.idle))
	}
}
