package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/futago/futago/internal/memcache"
)

// patience is how long a test waits for what must come: the time is seen only where the test fails.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conduct is what a fake node does with a request.
type conduct int

const (
	serve    conduct = iota
	hang             // neither execute nor answer, until the test ends
	vanish           // close the connection without executing
	forget           // execute, and close the connection without an answer
	nonsense         // answer what is no reply
	full             // refuse for want of disk
	breakOff         // execute, and close the connection before the last line of the answer
	plod             // execute, and send no more than 16 MB a second
)

// fakeNode is a node of few words: a map behind the text protocol, and an admin address.
type fakeNode struct {
	t     *testing.T
	addr  string
	admin *httptest.Server
	ready atomic.Bool
	done  chan struct{}
	wg    sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	data     map[string]string
	conduct  conduct
	only     string // the command that conduct is about; "" means all but version and mn
	seen     []string
	answers  int // requests after which it hangs; 0 for no such number
	noMeta   bool
	login    string // user and password, with a space between; "" asks for none
	wrong    int    // logins refused
	logouts  int    // how often everybody had to log in anew
}

// ownHost is a loopback address of this process alone, where the system has them all: nobody else takes the port of a node that
// is down, as clients and servers of other tests might at 127.0.0.1.
func ownHost() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.1", 192+os.Getpid()>>8%60, os.Getpid()&0xff)
}

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	n := &fakeNode{t: t, data: make(map[string]string), conns: make(map[net.Conn]bool), done: make(chan struct{})}
	n.ready.Store(true)
	n.start(net.JoinHostPort(ownHost(), "0"))
	n.admin = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !n.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "catching up: test\n")
			return
		}
		io.WriteString(w, "ready: test\n")
	}))
	t.Cleanup(func() {
		close(n.done)
		n.stop()
		n.admin.Close()
		n.wg.Wait()
	})
	return n
}

// start listens; a node that was stopped comes back with its data.
func (n *fakeNode) start(at string) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	n.listener, n.addr = l, l.Addr().String()
	n.mu.Unlock()
	n.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			n.mu.Lock()
			n.conns[nc] = true
			n.mu.Unlock()
			n.wg.Go(func() { n.session(nc) })
		}
	})
}

// stop closes the listener and all connections, as the death of a process does.
func (n *fakeNode) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listener.Close()
	for nc := range n.conns {
		nc.Close()
	}
}

func (n *fakeNode) behave(c conduct, only string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conduct, n.only = c, only
}

// hangAfter lets the node answer so many requests and hang then.
func (n *fakeNode) hangAfter(answers int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers = answers
}

func (n *fakeNode) plods() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.conduct == plod
}

func (n *fakeNode) value(key string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.data[key]
}

func (n *fakeNode) put(key, value string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.data[key] = value
}

// requests returns the command lines seen, without those of checks and greetings.
func (n *fakeNode) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.seen...)
}

func (n *fakeNode) upstream() Upstream {
	return Upstream{Addr: n.addr, Check: strings.TrimPrefix(n.admin.URL, "http://"), Weight: 1}
}

func (n *fakeNode) session(nc net.Conn) {
	defer func() {
		nc.Close()
		n.mu.Lock()
		delete(n.conns, nc)
		n.mu.Unlock()
	}()
	r, w := bufio.NewReaderSize(nc, 1<<21), bufio.NewWriter(nc)
	if first, err := r.Peek(1); err == nil && first[0] == binaryRequest {
		n.binarySession(r, nc)
		return
	}
	for authenticated, logouts := false, 0; ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		var data string
		size := -1
		switch {
		case words[0] == "ms":
			size, _ = strconv.Atoi(words[2])
		case len(words) >= 5:
			switch words[0] {
			case "set", "add", "append", "prepend", "replace", "cas":
				size, _ = strconv.Atoi(words[4])
			}
		}
		n.mu.Lock()
		noMeta := n.noMeta
		n.mu.Unlock()
		if noMeta && len(words[0]) == 2 {
			size = -1 // it does not know about the data
		}
		if size >= 0 {
			b := make([]byte, size+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			data = string(b[:size])
		}
		if n.loggedOut(&logouts) {
			authenticated = false
		}
		if !authenticated {
			var reply string
			if authenticated, reply = n.admit(words, data); reply != "" {
				w.WriteString(reply)
				w.Flush()
				continue
			}
		}
		reply, ok := n.answer(words, data)
		if n.plods() {
			select {
			case <-time.After(time.Duration(len(reply)) * time.Second / 16e6):
			case <-n.done:
			}
		}
		if reply != "" {
			w.WriteString(reply)
		}
		if !ok || r.Buffered() == 0 && w.Flush() != nil {
			w.Flush()
			return
		}
	}
}

// admit lets in who authenticates, or everybody.
func (n *fakeNode) admit(words []string, data string) (authenticated bool, reply string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.login == "":
		return true, ""
	case words[0] != "set":
		return false, memcache.ReplyUnauthenticated
	case data == n.login:
		return true, memcache.ReplyStored
	}
	n.wrong++
	return false, memcache.ReplyAuthFailure
}

// asks makes the node ask for user and password, and returns how many logins it has refused.
func (n *fakeNode) asks(login string) (wrong int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.login = login
	return n.wrong
}

// logOut makes everybody log in anew.
func (n *fakeNode) logOut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logouts++
}

// loggedOut says whether there was a logOut since the session looked last.
func (n *fakeNode) loggedOut(seen *int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := *seen
	*seen = n.logouts
	return before != *seen
}

// diskFull is the answer of a node whose conduct is full.
const diskFull = "disk is nearly full: free space or lower min-free"

// answer executes a command. false closes the connection.
func (n *fakeNode) answer(words []string, data string) (reply string, ok bool) {
	n.mu.Lock()
	c := n.conduct
	if words[0] == "version" || words[0] == "mn" || n.only != "" && n.only != words[0] {
		c = serve
	} else if n.answers > 0 && len(n.seen) >= n.answers {
		c = hang
	}
	if c == hang {
		n.mu.Unlock()
		<-n.done
		return "", false
	}
	defer n.mu.Unlock()
	if words[0] != "version" && words[0] != "mn" {
		n.seen = append(n.seen, strings.Join(words, " "))
	}
	switch c {
	case vanish:
		return "", false
	case nonsense:
		return "HTTP/1.1 200 OK\r\n", true
	case full:
		return "SERVER_ERROR " + diskFull + "\r\n", true
	}
	if n.noMeta && len(words[0]) == 2 {
		return "ERROR\r\n", true
	}
	reply = n.run(words, data)
	switch c {
	case forget:
		return "", false
	case breakOff:
		return strings.TrimSuffix(reply, "END\r\n"), false
	}
	return reply, true
}

func (n *fakeNode) run(words []string, data string) string {
	switch words[0] {
	case "version":
		return "VERSION 1.6.18\r\n"
	case "mn":
		return "MN\r\n"
	case "get", "gets", "gat":
		keys := words[1:]
		if words[0] == "gat" {
			keys = words[2:]
		}
		var b strings.Builder
		for _, k := range keys {
			if v, ok := n.data[k]; ok {
				fmt.Fprintf(&b, "VALUE %s 0 %d", k, len(v))
				if words[0] == "gets" {
					b.WriteString(" 7")
				}
				fmt.Fprintf(&b, "\r\n%s\r\n", v)
			}
		}
		return b.String() + "END\r\n"
	case "set":
		n.data[words[1]] = data
		return "STORED\r\n"
	case "add":
		if _, ok := n.data[words[1]]; ok {
			return "NOT_STORED\r\n"
		}
		n.data[words[1]] = data
		return "STORED\r\n"
	case "append":
		n.data[words[1]] += data
		return "STORED\r\n"
	case "incr":
		v, err := strconv.Atoi(n.data[words[1]])
		if err != nil {
			return "NOT_FOUND\r\n"
		}
		d, _ := strconv.Atoi(words[2])
		n.data[words[1]] = strconv.Itoa(v + d)
		return n.data[words[1]] + "\r\n"
	case "delete":
		if _, ok := n.data[words[1]]; !ok {
			return "NOT_FOUND\r\n"
		}
		delete(n.data, words[1])
		return "DELETED\r\n"
	case "touch":
		return "TOUCHED\r\n"
	case "flush_all":
		clear(n.data)
		return "OK\r\n"
	case "ms":
		n.data[words[1]] = data
		if strings.Contains(" "+strings.Join(words[3:], " ")+" ", " q ") {
			return ""
		}
		return "HD\r\n"
	case "mg":
		v, ok := n.data[words[1]]
		quiet := strings.Contains(" "+strings.Join(words[2:], " ")+" ", " q ")
		switch {
		case !ok && quiet:
			return ""
		case !ok:
			return "EN\r\n"
		}
		return fmt.Sprintf("VA %d\r\n%s\r\n", len(v), v)
	}
	return "ERROR\r\n"
}

// testProxy is a proxy that runs until the test ends.
type testProxy struct {
	*Proxy
	t    *testing.T
	stop func() error
}

// startProxy runs a proxy and waits until all nodes are up.
func startProxy(t *testing.T, change func(*Config), nodes ...*fakeNode) *testProxy {
	t.Helper()
	p := runProxy(t, change, nodes...)
	p.waitUp(len(nodes))
	return p
}

// brief is for tests in which a node hangs. Another one has half of the time to answer.
func brief(c *Config) { c.Timeout = 4 * time.Second }

// runProxy runs a proxy. Its time-out is one that is met by a busy machine, and its checks have their longest limit.
func runProxy(t *testing.T, change func(*Config), nodes ...*fakeNode) *testProxy {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Listen, cfg.AdminListen, cfg.Version = "127.0.0.1:0", "127.0.0.1:0", "9.9.9"
	cfg.Timeout, cfg.CheckInterval = 20*time.Second, time.Second
	for _, n := range nodes {
		cfg.Upstreams = append(cfg.Upstreams, n.upstream())
	}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- p.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-result
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return &testProxy{Proxy: p, t: t, stop: stop}
}

// metrics is the page of /metrics.
func (p *testProxy) metrics() string {
	p.t.Helper()
	w := httptest.NewRecorder()
	p.AdminHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// waitUp waits until so many upstreams are up.
func (p *testProxy) waitUp(want int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d upstreams are up", want), func() bool {
		up := 0
		for _, u := range p.Status().Upstreams {
			if u.State == "up" {
				up++
			}
		}
		return up == want
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for: %s", patience, what)
		}
	}
}

// testClient is a client that sees bytes.
type testClient struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func (p *testProxy) dial() *testClient {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	return &testClient{p.t, nc, bufio.NewReader(patient{nc})}
}

// patient gives each read that time: with the race detector on a busy machine a test of many megabytes takes longer in all.
type patient struct{ nc net.Conn }

func (p patient) Read(b []byte) (int, error) {
	p.nc.SetReadDeadline(time.Now().Add(patience))
	return p.nc.Read(b)
}

func (c *testClient) send(text string) {
	c.t.Helper()
	c.nc.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.nc, text); err != nil {
		c.t.Fatal(err)
	}
}

// want reads as many bytes as want has and compares them.
func (c *testClient) want(want string) {
	c.t.Helper()
	b := make([]byte, len(want))
	n, err := io.ReadFull(c.r, b)
	if string(b[:n]) != want {
		more, _ := c.r.Peek(c.r.Buffered())
		c.t.Fatalf("got %.200q and %.200q, error %v, want %.200q", b[:n], more, err, want)
	}
}

// talk sends text and expects exactly the reply.
func (c *testClient) talk(text, want string) {
	c.t.Helper()
	c.send(text)
	c.want(want)
}

func (c *testClient) line() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// wantClosed expects the end of the connection.
func (c *testClient) wantClosed() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	var netErr net.Error
	if len(rest) > 0 || errors.As(err, &netErr) && netErr.Timeout() {
		c.t.Fatalf("got %q, error %v, want the end", rest, err)
	}
}

// frontCalls decodes what a client sends, in pieces of the given sizes, and returns what would go to upstreams or
// back, one string for each call.
func frontCalls(p *Proxy, input []byte, piece func(left int) int) (calls []string, closed bool) {
	c := newClient(p, nil, 0)
	for {
		c.decode()
		for i := range c.calls {
			k := &c.calls[i]
			out := k.reply
			if k.shape != shapeLocal {
				k.begin()
				out = k.appendTo(nil)
			}
			calls = append(calls, fmt.Sprintf("%d mute=%v safe=%v key=%q part=%v %q", k.shape, k.mute, k.safe, k.key, k.part, out))
		}
		if len(c.calls) > 0 {
			c.endRound()
			continue
		}
		if c.closing {
			return calls, true
		}
		if len(input) == 0 {
			return calls, false
		}
		n := min(max(piece(len(input)), 1), len(input))
		c.have = copy(c.in, c.in[c.read:c.have])
		c.read = 0
		for c.have+n > len(c.in) {
			if !c.grow() {
				return calls, true
			}
		}
		c.have += copy(c.in[c.have:], input[:n])
		input = input[n:]
	}
}

// offlineProxy is one that never runs.
func offlineProxy(t testing.TB, change func(*Config)) *Proxy {
	cfg := DefaultConfig()
	cfg.Upstreams = []Upstream{{Addr: "127.0.0.1:1", Weight: 1}, {Addr: "127.0.0.1:2", Weight: 1}}
	cfg.MaxValue = 1 << 10
	cfg.Version = "9.9.9"
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// oneRequest says whether a server sees exactly one request in b.
func oneRequest(b []byte) bool {
	var d memcache.Decoder
	var r memcache.Request
	n, _, err := d.Decode(b, &r)
	return err == nil && n == len(b) && r.Op != memcache.OpError && !bytes.HasPrefix(b, []byte(" "))
}
