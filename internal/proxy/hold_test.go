package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/reload"
)

// post sends an operator's action and returns status and body.
func (p *testProxy) post(path, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequest("POST", "http://"+p.AdminAddr()+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Futago-Admin", "1")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode, string(answer)
}

// hold holds and returns the token.
func (p *testProxy) hold(lease string) string {
	p.t.Helper()
	var answer HoldAnswer
	status, body := p.post("/hold?for="+lease, "")
	if err := json.Unmarshal([]byte(body), &answer); status != 200 || err != nil || !answer.Held || answer.Token == "" || answer.InFlight != 0 || answer.Until.Before(time.Now().Add(-time.Minute)) {
		p.t.Fatalf("hold: got %d %s, %v", status, body, err)
	}
	return answer.Token
}

func (p *testProxy) wantPost(path, body string, status int, part string) {
	p.t.Helper()
	if got, answer := p.post(path, body); got != status || !strings.Contains(answer, part) {
		p.t.Errorf("POST %s: got %d %s, want %d and %q", path, got, answer, status, part)
	}
}

// wantWaiting waits until so many clients wait.
func (p *testProxy) wantWaiting(n int64) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d clients wait", n), func() bool { return p.holds.waiting.Load() == n })
}

// Between the answer to /hold and the switch the old node sees nothing, and what waits goes to the new one: each increment
// that was acknowledged counts once.
func TestSwitchUnderLoad(t *testing.T) {
	const clients, keys, moves = 24, 8, 4
	nodes := []*fakeNode{newFakeNode(t)}
	for k := range keys {
		nodes[0].put("k"+strconv.Itoa(k), "0")
	}
	p := startProxy(t, nil, nodes...)
	stop := make(chan struct{})
	var counted [clients]int
	var wg sync.WaitGroup
	for i := range clients {
		c := p.dial()
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				key := "k" + strconv.Itoa((i+n)%keys)
				if _, err := io.WriteString(c.nc, "incr "+key+" 1\r\nincr "+key+" 1\r\n"); err != nil {
					t.Error(err)
					return
				}
				for range 2 {
					line, err := c.r.ReadString('\n')
					if _, bad := strconv.Atoi(strings.TrimSpace(line)); err != nil || bad != nil {
						t.Errorf("got %q, %v", line, err)
						return
					}
					counted[i]++
				}
			}
		})
	}
	for range moves {
		old, next := nodes[len(nodes)-1], newFakeNode(t)
		nodes = append(nodes, next)
		before := p.group.Load().upstreams[0].requests.Load()
		eventually(t, "requests pass", func() bool { return p.group.Load().upstreams[0].requests.Load() > before+100 })
		token := p.hold("60s")
		seen := len(old.requests())
		p.wantWaiting(clients)
		old.mu.Lock()
		data := maps.Clone(old.data)
		old.mu.Unlock()
		for k, v := range data {
			next.put(k, v)
		}
		if now := len(old.requests()); now != seen {
			t.Errorf("the old node got %d requests during the hold", now-seen)
		}
		p.wantPost("/switch?token="+token, next.upstream().String()+"\n", 200, `"switched":true`)
		old.waitAlone()
	}
	last := p.group.Load().upstreams[0]
	eventually(t, "requests pass", func() bool { return last.requests.Load() > 100 })
	close(stop)
	wg.Wait()
	want, got := 0, 0
	for _, n := range counted {
		want += n
	}
	for k := range keys {
		n, _ := strconv.Atoi(nodes[moves].value("k" + strconv.Itoa(k)))
		got += n
	}
	if got != want || want == 0 {
		t.Errorf("the sum of the counters is %d, %d increments were acknowledged", got, want)
	}
	if s := p.Status(); s.Held != nil || s.Holds != moves || !s.Switched || len(s.Upstreams) != 1 || s.Upstreams[0].Addr != nodes[moves].addr {
		t.Errorf("status: got %+v", s)
	}
	page := p.metrics()
	for _, part := range []string{"futago_proxy_held 0", "futago_proxy_holds_total 4", "futago_proxy_waiting_clients 0"} {
		if !strings.Contains(page, part) {
			t.Errorf("no %q in metrics", part)
		}
	}
	if strings.Contains(page, nodes[0].addr) {
		t.Errorf("metrics name a node that is gone")
	}
}

// A hold ends by itself when nobody prolongs it, and what waits goes to the old node.
func TestHoldEnds(t *testing.T) {
	n, other := newFakeNode(t), newFakeNode(t)
	n.put("k", "1")
	p := startProxy(t, nil, n)
	c := p.dial()
	token := p.hold("1s")
	c.send("incr k 1\r\n")
	p.wantWaiting(1)
	c.want("2\r\n") // after a second
	p.wantPost("/switch?token="+token, other.upstream().String(), 409, "that hold has ended")
	p.wantPost("/hold?for=10s&token="+token, "", 409, "that hold has ended")
	p.wantPost("/release?token="+token, "", 409, "that hold has ended")
	c.talk("incr k 1\r\n", "3\r\n")
	if got := other.requests(); len(got) != 0 {
		t.Errorf("the other node got %q", got)
	}
}

// One holds at a time; who has the token prolongs, switches or releases; a client is answered what the proxy knows itself.
func TestHolds(t *testing.T) {
	n, other, dead := newFakeNode(t), newFakeNode(t), newFakeNode(t)
	dead.stop()
	n.put("k", "1")
	p := startProxy(t, nil, n)
	c := p.dial()
	c.talk("get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n")
	first := p.hold("60s")
	p.wantPost("/hold?for=10s", "", 409, "another hold is in force: of 127.0.0.1:")
	p.wantPost("/hold?for=10s&token=x", "", 409, "another hold is in force")
	p.wantPost("/switch?token=x", other.upstream().String(), 409, "another hold is in force")
	p.wantPost("/release?token=x", "", 409, "another hold is in force")
	for _, lease := range []string{"", "10", "999ms", "61s", "-1s"} {
		p.wantPost("/hold?for="+lease, "", 400, "want")
	}
	p.wantPost("/hold?for=50s&token="+first, "", 200, first)
	for _, list := range []string{"", "host", other.addr + ",wieght=2", other.addr + "\n" + other.addr, strings.Repeat(" ", listMax+1)} {
		p.wantPost("/switch?token="+first, list, 400, "list of upstreams")
	}
	p.wantPost("/switch?token="+first, dead.upstream().String(), 503, "none of the new upstreams is up")
	c.talk("version\r\n", "VERSION "+p.clientVersion()+"\r\n")
	c.send("get k\r\n")
	p.wantWaiting(1)
	if s := p.Status(); s.Held == nil || s.Held.Waiting != 1 || s.Held.InFlight != 0 || s.State != "ready" || !strings.Contains(s.Reason, "wait") {
		t.Errorf("status: got %+v", s)
	}
	if page := p.metrics(); !strings.Contains(page, "futago_proxy_held 1") || !strings.Contains(page, "futago_proxy_waiting_clients 1") {
		t.Error("the hold is not in the metrics")
	}
	p.wantPost("/release?token="+first, "", 200, "released")
	c.want("VALUE k 0 1\r\n1\r\nEND\r\n")
	second := p.hold("60s")
	if second == first {
		t.Error("the same token twice")
	}
	// One that is kept keeps its connections.
	links := p.linksTo(n)
	p.wantPost("/switch?token="+second, "\n"+other.upstream().String()+"\r\n"+n.upstream().String()+"\n", 200, "until the next reload")
	c.talk("set k 0 0 1\r\n2\r\n", "STORED\r\n")
	if n.value("k") != "1" || other.value("k") != "2" {
		t.Errorf("values: %q and %q", n.value("k"), other.value("k"))
	}
	if now := p.linksTo(n); len(links) == 0 || !slices.Equal(links, now) {
		t.Errorf("connections were %v, are %v", links, now)
	}
}

// linksTo are the connections to a node that requests use.
func (p *testProxy) linksTo(n *fakeNode) (links []*link) {
	for _, u := range p.group.Load().upstreams {
		if u.Addr == n.addr {
			u.each(func(l *link) { links = append(links, l) })
		}
	}
	return links
}

// waitAlone waits until the node has no connections.
func (n *fakeNode) waitAlone() {
	n.t.Helper()
	eventually(n.t, "the old node has no connections", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return len(n.conns) == 0
	})
}

// What is at a node when a hold begins is awaited, and a write of which nobody knows is told to its client before.
func TestHoldAwaitsRequests(t *testing.T) {
	n, other := newFakeNode(t), newFakeNode(t)
	n.put("k", "1")
	p := startProxy(t, brief, n)
	n.behave(hang, "incr")
	c := p.dial()
	c.send("incr k 1\r\n")
	eventually(t, "the increment is at the node", func() bool { return p.active.Count() == 1 })
	p.wantPost("/hold?for=1s", "", 409, "requests of 1 clients were at upstreams still")
	token := p.hold("60s") // not before the time-out
	if line := c.line(); !strings.HasPrefix(line, "SERVER_ERROR effect unknown") {
		t.Errorf("got %q", line)
	}
	p.wantPost("/switch?token="+token, other.upstream().String(), 200, "switched")
	c.talk("set k 0 0 1\r\n7\r\nget k\r\n", "STORED\r\nVALUE k 0 1\r\n7\r\nEND\r\n")
}

// Who dies while he waits for his hold holds nothing.
func TestHoldOfTheDead(t *testing.T) {
	n := newFakeNode(t)
	n.put("k", "1")
	p := startProxy(t, nil, n)
	n.behave(hang, "incr")
	p.dial().send("incr k 1\r\n")
	eventually(t, "the increment is at the node", func() bool { return p.active.Count() == 1 })
	ctx, die := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, _, err := p.Hold(ctx, "test", holdLeaseMax)
		result <- err
	}()
	eventually(t, "the hold is there", func() bool { return p.Status().Held != nil })
	die()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if p.Status().Held != nil {
		t.Error("the hold goes on")
	}
	p.dial().talk("get k\r\n", "VALUE k 0 1\r\n1\r\nEND\r\n")
}

// A proxy that stops lets those who wait pass.
func TestStopEndsHold(t *testing.T) {
	n := newFakeNode(t)
	n.put("k", "1")
	p := startProxy(t, nil, n)
	c := p.dial()
	p.hold("60s")
	c.send("incr k 1\r\n")
	p.wantWaiting(1)
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	c.want("2\r\n")
	if _, _, err := p.Hold(t.Context(), "test", time.Second); !errors.Is(err, errDraining) {
		t.Errorf("got %v", err)
	}
}

// Where the key chooses, keys that were put together for the old nodes are asked of the right new ones each.
func TestSwitchSplitsGets(t *testing.T) {
	old := newFakeNode(t)
	news := []*fakeNode{newFakeNode(t), newFakeNode(t), newFakeNode(t)}
	p := startProxy(t, func(c *Config) { c.Choice = ChooseConsistent }, old)
	token := p.hold("60s")
	c := p.dial()
	var list, request, want strings.Builder
	for _, n := range news {
		list.WriteString(n.upstream().String() + "\n")
	}
	next := *p.conf()
	next.Upstreams, _ = parseUpstreams(list.String())
	selector, err := next.selector()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		key := "k" + strconv.Itoa(i)
		news[selector.Select(key)].put(key, key)
		request.WriteString(" " + key)
		fmt.Fprintf(&want, "VALUE %s 0 %d\r\n%s\r\n", key, len(key), key)
	}
	c.send("get" + request.String() + "\r\nget k1\r\n")
	p.wantWaiting(1)
	p.wantPost("/switch?token="+token, list.String(), 200, "switched")
	c.want(want.String() + "END\r\nVALUE k1 0 2\r\nk1\r\nEND\r\n")
}

// A reload puts other upstreams in force without dropping a client, also those of the configuration after a switch; during a hold
// it changes nothing.
func TestReloadUpstreams(t *testing.T) {
	var log lockedBuffer
	a, b, c := newFakeNode(t), newFakeNode(t), newFakeNode(t)
	var fresh Config
	say := func(nodes ...*fakeNode) {
		fresh.Upstreams = nil
		for _, n := range nodes {
			fresh.Upstreams = append(fresh.Upstreams, n.upstream())
		}
		fresh.Settings = []reload.Setting{{Name: "upstream", Values: words(fresh.Upstreams), Source: "f"}, {Name: "choice", Values: []string{fresh.Choice}}}
	}
	p := startProxy(t, func(cfg *Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.Reread = func() (Config, error) { return fresh, nil }
		fresh = *cfg
		say(a, b)
		cfg.Settings = fresh.Settings
	}, a, b)
	client := p.dial()
	client.talk("set k 0 0 1\r\n1\r\n", "STORED\r\n")
	kept := p.linksTo(a)

	say(c, a)
	if r, err := p.Reload(); err != nil || len(r.Changed) != 1 || len(r.Restart) != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	client.talk("set k 0 0 1\r\n2\r\n", "STORED\r\n")
	if a.value("k") != "1" || c.value("k") != "2" || len(kept) == 0 || !slices.Equal(kept, p.linksTo(a)) {
		t.Errorf("values: %q and %q; connections were %v, are %v", a.value("k"), c.value("k"), kept, p.linksTo(a))
	}
	b.waitAlone()

	token := p.hold("60s")
	say(a)
	if _, err := p.Reload(); err == nil || !strings.Contains(err.Error(), "another hold is in force") {
		t.Errorf("during a hold: got %v", err)
	}
	p.wantPost("/switch?token="+token, b.upstream().String(), 200, "switched")
	client.talk("set k 0 0 1\r\n3\r\n", "STORED\r\n")
	if b.value("k") != "3" || !p.Status().Switched {
		t.Errorf("after the switch: %q", b.value("k"))
	}
	say(c, a) // as before the switch
	if r, err := p.Reload(); err != nil || len(r.Changed) != 1 || r.Changed[0].Old[0] != b.upstream().String() {
		t.Fatalf("got %+v, %v", r, err)
	}
	client.talk("get k\r\n", "VALUE k 0 1\r\n2\r\nEND\r\n")
	if p.Status().Switched || !strings.Contains(log.String(), `level=WARN msg="upstreams of the last switch replaced by those of the configuration"`) {
		t.Errorf("log:\n%s", log.String())
	}

	fresh.Choice = ChooseConsistent
	say(c, a)
	if r, err := p.Reload(); err != nil || len(r.Changed) != 1 || p.Status().Choice != ChooseConsistent || p.group.Load().selector == nil {
		t.Errorf("choice: got %+v, %v", r, err)
	}
}

// A request that is at a node which a reload leaves out is answered by it.
func TestReloadAwaitsRequests(t *testing.T) {
	a, b := newFakeNode(t), newFakeNode(t)
	var fresh Config
	p := startProxy(t, func(cfg *Config) {
		cfg.Reread = func() (Config, error) { return fresh, nil }
		fresh = *cfg
		cfg.Settings = []reload.Setting{{Name: "upstream", Values: words(cfg.Upstreams)}}
		fresh.Upstreams = []Upstream{b.upstream()}
		fresh.Settings = []reload.Setting{{Name: "upstream", Values: words(fresh.Upstreams)}}
	}, a)
	a.mu.Lock() // it does not answer
	c := p.dial()
	c.send("set k 0 0 1\r\n1\r\n")
	eventually(t, "the request is at the node", func() bool { return p.active.Count() == 1 })
	_, err := p.Reload()
	late := p.dial()
	late.talk("set k 0 0 1\r\n2\r\n", "STORED\r\n")
	a.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	c.want("STORED\r\n")
	if a.value("k") != "1" || b.value("k") != "2" {
		t.Errorf("values: %q and %q", a.value("k"), b.value("k"))
	}
	a.waitAlone()
}
