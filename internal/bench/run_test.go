package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// shortConfig is a load of a moment. Load needs sockets and epoll, so these tests run in real time.
func shortConfig(protocol, address string) Config {
	c := DefaultConfig()
	c.Protocol, c.Address = protocol, address
	c.Connections, c.Keys = 5, 200
	c.WarmUp, c.Duration = time.Millisecond, 30*time.Millisecond
	return c
}

func TestRun(t *testing.T) {
	tests := []struct {
		name     string
		protocol string
		alter    func(*Config)
		misses   bool
	}{
		{"memcache", Memcache, func(*Config) {}, false},
		{"memcache pipeline", Memcache, func(c *Config) { c.Pipeline = 16 }, false},
		{"memcache ten-key gets", Memcache, func(c *Config) { c.MultiGet = 10 }, false},
		{"memcache two threads", Memcache, func(c *Config) { c.Threads = 2 }, false},
		{"memcache paced", Memcache, func(c *Config) { c.Rate, c.Threads = 5000, 2 }, false},
		{"memcache empty server", Memcache, func(c *Config) { c.Fill = false }, true},
		{"memcache large values", Memcache, func(c *Config) { c.ValueSize, c.Keys = 1<<20, 6 }, false},
		{"memcache increments", Memcache, func(c *Config) { c.GetRatio, c.IncrRatio, c.Pipeline = 0.3, 0.5, 3 }, false},
		{"memcache increments of an empty server", Memcache, func(c *Config) { c.GetRatio, c.IncrRatio, c.Fill = 0, 1, false }, true},
		{"memcache zipf", Memcache, func(c *Config) { c.Zipf = 0.9 }, false},
		{"memcache many sizes", Memcache, func(c *Config) { c.GetRatio, c.ValueSizes = 0.5, Sizes{{0, 300, 9}, {20_000, 70_000, 1}} }, false},
		{"memcache many connections", Memcache, func(c *Config) { c.Connections, c.Threads = 500, 2 }, false},
		{"memcache many paced connections", Memcache, func(c *Config) { c.Connections, c.Pipeline, c.Rate = 500, 2, 20_000 }, false},
		{"meta", Meta, func(c *Config) { c.Pipeline = 3 }, false},
		{"meta ten-key gets", Meta, func(c *Config) { c.MultiGet, c.Pipeline = 10, 3 }, false},
		{"meta ten-key gets of an empty server", Meta, func(c *Config) { c.Fill, c.MultiGet = false, 10 }, true},
		{"meta increments", Meta, func(c *Config) { c.GetRatio, c.IncrRatio, c.MultiGet = 0.3, 0.5, 3 }, false},
		{"binary", Binary, func(c *Config) { c.Pipeline = 3 }, false},
		{"binary ten-key gets", Binary, func(c *Config) { c.MultiGet, c.Pipeline = 10, 3 }, false},
		{"binary ten-key gets of an empty server", Binary, func(c *Config) { c.Fill, c.MultiGet = false, 10 }, true},
		{"binary increments", Binary, func(c *Config) { c.GetRatio, c.IncrRatio, c.MultiGet = 0.3, 0.5, 3 }, false},
		{"binary many sizes", Binary, func(c *Config) { c.GetRatio, c.ValueSizes = 0.5, Sizes{{0, 300, 9}, {20_000, 70_000, 1}} }, false},
		{"redis increments", Redis, func(c *Config) { c.GetRatio, c.IncrRatio = 0.3, 0.5 }, false},
		{"tyrant increments", Tyrant, func(c *Config) { c.GetRatio, c.IncrRatio, c.Pipeline = 0.3, 0.5, 3 }, false},
		{"tyrant many sizes", Tyrant, func(c *Config) { c.GetRatio, c.ValueSizes = 0.5, Sizes{{0, 300, 9}, {20_000, 70_000, 1}} }, false},
		{"http many sizes", HTTP, func(c *Config) { c.GetRatio, c.ValueSizes = 0.5, Sizes{{0, 300, 1}} }, false},
		{"redis", Redis, func(c *Config) { c.Pipeline = 3 }, false},
		{"redis ten-key gets", Redis, func(c *Config) { c.MultiGet = 10 }, false},
		{"redis sets that wait", Redis, func(c *Config) { c.GetRatio, c.WaitReplicas, c.Pipeline = 0, 1, 3 }, false},
		{"tyrant", Tyrant, func(*Config) {}, false},
		{"tyrant pipeline", Tyrant, func(c *Config) { c.Pipeline = 16 }, false},
		{"tyrant ten-key gets", Tyrant, func(c *Config) { c.MultiGet, c.Pipeline = 10, 3 }, false},
		{"tyrant paced", Tyrant, func(c *Config) { c.Rate, c.Threads, c.Pipeline = 5000, 2, 4 }, false},
		{"tyrant empty server", Tyrant, func(c *Config) { c.Fill = false }, true},
		{"tyrant ten-key gets of an empty server", Tyrant, func(c *Config) { c.Fill, c.MultiGet = false, 10 }, true},
		{"tyrant large values", Tyrant, func(c *Config) { c.ValueSize, c.Keys = 1<<20, 6 }, false},
		{"http", HTTP, func(*Config) {}, false},
		{"http empty server", HTTP, func(c *Config) { c.Fill, c.GetRatio = false, 1 }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := &fakeServer{protocol: tt.protocol}
			c := shortConfig(tt.protocol, server.start(t))
			c.ServerPID = os.Getpid()
			tt.alter(&c)
			r, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if r.Requests == 0 || r.Errors != 0 || (r.Misses > 0) != tt.misses {
				t.Errorf("got %d requests, %d errors (%s), %d misses; want some, none, misses %t",
					r.Requests, r.Errors, r.FirstError, r.Misses, tt.misses)
			}
			keys, requests := server.seen()
			want := c.Keys
			if c.IncrRatio > 0 {
				want *= 2 // and as many counters
			}
			if c.Fill && keys != want {
				t.Errorf("server has %d keys, want all %d", keys, want)
			}
			if r.Requests > uint64(requests) {
				t.Errorf("got %d requests, the server had only %d", r.Requests, requests)
			}
			if r.P50Micros <= 0 || r.P50Micros > r.P99Micros || r.P99Micros > r.P999Micros || r.P999Micros > r.MaxMicros {
				t.Errorf("quantiles do not rise from above 0: p50 %g p99 %g p99.9 %g max %g", r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros)
			}
			// Of several threads each has a window of its own, and the longest one is told.
			if got := float64(r.Requests) / r.Seconds; got > r.OpsPerSecond*1.01 || c.Threads == 1 && got < r.OpsPerSecond/1.01 {
				t.Errorf("ops per second %g, but %d requests in %g s", r.OpsPerSecond, r.Requests, r.Seconds)
			}
		})
	}
}

func TestRunUnixSocket(t *testing.T) {
	path := t.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &fakeServer{protocol: Memcache}
	done := make(chan struct{})
	go func() {
		server.serve(l)
		close(done)
	}()
	r, err := Run(t.Context(), shortConfig(Memcache, "unix:"+path))
	l.Close()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests == 0 {
		t.Error("got no request")
	}
}

// TestRunGoesOnToTheFirstReply has a server that says nothing while the window lasts, and for a while longer.
func TestRunGoesOnToTheFirstReply(t *testing.T) {
	const stall = 200 * time.Millisecond
	for _, rate := range []float64{0, 1000} {
		began := make(chan struct{})
		server := &fakeServer{protocol: Memcache, before: func(int) string {
			<-began
			<-time.After(stall)
			return ""
		}}
		c := shortConfig(Memcache, server.start(t))
		c.Connections, c.Fill, c.WarmUp, c.Duration = 1, false, 0, time.Millisecond
		c.Rate, c.began = rate, func() { close(began) }
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Requests == 0 || r.Seconds < stall.Seconds()/2 || r.OpsPerSecond > 2/stall.Seconds() {
			t.Errorf("rate %g: got %d requests, %g a second, in %g s; want one, and the time that it took", rate, r.Requests, r.OpsPerSecond, r.Seconds)
		}
	}
}

// TestRunStopped stops a run in its window, and one before.
func TestRunStopped(t *testing.T) {
	server := &fakeServer{protocol: Memcache}
	c := shortConfig(Memcache, server.start(t))
	stop := make(chan struct{})
	c.Duration, c.Stop, c.began = time.Hour, stop, func() { close(stop) }
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil || !r.CutShort || r.Requests == 0 || !strings.Contains(text.String(), "cut short: 1h0m0s were to be measured") {
		t.Errorf("got %+v, %v, text %s", r, err, text.String())
	}
	c.began = nil
	if r, err := Run(t.Context(), c); err != ErrStopped {
		t.Errorf("stopped at once: got %v, %v", r, err)
	}
	c.Stop, c.Duration = make(chan struct{}), 10*time.Millisecond
	if r, err := Run(t.Context(), c); err != nil || r.CutShort {
		t.Errorf("not stopped: got %+v, %v", r, err)
	}
}

// TestRunStoppedWhileSilent stops a run whose server has answered nothing.
func TestRunStoppedWhileSilent(t *testing.T) {
	stop, end := make(chan struct{}), make(chan struct{})
	server := &fakeServer{protocol: Memcache, before: func(int) string { <-end; return "" }}
	c := shortConfig(Memcache, server.start(t))
	c.Fill, c.WarmUp, c.Duration, c.Stop, c.began = false, 0, time.Hour, stop, func() { close(stop) }
	_, err := Run(t.Context(), c)
	close(end)
	if err != ErrStopped {
		t.Errorf("got %v, want %v", err, ErrStopped)
	}
}

func TestRunErrors(t *testing.T) {
	tests := []struct {
		name  string
		fill  bool
		reply func(n int) string
		want  string
	}{
		{"server closes", false, func(n int) string { return map[bool]string{true: "close"}[n == 20] }, "closed the connection"},
		{"refused set", true, func(n int) string {
			return map[bool]string{true: "SERVER_ERROR out of memory storing object\r\n"}[n == 20]
		}, "out of memory"},
		{"too many replies", false, func(int) string { return "END\r\nEND\r\nEND\r\n" }, "more replies"},
		{"not the protocol", false, func(int) string { return "VALUE\r\nVALUE a b c\r\n" }, "bad size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := &fakeServer{protocol: Memcache, before: tt.reply}
			c := shortConfig(Memcache, server.start(t))
			c.Fill, c.Duration = tt.fill, time.Hour
			_, err := Run(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestRunCountsErrorReplies(t *testing.T) {
	server := &fakeServer{protocol: Memcache, before: func(int) string { return "SERVER_ERROR busy\r\n" }}
	c := shortConfig(Memcache, server.start(t))
	c.Fill = false
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Errors != r.Requests || !strings.Contains(r.FirstError, "SERVER_ERROR busy") {
		t.Errorf("got %d errors of %d requests, first %s; want all, SERVER_ERROR busy", r.Errors, r.Requests, r.FirstError)
	}
}

func TestRunConnectRefused(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	c := shortConfig(Memcache, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "connect to "+c.Address) {
		t.Errorf("got error %v, want one that names the address", err)
	}
}

func TestRunCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := &fakeServer{protocol: Memcache, before: func(n int) string {
		if n == 50 {
			cancel()
		}
		return ""
	}}
	c := shortConfig(Memcache, server.start(t))
	c.Fill, c.Duration = false, time.Hour
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

// TestRunIsEnded has a window of an hour that is ended as soon as it has begun.
func TestRunIsEnded(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		c := shortConfig(Memcache, (&fakeServer{protocol: Memcache}).start(t))
		until := make(chan struct{})
		c.Rate, c.Duration, c.until = rate, time.Hour, until
		c.began = func() { close(until) }
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Requests == 0 || r.Seconds > 60 {
			t.Errorf("rate %g: got %d requests in %g s, want some in a moment", rate, r.Requests, r.Seconds)
		}
	}
}

func TestFillKeys(t *testing.T) {
	server := &fakeServer{protocol: Memcache}
	c := shortConfig(Memcache, server.start(t))
	if err := fillKeys(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if keys, requests := server.seen(); keys != c.Keys || requests != c.Keys {
		t.Errorf("got %d keys after %d requests, want each of %d once", keys, requests, c.Keys)
	}
	refusing := &fakeServer{protocol: Memcache, before: func(int) string { return "SERVER_ERROR full\r\n" }}
	c = shortConfig(Memcache, refusing.start(t))
	if err := fillKeys(t.Context(), c); err == nil || !strings.Contains(err.Error(), "SERVER_ERROR full") {
		t.Errorf("got error %v, want one with the server's reply", err)
	}
}

func TestSilentServer(t *testing.T) {
	release := make(chan struct{})
	server := &fakeServer{protocol: Memcache, before: func(int) string { <-release; return "" }}
	c := shortConfig(Memcache, server.start(t))
	defer close(release)
	l, err := newLoop(&c, newWorkload(&c), 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.silence = time.Millisecond
	if err := l.connect(t.Context(), &dialer{config: &c, depth: fillPipeline}, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.fill(t.Context()); err == nil || !strings.Contains(err.Error(), "no reply for 1ms") {
		t.Errorf("got error %v, want one that says how long the server was silent", err)
	}
}

func TestValidate(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatalf("default config: %v", err)
	}
	c.Protocol, c.Address, c.Connections, c.GetRatio, c.KeySize = "smtp", "", 0, 1.5, 2
	err := c.Validate()
	for _, want := range []string{`protocol "smtp"`, "address is empty", "connections 0", "get-ratio 1.5", "key-size 2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want all problems, %q among them", err, want)
		}
	}
	c = DefaultConfig()
	c.ValueSize, c.Pipeline = 512<<20, 1000
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "bytes of memory") {
		t.Errorf("buffers of 25 TB: got error %v, want one about memory", err)
	}
	c = DefaultConfig()
	c.Protocol, c.MultiGet = HTTP, 2
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "multi-get 2") {
		t.Errorf("multi-get over http: got error %v, want one that names it", err)
	}
	for want, alter := range map[string]func(*Config){
		"incr-ratio 0.2: must be 0 with http":                 func(c *Config) { c.Protocol, c.GetRatio, c.IncrRatio = HTTP, 0.5, 0.2 },
		"get-ratio 0.9 and incr-ratio 0.2: must be at most 1": func(c *Config) { c.IncrRatio = 0.2 },
		"incr-ratio -1":  func(c *Config) { c.IncrRatio = -1 },
		"zipf 11":        func(c *Config) { c.Zipf = 11 },
		"zipf NaN":       func(c *Config) { c.Zipf = math.NaN() },
		"value-size 5-1": func(c *Config) { c.ValueSizes = Sizes{{5, 1, 1}} },
		"key-size 6: must be at least 7 for 1000000 different": func(c *Config) { c.GetRatio, c.IncrRatio, c.Keys, c.KeySize = 0.5, 0.1, 1_000_000, 6 },
		"bytes of memory": func(c *Config) { c.Connections, c.ValueSizes = 100_000, Sizes{{0, 1 << 20, 1}} },
	} {
		c := DefaultConfig()
		alter(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	c = DefaultConfig()
	c.GetRatio, c.IncrRatio = 0.7, 0.3
	if err := c.Validate(); err != nil {
		t.Errorf("shares of 0.7 and 0.3: %v", err)
	}
	c = DefaultConfig()
	c.Protocol, c.WaitReplicas = Redis, 1
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "wait 1") {
		t.Errorf("wait beside gets: got error %v, want one that names it", err)
	}
}

func TestShare(t *testing.T) {
	for _, n := range []int{1, 7, 50} {
		for threads := 1; threads <= min(n, 8); threads++ {
			sum := 0
			for i := range threads {
				s := share(n, threads, i)
				if s < n/threads || s > n/threads+1 {
					t.Errorf("share(%d, %d, %d) = %d, want even shares", n, threads, i, s)
				}
				sum += s
			}
			if sum != n {
				t.Errorf("shares of %d among %d threads add up to %d", n, threads, sum)
			}
		}
	}
}

func TestResultText(t *testing.T) {
	r := Result{Config: DefaultConfig(), Seconds: 2, Requests: 10, Errors: 1, FirstError: `"ERROR"`, OpsPerSecond: 5,
		P50Micros: 100, P99Micros: 200, P999Micros: 300, MaxMicros: 400}
	r.Config.ServerPID = 1
	r.ServerCPUMicros = 6.5
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"closed loop", "5 requests/s", "300 us p99.9", "6.50 us server CPU", "1 errors", `first error reply: "ERROR"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("text lacks %q:\n%s", want, b.String())
		}
	}
	j, err := json.Marshal(&r)
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(j, &back); err != nil || back.OpsPerSecond != 5 || back.Config.Keys != r.Config.Keys {
		t.Errorf("JSON %s: read back %+v, %v", j, back, err)
	}
}
