package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestFailover: what becomes of a request whose first node misbehaves.
func TestFailover(t *testing.T) {
	const unknown = "SERVER_ERROR effect unknown: "
	tests := []struct {
		name    string
		conduct conduct
		send    string
		want    string // "unknown": the effect is unknown
		second  string // of key k at the second node afterwards
	}{
		{"get, hang", hang, "get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n", "2"},
		{"get, vanish", vanish, "get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n", "2"},
		{"get, nonsense", nonsense, "get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n", "2"},
		{"mg, vanish", vanish, "mg k v\r\n", "VA 1\r\n2\r\n", "2"},
		{"mg that may win, vanish", vanish, "mg k v N30\r\n", "unknown", "2"},
		{"set, hang", hang, "set k 0 0 1\r\n9\r\n", "STORED\r\n", "9"},
		{"set, forget", forget, "set k 0 0 1\r\n9\r\n", "STORED\r\n", "9"},
		{"set, full", full, "set k 0 0 1\r\n9\r\n", "STORED\r\n", "9"},
		{"incr, full", full, "incr k 1\r\n", "3\r\n", "3"},
		{"delete, forget", forget, "delete k\r\n", "DELETED\r\n", ""},
		{"touch, vanish", vanish, "touch k 0\r\n", "TOUCHED\r\n", "2"},
		{"ms, vanish", vanish, "ms k 1\r\n9\r\n", "HD\r\n", "9"},
		{"ms that compares, vanish", vanish, "ms k 1 C7\r\n9\r\n", "unknown", "2"},
		{"ms that appends, forget", forget, "ms k 1 MA\r\n9\r\n", "unknown", "2"},
		{"incr, forget", forget, "incr k 1\r\n", "unknown", "2"},
		{"incr, hang", hang, "incr k 1\r\n", "unknown", "2"},
		{"add, vanish", vanish, "add k 0 0 1\r\n9\r\n", "unknown", "2"},
		{"append, nonsense", nonsense, "append k 0 0 1\r\n9\r\n", "unknown", "2"},
		{"cas, vanish", vanish, "cas k 0 0 1 7\r\n9\r\n", "unknown", "2"},
		{"incr noreply, vanish", vanish, "incr k 1 noreply\r\nget k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n", "2"},
		{"a round in order, vanish", vanish, "set k 0 0 1\r\n7\r\nincr k 1\r\nset k 0 0 1\r\n8\r\nget k\r\n", "", "8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var change func(*Config)
			if test.conduct == hang {
				t.Parallel()
				change = brief
			}
			first, second := newFakeNode(t), newFakeNode(t)
			first.put("k", "1")
			second.put("k", "2")
			p := startProxy(t, change, first, second)
			c := p.dial()
			c.talk("get warm\r\n", "END\r\n") // a connection that works
			first.behave(test.conduct, "")
			begin := time.Now()
			c.send(test.send)
			switch test.want {
			case "unknown":
				if line := c.line(); !strings.HasPrefix(line, unknown) || !strings.Contains(line, first.addr) {
					t.Errorf("got %q, want that the effect at %s is unknown", line, first.addr)
				}
			case "":
				c.want("STORED\r\n")
				if line := c.line(); !strings.HasPrefix(line, unknown) {
					t.Errorf("incr: got %q", line)
				}
				c.want("STORED\r\nVALUE k 0 1\r\n8\r\nEND\r\n")
			default:
				c.want(test.want)
			}
			if took := time.Since(begin); took > p.cfg.Timeout {
				t.Errorf("answered after %v, the timeout is %v", took, p.cfg.Timeout)
			}
			if got := second.value("k"); got != test.second {
				t.Errorf("second node: got %q, want %q", got, test.second)
			}
			var effects uint64
			for _, u := range p.Status().Upstreams {
				effects += u.UnknownEffects
			}
			if want := strings.Contains(test.want, "unknown") || test.want == "" || strings.Contains(test.name, "noreply"); (effects == 1) != want {
				t.Errorf("unknown effects counted: %d, want one: %v", effects, want)
			}
		})
	}
}

// TestOnlyEndMissing: a get that has all its values is answered, though the node goes away before the END.
func TestOnlyEndMissing(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	first.put("k", "1")
	second.put("k", "2")
	p := startProxy(t, nil, first, second)
	first.behave(breakOff, "get")
	p.dial().talk("get k\r\nversion\r\n", "VALUE k 0 1\r\n1\r\nEND\r\nVERSION 1.6.18 futago-9.9.9\r\n")
}

// TestDead: a node that is gone costs nothing, and is used again only when it is ready.
func TestDead(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	first.put("who", "1")
	second.put("who", "2")
	p := startProxy(t, nil, first, second)
	c := p.dial()
	c.talk("get who\r\n", "VALUE who 0 1\r\n1\r\nEND\r\n")
	first.ready.Store(false)
	at := first.addr
	first.stop()
	eventually(t, "the connection is seen to be closed", func() bool {
		links := 0
		p.group.Load().upstreams[0].each(func(*link) { links++ })
		return links == 0
	})
	c.talk("incr who 0\r\n", "2\r\n") // it cannot be sent, so it is safe
	first.start(at)
	c.talk("get who\r\n", "VALUE who 0 1\r\n2\r\nEND\r\n")

	// Its port is open, but it is not ready: it is left alone for many checks.
	var failed uint64
	checks := func() uint64 { return p.group.Load().upstreams[0].checkFailures.Load() }
	failed = checks()
	eventually(t, "several checks", func() bool { return checks() >= failed+3 })
	c.talk("get who\r\n", "VALUE who 0 1\r\n2\r\nEND\r\n")
	first.ready.Store(true)
	p.waitUp(2)
	c.talk("get who\r\n", "VALUE who 0 1\r\n1\r\nEND\r\n")

	// Both away: an error at once, and service as soon as one is back.
	second.stop()
	first.stop()
	begin := time.Now()
	c.send("get who\r\n")
	if line := c.line(); !strings.HasPrefix(line, "SERVER_ERROR no upstream is up") || time.Since(begin) > p.cfg.Timeout {
		t.Errorf("got %q after %v", line, time.Since(begin))
	}
	first.start(at)
	p.waitUp(1)
	c.talk("get who\r\n", "VALUE who 0 1\r\n1\r\nEND\r\n")
}

// TestNotReady: a node that says so gets no requests, and those on their way are answered.
func TestNotReady(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	second.put("k", "2")
	p := startProxy(t, nil, first, second)
	first.ready.Store(false)
	p.waitUp(1)
	p.dial().talk("get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n")
	if got := first.requests(); len(got) > 0 {
		t.Errorf("the node that is not ready saw %q", got)
	}
	if state, reason := p.state(); state != "ready" || reason != "1 of 2 upstreams up" {
		t.Errorf("state %s: %s", state, reason)
	}
	second.ready.Store(false)
	p.waitUp(0)
	if state, _ := p.state(); state != "down" {
		t.Errorf("state %s, want down", state)
	}
}

// TestRepeatedHang: a node that hangs again soon after it came back is left alone for a while.
func TestRepeatedHang(t *testing.T) {
	for _, test := range []struct {
		hold, up time.Duration
		err      error
		want     time.Duration
	}{
		{0, time.Second, errTimeout, holdFirst},
		{holdFirst, time.Second, fmt.Errorf("x: %w", errTimeout), 2 * holdFirst},
		{holdMax, time.Second, errTimeout, holdMax},
		{holdMax, time.Minute, errTimeout, 0},
		{holdFirst, time.Second, io.EOF, 0},
	} {
		if got := nextHold(test.hold, test.up, test.err); got != test.want {
			t.Errorf("hold %v, up %v, %v: got %v, want %v", test.hold, test.up, test.err, got, test.want)
		}
	}
}

// TestConsistent: keys are spread as the Go client does, a get over several nodes keeps its order, and the keys of a node
// that is away go to the next one.
func TestConsistent(t *testing.T) {
	nodes := []*fakeNode{newFakeNode(t), newFakeNode(t), newFakeNode(t)}
	p := startProxy(t, func(c *Config) { c.Choice = ChooseConsistent }, nodes...)
	c := p.dial()
	get, want := "get", ""
	held := make(map[*fakeNode]int)
	for i := range 60 {
		key := fmt.Sprintf("key-%d", i)
		c.talk(fmt.Sprintf("set %s 0 0 2\r\n%02d\r\n", key, i), "STORED\r\n")
		home := nodes[p.group.Load().selector.Select(key)]
		if got := home.value(key); got != fmt.Sprintf("%02d", i) {
			t.Errorf("%s: its node has %q", key, got)
		}
		held[home]++
		get += " " + key + " absent-" + key
		want += fmt.Sprintf("VALUE %s 0 2\r\n%02d\r\n", key, i)
	}
	if len(held) != 3 {
		t.Errorf("keys are at %d nodes, want 3", len(held))
	}
	c.talk(get+"\r\n", want+"END\r\n")

	nodes[1].stop()
	for i := range 60 {
		key := fmt.Sprintf("key-%d", i)
		c.talk(fmt.Sprintf("set %s 0 0 1\r\nx\r\n", key), "STORED\r\n")
		home := p.group.Load().selector.Select(key)
		if home == 1 {
			home = 2
		}
		if got := nodes[home].value(key); got != "x" {
			t.Errorf("%s without node 1: node %d has %q", key, home, got)
		}
	}

	// An error ends the whole get, as it does at a node.
	nodes[0].behave(nonsense, "get")
	nodes[2].behave(nonsense, "get")
	c.send(get + "\r\nversion\r\n")
	if line := c.line(); !strings.HasPrefix(line, "SERVER_ERROR ") {
		t.Errorf("got %q", line)
	}
	c.want("VERSION 1.6.18 futago-9.9.9\r\n")
}

// TestGetOfManyParts: a get whose keys belong to ever other nodes is asked for in rounds of bounded size.
func TestGetOfManyParts(t *testing.T) {
	p := offlineProxy(t, func(c *Config) { c.Choice = ChooseConsistent })
	c := newClient(p, nil, 0)
	var homes [2][]string
	for i := 0; len(homes[0]) < 500 || len(homes[1]) < 500; i++ {
		key := strconv.Itoa(i)
		homes[p.group.Load().home([]byte(key))] = append(homes[p.group.Load().home([]byte(key))], key)
	}
	for name, want := range map[string][]string{
		"many nodes": slices.Repeat([]string{homes[0][0], homes[1][0]}, 100_000),
		"one node":   slices.Repeat([]string{homes[0][1]}, 100_000),
	} {
		line := "get " + strings.Join(want, " ") + "\r\nversion\r\n"
		c.in, c.read, c.have = []byte(line), 0, len(line)
		var got []string
		rounds := 0
		for c.decode(); len(c.calls) > 0; c.decode() {
			rounds++
			if len(c.calls) > 2*roundCalls || len(c.keys) > roundKeys {
				t.Fatalf("%s: a round of %d calls and %d keys", name, len(c.calls), len(c.keys))
			}
			for i := range c.calls {
				for _, key := range c.calls[i].keys {
					got = append(got, string(key))
				}
				if k := &c.calls[i]; k.shape == shapeValues && k.part == (len(got) == len(want)) {
					t.Fatalf("%s: after %d keys: part is %v", name, len(got), k.part)
				}
			}
			c.endRound()
		}
		if !slices.Equal(got, want) || rounds < len(want)/roundKeys {
			t.Errorf("%s: %d rounds asked for %d keys, want %d", name, rounds, len(got), len(want))
		}
	}
}

// TestGetOfManyRounds: its reply is one, and an error in any of them ends it.
func TestGetOfManyRounds(t *testing.T) {
	nodes := []*fakeNode{newFakeNode(t), newFakeNode(t)}
	p := startProxy(t, func(c *Config) { c.Choice = ChooseConsistent }, nodes...)
	c := p.dial()
	var keys []string
	for i := range 2 * roundCalls {
		for home := range nodes {
			key := fmt.Sprintf("k%d-%d-", i, home)
			for p.group.Load().selector.Select(key) != home {
				key += "x"
			}
			keys = append(keys, key)
		}
	}
	last, first := keys[len(keys)-1], keys[0]
	nodes[p.group.Load().selector.Select(first)].put(first, "1")
	nodes[p.group.Load().selector.Select(last)].put(last, "2")
	get := "get " + strings.Join(keys, " ") + "\r\nversion\r\n"
	const version = "VERSION 1.6.18 futago-9.9.9\r\n"
	c.talk(get, "VALUE "+first+" 0 1\r\n1\r\nVALUE "+last+" 0 1\r\n2\r\nEND\r\n"+version)
	for _, n := range nodes {
		n.behave(full, "get")
	}
	c.send(get)
	if line := c.line(); !strings.HasPrefix(line, "SERVER_ERROR ") {
		t.Errorf("got %q", line)
	}
	c.want(version)
}

// TestLargeReplies: a client that asks for more than a round keeps gets all of it, and the proxy never holds much of it.
func TestLargeReplies(t *testing.T) {
	n := newFakeNode(t)
	value := strings.Repeat("v", 300_000)
	get, want := "get", ""
	for i := range 30 {
		key := fmt.Sprintf("k%d", i%10)
		n.put(key, value)
		get += " absent " + key
		want += fmt.Sprintf("VALUE %s 0 300000\r\n%s\r\n", key, value)
	}
	p := startProxy(t, nil, n)
	c := p.dial()
	go io.WriteString(c.nc, get+"\r\nmg k1 v\r\n"+get+"\r\nget k1\r\n")
	most := int64(0)
	for round := range 2 {
		for i := 0; i < len(want); i += 600_000 {
			most = max(most, p.pending.Load())
			c.want(want[i:min(i+600_000, len(want))])
		}
		c.want("END\r\n")
		if most > 4<<20 {
			t.Errorf("the proxy held %d bytes", most)
		}
		if round == 0 {
			c.want("VA 300000\r\n" + value + "\r\n")
		}
	}
	c.want(fmt.Sprintf("VALUE k1 0 300000\r\n%s\r\nEND\r\n", value))
	eventually(t, "all memory is given back", func() bool { return p.pending.Load() == 0 })
}

// TestMemoryLimit: beyond the memory for all clients, large values are refused and small ones pass.
func TestMemoryLimit(t *testing.T) {
	n := newFakeNode(t)
	n.put("large", strings.Repeat("v", 2<<20))
	p := startProxy(t, func(c *Config) { c.MaxPending, c.MaxValue = 1<<20, 8<<20 }, n)
	c := p.dial()
	c.talk("get large\r\nset a 0 0 1\r\n1\r\nget a\r\n", replyStarved+"STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n")
	go io.WriteString(c.nc, "set b 0 0 4000000\r\n"+strings.Repeat("x", 4000000)+"\r\n")
	if line := c.line(); line != "SERVER_ERROR out of memory storing object" {
		t.Errorf("got %q", line)
	}
	eventually(t, "all memory is given back", func() bool { return p.pending.Load() == 0 })
}

// TestSlowClient: one that does not read holds up nobody who shares its connection, and is dropped in the end.
func TestSlowClient(t *testing.T) {
	n := newFakeNode(t)
	n.put("large", strings.Repeat("v", 8<<20))
	n.put("small", "s")
	p := startProxy(t, func(c *Config) { c.Pool, c.WriteTimeout = 1, 2*time.Second }, n)
	slow, other := p.dial(), p.dial()
	for range 8 {
		slow.send("get large\r\n")
	}
	eventually(t, "the slow client's values wait", func() bool { return p.pending.Load() >= 8<<20 })
	for range 100 {
		other.talk("get small\r\n", "VALUE small 0 1\r\ns\r\nEND\r\n")
	}
	eventually(t, "the slow client is dropped", func() bool { return p.open.Load() == 1 && p.pending.Load() == 0 })
	other.talk("get small\r\n", "VALUE small 0 1\r\ns\r\nEND\r\n")
}

// TestHalfSent: a client that stops in the middle of a request does not hold its memory for ever, one between two does no harm.
func TestHalfSent(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.WriteTimeout = 2 * time.Second }, newFakeNode(t))
	stops, rests := p.dial(), p.dial()
	rests.send("set k 0 0 1\r\n")
	rests.talk("1\r\n", "STORED\r\n")
	stops.send("set large 0 0 1000000\r\n" + strings.Repeat("v", 500_000))
	eventually(t, "the half of a value waits", func() bool { return p.pending.Load() >= 500_000 })
	stops.wantClosed()
	eventually(t, "its memory is given back", func() bool { return p.open.Load() == 1 && p.pending.Load() == 0 })
	rests.talk("get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n")
}

// TestSlowClientLargeBatch: one that asks for more than its node can send in the timeout, and reads late, gets all of it;
// it holds up nobody who shares its connection, and no node counts as failed.
func TestSlowClientLargeBatch(t *testing.T) {
	n := newFakeNode(t)
	value := strings.Repeat("v", 800_000)
	n.put("large", value)
	n.put("small", "s")
	n.behave(plod, "")
	p := startProxy(t, func(c *Config) { c.Timeout, c.Pool = 2*time.Second, 1 }, n)
	slow, other := p.dial(), p.dial()
	slow.send(strings.Repeat("get large\r\n", 60) + "mn\r\n")
	eventually(t, "the slow client's values wait", func() bool { return p.pending.Load() >= roundReplies })
	for range 100 {
		other.talk("get small\r\n", "VALUE small 0 1\r\ns\r\nEND\r\n")
	}
	for range 60 {
		slow.want("VALUE large 0 800000\r\n" + value + "\r\nEND\r\n")
	}
	slow.want("MN\r\n")
	s := p.Status().Upstreams[0]
	if s.Failures != 0 || s.Failovers != 0 || s.UnknownEffects != 0 || s.State != "up" {
		t.Errorf("upstream: got %+v, want it up and no failures", s)
	}
	if most := uint64(60 + 100 + 2*firstCalls); s.Requests > most {
		t.Errorf("asked %d times, want %d at most", s.Requests, most)
	}
}

// TestHangAfterLargeReplies: a node that hangs when its large replies have used up the timeout leaves time for the next one.
func TestHangAfterLargeReplies(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	value := strings.Repeat("v", 1_200_000)
	first.put("large", value)
	second.put("large", value)
	first.behave(plod, "")
	first.hangAfter(firstCalls - 1)
	p := startProxy(t, func(c *Config) { c.Timeout = 2 * time.Second }, first, second)
	c := p.dial()
	c.send(strings.Repeat("get large\r\n", firstCalls))
	for range firstCalls {
		c.want("VALUE large 0 1200000\r\n" + value + "\r\nEND\r\n")
	}
	if s := p.Status().Upstreams[0]; s.Failures == 0 {
		t.Errorf("first upstream: got %+v, want failures", s)
	}
}

// TestOverdue: what a link makes of a call that waits, all in milliseconds.
func TestOverdue(t *testing.T) {
	p := offlineProxy(t, nil) // its tick is 25 ms
	const sent, deadline = 1000, 1500
	tests := []struct {
		name            string
		now, read, came int64 // came: kB since the call was sent
		want            error
	}{
		{"in time", 1500, 0, 0, nil},
		{"hung", 1501, 0, 0, errTimeout},
		{"hung, after small replies", 1501, 1300, 1, errTimeout},
		{"small replies keep coming", 1501, 1500, 1, errSlow},
		{"large replies keep coming", 2400, 2400, 4000, nil},
		{"large replies come slowly", 2600, 2600, 4000, errSlow},
		{"a pause between large replies", 2400, 2000, 4000, nil},
		{"hung, after large replies", 2400, 1899, 4000, errTimeout},
	}
	for _, test := range tests {
		l := &link{up: p.group.Load().upstreams[0], pending: []*call{{
			sentAt: int64(sent * time.Millisecond), deadline: int64(deadline * time.Millisecond), came: 5,
		}}}
		l.came.Store(5 + test.came*1000)
		l.lastRead.Store(test.read * int64(time.Millisecond))
		if got := l.overdue(test.now * int64(time.Millisecond)); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// TestManyClients: replies find their clients.
func TestManyClients(t *testing.T) {
	first, second := newFakeNode(t), newFakeNode(t)
	p := startProxy(t, nil, first, second)
	var all sync.WaitGroup
	for i := range 30 {
		c := p.dial()
		all.Go(func() {
			for j := range 50 {
				key := fmt.Sprintf("k-%d-%d", i, j%7)
				value := strings.Repeat(fmt.Sprint(i), j)
				fmt.Fprintf(c.nc, "set %s 0 0 %d\r\n%s\r\nget %s none\r\nms m%s 1 q\r\n1\r\nincr none 1\r\n", key, len(value), value, key, key)
				want := fmt.Sprintf("STORED\r\nVALUE %s 0 %d\r\n%s\r\nEND\r\nNOT_FOUND\r\n", key, len(value), value)
				b := make([]byte, len(want))
				if _, err := io.ReadFull(c.r, b); err != nil || string(b) != want {
					t.Errorf("got %q, %v, want %q", b, err, want)
					return
				}
			}
		})
	}
	all.Wait()
	links := 0
	p.group.Load().upstreams[0].each(func(*link) { links++ })
	if links > p.cfg.Pool {
		t.Errorf("%d connections to the node, the pool is %d", links, p.cfg.Pool)
	}
}

// TestMaxConns: one client too many is told so.
func TestMaxConns(t *testing.T) {
	p := startProxy(t, func(c *Config) { c.MaxConns = 1 }, newFakeNode(t))
	first := p.dial()
	first.talk("get a\r\n", "END\r\n")
	more := p.dial()
	more.want("ERROR Too many open connections\r\n")
	more.wantClosed()
	first.talk("get a\r\n", "END\r\n")
}

// TestDrain: a stop lets a request on its way end, and closes who has none.
func TestDrain(t *testing.T) {
	n := newFakeNode(t)
	p := startProxy(t, nil, n)
	idle, busy := p.dial(), p.dial()
	idle.talk("get a\r\n", "END\r\n")
	busy.talk("get a\r\n", "END\r\n")
	n.mu.Lock() // the node stands still
	busy.send("set a 0 0 1\r\n1\r\n")
	eventually(t, "the request is on its way", func() bool { return p.active.Count() == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	idle.wantClosed()
	n.mu.Unlock()
	busy.want("STORED\r\n")
	busy.wantClosed()
	if err := <-stopped; err != nil {
		t.Errorf("run: %v", err)
	}
	if err := p.Run(t.Context()); err != ErrRunTwice {
		t.Errorf("second run: %v", err)
	}
}

// A request that is given up ends with a reset, by which a node that stands still knows not to execute it.
func TestGiveUpResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 16)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer l.Close()
	conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				for r := bufio.NewReader(nc); ; {
					switch line, err := r.ReadString('\n'); {
					case err != nil:
						return
					case line == "version\r\n":
						io.WriteString(nc, "VERSION 1.6.18\r\n")
					case line == "mn\r\n":
						io.WriteString(nc, "MN\r\n")
					default:
						_, err = io.Copy(io.Discard, r)
						end <- err
						return
					}
				}
			})
		}
	})
	second := newFakeNode(t)
	p := runProxy(t, func(c *Config) {
		brief(c)
		c.Upstreams = append([]Upstream{{Addr: l.Addr().String(), Weight: 1}}, c.Upstreams...)
	}, second)
	p.waitUp(2)
	p.dial().talk("set k 0 0 1\r\nv\r\n", "STORED\r\n")
	if err := <-end; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the first node sees %v, want a reset", err)
	}
	if got := second.value("k"); got != "v" {
		t.Errorf("second node: %q", got)
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
}
