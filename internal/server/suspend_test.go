package server

import (
	"bufio"
	"net/http"
	"sync/atomic"
	"testing"
)

// A suspended server executes nothing, sends away who is there and who comes, in every protocol, and serves again afterwards.
func TestSuspend(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		idle, tt := dial(t, s), dial(t, s)
		idle.send("set k 0 0 1\r\na\r\n")
		idle.expect("STORED\r\n")
		tt.send(from("c8 80"))
		tt.expect(from("00 0000000000000001"))
		s.Suspend()
		idle.expectEnd()
		tt.expectEnd()
		for range 3 {
			c := dial(t, s)
			_, _ = c.Write([]byte("set k 0 0 1\r\nb\r\n")) // it may be closed already
			c.expectEnd()
		}
		s.Resume()
		c := dial(t, s)
		c.send("get k\r\n")
		c.expect("VALUE k 0 1\r\na\r\nEND\r\n")
	})
}

// pause is longer than a loop must pause to ask, in milliseconds.
const pause = 100

// Who would suspend the server is asked before anything is executed, when the process or the client has paused.
func TestSuspendIsAskedFor(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		var frozen atomic.Bool
		var srv atomic.Pointer[Server]
		s := startServer(t, openStore(t, nil), func(c *Config) {
			carrier(c)
			c.Look = func() {
				if s := srv.Load(); s != nil && frozen.Load() {
					s.Suspend()
				}
			}
		})
		srv.Store(s)
		web, text := dial(t, s), dial(t, s)
		web.send(put("/k", "", "a"))
		if resp, err := http.ReadResponse(bufio.NewReader(web), nil); err != nil || resp.StatusCode != 201 {
			t.Fatalf("put: %v, %v", resp, err)
		}
		text.send("get k\r\n")
		text.expect("VALUE k 0 1\r\na\r\nEND\r\n")
		start := s.store.Now()
		eventually(t, "the loops have paused", func() bool {
			now := s.store.Now()
			return now-start >= 2*pause
		})
		frozen.Store(true)
		text.send("set k 0 0 1\r\nb\r\n")
		text.expectEnd()
		_, _ = web.Write([]byte(put("/k", "", "c")))
		if resp, err := http.ReadResponse(bufio.NewReader(web), nil); err == nil && (resp.StatusCode != 503 || resp.Header.Get("Futago-Effect") != "none") {
			t.Errorf("put while it is suspended: %v", resp)
		}
		frozen.Store(false)
		s.Resume()
		c := dial(t, s)
		c.send("get k\r\n")
		c.expect("VALUE k 0 1\r\na\r\nEND\r\n")
	})
}
