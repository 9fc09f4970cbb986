package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
)

const testTimeout = time.Minute

// transcriptMaxValue is memcached's largest value under a short key, which the transcripts expect.
const transcriptMaxValue = 1<<20 - 100

func openStore(t testing.TB, change func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.DefaultConfig()
	cfg.MinFree = 0
	if change != nil {
		change(&cfg)
	}
	st, err := store.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return st
}

func testConfig(t testing.TB, listen string) Config {
	t.Helper()
	l, err := ParseListen(listen)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Listen = []Listener{l}
	cfg.Threads = 2
	cfg.MaxConns = 4000
	return cfg
}

// startServer serves st on a port of loopback until the test ends.
func startServer(t testing.TB, st Store, change func(*Config)) *Server {
	t.Helper()
	cfg := testConfig(t, "127.0.0.1:0")
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() { s.Serve(); close(served) }()
	t.Cleanup(func() {
		s.Close()
		<-served
		if n := s.conns.Load(); n != 0 {
			t.Errorf("after Close: got %d connections, want 0", n)
		}
		if n := s.pending.Load(); n != 0 {
			t.Errorf("after Close: got %d pending bytes, want 0", n)
		}
	})
	return s
}

// onCarriers runs a test on each carrier.
func onCarriers(t *testing.T, test func(t *testing.T, carrier func(*Config))) {
	if runtime.GOOS == "linux" {
		t.Run("loops", func(t *testing.T) {
			t.Parallel()
			test(t, func(*Config) {})
		})
	}
	t.Run("goroutines", func(t *testing.T) {
		t.Parallel()
		test(t, func(c *Config) { c.Goroutines = true })
	})
}

// client is a connection of a test.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	network := s.cfg.Listen[0].Network
	c, err := net.Dial(network, s.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	return &client{Conn: c, t: t, r: bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("send %.60q: %v", text, err)
	}
}

func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c.r, got)
	if err != nil || string(got) != want {
		c.t.Fatalf("got %.200q and %v, want %.200q", got[:n], err, want)
	}
}

// expectEnd wants the server to close without another byte. A reset is an end too.
func (c *client) expectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Fatalf("got %.200q and %v, want the end of the connection", rest, err)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not so after %v", what, testTimeout)
		}
	}
}
