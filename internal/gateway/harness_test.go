package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long a test waits for what must come: the time is seen only where the test fails.
const patience = time.Minute

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is an upstream that speaks bytes, so that it can misbehave below HTTP and see what really arrives.
type backend struct {
	t    testing.TB
	addr string
	done chan struct{} // closed at the end of the test: frees whoever hangs
	wg   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	answer   answer
	options  answer   // to OPTIONS *
	seen     []string // raw headers of requests, but for OPTIONS *
	stray    []byte   // bytes that came after a header and are no new GET, HEAD or OPTIONS
}

// answer replies to one request on conn; false closes the connection.
type answer func(conn net.Conn, header string) bool

// answers replies as a well-behaved server.
func answers(status int, header, body string) answer {
	return func(conn net.Conn, request string) bool {
		fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Length: %d\r\n%s\r\n", status, http.StatusText(status), len(body), header)
		if !strings.HasPrefix(request, "HEAD ") {
			io.WriteString(conn, body)
		}
		return true
	}
}

func raw(text string) answer {
	return func(conn net.Conn, _ string) bool {
		io.WriteString(conn, text)
		return false
	}
}

func closes(net.Conn, string) bool { return false }

func resets(conn net.Conn, _ string) bool {
	conn.(*net.TCPConn).SetLinger(0)
	return false
}

// hangs answers nothing until the test ends or the gateway gives up.
func (b *backend) hangs(conn net.Conn, _ string) bool {
	gone := make(chan struct{})
	b.wg.Go(func() { conn.Read(make([]byte, 1)); close(gone) })
	select {
	case <-b.done:
	case <-gone:
	}
	return false
}

// ownHost is a loopback address of this process alone, where the system has them all: nobody else takes the port of a backend that
// is down, as clients and servers of other tests might at 127.0.0.1.
func ownHost() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.1", 192+os.Getpid()>>8%60, os.Getpid()&0xff)
}

func newBackend(t testing.TB, a answer) *backend {
	b := &backend{t: t, answer: a, options: answers(200, "", ""), done: make(chan struct{}), conns: make(map[net.Conn]bool)}
	l, err := net.Listen("tcp", net.JoinHostPort(ownHost(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	b.serve(l)
	t.Cleanup(func() {
		close(b.done)
		b.stop()
		b.wg.Wait()
	})
	return b
}

// stop makes connections refused.
func (b *backend) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener != nil {
		b.listener.Close()
		b.listener = nil
	}
	for conn := range b.conns {
		conn.Close()
	}
}

// restart listens at the old address again.
func (b *backend) restart() {
	l, err := net.Listen("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.serve(l)
}

func (b *backend) serve(l net.Listener) {
	b.mu.Lock()
	b.listener = l
	b.mu.Unlock()
	b.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.conns[conn] = true
			b.mu.Unlock()
			b.wg.Go(func() { b.talk(conn) })
		}
	})
}

func (b *backend) talk(conn net.Conn) {
	defer func() {
		conn.Close()
		b.mu.Lock()
		delete(b.conns, conn)
		b.mu.Unlock()
	}()
	r := bufio.NewReader(conn)
	for {
		var header strings.Builder
		for {
			line, err := r.ReadString('\n')
			if header.WriteString(line); err != nil {
				b.note(header.String())
				return
			}
			if line == "\r\n" {
				break
			}
		}
		request := header.String()
		b.mu.Lock()
		a := b.answer
		if strings.HasPrefix(request, "OPTIONS * ") {
			a = b.options
		} else {
			b.seen = append(b.seen, request)
		}
		b.mu.Unlock()
		if !a(conn, request) {
			return
		}
	}
}

// note keeps bytes that were not a request.
func (b *backend) note(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stray = append(b.stray, s...)
}

func (b *backend) set(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = a
}

func (b *backend) setOptions(a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.options = a
}

func (b *backend) requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.seen...)
}

// syncBuffer is a buffer that the gateway writes and the test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// fixture is a running gateway with a client.
type fixture struct {
	*Gateway
	t      testing.TB
	client *http.Client
	log    *syncBuffer
	stop   func() // ends Run and waits for it

	address string // where the clients connect
}

// start runs a gateway in front of backends. The first has nearly all the weight, so requests meet it first.
// Active checks are off, and no upstream is given up for being slow, unless change says so.
func start(t testing.TB, change func(*Config), backends ...*backend) *fixture {
	t.Helper()
	f := &fixture{t: t, log: &syncBuffer{}}
	cfg := DefaultConfig()
	cfg.Listen, cfg.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.CheckInterval = 0
	cfg.UpstreamTimeout, cfg.RetryBudget, cfg.ShutdownTimeout = patience, patience, patience
	cfg.AccessLog = f.log
	cfg.Version = "v-test"
	for i, b := range backends {
		u := DefaultUpstream(b.addr)
		if i == 0 {
			u.Weight = 1000
		}
		cfg.Upstreams = append(cfg.Upstreams, u)
	}
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	f.Gateway, f.address = g, g.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- g.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-result; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	f.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       2 * patience,
	}
	if strings.Contains(t.Name(), netWay) {
		f.client.Transport = wayTransport{f.client.Transport.(*http.Transport)}
	}
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		f.stop()
	})
	return f
}

// got is a reply with its body read.
type got struct {
	status int
	header http.Header
	body   string
	err    error // of the body
}

func (f *fixture) do(method, path string) got {
	f.t.Helper()
	req, err := http.NewRequest(method, f.url(path), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.send(req)
}

func (f *fixture) send(req *http.Request) got {
	f.t.Helper()
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(body), err}
}

func (f *fixture) url(path string) string { return "http://" + f.address + path }

func (f *fixture) admin(path string) got {
	f.t.Helper()
	req, err := http.NewRequest("GET", "http://"+f.AdminAddr()+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.send(req)
}

// rawExchange sends bytes on a connection of their own and returns all that comes back until the gateway closes it.
func (f *fixture) rawExchange(text string) string {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		f.t.Fatal(err)
	}
	reply, err := io.ReadAll(conn)
	if err != nil {
		f.t.Fatalf("read after %q: %v, so far %q", text, err, reply)
	}
	return string(reply)
}

// plainConnections is the number of clients' connections that net/http does not have.
func (f *fixture) plainConnections() int {
	f.plain.mu.Lock()
	defer f.plain.mu.Unlock()
	return len(f.plain.open)
}

// talk is a client's connection that is kept.
type talk struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (f *fixture) dial() *talk {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &talk{conn, f.t, bufio.NewReader(conn)}
}

func (c *talk) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("send %q: %v", text, err)
	}
}

// receive reads the reply to a request of the given method.
func (c *talk) receive(method string) got {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("read a reply: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(body), err}
}

// ends demands that the gateway closes the connection without another byte.
func (c *talk) ends() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		c.t.Errorf("got %q, %v, want the end of the connection", rest, err)
	}
}

// echo answers with the target of the request.
func echo(conn net.Conn, request string) bool {
	return answers(200, "", strings.Fields(request)[1])(conn, request)
}

// upstreamStatus is the status of the i-th upstream.
func (f *fixture) upstreamStatus(i int) UpstreamStatus { return f.Status().Upstreams[i] }

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("never came true: %s", what)
		}
	}
}
