//go:build unix

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A connection stays on the plain path as long as its requests do, and loses no byte when it goes to net/http.
func TestPipelined(t *testing.T) {
	a := newBackend(t, echo)
	f := start(t, nil, a)
	c := f.dial()
	const host = " HTTP/1.1\r\nHost: h\r\n\r\n"
	c.send("GET /1" + host + "HEAD /2" + host + "GET /3" + host + "GET /4 HT")
	for i, method := range []string{"GET", "HEAD", "GET"} {
		want := fmt.Sprint("/", i+1)
		if method == "HEAD" {
			want = ""
		}
		if got := c.receive(method); got.status != 200 || got.body != want {
			t.Fatalf("reply %d: got %+v", i+1, got)
		}
	}
	if n := f.plainConnections(); n != 1 {
		t.Errorf("got %d plain connections, want 1", n)
	}
	c.send("TP/1.1\r\nHost: h\r\n\r\nGET /5 HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\nGET /6" + host + "PUT /7 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /")
	for i := range 3 {
		if got := c.receive("GET"); got.status != 200 || got.body != fmt.Sprint("/", i+4) {
			t.Fatalf("reply %d: got %+v", i+4, got)
		}
	}
	if got := c.receive("PUT"); got.status != 403 {
		t.Errorf("PUT: got %+v, want 403", got)
	}
	c.ends()
	eventually(t, "the connection has left the plain path", func() bool { return f.plainConnections() == 0 })
	if n := len(a.requests()); n != 6 {
		t.Errorf("requests at a: got %d, want 6", n)
	}
}

// At a unix socket a client has no address: what it says of others passes as it is.
func TestPlainAtUnixSocket(t *testing.T) {
	a := newBackend(t, echo)
	path := filepath.Join(t.TempDir(), "gateway.sock")
	f := start(t, func(cfg *Config) { cfg.Listen = "unix:" + path }, a)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &talk{conn, t, bufio.NewReader(conn)}
	c.send("GET /a HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n\r\n")
	if got := c.receive("GET"); got.status != 200 || f.plainConnections() != 1 {
		t.Fatalf("got %+v, want 200 by itself", got)
	}
	if seen := a.requests(); len(seen) != 1 || !strings.HasSuffix(seen[0], "\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n\r\n") {
		t.Errorf("upstream saw %q", seen)
	}
	f.stop()
	if !strings.HasPrefix(f.log.String(), "- [") {
		t.Errorf("access log: got %q, want no address", f.log)
	}
}

// A mistake of ours costs one connection, and neither the process nor a connection to an upstream.
func TestPlainPanic(t *testing.T) {
	a := newBackend(t, echo)
	f := start(t, nil, a)
	c := f.dial()
	c.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	c.receive("GET")
	f.group.Load().balancer.mu.Lock()
	peers := f.group.Load().balancer.peers
	f.group.Load().balancer.peers = nil // then none can be picked
	f.group.Load().balancer.mu.Unlock()
	c.send("GET /b HTTP/1.1\r\nHost: h\r\n\r\n")
	c.ends()
	f.group.Load().balancer.mu.Lock()
	f.group.Load().balancer.peers = peers
	f.group.Load().balancer.mu.Unlock()
	if got := f.do("GET", "/c"); got.status != 200 || got.body != "/c" {
		t.Errorf("got %+v, want 200", got)
	}
}

// A body behind a plain request is no request, whatever it looks like.
func TestNothingIsSmuggledBehindPlain(t *testing.T) {
	for framing, second := range map[string]string{
		"length":  "GET /b HTTP/1.1\r\nHost: h\r\nContent-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n    ",
		"chunked": "GET /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n26\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n    \r\n0\r\n\r\n",
		"old":     "GET /b HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		t.Run(framing, func(t *testing.T) {
			a := newBackend(t, echo)
			f := start(t, nil, a)
			c := f.dial()
			c.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n" + second)
			if got := c.receive("GET"); got.body != "/a" {
				t.Fatalf("got %+v, want the reply to /a", got)
			}
			c.receive("GET")
			c.ends()
			f.stop()
			for _, request := range a.requests() {
				if strings.Contains(request, "smuggled") {
					t.Errorf("upstream saw %q", request)
				}
			}
			if strings.Contains(string(a.stray), "smuggled") {
				t.Errorf("upstream saw %q", a.stray)
			}
		})
	}
}

// What an upstream says beyond its reply is never the reply to another request, neither when it comes with the reply nor
// when it comes later.
func TestUnaskedBytes(t *testing.T) {
	for name, extra := range map[string]string{
		"a reply": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "a body to HEAD": "evil", "part of a line": "H", "the end": "",
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/late=%v", name, late), func(t *testing.T) {
				a := newBackend(t, nil)
				let := make(chan struct{})
				a.set(func(conn net.Conn, request string) bool {
					method, target := strings.Fields(request)[0], strings.Fields(request)[1]
					reply := fmt.Sprintf("HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 3\r\n\r\n", target)
					if method == "GET" {
						reply += "yes"
					}
					if !late {
						io.WriteString(conn, reply+extra)
						return extra != ""
					}
					io.WriteString(conn, reply)
					<-let
					io.WriteString(conn, extra)
					return extra != ""
				})
				f := start(t, nil, a)
				c := f.dial()
				for i := range 10 {
					method := []string{"GET", "HEAD"}[i%2]
					c.send(fmt.Sprintf("%s /%d HTTP/1.1\r\nHost: h\r\n\r\n", method, i))
					if got := c.receive(method); got.status != 200 || got.header.Get("X") != fmt.Sprint("/", i) {
						t.Fatalf("request %d: got %+v", i, got)
					}
					if late {
						let <- struct{}{}
						eventually(t, "what came late is there", f.group.Load().upstreams[0].conns.disturbed)
					}
				}
				if s := f.upstreamStatus(0); s.Failures != 0 || s.Requests != 10 {
					t.Errorf("got %+v, want 10 requests and no failure", s)
				}
				if n := f.plainConnections(); n != 1 {
					t.Errorf("got %d plain connections, want 1", n)
				}
			})
		}
	}
}

// disturbed reports whether there is something to read on every idle connection, or its end.
func (p *pool) disturbed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		if !readable(c.conn.Conn) {
			return false
		}
	}
	return true
}

// A client that sends nothing, or goes on too slowly, gets no answer and no place.
func TestPlainTimeouts(t *testing.T) {
	a := newBackend(t, echo)
	const short, long = upstreamTimeout, time.Hour
	for name, tt := range map[string]struct {
		header, idle time.Duration
		before       string // with its replies
		gets         int
		after        string
	}{
		"nothing":             {short, long, "", 0, ""},
		"half a head":         {short, long, "", 0, "GET / HTTP/1.1\r\n"},
		"idle":                {long, short, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1, ""},
		"half a head behind":  {short, long, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 1, "GET"},
		"half a head at once": {short, long, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := start(t, func(cfg *Config) { cfg.ReadHeaderTimeout, cfg.IdleTimeout = tt.header, tt.idle }, a)
			begin := time.Now()
			c := f.dial()
			c.send(tt.before)
			for range tt.gets {
				c.receive("GET")
			}
			c.send(tt.after)
			c.ends()
			if took := time.Since(begin); took < short/2 {
				t.Errorf("the connection ended after %s, want %s", took, short)
			}
			eventually(t, "the place is free", func() bool { return f.Status().Connections == 0 })
		})
	}
}

// A client that does not read its reply is cut off, and the upstream's connection with it.
func TestPlainClientThatDoesNotRead(t *testing.T) {
	a := newBackend(t, answers(200, "", strings.Repeat("v", 32<<20)))
	f := start(t, func(cfg *Config) { cfg.WriteTimeout = upstreamTimeout }, a)
	f.dial().send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "the request is at a", func() bool { return len(a.requests()) == 1 })
	eventually(t, "the place is free", func() bool { return f.Status().Connections == 0 })
	if s := f.upstreamStatus(0); s.Failures != 0 {
		t.Errorf("got %d failures of a, want none", s.Failures)
	}
}

func TestDrainClosesIdle(t *testing.T) {
	a := newBackend(t, echo)
	f := start(t, nil, a)
	idle, fresh := f.dial(), f.dial()
	idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	idle.receive("GET")
	eventually(t, "both are there", func() bool { return f.plainConnections() == 2 })
	begin := time.Now()
	f.stop()
	if took := time.Since(begin); took > patience/2 {
		t.Errorf("the stop took %s", took)
	}
	idle.ends()
	fresh.ends()
}

// A request that came in time is answered, and told that it was the last one.
func TestDrainAnswers(t *testing.T) {
	a := newBackend(t, nil)
	let := make(chan struct{})
	a.set(func(conn net.Conn, request string) bool {
		<-let
		return echo(conn, request)
	})
	f := start(t, nil, a)
	c, fresh := f.dial(), f.dial()
	c.send("GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
	eventually(t, "the request is at a, and both are there", func() bool { return len(a.requests()) == 1 && f.plainConnections() == 2 })
	stopped := make(chan struct{})
	go func() { f.stop(); close(stopped) }()
	eventually(t, "the gateway drains", func() bool { return f.Status().State == "draining" })
	fresh.send("GET /new HTTP/1.1\r\nHost: h\r\n\r\n")
	close(let)
	for _, c := range []*talk{c, fresh} {
		resp, err := http.ReadResponse(c.r, nil)
		if err != nil || resp.StatusCode != 200 || !resp.Close {
			t.Fatalf("got %+v, %v, want 200 and a close", resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		c.ends()
	}
	<-stopped
}

func TestPoolForgetsOldConnections(t *testing.T) {
	a := newBackend(t, echo)
	f := start(t, nil, a)
	c := f.dial()
	c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	c.receive("GET")
	p := f.group.Load().upstreams[0].conns
	count := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.idle) + len(p.open)
	}
	p.prune(time.Now().Add(idleConnTimeout / 2))
	if n := count(); n != 2 {
		t.Errorf("a young connection: got %d, want it idle and open", n)
	}
	p.prune(time.Now().Add(idleConnTimeout))
	if n := count(); n != 0 {
		t.Errorf("an old connection is kept")
	}
}

// A deadline that was set for an earlier read or write does not end a later one.
func TestTimedConn(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	c := timedConn{Conn: ours}
	soon := func() time.Time { return time.Now().Add(5 * time.Millisecond) }
	var room [4]byte
	if n, err := c.read(room[:], soon()); n != 0 || !isTimeout(err) {
		t.Fatalf("read: got %d, %v, want a time-out", n, err)
	}
	if n, err := c.write([]byte("abcd"), soon()); n != 0 || !isTimeout(err) {
		t.Fatalf("write: got %d, %v, want a time-out", n, err)
	}
	go theirs.Write([]byte("ab"))
	if n, err := c.read(room[:], time.Now().Add(time.Minute)); string(room[:n]) != "ab" || err != nil {
		t.Errorf("read: got %q, %v", room[:n], err)
	}
	result := make(chan string)
	go func() {
		var got [8]byte
		n, _ := io.ReadFull(theirs, got[:6])
		result <- string(got[:n])
	}()
	if n, err := c.write([]byte("abcdef"), time.Now().Add(time.Minute)); n != 6 || err != nil {
		t.Errorf("write: got %d, %v", n, err)
	}
	if got := <-result; got != "abcdef" {
		t.Errorf("written: got %q", got)
	}
	if _, err := c.read(room[:], soon()); !isTimeout(err) { // earlier than the deadline that is set
		t.Errorf("read: got %v, want a time-out", err)
	}
}

// The plain path allocates next to nothing for a request, from one end to the other.
func TestPlainAllocates(t *testing.T) {
	a := newBackend(t, nil)
	reply := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 100\r\n\r\n" + strings.Repeat("v", 100))
	a.set(func(conn net.Conn, _ string) bool { // from then on requests are read without allocations
		var room [4096]byte
		for {
			if _, err := conn.Write(reply); err != nil {
				return false
			}
			if _, err := conn.Read(room[:]); err != nil {
				return false
			}
		}
	})
	f := start(t, func(cfg *Config) {
		cfg.AccessLog, cfg.AllowPaths, cfg.User, cfg.Password = io.Discard, []string{"~/count_[a-z0-9]+"}, "gate", "word"
	}, a)
	c := f.dial()
	request := []byte("GET /count_1 HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\nAccept: */*\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n")
	var room [4096]byte
	exchange := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(room[:]); err != nil || n != len(reply) {
			t.Fatalf("got %q, %v", room[:n], err)
		}
	}
	exchange()
	if n := testing.AllocsPerRun(500, exchange); n > 1 {
		t.Errorf("got %v allocations a request, want next to none", n)
	}
}

// readable reports whether a read would find something, be it the end.
func readable(c net.Conn) (is bool) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var room [1]byte
		_, _, err := syscall.Recvfrom(int(fd), room[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		is = err != syscall.EAGAIN
	})
	return is || err != nil
}
