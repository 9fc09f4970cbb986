package server

import (
	"bufio"
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
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

// A server that sends its clients away answers what they have sent, closes the connections that wait for nothing, and takes nobody until
// it goes on.
func TestSendAway(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		idle, half, web := dial(t, s), dial(t, s), dial(t, s)
		idle.send("set k 0 0 1\r\na\r\n")
		idle.expect("STORED\r\n")
		half.send("set k 0 0 1\r\n")
		web.send(put("/w", "", "a"))
		if resp, err := http.ReadResponse(bufio.NewReader(web), nil); err != nil || resp.StatusCode != 201 {
			t.Fatalf("put: %v, %v", resp, err)
		}
		eventually(t, "the half of a request has arrived", func() bool { return s.Stats().BytesRead > 30 })
		if list, all := s.Clients(10); all != 1 || len(list) != 1 || list[0].Connections != 3 || list[0].Host != "127.0.0.1" {
			t.Errorf("clients: got %+v and %d, want one machine with 3 connections", list, all)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		gone := make(chan struct{})
		go func() { defer close(gone); s.SendAway(ctx) }()
		idle.expectEnd()
		web.expectEnd()
		half.send("b\r\n")
		half.expect("STORED\r\n")
		half.expectEnd()
		<-gone
		if ctx.Err() != nil {
			t.Error("the clients went, and it waited on")
		}
		late := dial(t, s)
		_, _ = late.Write([]byte("set k 0 0 1\r\nc\r\n")) // it may be closed already
		late.expectEnd()
		s.Resume()
		c := dial(t, s)
		c.send("get k\r\n")
		c.expect("VALUE k 0 1\r\nb\r\nEND\r\n")
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
