package futago

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// script answers the n-th request line on any connection with replies[n], whatever it is.
func script(t *testing.T, replies ...string) (addr string, connections func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	accepted := 0
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			accepted++
			mu.Unlock()
			running.Go(func() {
				defer nc.Close()
				b := make([]byte, 64<<10)
				for {
					if _, err := nc.Read(b); err != nil {
						return
					}
					mu.Lock()
					reply := ""
					if len(replies) > 0 {
						reply, replies = replies[0], replies[1:]
					}
					mu.Unlock()
					if reply == "" {
						return
					}
					if _, err := io.WriteString(nc, reply); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String(), func() int {
		mu.Lock()
		defer mu.Unlock()
		return accepted
	}
}

// TestReuseOnlyAfterCleanReplies: what a server says too much or wrongly never becomes the answer to another request.
func TestReuseOnlyAfterCleanReplies(t *testing.T) {
	tests := []struct {
		name    string
		replies []string
		err     error
		conns   int
	}{
		{"clean", []string{"VALUE k 0 1\r\nx\r\nEND\r\n", "END\r\n"}, nil, 1},
		{"two replies", []string{"VALUE k 0 1\r\nx\r\nEND\r\nVALUE k 0 1\r\ny\r\nEND\r\n", "END\r\n"}, nil, 2},
		{"other key", []string{"VALUE other 0 1\r\nx\r\nEND\r\n"}, ErrServerDown, 1},
		{"key twice", []string{"VALUE k 0 1\r\nx\r\nVALUE k 0 1\r\nx\r\nEND\r\n"}, ErrServerDown, 1},
		{"status", []string{"STORED\r\n"}, ErrServerDown, 1},
		{"value over the limit", []string{"VALUE k 0 1001\r\n"}, ErrServerDown, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, connections := script(t, tt.replies...)
			c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute, RetryInterval: -1}}, MaxValue: 1000})
			item, err := c.Get(t.Context(), "k")
			want(t, "get", err, tt.err)
			if err != nil {
				if n := connections(); n != tt.conns {
					t.Errorf("%d connections, want %d", n, tt.conns)
				}
				return
			}
			if string(item.Value) != "x" {
				t.Errorf("got %q, want x", item.Value)
			}
			_, err = c.Get(t.Context(), "k")
			want(t, "get", err, ErrCacheMiss)
			if n := connections(); n != tt.conns {
				t.Errorf("%d connections, want %d", n, tt.conns)
			}
		})
	}
}

// TestHangInsideReply: a server that announces a value and sends a part of it costs one timeout after its last byte.
func TestHangInsideReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Config{
			Servers: []Server{{Addr: "a:1", RetryInterval: -1}},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					b := make([]byte, 1000)
					theirs.Read(b)
					io.WriteString(theirs, "VALUE k 0 1000\r\n")
					time.Sleep(600 * time.Millisecond)
					io.WriteString(theirs, "x")
					theirs.Read(b) // until the client hangs up
				}()
				return ours, nil
			},
		})
		begin := time.Now()
		_, err := c.Get(t.Context(), "k")
		want(t, "get", err, ErrServerDown)
		if took := time.Since(begin); took != 1600*time.Millisecond {
			t.Errorf("took %v, want 1.6s", took)
		}
	})
}

// TestContextEndsWithReply: when both come together the answer counts, and the connection, whose deadline is now spoiled,
// is given up.
func TestContextEndsWithReply(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := newConn(ours, time.Minute, 0)
	defer c.close()
	ctx, cancel := context.WithCancel(t.Context())
	clean, answer, err := c.exchange(ctx, func(*conn) (error, error) {
		cancel()
		return ErrCacheMiss, nil
	})
	if clean || answer != ErrCacheMiss || err != nil {
		t.Errorf("got clean %v, answer %v and error %v", clean, answer, err)
	}
}

// TestConnectionFromBeforeFailure: an answer that was under way when the server failed is taken, its connection is not
// kept, and the server stays failed.
func TestConnectionFromBeforeFailure(t *testing.T) {
	net := newFakeNet()
	net.server("a:1")
	c := open(t, Config{Servers: []Server{{Addr: "a:1", RetryInterval: -1}}, Dial: net.dial})
	s := c.pool.servers[0]
	old, err := s.acquire(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	s.fail(old.epoch, errors.New("another request failed"))
	s.release(old, true)
	if len(s.idle) != 0 || s.usable() {
		t.Errorf("%d connections kept, usable: %v", len(s.idle), s.usable())
	}
}

// TestForeignStatus: the status of one command is no answer to another.
func TestForeignStatus(t *testing.T) {
	statuses := []memcache.Status{
		memcache.StatusStored, memcache.StatusNotStored, memcache.StatusExists, memcache.StatusNotFound,
		memcache.StatusDeleted, memcache.StatusTouched, memcache.StatusOK,
	}
	tests := []struct {
		want    memcache.Status
		answers map[memcache.Status]error
	}{
		{memcache.StatusStored, map[memcache.Status]error{
			memcache.StatusStored: nil, memcache.StatusNotStored: ErrNotStored, memcache.StatusExists: ErrCASConflict,
			memcache.StatusNotFound: ErrCacheMiss,
		}},
		{memcache.StatusDeleted, map[memcache.Status]error{memcache.StatusDeleted: nil, memcache.StatusNotFound: ErrCacheMiss}},
		{memcache.StatusTouched, map[memcache.Status]error{memcache.StatusTouched: nil, memcache.StatusNotFound: ErrCacheMiss}},
		{memcache.StatusOK, map[memcache.Status]error{memcache.StatusOK: nil}},
	}
	for _, tt := range tests {
		for _, s := range statuses {
			c := &conn{replies: memcache.NewReplyReader(strings.NewReader(s.String()+"\r\n"), 0)}
			answer, err := c.status(tt.want)
			expected, ok := tt.answers[s]
			if answer != expected || (err == nil) != ok {
				t.Errorf("%v for %v: got answer %v and error %v", s, tt.want, answer, err)
			}
		}
	}
}

// TestLargeValueOverSlowLink: a value may take many timeouts as long as every part of it makes its way.
func TestLargeValueOverSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := newConn(ours, time.Second, 8<<20)
		value := bytes.Repeat([]byte("0123456789\r\n"), 4<<20/12)
		received := make(chan []byte)
		go func() {
			var all []byte
			b := make([]byte, 128<<10)
			for {
				n, err := theirs.Read(b)
				all = append(all, b[:n]...)
				if err != nil || bytes.HasSuffix(all, []byte("\n\r\n")) {
					break
				}
				time.Sleep(250 * time.Millisecond)
			}
			received <- all
		}()
		begin := time.Now()
		_, _, err := c.exchange(t.Context(), func(c *conn) (error, error) {
			return nil, c.write([]byte("set k\r\n"), value)
		})
		if err != nil {
			t.Errorf("write: %v", err)
		}
		if got, want := <-received, fmt.Sprintf("set k\r\n%s\r\n", value); string(got) != want {
			t.Errorf("%d bytes arrived, want %d", len(got), len(want))
		}
		if took := time.Since(begin); took < 5*time.Second {
			t.Errorf("took %v: the link was not slow", took)
		}
		c.close()
		theirs.Close()
	})
}

// TestSilentPeer: a connection with bytes waiting, or closed, is not silent.
func TestSilentPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, act := range []func(net.Conn) error{
		func(nc net.Conn) error { return nc.Close() },
		func(nc net.Conn) error { _, err := io.WriteString(nc, "ERROR\r\n"); return err },
	} {
		ours, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if silent(ours) {
				continue
			}
			t.Error("a fresh connection is not silent")
		}
		if err := act(theirs); err != nil {
			t.Fatal(err)
		}
		// What was sent over loopback is there in a moment; the test's own time limit ends a wait for ever.
		for silent(ours) {
		}
		ours.Close()
		if silent(ours) {
			t.Error("a closed connection is silent")
		}
		theirs.Close()
	}
}

// TestErrorsTellTheServer: what callers log must name what they need.
func TestErrorsTellTheServer(t *testing.T) {
	addr, _ := script(t, "nonsense\r\n")
	c := open(t, Config{Servers: []Server{{Addr: addr, Timeout: time.Minute, RetryInterval: -1}}})
	_, err := c.Get(t.Context(), "some-key")
	var syntax *memcache.SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("got %v, want a syntax error inside", err)
	}
	for _, part := range []string{"get", `"some-key"`, "no working server", addr, `"nonsense"`} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("no %s in: %v", part, err)
		}
	}
}

// A request that is given up ends with a reset, by which a futago that stands still knows not to execute it.
func TestGiveUpResets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := New(Config{Servers: []Server{{Addr: l.Addr().String(), Timeout: 50 * time.Millisecond}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	end := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err == nil {
			_, err = io.Copy(io.Discard, nc)
			nc.Close()
		}
		end <- err
	}()
	if err := c.Set(t.Context(), &Item{Key: "k", Value: []byte("v")}); err == nil {
		t.Fatal("a set without an answer: no error")
	}
	if err := <-end; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server sees %v, want a reset", err)
	}
}
