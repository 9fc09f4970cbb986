package server

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
)

func TestCarriersAnswerAlike(t *testing.T) {
	onPieces(t, conversation, func(c *client) {
		c.expect(conversationReplies)
		c.send("version\r\nquit\r\nversion\r\n")
		c.expect("VERSION 0.1.0\r\n")
		c.expectEnd()
	})
}

// onPieces sends a conversation in pieces of several sizes, each time to a new server that takes values of 4000 bytes at most,
// on every carrier, and lets check read what comes.
func onPieces(t *testing.T, conversation string, check func(c *client)) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		for _, size := range []int{1, 5, 7, 1000, len(conversation)} {
			st := openStore(t, func(c *store.Config) { c.MaxValue = 4000 })
			s := startServer(t, st, func(c *Config) {
				c.MaxValue = 4000
				carrier(c)
			})
			c := dial(t, s)
			for rest := conversation; rest != ""; {
				n := min(size, len(rest))
				c.send(rest[:n])
				rest = rest[n:]
			}
			check(c)
		}
	})
}

// A client that closes its sending side gets the replies to what it sent.
func TestHalfClose(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		c := dial(t, s)
		c.send("set a 0 0 1\r\nx\r\nget a\r\nget")
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.expect("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")
		c.expectEnd()
	})
}

func TestUnixSocket(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		path := filepath.Join(t.TempDir(), "s")
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.Listen = []Listener{{Network: "unix", Address: path, Protocols: Memcache | HTTP}}
			carrier(c)
		})
		c := dial(t, s)
		c.send("set a 0 0 1\r\nx\r\n")
		c.expect("STORED\r\n")
		if status, _, body := dial(t, s).roundTrip(get("/a", ""), ""); status != 200 || body != "x" {
			t.Errorf("HTTP over the socket: got %d %q, want 200 x", status, body)
		}
		if _, err := s.cfg.Listen[0].Open(); err == nil || !strings.Contains(err.Error(), "another process") {
			t.Errorf("listen a second time: got %v, want that another process serves it", err)
		}
	})
}

// heldStore keeps every reply to a write until the returned func is called.
func heldStore(t *testing.T) (st *store.Store, confirm func()) {
	st = openStore(t, func(c *store.Config) { c.AckPeer, c.AckTimeout = true, time.Hour })
	st.Linked(2, true)
	confirm = func() { st.Confirm(2, st.Log().Last()) }
	eventually(t, "solo has ended", func() bool {
		confirm()
		return !st.Acknowledgement().Solo
	})
	return st, confirm
}

func TestRepliesWaitForTheGate(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := heldStore(t)
		s := startServer(t, st, carrier)
		writer, reader := dial(t, s), dial(t, s)
		writer.send("get b\r\nset a 0 0 1\r\nx\r\nget a\r\n")
		writer.expect("END\r\n")
		eventually(t, "the reply is held", func() bool { return s.sum()[repliesHeld] > 0 })
		reader.send("get a\r\n")
		reader.expect("VALUE a 0 1\r\nx\r\nEND\r\n")
		if n := writer.r.Buffered(); n != 0 {
			t.Fatalf("before the confirmation: got %d bytes, want none", n)
		}
		confirm()
		writer.expect("STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n")

		web := dial(t, s)
		held := s.sum()[repliesHeld]
		web.send(put("/w", "", "x"))
		eventually(t, "the reply to PUT is held", func() bool { return s.sum()[repliesHeld] > held })
		confirm()
		if status, _, _ := web.roundTrip(get("/none", ""), ""); status != 201 {
			t.Errorf("PUT: got %d, want 201", status)
		}
	})
}

// No wake-up may be lost, whenever the position rises.
func TestGateWakesEveryTime(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := heldStore(t)
		s := startServer(t, st, carrier)
		rose, stopped := make(chan struct{}, 1), make(chan struct{})
		cancel := st.OnRise(func() {
			select {
			case rose <- struct{}{}:
			default:
			}
		})
		stop := make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-rose:
					confirm()
				}
			}
		}()
		a, b := dial(t, s), dial(t, s)
		for i := range 500 {
			text := fmt.Sprintf("set k%d 0 0 1\r\nx\r\n", i)
			a.send(text)
			b.send(text)
			a.expect("STORED\r\n")
			b.expect("STORED\r\n")
		}
		cancel()
		close(stop)
		<-stopped
	})
}

func TestPipeline100MB(t *testing.T) {
	const size, count = 1000, 50000
	one := fmt.Sprintf("set k 0 0 %d\r\n%s\r\nget k\r\n", size, strings.Repeat("v", size))
	reply := fmt.Sprintf("STORED\r\nVALUE k 0 %d\r\n%s\r\nEND\r\n", size, strings.Repeat("v", size))
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		c := dial(t, s)
		sent := make(chan error, 1)
		go func() {
			chunk := strings.Repeat(one, 500)
			for range count / 500 {
				if _, err := io.WriteString(c.Conn, chunk); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		want := strings.Repeat(reply, 500)
		for range count / 500 {
			c.expect(want)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

// A client that asks and never reads is stopped at MaxPending; others go on.
func TestClientThatNeverReads(t *testing.T) {
	const limit = 4 << 20
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxPending = limit
			carrier(c)
		})
		c := dial(t, s)
		c.send("set k 0 0 100000\r\n" + strings.Repeat("v", 100000) + "\r\n")
		c.expect("STORED\r\n")
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			_, _ = io.WriteString(c.Conn, strings.Repeat("get k k k k\r\n", 1<<20))
		}()
		// The replies fill the socket, then the pending output; then nothing more is read.
		readingStops(t, s, limit)
		other := dial(t, s)
		other.send("get none\r\n")
		other.expect("END\r\n")
		c.Close()
		<-asked
	})
}

// readingStops waits until s, whose MaxPending is limit, executes no more gets of a client that does not read.
func readingStops(t *testing.T, s *Server, limit int64) {
	t.Helper()
	last, same := uint64(0), 0
	eventually(t, "reading stops", func() bool {
		n := s.sum()[cmdGet]
		if n == last && n > 0 {
			same++
		} else {
			last, same = n, 0
		}
		return same > 100
	})
	if n := s.pending.Load(); n > 3*limit {
		t.Errorf("pending: got %d bytes, want at most about %d", n, limit)
	}
}

// What one connection holds stops others that hold something, and nobody else; then they go on.
func TestMaxPendingTotal(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxPendingTotal = 1 << 20
			carrier(c)
		})
		value := strings.Repeat("v", 3<<20)
		holder, second := dial(t, s), dial(t, s)
		holder.send("set a 0 0 3145728\r\n" + value[:2<<20])
		eventually(t, "the first is over the limit", func() bool { return s.pending.Load() > 1<<20 })
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(second.Conn, "set b 0 0 3145728\r\n"+value+"\r\n")
			sent <- err
		}()
		small := dial(t, s)
		small.send("set c 0 0 1\r\nx\r\n")
		small.expect("STORED\r\n")
		holder.Close()
		second.expect("STORED\r\n")
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

func TestMaxConns(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), func(c *Config) {
			c.MaxConns = 2
			carrier(c)
		})
		first := dial(t, s)
		for _, c := range []*client{first, dial(t, s)} {
			c.send("version\r\n")
			c.expect("VERSION 0.1.0\r\n")
		}
		over := dial(t, s)
		over.expect("ERROR Too many open connections\r\n")
		over.expectEnd()
		if n := s.Stats().Rejected; n != 1 {
			t.Errorf("rejected: got %d, want 1", n)
		}
		first.Close()
		eventually(t, "there is room again", func() bool { return s.conns.Load() < 2 })
		again := dial(t, s)
		again.send("version\r\n")
		again.expect("VERSION 0.1.0\r\n")
	})
}

func TestTimeouts(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		send   string
		reply  string
		why    counter
	}{
		{"first byte", func(c *Config) { c.FirstByteTimeout = time.Second }, "", "", firstByteTimeouts},
		{"half a line", func(c *Config) { c.RequestTimeout = time.Second }, "version\r\nget a", "VERSION 0.1.0\r\n", requestTimeouts},
		{"half a value", func(c *Config) { c.RequestTimeout = time.Second }, "set a 0 0 1000000\r\nabc", "", requestTimeouts},
		{"idle", func(c *Config) { c.IdleTimeout = time.Second }, "version\r\n", "VERSION 0.1.0\r\n", idleKicks},
	}
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, openStore(t, nil), func(c *Config) {
					tt.change(c)
					carrier(c)
				})
				c := dial(t, s)
				c.send(tt.send)
				c.expect(tt.reply)
				c.expectEnd()
				if n := s.sum()[tt.why]; n != 1 {
					t.Errorf("counted: got %d, want 1", n)
				}
			})
		}
	})
}

// A half-sent HTTP request and a half-sent body end too.
func TestHTTPTimeouts(t *testing.T) {
	for _, text := range []string{"GET /a HTTP/1.1\r\nHo", "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"} {
		s := startServer(t, openStore(t, nil), func(c *Config) { c.RequestTimeout = 50 * time.Millisecond })
		c := dial(t, s)
		c.send(text)
		if b, err := io.ReadAll(c.r); err != nil && !strings.Contains(err.Error(), "reset") || strings.Contains(string(b), " 201 ") {
			t.Errorf("%q: got %q and %v, want a refusal and the end", text, b, err)
		}
	}
	s := startServer(t, openStore(t, nil), nil)
	if status, _, _ := dial(t, s).roundTrip(get("/a", ""), ""); status != 404 {
		t.Errorf("after half a PUT: got %d, want 404", status)
	}
}

func TestIdleConnections(t *testing.T) {
	const count = 2000
	s := startServer(t, openStore(t, nil), nil)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	all := make([]*client, count)
	for i := range all {
		all[i] = dial(t, s)
		all[i].send("get a\r\n")
		all[i].expect("END\r\n")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// Each client of the test has a reader of 4 KiB, and net's own bookkeeping.
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / count; each > 8<<10 {
		t.Errorf("heap for each idle connection and its client: got %d bytes, want at most 8 KiB", each)
	}
	if n := s.Stats().CurrConnections; n != count {
		t.Errorf("connections: got %d, want %d", n, count)
	}
	for i, c := range all {
		c.send("set k" + strconv.Itoa(i) + " 0 0 1\r\nx\r\n")
	}
	for _, c := range all {
		c.expect("STORED\r\n")
	}
}

// Rubbish ends connections or gets errors, and harms nobody else.
func TestRubbish(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		good := dial(t, s)
		good.send("set good 0 0 1\r\nx\r\n")
		good.expect("STORED\r\n")
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 200 {
			b := make([]byte, 1+r.IntN(5000))
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			if i%2 == 0 { // binary packets, whose opcodes are mostly known
				for i := 0; i+8 < len(b); i += 24 {
					b[i], b[i+1], b[i+8] = 0x80, b[i+1]%0x25, 0
				}
			}
			c := dial(t, s)
			c.send(string(b))
			c.Close()
		}
		good.send("get good\r\n")
		good.expect("VALUE good 0 1\r\nx\r\nEND\r\n")
		eventually(t, "they are gone", func() bool { return s.conns.Load() == 1 })
	})
}

func TestDrain(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		st, confirm := heldStore(t)
		s := startServer(t, st, carrier)
		idle, half, held, web := dial(t, s), dial(t, s), dial(t, s), dial(t, s)
		idle.send("version\r\n")
		idle.expect("VERSION 0.1.0\r\n")
		web.roundTrip(get("/a", ""), "")
		half.send("get b\r\nget a")
		half.expect("END\r\n")
		held.send("set a 0 0 1\r\nx\r\n")
		eventually(t, "the reply is held", func() bool { return s.sum()[repliesHeld] > 0 })
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		result := make(chan error, 1)
		go func() { result <- s.Shutdown(ctx) }()
		idle.expectEnd()
		half.send(" b\r\n")
		half.expect("VALUE a 0 1\r\nx\r\nEND\r\n")
		half.expectEnd()
		confirm()
		held.expect("STORED\r\n")
		held.expectEnd()
		web.expectEnd()
		if err := <-result; err != nil {
			t.Errorf("Shutdown: got %v, want nil", err)
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		half := dial(t, s)
		half.send("version\r\nget a")
		half.expect("VERSION 0.1.0\r\n")
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- s.Shutdown(ctx) }()
		eventually(t, "the drain has begun", s.draining.Load)
		cancel()
		if err := <-result; err == nil {
			t.Error("Shutdown: got nil, want the context's error")
		}
		half.expectEnd()
	})
}

// A drain ends under load too, and whoever gets a part of a reply gets all of it.
func TestDrainUnderLoad(t *testing.T) {
	onCarriers(t, func(t *testing.T, carrier func(*Config)) {
		s := startServer(t, openStore(t, nil), carrier)
		const clients = 20
		result := make(chan error, clients)
		for range clients {
			c := dial(t, s)
			go func() {
				for {
					if _, err := io.WriteString(c.Conn, "get a\r\n"); err != nil {
						result <- nil
						return
					}
					line, err := c.r.ReadString('\n')
					if err == nil && line == "END\r\n" {
						continue
					}
					if line != "" {
						result <- fmt.Errorf("got %q and %w, want END", line, err)
						return
					}
					result <- nil
					return
				}
			}()
		}
		eventually(t, "load", func() bool { return s.sum()[cmdGet] > 1000 })
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown under load: got %v, want nil", err)
		}
		for range clients {
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
	})
}
