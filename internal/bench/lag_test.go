package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// lagBetween is a measurement of a moment between two servers.
func lagBetween(t *testing.T, write, read *fakeServer) LagConfig {
	c := DefaultLagConfig()
	c.Write, c.Read = write.start(t), read.start(t)
	c.Rate, c.ProbeRate = 2000, 1000
	c.WarmUp, c.Duration = time.Millisecond, 50*time.Millisecond
	return c
}

func TestLag(t *testing.T) {
	for _, rate := range []float64{0, 2000} {
		t.Run(fmt.Sprintf("rate %g", rate), func(t *testing.T) {
			read := &fakeServer{protocol: Memcache}
			c := lagBetween(t, &fakeServer{protocol: Memcache, stored: read.set}, read)
			c.Rate, c.Timeout = rate, 10*time.Second
			r, err := Lag(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if due := uint64(50); r.Probes+r.Late != due || r.Probes == 0 || r.Timeouts != 0 || r.Errors != 0 {
				t.Errorf("got %d probes, %d late, %d timeouts, %d errors; want %d probes sent or late, and nothing else",
					r.Probes, r.Late, r.Timeouts, r.Errors, due)
			}
			if r.P50Micros <= 0 || r.P50Micros > r.P99Micros || r.P99Micros > r.P999Micros || r.P999Micros > r.MaxMicros {
				t.Errorf("quantiles do not rise from above 0: p50 %g p99 %g p99.9 %g max %g", r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros)
			}
			if r.PollMicros <= 0 {
				t.Errorf("got %g us for a get, want above 0", r.PollMicros)
			}
			if (r.SetsPerSecond > 0) != (rate > 0) {
				t.Errorf("got %g sets/s beside the probes, asked for %g", r.SetsPerSecond, rate)
			}
			if keys, _ := read.seen(); rate == 0 && keys != int(r.Probes) {
				t.Errorf("got %d keys for %d probes, want a new key for each", keys, r.Probes)
			}
		})
	}
}

func TestLagSaturated(t *testing.T) {
	read := &fakeServer{protocol: Memcache}
	c := lagBetween(t, &fakeServer{protocol: Memcache, stored: read.set}, read)
	c.Rate, c.Saturate, c.Timeout = 0, true, 10*time.Second
	r, err := Lag(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Probes == 0 || r.Timeouts != 0 || r.SetsPerSecond <= 0 || !r.RateReached {
		t.Errorf("got %d probes, %d timeouts, %g sets/s, reached %t; want some, none, some, and nothing that was to be reached",
			r.Probes, r.Timeouts, r.SetsPerSecond, r.RateReached)
	}
	c.Rate = 1
	if _, err := Lag(t.Context(), c); err == nil || !strings.Contains(err.Error(), "rate 1: must be 0 with saturate") {
		t.Errorf("saturate with a rate: got error %v, want one that names both", err)
	}
}

// TestLagIsTheDelay hands each set to the other server after a while.
func TestLagIsTheDelay(t *testing.T) {
	const delay = 30 * time.Millisecond
	read := &fakeServer{protocol: Memcache}
	write := &fakeServer{protocol: Memcache, stored: func(key, value string) {
		time.AfterFunc(delay, func() { read.set(key, value) })
	}}
	c := lagBetween(t, write, read)
	c.Rate, c.Timeout = 0, 10*time.Second
	r, err := Lag(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.P50Micros < micros(delay) {
		t.Errorf("got p50 %g us, want at least the delay of %v", r.P50Micros, delay)
	}
	if r.Timeouts > 0 || r.Probes == 0 {
		t.Errorf("got %d timeouts of %d probes, want none of some", r.Timeouts, r.Probes)
	}
}

// TestLagTimeouts loses the first probe only. It waits for the whole timeout, which is above what a busy machine takes for the others.
func TestLagTimeouts(t *testing.T) {
	t.Parallel()
	read := &fakeServer{protocol: Memcache}
	write := &fakeServer{protocol: Memcache, stored: func(key, value string) {
		if !strings.HasSuffix(key, "-0") {
			read.set(key, value)
		}
	}}
	c := lagBetween(t, write, read)
	c.Rate, c.Timeout = 0, 3*time.Second
	c.Duration = 2 * time.Second // so that there are others, whatever holds up the machine: the first one lasts longer
	r, err := Lag(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Timeouts != 1 || r.MaxMicros < micros(c.Timeout) {
		t.Errorf("got %d timeouts and max %g us, want 1 and at least %v", r.Timeouts, r.MaxMicros, c.Timeout)
	}
}

// TestManyProbesWait has more of them than one get asks for.
func TestManyProbesWait(t *testing.T) {
	const n = 3*maxPolled + 1
	read := &fakeServer{protocol: Memcache}
	stored := make(chan [2]string, n)
	write := &fakeServer{protocol: Memcache, stored: func(key, value string) { stored <- [2]string{key, value} }}
	c := lagBetween(t, write, read)
	c.Timeout = 10 * time.Second
	p, err := newProber(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for range n {
		if err := p.sendProbe(); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		kv := <-stored
		read.set(kv[0], kv[1])
	}
	if err := p.run(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	if p.lag.n != n || p.timeouts != 0 || p.poll.n < 4 {
		t.Errorf("got %d lags, %d timeouts, %d gets; want %d, none, at least 4", p.lag.n, p.timeouts, p.poll.n, n)
	}
}

// TestLateProbes begins a second after the first probe was due.
func TestLateProbes(t *testing.T) {
	read := &fakeServer{protocol: Memcache}
	c := lagBetween(t, &fakeServer{protocol: Memcache, stored: read.set}, read)
	c.ProbeRate, c.Timeout = 100, 10*time.Second
	p, err := newProber(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.start = p.start.Add(-time.Second)
	if err := p.run(t.Context(), 0, int64(time.Second)); err != nil {
		t.Fatal(err)
	}
	if p.probes != 1 || p.late != 99 || p.timeouts != 0 {
		t.Errorf("got %d probes, %d late, %d timeouts; want 1 for all 100 that were due", p.probes, p.late, p.timeouts)
	}
}

func TestLagErrors(t *testing.T) {
	answer := func(s string) *fakeServer {
		return &fakeServer{protocol: Memcache, before: func(int) string { return s }}
	}
	tests := []struct {
		name        string
		write, read *fakeServer
		timeout     time.Duration // long enough for a reply, unless none is wanted
		want        string
	}{
		{"not a pair", answer(""), answer(""), 20 * time.Millisecond, "is it the same pair?"},
		{"refused sets", answer("SERVER_ERROR solo\r\n"), answer(""), 3 * time.Second, "SERVER_ERROR solo"},
		{"refused gets", answer(""), answer("SERVER_ERROR busy\r\n"), 3 * time.Second, "SERVER_ERROR busy"},
		{"write closes", answer("close"), answer(""), 10 * time.Second, "closed the connection"},
		{"read closes", answer(""), answer("close"), 10 * time.Second, "closed the connection"},
		{"too many replies", answer(""), answer("END\r\nEND\r\n"), 10 * time.Second, "more replies"},
		{"not the protocol", answer(""), answer("VALUE a b c\r\n"), 10 * time.Second, "bad size"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := lagBetween(t, tt.write, tt.read)
			c.Rate, c.Timeout = 0, tt.timeout
			_, err := Lag(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestLagBackgroundFails closes the connection of the first set, which comes before the first probe.
func TestLagBackgroundFails(t *testing.T) {
	read := &fakeServer{protocol: Memcache}
	write := &fakeServer{protocol: Memcache, stored: read.set, before: func(n int) string {
		return map[bool]string{true: "close"}[n == 1]
	}}
	c := lagBetween(t, write, read)
	c.Duration, c.WarmUp = time.Hour, time.Hour
	_, err := Lag(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "sets at "+c.Write) {
		t.Errorf("got error %v, want one that names the sets and the server", err)
	}
}

func TestLagConnectRefused(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	c := lagBetween(t, &fakeServer{protocol: Memcache}, &fakeServer{protocol: Memcache})
	c.Read = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if _, err := Lag(t.Context(), c); err == nil || !strings.Contains(err.Error(), "connect to "+c.Read) {
		t.Errorf("got error %v, want one that names the address", err)
	}
}

func TestLagCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read := &fakeServer{protocol: Memcache}
	c := lagBetween(t, &fakeServer{protocol: Memcache, stored: func(string, string) { cancel() }}, read)
	c.Duration = time.Hour
	if _, err := Lag(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

func TestLagConfigValidate(t *testing.T) {
	c := LagConfig{Rate: -1, ValueSize: 1 << 20, ProbeRate: 0, Timeout: time.Hour, Duration: 0, WarmUp: -1, ServerPIDs: []int{0}}
	err := c.Validate()
	for _, want := range []string{"write is empty", "read is empty", "rate -1", "connections 0", "value-size 1048576", "probes 0",
		"timeout 1h", "duration 0s", "warm-up -1ns", "server-pid 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want all problems, %q among them", err, want)
		}
	}
	c = DefaultLagConfig()
	c.Write, c.Read = "a:1", "b:1"
	if err := c.Validate(); err != nil {
		t.Errorf("default config: %v", err)
	}
	c.ProbeRate, c.Timeout = 10000, 10*time.Second
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "at most 10000 probes") {
		t.Errorf("100,000 probes that may wait: got error %v, want one that says how many may", err)
	}
}

func TestLagResult(t *testing.T) {
	c := DefaultLagConfig()
	tests := []struct {
		load    *Result
		reached bool
	}{
		{nil, true},
		{&Result{OpsPerSecond: 9_950}, true},
		{&Result{OpsPerSecond: 9_850, Errors: 2, FirstError: "busy"}, false},
	}
	for _, tt := range tests {
		p := &prober{probes: 7, timeouts: 2}
		p.lag.record(1_500_000)
		r := newLagResult(&c, time.Now(), p, tt.load, 0.25)
		if r.RateReached != tt.reached {
			t.Errorf("%+v: got rate reached %t, want %t", tt.load, r.RateReached, tt.reached)
		}
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"1500 us p50", "7 probes", "2 timeouts after 1s", "0.25 cores used by others"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("text lacks %q:\n%s", want, b.String())
			}
		}
		if strings.Contains(b.String(), "NOT reached") == tt.reached || strings.Contains(b.String(), "first error reply: busy") == tt.reached {
			t.Errorf("%+v: text says the wrong thing of the rate or the errors:\n%s", tt.load, b.String())
		}
		var back LagResult
		if j, err := json.Marshal(r); err != nil || json.Unmarshal(j, &back) != nil || back.P99Micros != r.P99Micros {
			t.Errorf("JSON %s (%v): read back %+v", j, err, back)
		}
	}
}

// keysIn scans a stream in pieces of size bytes.
func keysIn(stream []byte, size int) (keys []string, got counts, err error) {
	s := &keyScanner{found: func(key []byte) { keys = append(keys, string(key)) }}
	for len(stream) > 0 {
		n := min(size, len(stream))
		// A copy of its own: the scanner must not keep what it is given.
		piece := append([]byte(nil), stream[:n]...)
		replies, err := s.scan(piece, &got)
		got.replies += uint64(replies)
		for i := range piece {
			piece[i] = '#'
		}
		if err != nil {
			return keys, got, err
		}
		stream = stream[n:]
	}
	return keys, got, nil
}

const keyStream = "VALUE a 0 3\r\nEND\r\nVALUE bb 0 0\r\n\r\nEND\r\nEND\r\nVALUE c 1 2 77\r\nxx\r\nEND\r\nSERVER_ERROR x\r\n"

func TestKeyScanner(t *testing.T) {
	for size := 1; size <= len(keyStream); size++ {
		keys, got, err := keysIn([]byte(keyStream), size)
		if err != nil {
			t.Fatalf("pieces of %d: %v", size, err)
		}
		if strings.Join(keys, " ") != "a bb c" || got.replies != 4 || got.errors != 1 || got.firstError != `"SERVER_ERROR x"` {
			t.Errorf("pieces of %d: got keys %q, %+v; want a bb c, 4 replies, 1 error", size, keys, got)
		}
	}
}

// FuzzKeyScanner checks that a stream means the same in one piece and in many.
func FuzzKeyScanner(f *testing.F) {
	f.Add(uint8(1), []byte(keyStream))
	f.Add(uint8(7), []byte("VALUE a 0 99999999999\r\n"))
	f.Add(uint8(2), []byte("VALUE \r\nEND\r\n"))
	f.Fuzz(func(t *testing.T, size uint8, stream []byte) {
		keys, whole, err := keysIn(stream, len(stream)+1)
		inPieces, pieces, errPieces := keysIn(stream, int(size)+1)
		if (err == nil) != (errPieces == nil) || !reflect.DeepEqual(keys, inPieces) || whole != pieces {
			t.Errorf("whole: %q %+v %v, in pieces of %d: %q %+v %v", keys, whole, err, int(size)+1, inPieces, pieces, errPieces)
		}
		if len(keys) > len(stream) || whole.replies > uint64(len(stream)) {
			t.Errorf("got %d keys and %d replies in %d bytes", len(keys), whole.replies, len(stream))
		}
	})
}
