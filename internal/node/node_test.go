package node

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/store"
)

// running is a node under test.
type running struct {
	*Node
	cfg  Config
	stop context.CancelFunc
	done chan error
}

// hosts counts the loopback hosts that were given out.
var hosts atomic.Uint32

// freeAddr is an address on a loopback host of its own: two nodes must know each other's before they start, and meanwhile no
// client may be given the port.
func freeAddr(t *testing.T) string {
	t.Helper()
	n := hosts.Add(1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+os.Getpid()%60, n/250, 1+n%250))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func testConfig(t *testing.T, id int) Config {
	c := DefaultConfig()
	c.Listen, c.AdminListen, c.Data, c.Node = []string{"127.0.0.1:0"}, "127.0.0.1:0", t.TempDir(), id
	c.SegmentSize, c.MinFree = 1<<20, 0
	c.CatchupTimeout, c.PeerTimeout, c.AckTimeout = 2*time.Second, 2*time.Second, time.Second // above what a busy machine holds up
	return c
}

func start(t *testing.T, c Config) *running {
	t.Helper()
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Node: n, cfg: c, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func (r *running) waitReady(t *testing.T) {
	t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.done:
		r.done <- err
		t.Fatalf("node %d ended: %v", r.cfg.Node, err)
	case <-time.After(time.Minute):
		t.Fatalf("node %d is not ready: %+v", r.cfg.Node, r.Status())
	}
}

// waitReadyAgain waits until r, which lost its link, has caught up on another one.
func (r *running) waitReadyAgain(t *testing.T) {
	t.Helper()
	eventually(t, "ready again after catching up", func() bool {
		_, reason, _ := r.state.get()
		return reason == "caught up with the peer" && r.Status().Ready && r.pullers()[0].Status().Links >= 2
	})
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	err := <-r.done
	r.done <- err
	if err != nil {
		t.Fatalf("node %d drained with %v", r.cfg.Node, err)
	}
}

func (r *running) set(t *testing.T, key, value string) {
	t.Helper()
	var res store.Result
	if err := r.store.Commit(&store.Request{Op: store.Set, Key: []byte(key), Value: []byte(value)}, &res); err != nil {
		t.Fatal(err)
	}
	r.store.Flush()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.store.Wait(ctx, res.Seq); err != nil {
		t.Fatal(err)
	}
}

func (r *running) has(key, value string) bool {
	var v store.View
	if !r.store.Acquire([]byte(key), &v) {
		return false
	}
	defer v.Release()
	return string(v.Value) == value
}

func fetch(t *testing.T, r *running, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + r.admin.addr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// askVersion asks at the client port.
func askVersion(t *testing.T, r *running) string {
	t.Helper()
	var s Status
	_, body := fetch(t, r, "/status")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", s.Listen[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("version\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

func pairConfigs(t *testing.T) (a, b Config) {
	a, b = testConfig(t, 1), testConfig(t, 2)
	a.PeerListen, b.PeerListen = freeAddr(t), freeAddr(t)
	a.Peer, b.Peer = []string{b.PeerListen}, []string{a.PeerListen}
	return a, b
}

func TestSingleNode(t *testing.T) {
	r := start(t, testConfig(t, 0))
	r.waitReady(t)
	if code, body := fetch(t, r, "/readyz"); code != 200 || body != "ready: single node\n" {
		t.Fatalf("readyz: %d %q", code, body)
	}
	if code, _ := fetch(t, r, "/healthz"); code != 200 {
		t.Fatalf("healthz: %d", code)
	}
	if got := askVersion(t, r); got != "VERSION 1.6.18 futago-"+r.cfg.Version+"\r\n" {
		t.Errorf("version: %q", got)
	}
	r.set(t, "k", "v")
	_, body := fetch(t, r, "/status")
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("status: %v\n%s", err, body)
	}
	if s.Node != 1 || s.State != Ready || !s.Ready || s.Store.Items != 1 || len(s.Listen) != 1 || s.Acknowledgement.Mode != "local" {
		t.Fatalf("status: %s", body)
	}
	r.end(t)
	again := start(t, r.cfg)
	again.waitReady(t)
	if !again.has("k", "v") {
		t.Fatal("the record is gone after a restart")
	}
}

// The admin port may be a unix socket, as the client port; the file of a process that was killed is no obstacle.
// A full disk keeps nobody from reading, so the node stays ready, and says what it does not do.
func TestReadinessOnAFullDisk(t *testing.T) {
	c := testConfig(t, 0)
	c.MinFree = 1 << 60
	r := start(t, c)
	r.waitReady(t)
	want := "single node; writes are refused now: " + store.ErrNoSpace.Error()
	eventually(t, "the want of space is told", func() bool {
		code, body := fetch(t, r, "/readyz")
		return code == 200 && body == "ready: "+want+"\n" && r.Status().Reason == want
	})
}

func TestAdminPortOnAUnixSocket(t *testing.T) {
	c := testConfig(t, 1)
	path := filepath.Join(t.TempDir(), "admin")
	c.AdminListen = "unix:" + path
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	r := start(t, c)
	r.waitReady(t)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	resp, err := client.Get("http://node/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "ready: single node\n" {
		t.Errorf("readyz: got %d %q and %v, want 200 ready: single node", resp.StatusCode, body, err)
	}
}

func TestPairStartsTogetherAndDrains(t *testing.T) {
	ca, cb := pairConfigs(t)
	a, b := start(t, ca), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	eventually(t, "both acknowledge with the peer", func() bool {
		return !a.store.Acknowledgement().Solo && !b.store.Acknowledgement().Solo
	})
	a.set(t, "k", "1")
	if !b.has("k", "1") {
		t.Fatal("acknowledged, but the peer has it not")
	}
	a.end(t)
	eventually(t, "solo after the peer drained", func() bool { return b.store.Acknowledgement().Solo })
	b.set(t, "k", "2")
	a = start(t, ca)
	a.waitReady(t)
	if !a.has("k", "2") {
		t.Fatal("a returning node serves the past")
	}
}

// With ack=strict a node without its peer serves reads, refuses writes, says so, and goes on when the peer is back.
func TestStrictPair(t *testing.T) {
	ca, cb := pairConfigs(t)
	ca.Ack, cb.Ack = "strict", "strict"
	a, b := start(t, ca), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	accepts := func() bool { return b.Status().Acknowledgement.Refusal == "" }
	eventually(t, "writes are accepted", accepts)
	b.set(t, "k", "1")
	if !a.has("k", "1") {
		t.Fatal("acknowledged, but the peer has it not")
	}
	a.end(t)
	eventually(t, "writes are refused", func() bool { return !accepts() })
	if err := b.store.Commit(&store.Request{Op: store.Set, Key: []byte("k")}, &store.Result{}); !errors.Is(err, store.ErrNoPeer) {
		t.Errorf("write: %v, want %v", err, store.ErrNoPeer)
	}
	if code, body := fetch(t, b, "/readyz"); code != 200 || !strings.Contains(body, "; writes are refused now: "+store.ErrNoPeer.Error()) {
		t.Errorf("readyz: %d %q", code, body)
	}
	s := b.Status()
	if s.Acknowledgement.Mode != "strict" || s.Acknowledgement.Solo || s.Acknowledgement.Refused != 1 || s.Store.Refusal != store.ErrNoPeer.Error() {
		t.Errorf("status: %+v, store %q", s.Acknowledgement, s.Store.Refusal)
	}
	_, metrics := fetch(t, b, "/metrics")
	for _, line := range []string{"futago_store_solo 0", "futago_store_refusing_writes 1", "futago_store_refused_writes_total 1", "futago_store_unconfirmed_writes_total 0"} {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			t.Errorf("metrics lack %q", line)
		}
	}
	a = start(t, ca)
	a.waitReady(t)
	eventually(t, "writes are accepted again", accepts)
	b.set(t, "k", "2")
	if !a.has("k", "2") {
		t.Error("acknowledged, but the peer has it not")
	}
}

func TestAloneStartsAfterTheTimeout(t *testing.T) {
	ca, cb := pairConfigs(t)
	a := start(t, ca)
	eventually(t, "the admin port is open", func() bool { return a.opened.Load() })
	if code, body := fetch(t, a, "/readyz"); code != 503 || !strings.HasPrefix(body, "catching-up: ") {
		t.Fatalf("readyz before: %d %q", code, body)
	}
	a.waitReady(t)
	if code, body := fetch(t, a, "/readyz"); code != 200 || !strings.Contains(body, "peer did not answer") {
		t.Fatalf("readyz after: %d %q", code, body)
	}
	b := start(t, cb)
	b.waitReady(t)
	eventually(t, "the reason follows the peer that came", func() bool {
		code, body := fetch(t, a, "/readyz")
		return code == 200 && body == "ready: caught up with the peer\n" && a.Status().Reason == "caught up with the peer"
	})
	b.end(t)
	eventually(t, "the peer is gone", func() bool { return a.Status().Acknowledgement.Solo })
	if reason := a.Status().Reason; !strings.HasPrefix(reason, "caught up with the peer; solo now") {
		t.Errorf("the reason went back to %q", reason)
	}
}

// A node that follows itself alone has not caught up with anybody.
func TestPeerIsThisNode(t *testing.T) {
	ca, cb := pairConfigs(t)
	ca.Peer, ca.CatchupTimeout = []string{ca.PeerListen}, 30*time.Second
	a := start(t, ca)
	a.waitReady(t)
	if code, body := fetch(t, a, "/readyz"); code != 200 || !strings.HasPrefix(body, "ready: no other node is known: peer names this node itself") {
		t.Errorf("readyz: %d %q", code, body)
	}
	if !slices.ContainsFunc(a.events.recent(), func(e Event) bool { return strings.Contains(e.Text, "peer names this node alone") }) {
		t.Errorf("no word in the log: %+v", a.events.recent())
	}
	b := start(t, cb)
	b.waitReady(t)
	eventually(t, "the reason follows the peer that joined", func() bool { return a.Status().Reason == caughtUpReason })
	a.end(t)
	b.set(t, "k", "v")
	a = start(t, ca) // it knows b now
	a.waitReady(t)
	if reason := a.Status().Reason; reason != caughtUpReason || !a.has("k", "v") {
		t.Errorf("after a restart it is ready: %s, without what the peer has", reason)
	}
}

func TestConfigWarnings(t *testing.T) {
	for _, x := range []struct {
		listen, advertise string
		peer              []string
		want              bool
	}{
		{"10.0.0.1:1", "", []string{"10.0.0.1:1"}, true},
		{":1", "a:1", []string{"a:1"}, true},
		{":1", "", []string{"localhost:1"}, true},
		{"[::]:1", "", []string{"127.0.0.1:1", "[::1]:1"}, true},
		{"0.0.0.0:1", "", []string{"127.0.0.1:2"}, false},
		{"10.0.0.1:1", "", []string{"127.0.0.1:1"}, false},
		{":1", "", []string{"10.0.0.2:1"}, false},
		{":1", "", []string{"127.0.0.1:1", "10.0.0.2:1"}, false},
		{":1", "", nil, false},
	} {
		c := Config{PeerListen: x.listen, PeerAdvertise: x.advertise, Peer: x.peer}
		if got := c.Warnings(); len(got) == 1 != x.want {
			t.Errorf("listen %q, advertise %q, peer %q: %q, want a warning: %v", x.listen, x.advertise, x.peer, got, x.want)
		}
	}
}

func TestOneIdTwiceIsRefused(t *testing.T) {
	ca, cb := pairConfigs(t)
	cb.Node = ca.Node
	a := start(t, ca)
	a.waitReady(t) // alone
	b, err := New(cb)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "both nodes have the id 1") {
		t.Fatalf("the second node ended with %v", err)
	}
	if !a.Status().Ready {
		t.Fatalf("the first node was disturbed: %+v", a.Status())
	}
}

func TestFolderOfAnotherNodeIsRefused(t *testing.T) {
	c := testConfig(t, 1)
	r := start(t, c)
	r.waitReady(t)
	r.end(t)
	c.Node = 2
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "belongs to node 1") {
		t.Fatalf("got %v", err)
	}
}

func TestMissedHeartbeatsOfAFrozenNode(t *testing.T) {
	ca, cb := pairConfigs(t)
	a, b := start(t, ca), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	// What the freeze watcher does when the process stood still.
	a.pullers()[0].Drop()
	a.source.Drop()
	a.again("stood still", true)
	a.waitReadyAgain(t)
}

// Who asks a node that stood still before its watcher has run is told so, and not what held before.
func TestReadinessOfAFrozenNode(t *testing.T) {
	ca, cb := pairConfigs(t)
	a, b := start(t, ca), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	eventually(t, "it says that it stood still", func() bool {
		last := time.Now().Add(-2 * ca.PeerTimeout)
		a.beat.Store(&last)
		status := a.Status()
		ok, text := a.readiness()
		return !ok && strings.Contains(text, "stood still") && status.State == CatchingUp && !status.Ready
	})
	a.waitReadyAgain(t)
}

func TestValidateNamesEveryProblem(t *testing.T) {
	c := DefaultConfig()
	c.Peer, c.Fsync, c.MaxConns, c.SegmentSize = []string{"x:1"}, "sometimes", 0, 5
	c.Allow = []string{"shutdown", "shutdwon"}
	c.PeerTLSCert, c.PeerCompress, c.PeerCopyRate = "cert.pem", "gzip", 1000
	err := c.Validate()
	for _, key := range []string{"allow", "peer-listen", "node", "fsync", "max-conns", "segment-size", "peer-tls-ca", "peer-compress", "peer-copy-rate"} {
		if err == nil || !strings.Contains(err.Error(), key+" ") {
			t.Errorf("%s is not named in:\n%v", key, err)
		}
	}
	for _, ack := range []string{"peer", "strict"} {
		c = DefaultConfig()
		c.Ack = ack
		if got, want := fmt.Sprint(c.Validate()), fmt.Sprintf("ack %q: allowed is local without a peer", ack); got != want {
			t.Errorf("Validate: got %s, want %s", got, want)
		}
	}
	c = DefaultConfig()
	c.Listen, c.AdminListen, c.PeerListen, c.Peer = []string{"foo", ":1,protocols=htp"}, ":1,protocols=http", "unix:/x", []string{"10.0.0.2"}
	c.AllowOpen = access.OpenWords
	c.Node, c.PeerTimeout, c.IdleTimeout, c.PeerTLSName = 1, -time.Second, -time.Minute, "b.example"
	want := `listen "foo": want host:port, [v6]:port, :port or unix:/path
listen ":1,protocols=htp": unknown protocol "htp", nearest is "http"
admin-listen ":1,protocols=http": allowed is host:port, [v6]:port, :port or unix:/path, with ,tls or ,tls=mutual behind it or not, or none
peer-listen "unix:/x": allowed is host:port, [v6]:port or :port
peer "10.0.0.2": allowed is host:port or [v6]:port
peer-tls-name "b.example": allowed is a name together with peer-tls-cert, peer-tls-key and peer-tls-ca
peer-timeout -1s: allowed is more than 0
idle-timeout -1m0s: allowed is 0 or more`
	if got := fmt.Sprint(c.Validate()); got != want {
		t.Errorf("Validate: got\n%s\nwant\n%s", got, want)
	}
	if err := fmt.Sprint(err); strings.Contains(err, "max-value") {
		t.Errorf("a good key is named in:\n%v", err)
	}
}

// Three nodes of which two name only the first one find each other, and all have everything. What one of them removes is
// removed on all.
func TestMeshOfThree(t *testing.T) {
	var c [3]Config
	for i := range c {
		c[i] = testConfig(t, i+1)
		c[i].PeerListen = freeAddr(t)
	}
	c[1].Peer, c[2].Peer = []string{c[0].PeerListen}, []string{c[0].PeerListen, c[2].PeerListen} // its own is passed over
	var r [3]*running
	for i := range r {
		r[i] = start(t, c[i])
		r[i].waitReady(t)
	}
	whole := func() bool {
		for _, n := range r {
			links := n.pullers()
			if len(links) != 2 {
				return false
			}
			for _, l := range links {
				if ok, _ := l.CaughtUp(); !ok || l.Status().State != "stream" {
					return false
				}
			}
		}
		return true
	}
	eventually(t, "each node follows both others", whole)
	for i, n := range r {
		n.set(t, fmt.Sprint("by", i+1), "x")
	}
	eventually(t, "all have everything", func() bool {
		for _, n := range r {
			for i := range r {
				if !n.has(fmt.Sprint("by", i+1), "x") {
					return false
				}
			}
		}
		return true
	})
	// The second node comes back while the first one, the only one that it names, is away: it knows the third.
	r[1].end(t)
	r[0].end(t)
	r[2].set(t, "late", "x")
	r[1] = start(t, c[1])
	r[1].waitReady(t)
	if !r[1].has("late", "x") {
		t.Error("a returning node did not take what the third one wrote")
	}
	if code, body := r[1].act(t, "/peers/forget?node=3"); code != http.StatusConflict {
		t.Errorf("a connected node was removed: %d %s", code, body)
	}
	if code, body := r[1].act(t, "/peers/forget?node=1"); code != 200 {
		t.Fatalf("forget node 1: %d %s", code, body)
	}
	eventually(t, "the third node hears of it", func() bool {
		m, _ := r[2].store.Member(1)
		return m.Gone
	})
	n, err := New(c[0])
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	eventually(t, "the removed node is refused", func() bool {
		for _, l := range n.pullers() {
			if st := l.Status(); st.State == "refused" && strings.Contains(st.Reason, "removed from the mesh") {
				return true
			}
		}
		return false
	})
	eventually(t, "the removed node says so and does not serve", func() bool {
		state, reason, _ := n.state.get()
		return state == CatchingUp && strings.Contains(reason, "removed from the mesh")
	})
	if n.listening.Load() {
		t.Error("a removed node opened its client port")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// act posts to the admin port.
func (r *running) act(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+r.admin.addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(access.ActionHeader, "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
