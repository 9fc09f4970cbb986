package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A slow reader gets everything, one that stops reading is given up.
func TestWritePieces(t *testing.T) {
	const limit = 30 * time.Second
	value := []byte(strings.Repeat("v", 10*minProgress+1))
	tests := []struct {
		name  string
		stops int // bytes after which the client does not read any more
		n     int
		err   error
	}{
		{"slow", len(value), len(value), nil},
		{"stops", 3 * minProgress, 3 * minProgress, os.ErrDeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				go func() {
					for got := 0; got < tt.stops; {
						time.Sleep(limit - time.Second)
						n, _ := io.ReadAtLeast(client, make([]byte, min(minProgress, tt.stops-got)), min(minProgress, tt.stops-got))
						got += n
					}
				}()
				n, err := writePieces(t.Context(), server, value, limit)
				if n != tt.n || !errors.Is(err, tt.err) {
					t.Errorf("writePieces: got %d and %v, want %d and %v", n, err, tt.n, tt.err)
				}
			})
		})
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	server, _ := net.Pipe()
	if n, err := writePieces(ended, server, value, limit); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("writePieces after the end: got %d and %v, want 0 and %v", n, err, net.ErrClosed)
	}
}

// A client that does not take its replies is closed, so that it cannot hold memory for ever.
func TestUnreadRepliesTimeOut(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.RequestTimeout = time.Second
			carrier(c)
		})
		c := dial(t, s)
		c.send("set k 0 0 16777216\r\n" + strings.Repeat("v", 16<<20) + "\r\n")
		c.expect("STORED\r\n")
		c.send("get k k k k\r\n")
		eventually(t, "the client that does not read is closed", func() bool { return s.conns.Load() == 0 })
		if n := s.sum()[requestTimeouts]; n != 1 {
			t.Errorf("counted: got %d, want 1", n)
		}
	})
}

// Values on their way to memcached clients are bounded over all connections; what is small is served all the same.
func TestRepliesAreBounded(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxPendingTotal = 1 << 20
			carrier(c)
		})
		c := dial(t, s)
		c.send("set large 0 0 16777216\r\n" + strings.Repeat("v", 16<<20) + "\r\nset small 0 0 1\r\ns\r\n")
		c.expect("STORED\r\nSTORED\r\n")
		eventually(t, "the input is counted no more", func() bool { return s.pending.Load() == 0 })
		holder := dial(t, s)
		holder.send("get large\r\n")
		eventually(t, "the value is counted", func() bool { return s.pending.Load() > 1<<20 })
		c.send("get small large small\r\nget small\r\ngat 0 large\r\ngat -1 large\r\nget none\r\n")
		c.expect("VALUE small 0 1\r\ns\r\n" + replyStarved + "VALUE small 0 1\r\ns\r\nEND\r\n" + replyStarved + replyStarved + "END\r\n")
		holder.Close()
		eventually(t, "the value is given up", func() bool { return s.pending.Load() == 0 })
		c.send("get large\r\n")
		c.expect("VALUE large 0 16777216\r\n" + strings.Repeat("v", 16<<20) + "\r\nEND\r\n")
	})
}

// Values on their way to HTTP clients count as pending; what is small is served all the same.
func TestHTTPRepliesAreBounded(t *testing.T) {
	s := startServer(t, openStore(t, nil), func(c *Config) { c.MaxPendingTotal = 1 << 20 })
	c := dial(t, s)
	c.roundTrip(put("/large", "", strings.Repeat("v", 16<<20)), "")
	c.roundTrip(put("/small", "", "small"), "")
	holder := dial(t, s)
	holder.send(get("/large", ""))
	eventually(t, "what the client does not take is counted", func() bool { return s.pending.Load() > 1<<20 })
	if status, retry, _ := c.roundTrip(get("/large", ""), "Retry-After"); status != 503 || retry != "1" {
		t.Errorf("second large value: got %d with Retry-After %q, want 503 with 1", status, retry)
	}
	if status, size, _ := c.roundTrip(plainRequest("HEAD", "/large", ""), "Content-Length"); status != 200 || size != "16777216" {
		t.Errorf("head: got %d with Content-Length %q, want 200 with 16777216", status, size)
	}
	if status, _, body := c.roundTrip(get("/small", ""), ""); status != 200 || body != "small" {
		t.Errorf("small value: got %d %q, want 200 small", status, body)
	}
	holder.Close()
	eventually(t, "the value is given up", func() bool { return s.pending.Load() == 0 })
	if status, _, body := c.roundTrip(get("/large", ""), ""); status != 200 || len(body) != 16<<20 {
		t.Errorf("large value afterwards: got %d with %d bytes, want 200 with all", status, len(body))
	}
}

// Half-sent heads of HTTP requests count as pending, and those that are too much are closed.
func TestHTTPHeadsAreBounded(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		const limit = 256 << 10
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxPendingTotal = limit
			carrier(c)
		})
		c := dial(t, s)
		c.roundTrip(put("/k", "", "v"), "")
		first, second := dial(t, s), dial(t, s)
		head := "GET /" + strings.Repeat("a", limit-1000)
		first.send(head)
		eventually(t, "the head is counted", func() bool { return s.pending.Load() == int64(len(head)) })
		go func() { _, _ = io.WriteString(second.Conn, head) }()
		second.expectEnd()
		if status, _, body := c.roundTrip(get("/k", ""), ""); status != 200 || body != "v" {
			t.Errorf("an ordinary request meanwhile: got %d %q, want 200 v", status, body)
		}
		first.send(" HTTP/1.1\r\nHost: h\r\n\r\n")
		eventually(t, "the head is counted no more", func() bool { return s.pending.Load() == 0 })
	})
}

// Large values leave while the requests behind them are executed. The client finds the replies whole and in order, however slowly it
// reads, and each get counted by the time it has the reply.
func TestLargeValuesAmongSmallOnes(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		sizes := []int{1, 70_000, 3_000, 1 << 20, 60_000, 5 << 20}
		c := dial(t, s)
		var requests, want strings.Builder
		for i, size := range sizes {
			value := strings.Repeat(string(rune('a'+i)), size)
			c.send(fmt.Sprintf("set k%d 0 0 %d\r\n%s\r\n", i, size, value))
			c.expect("STORED\r\n")
			all := fmt.Sprintf("VALUE k%d 0 %d\r\n%s\r\n", i, size, value)
			fmt.Fprintf(&requests, "get k%d\r\nmg k%d v s\r\nget k%d none k%d\r\ngat 0 k%d\r\nmg k%d v T0\r\n", i, i, i, i, i, i)
			meta := fmt.Sprintf("VA %d s%d\r\n%s\r\n", size, size, value)
			want.WriteString(all + "END\r\n" + meta + all + all + "END\r\n" + all + "END\r\n" + strings.Replace(meta, fmt.Sprintf(" s%d", size), "", 1))
		}
		go func() { _, _ = io.WriteString(c.Conn, requests.String()) }()
		c.expect(want.String())
		if n := s.sum()[getHits]; n != uint64(4*len(sizes)) {
			t.Errorf("hits counted: got %d, want %d", n, 4*len(sizes))
		}
		c.send("get k3\r\nget k5\r\n")
		c.expect("VALUE k3 0 1048576\r\n" + strings.Repeat("d", 1<<20) + "\r\nEND\r\n")
		if n := s.sum()[getHits]; n < uint64(4*len(sizes)+1) {
			t.Errorf("hits counted when the reply is there: got %d, want %d at least", n, 4*len(sizes)+1)
		}
		c.expect("VALUE k5 0 5242880\r\n" + strings.Repeat("f", 5<<20) + "\r\nEND\r\n")
		eventually(t, "nothing is pending", func() bool { return s.pending.Load() == 0 })
	})
}
