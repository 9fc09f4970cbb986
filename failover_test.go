package futago

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// pair is two fake servers on real sockets and a client for them.
type pair struct {
	client   *Client
	fakes    []*fake
	addrs    []string
	stops    []func()
	failures chan string
	back     chan string
}

func newPair(t *testing.T, cfg Config) *pair {
	t.Helper()
	p := &pair{failures: make(chan string, 100), back: make(chan string, 100)}
	for range 2 {
		f := newFake()
		addr, stop := f.listen(t, "unix", socketPath(t))
		p.fakes, p.addrs, p.stops = append(p.fakes, f), append(p.addrs, addr), append(p.stops, stop)
		cfg.Servers = append(cfg.Servers, Server{Addr: addr, Timeout: time.Minute})
	}
	cfg.OnFailure = func(addr string, err error) { p.failures <- addr }
	cfg.OnRecovery = func(addr string) { p.back <- addr }
	p.client = open(t, cfg)
	return p
}

// TestFailover breaks one of two servers in every way. No request that may be repeated fails, and the failure is
// reported once.
func TestFailover(t *testing.T) {
	breaks := map[string]func(p *pair){
		"refused":   func(p *pair) { p.stops[0]() },
		"hang up":   func(p *pair) { p.fakes[0].set(hangUp, true) },
		"lost":      func(p *pair) { p.fakes[0].set(lose, true) },
		"cut":       func(p *pair) { p.fakes[0].set(cut, true) },
		"garbage":   func(p *pair) { p.fakes[0].set(garbage, true) },
		"too many":  func(p *pair) { p.fakes[0].line = "ERROR Too many open connections"; p.fakes[0].set(refuse, true) },
		"not ready": func(p *pair) { p.fakes[0].line = "SERVER_ERROR not ready"; p.fakes[0].set(refuse, true) },
	}
	for name, broken := range breaks {
		for _, php := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/php=%v", name, php), func(t *testing.T) {
				p := newPair(t, Config{PHPCompatible: php})
				c, ctx := p.client, t.Context()
				key := keyOf(t, c, p.addrs[0])
				want(t, "set before", c.Set(ctx, &Item{Key: key, Value: []byte("old")}), nil)
				broken(p)
				want(t, "set", c.Set(ctx, &Item{Key: key, Value: []byte("new")}), nil)
				if item, err := c.Get(ctx, key); err != nil || string(item.Value) != "new" {
					t.Errorf("get: got %+v and error %v", item, err)
				}
				want(t, "replace", c.Replace(ctx, &Item{Key: key, Value: []byte("0")}), nil)
				want(t, "touch", c.Touch(ctx, key, 0), nil)
				if n, err := c.Increment(ctx, key, 1); n != 1 || err != nil {
					t.Errorf("incr: got %d and error %v", n, err)
				}
				want(t, "delete", c.Delete(ctx, key), nil)
				if len(p.failures) != 1 || <-p.failures != p.addrs[0] {
					t.Errorf("got %d reports of a failure, want 1 for %s", len(p.failures)+1, p.addrs[0])
				}
				status := c.Servers()
				if !status[0].Failed || status[0].Since.IsZero() || status[0].Err == nil || status[1].Failed {
					t.Errorf("got status %+v", status)
				}
			})
		}
	}
}

// TestLostReply is about requests that must not be repeated when nobody knows whether they were executed.
func TestLostReply(t *testing.T) {
	counts := map[string]func(c *Client, key string) error{
		"incr":    func(c *Client, key string) error { _, err := c.Increment(t.Context(), key, 1); return err },
		"decr":    func(c *Client, key string) error { _, err := c.Decrement(t.Context(), key, 1); return err },
		"append":  func(c *Client, key string) error { return c.Append(t.Context(), &Item{Key: key, Value: []byte("0")}) },
		"prepend": func(c *Client, key string) error { return c.Prepend(t.Context(), &Item{Key: key, Value: []byte("1")}) },
		"cas":     func(c *Client, key string) error { return c.CompareAndSwap(t.Context(), &Item{Key: key, CAS: 1}) },
		"add":     func(c *Client, key string) error { return c.Add(t.Context(), &Item{Key: "fresh" + key}) },
	}
	for name, run := range counts {
		for _, fault := range []fault{lose, cut} {
			t.Run(fmt.Sprintf("%s/%d", name, fault), func(t *testing.T) {
				p := newPair(t, Config{Strategy: Standard})
				key := keyOf(t, p.client, p.addrs[0])
				fresh, err := p.client.ServerFor("fresh" + key)
				if err != nil {
					t.Fatal(err)
				}
				for i, f := range p.fakes {
					f.items[key] = Item{Value: []byte("5"), CAS: 1}
					if name != "add" || p.addrs[i] == fresh {
						f.set(fault, true)
					}
				}
				err = run(p.client, key)
				if !errors.Is(err, ErrUnknown) || !errors.Is(err, ErrServerDown) {
					t.Errorf("got error %v, want %v and %v", err, ErrUnknown, ErrServerDown)
				}
				if n := len(p.fakes[0].executed()) + len(p.fakes[1].executed()); n != 1 {
					t.Errorf("executed %d times, want 1", n)
				}
			})
		}
	}
}

// TestLostReplies is about writes that are repeated, when every server was lost with one in its hands.
func TestLostReplies(t *testing.T) {
	for name, run := range map[string]func(c *Client, key string) error{
		"set":     func(c *Client, key string) error { return c.Set(t.Context(), &Item{Key: key}) },
		"replace": func(c *Client, key string) error { return c.Replace(t.Context(), &Item{Key: key}) },
		"delete":  func(c *Client, key string) error { return c.Delete(t.Context(), key) },
		"touch":   func(c *Client, key string) error { return c.Touch(t.Context(), key, 0) },
	} {
		p := newPair(t, Config{})
		for _, f := range p.fakes {
			f.items["k"] = Item{Value: []byte("5")}
			f.set(lose, true)
		}
		if err := run(p.client, "k"); !errors.Is(err, ErrUnknown) || !errors.Is(err, ErrNoServers) {
			t.Errorf("%s: got error %v, want %v and %v", name, err, ErrUnknown, ErrNoServers)
		}
	}
	p := newPair(t, Config{})
	for _, f := range p.fakes {
		f.set(lose, true)
	}
	if _, err := p.client.Get(t.Context(), "k"); errors.Is(err, ErrUnknown) || !errors.Is(err, ErrNoServers) {
		t.Errorf("get: got error %v, want %v alone: it changes nothing", err, ErrNoServers)
	}
}

// TestRepeatUnknown shows what PHP does with such a request.
func TestRepeatUnknown(t *testing.T) {
	for _, cfg := range []Config{{RepeatUnknown: true}, {PHPCompatible: true}} {
		p := newPair(t, cfg)
		key := keyOf(t, p.client, p.addrs[0])
		for _, f := range p.fakes {
			f.items[key] = Item{Value: []byte("5")}
		}
		p.fakes[0].set(lose, true)
		if n, err := p.client.Increment(t.Context(), key, 1); n != 6 || err != nil {
			t.Errorf("incr: got %d and error %v", n, err)
		}
		if a, b := p.fakes[0].value(key), p.fakes[1].value(key); a != "6" || b != "6" {
			t.Errorf("got %s and %s, want the increment on both", a, b)
		}
	}
}

// TestRefusedCountIsNotUnknown: what was never sent may go elsewhere.
func TestRefusedCountIsNotUnknown(t *testing.T) {
	p := newPair(t, Config{})
	key := keyOf(t, p.client, p.addrs[0])
	p.fakes[1].items[key] = Item{Value: []byte("5")}
	p.stops[0]()
	if n, err := p.client.Increment(t.Context(), key, 1); n != 6 || err != nil {
		t.Errorf("incr: got %d and error %v", n, err)
	}
}

func TestBothDead(t *testing.T) {
	for _, php := range []bool{false, true} {
		p := newPair(t, Config{PHPCompatible: php})
		p.stops[0]()
		p.stops[1]()
		ctx := t.Context()
		for i := range 3 {
			err := p.client.Set(ctx, &Item{Key: "k"})
			if !errors.Is(err, ErrNoServers) || !errors.Is(err, ErrServerDown) {
				t.Errorf("set %d: got error %v, want %v and %v", i, err, ErrNoServers, ErrServerDown)
			}
		}
		items, err := p.client.GetMulti(ctx, []string{"a", "b", "c"})
		if !errors.Is(err, ErrNoServers) || items == nil || len(items) != 0 {
			t.Errorf("get multi: got %v and error %v", items, err)
		}
		err = p.client.FlushAll(ctx, 0)
		if !errors.Is(err, ErrServerDown) || !strings.Contains(err.Error(), p.addrs[0]) || !strings.Contains(err.Error(), p.addrs[1]) {
			t.Errorf("flush: got error %v, want both servers in it", err)
		}
		if n := len(p.failures); n != 2 {
			t.Errorf("PHP %v: %d reports of a failure, want 2", php, n)
		}
	}
}

func TestNoFailover(t *testing.T) {
	p := newPair(t, Config{NoFailover: true})
	dead, alive := keyOf(t, p.client, p.addrs[0]), keyOf(t, p.client, p.addrs[1])
	p.stops[0]()
	for range 2 {
		want(t, "set", p.client.Set(t.Context(), &Item{Key: dead}), ErrServerDown)
		want(t, "set", p.client.Set(t.Context(), &Item{Key: alive}), nil)
	}
	items, err := p.client.GetMulti(t.Context(), []string{dead, alive})
	if len(items) != 1 || !errors.Is(err, ErrServerDown) {
		t.Errorf("get multi: got %v and error %v", items, err)
	}
}

// TestAdminRequestsStayWhereTheyAre: flush, statistics and version never go to another server.
func TestAdminRequestsStayWhereTheyAre(t *testing.T) {
	p := newPair(t, Config{})
	p.fakes[0].set(hangUp, true)
	ctx := t.Context()
	for range 2 {
		err := p.client.FlushAll(ctx, 0)
		if !errors.Is(err, ErrServerDown) || strings.Contains(err.Error(), p.addrs[1]) {
			t.Errorf("flush: got error %v, want the first server's alone", err)
		}
		if got := p.fakes[1].executed(); len(got) != 1 {
			t.Errorf("the other server executed %q, want one flush", got)
		}
		versions, err := p.client.Version(ctx)
		want(t, "version", err, ErrServerDown)
		stats, statsErr := p.client.Stats(ctx, "")
		want(t, "stats", statsErr, ErrServerDown)
		if len(versions) != 1 || versions[p.addrs[1]] == "" || len(stats) != 1 || stats[p.addrs[1]] == nil {
			t.Errorf("got versions %v and statistics %v", versions, stats)
		}
		p.fakes[1].executed()
	}
	_, err := p.client.Stats(ctx, "items\r\nflush_all")
	if err == nil || len(p.fakes[1].executed()) > 0 {
		t.Errorf("stats with a line end: got error %v", err)
	}
}

// TestRestartOfIdleServer: connections that the server closed while nobody used them are no failure.
func TestRestartOfIdleServer(t *testing.T) {
	p := newPair(t, Config{})
	key := keyOf(t, p.client, p.addrs[0])
	want(t, "set", p.client.Set(t.Context(), &Item{Key: key, Value: []byte("1")}), nil)
	p.stops[0]()
	p.fakes[0].listen(t, "unix", strings.TrimPrefix(p.addrs[0], "unix://"))
	// Not repeatable: it must find out before it sends.
	if n, err := p.client.Increment(t.Context(), key, 1); n != 2 || err != nil {
		t.Errorf("incr: got %d and error %v", n, err)
	}
	if len(p.failures) != 0 {
		t.Errorf("%d reports of a failure", len(p.failures))
	}
}

// TestCloseDuringRequest: a server that hangs up on an old connection gets a second chance on a new one.
func TestCloseDuringRequest(t *testing.T) {
	net := newFakeNet()
	c := open(t, Config{Servers: []Server{{Addr: "a:1"}, {Addr: "b:1"}}, Dial: net.dial})
	a := net.server("a:1")
	net.server("b:1")
	key := keyOf(t, c, "a:1")
	want(t, "set", c.Set(t.Context(), &Item{Key: key, Value: []byte("v")}), nil)
	a.kill() // pipes do not tell that before they are used
	if item, err := c.Get(t.Context(), key); err != nil || string(item.Value) != "v" {
		t.Errorf("get: got %+v and error %v", item, err)
	}
	if c.Servers()[0].Failed || net.dialed("a:1") != 2 {
		t.Errorf("got status %+v after %d connections, want none failed after 2", c.Servers(), net.dialed("a:1"))
	}
}

// TestCancelDuringRequest ends the context while a server does not answer: that is the caller's wish and no
// failure of a server, which here answers its version.
func TestCancelDuringRequest(t *testing.T) {
	f := newFake()
	f.received = make(chan memcache.Op, 100)
	addr, _ := f.tcp(t)
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute}}})
	f.set(hang, false)
	tests := []struct {
		run     func(ctx context.Context) error
		unknown bool
	}{
		{func(ctx context.Context) error { _, err := c.Get(ctx, "k"); return err }, false},
		{func(ctx context.Context) error { _, err := c.GetMulti(ctx, []string{"k"}); return err }, false},
		{func(ctx context.Context) error { return c.Set(ctx, &Item{Key: "k"}) }, true}, // it may have been executed, and is not repeated any more
		{func(ctx context.Context) error { _, err := c.Increment(ctx, "k", 1); return err }, true},
		{func(ctx context.Context) error { return c.FlushAll(ctx, 0) }, false},
	}
	for i, tt := range tests {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- tt.run(ctx) }()
		for op := range f.received {
			if op != memcache.OpVersion {
				break
			}
		}
		cancel()
		err := <-done
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnknown) != tt.unknown {
			t.Errorf("request %d: got error %v, want %v, unknown %v", i, err, context.Canceled, tt.unknown)
		}
	}
	if c.Servers()[0].Failed {
		t.Errorf("got status %+v", c.Servers())
	}
}
