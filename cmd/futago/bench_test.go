package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/bench"
)

// startCache serves every session with answer, until the test ends.
func startCache(t *testing.T, answer func(io.ReadWriter)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer nc.Close()
				answer(nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		sessions.Wait()
	})
	return l.Addr().String()
}

// miss answers every get with nothing.
func miss(nc io.ReadWriter) {
	for lines := bufio.NewScanner(nc); lines.Scan(); {
		if _, err := io.WriteString(nc, "END\r\n"); err != nil {
			return
		}
	}
}

// TestBenchInterrupted: what was measured until then is printed.
func TestBenchInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var asked atomic.Int64
	address := startCache(t, func(nc io.ReadWriter) {
		for lines := bufio.NewScanner(nc); lines.Scan(); {
			if asked.Add(1) == 200 {
				interrupt()
			}
			if _, err := io.WriteString(nc, "END\r\n"); err != nil {
				return
			}
		}
	})
	bench := func(ctx context.Context, args ...string) (out, told string, err error) {
		cmd := newBenchCommand()
		var printed, errors strings.Builder
		cmd.SetArgs(append([]string{"--addr", address, "--no-fill", "--get-ratio", "1", "--connections", "2", "--warm-up", "0s", "--duration", "1h"}, args...))
		cmd.SetOut(&printed)
		cmd.SetErr(&errors)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err = cmd.ExecuteContext(ctx)
		return printed.String(), errors.String(), err
	}
	if out, told, err := bench(ctx); err != exitCode(exitInterrupted) || !strings.Contains(out, "requests/s\n") || !strings.Contains(out, "cut short: 1h0m0s") {
		t.Errorf("interrupted: %v, printed %s, told %s", err, out, told)
	}
	if out, told, err := bench(ctx, "--json"); err != exitCode(exitInterrupted) || out != "" || !strings.Contains(told, "stopped before anything was measured") {
		t.Errorf("interrupted at once: %v, printed %s, told %s", err, out, told)
	}
}

func TestBenchHints(t *testing.T) {
	for reply, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n\r\n":     "does not speak memcache",
		"-ERR unknown command\r\n":             "does not speak memcache",
		"":                                     "Its log may say why",
		"-MOVED 866 127.0.0.1:7001\r\n--redis": "a node of a Redis cluster",
	} {
		reply, redis := strings.CutSuffix(reply, "--redis")
		address := startCache(t, func(nc io.ReadWriter) {
			_, _ = nc.Read(make([]byte, 1<<20))
			_, _ = io.WriteString(nc, reply)
		})
		args := []string{"bench", "--addr", address, "--connections", "1", "--keys", "10", "--duration", "10ms", "--warm-up", "0s"}
		if redis {
			args = append(args, "--protocol", "redis")
		}
		if code, _, told := runFutago(nil, args...); code != exitFailure || !strings.Contains(told, want) {
			t.Errorf("%q: exit code %d, told %q, want %q", reply, code, told, want)
		}
	}
}

func TestBenchCommand(t *testing.T) {
	address := startCache(t, miss)
	load := []string{"bench", "--addr", address, "--no-fill", "--get-ratio", "1", "--connections", "2",
		"--duration", "20ms", "--warm-up", "0s"}

	var out, stderr strings.Builder
	if code := run(append(load, "--json"), strings.NewReader(""), &out, &stderr); code != exitOK {
		t.Fatalf("%q: exit code %d, stderr %q", load, code, stderr.String())
	}
	var result bench.Result
	if err := json.Unmarshal([]byte(out.String()), &result); err != nil {
		t.Fatalf("decode %q: %v", out.String(), err)
	}
	if result.Requests == 0 || result.Misses != result.Requests || result.Config.Connections != 2 {
		t.Errorf("got %d requests, %d misses, %d connections; want only misses on 2 connections",
			result.Requests, result.Misses, result.Config.Connections)
	}

	out.Reset()
	if code := run(load, strings.NewReader(""), &out, &stderr); code != exitOK {
		t.Fatalf("%q: exit code %d, stderr %q", load, code, stderr.String())
	}
	if !strings.Contains(out.String(), "requests/s") {
		t.Errorf("text result lacks the rate: %q", out.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("progress on a stream that is no terminal: %q", stderr.String())
	}
}

// startSecureCache answers every get over TLS with nothing, until the test ends.
func startSecureCache(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil) // for its certificate
	s.StartTLS()
	t.Cleanup(s.Close)
	config := &tls.Config{Certificates: s.TLS.Certificates}
	return startCache(t, func(nc io.ReadWriter) { miss(tls.Server(nc.(net.Conn), config)) })
}

func TestBenchCommandTLS(t *testing.T) {
	load := []string{"bench", "--addr", startSecureCache(t), "--tls-insecure", "--no-fill", "--get-ratio", "1", "--connections", "2",
		"--duration", "20ms", "--warm-up", "0s", "--json"}
	var out, stderr strings.Builder
	if code := run(load, strings.NewReader(""), &out, &stderr); code != exitOK {
		t.Fatalf("%q: exit code %d, stderr %q", load, code, stderr.String())
	}
	var result bench.Result
	if err := json.Unmarshal([]byte(out.String()), &result); err != nil || result.Requests == 0 {
		t.Errorf("got %q, error %v; want some requests", out.String(), err)
	}
}

func TestBenchValueSize(t *testing.T) {
	address := startCache(t, miss)
	for given, want := range map[string]string{"7": `"value_size": 7,`, "1-9,50:3": `"value_sizes": "1-9,50:3"`} {
		args := []string{"bench", "--addr", address, "--value-size", given, "--no-fill", "--get-ratio", "1", "--duration", "5ms", "--warm-up", "0s", "--json"}
		var out, stderr strings.Builder
		if code := run(args, strings.NewReader(""), &out, &stderr); code != exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d, got %s and %s, want %s", given, code, out.String(), stderr.String(), want)
		}
	}
}

func TestProgressText(t *testing.T) {
	for want, p := range map[string]bench.Progress{
		"filling    42 %     123456 requests/s":                           {Phase: bench.Filling, Filled: 0.42, OpsPerSecond: 123456},
		"warm-up         1000 requests/s, 6 s left":                       {Phase: bench.WarmingUp, OpsPerSecond: 1000, Left: 5900 * time.Millisecond},
		"measuring       1000 requests/s, p99 250 us, 3 errors, 5 s left": {Phase: bench.Measuring, OpsPerSecond: 1000, P99Micros: 250, Errors: 3, Left: 5 * time.Second},
	} {
		if got := progressText(p); got != want {
			t.Errorf("got %q want %q", got, want)
		}
	}
}

func TestBenchCommandErrors(t *testing.T) {
	plain := startCache(t, func(nc io.ReadWriter) { _, _ = io.WriteString(nc, "ERROR\r\n") })
	secure := startSecureCache(t)
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"bench", "--get-ratio", "2"}, exitUsage, "get-ratio 2"},
		{[]string{"bench", "--get-ratio", "0.5", "--incr-ratio", "0.6"}, exitUsage, "incr-ratio 0.6"},
		{[]string{"bench", "--zipf", "-1"}, exitUsage, "zipf -1"},
		{[]string{"bench", "--value-size", "9-1"}, exitUsage, "value-size 9-1"},
		{[]string{"bench", "--value-size", "much"}, exitUsage, `value-size "much"`},
		{[]string{"bench", "--tls-ca", "/none/ca.pem"}, exitUsage, "/none/ca.pem"},
		{[]string{"bench", "--addr", plain, "--no-fill", "--tls"}, exitFailure, "speak no TLS there"},
		{[]string{"bench", "--addr", secure, "--no-fill", "--tls", "--duration", "20ms"}, exitFailure, "--tls-ca FILE"},
		{[]string{"bench", "--addr", closed(t)}, exitFailure, "Nobody listens there."},
		{[]string{"bench", "check", "--rounds", "0"}, exitUsage, "rounds 0"},
		{[]string{"bench", "now"}, exitUsage, `unexpected argument "now"`},
		{[]string{"bench", "--addr", "unix:" + t.TempDir() + "/none", "--json"}, exitFailure, "connect to unix:"},
		{[]string{"bench", "lag", "--write", "127.0.0.1:1"}, exitUsage, "read is empty"},
		{[]string{"bench", "lag", "--write", "unix:" + t.TempDir() + "/none", "--read", "x:1"}, exitFailure, "bench lag: connect to unix:"},
		{[]string{"bench", "lag", "--write", "x:1", "--read", "x:1", "--rate", "5", "--saturate"}, exitUsage, "rate 5"},
		{[]string{"bench", "--protocol", "redis", "--wait", "1"}, exitUsage, "wait 1"},
		{[]string{"bench", "pair", "--case", "lags", "--kills", "0"}, exitUsage, "kills 0"},
		{[]string{"bench", "pair", "--futago", "/none/futago"}, exitFailure, "/none/futago"},
		{[]string{"bench", "pair", "--case", "ready", "--futago", "/bin/false", "--json"}, exitFailure, "measure ready: 100000 missed writes: start node 1"},
		{[]string{"bench", "compare", "--rounds", "0"}, exitUsage, "rounds 0"},
		{[]string{"bench", "compare", "--case", "core,cores"}, exitUsage, `case "cores": must be one of core, connections,`},
		{[]string{"bench", "tyrant", "--rounds", "0"}, exitUsage, "rounds 0"},
		{[]string{"bench", "tyrant", "--records", "1"}, exitFailure, "records 1"},
		{[]string{"bench", "compare", "--futago", "/none/futago"}, exitFailure, "/none/futago"},
		{[]string{"bench", "compare", "--raw", t.TempDir()}, exitFailure, "write raw results"},
	}
	for _, tt := range tests {
		var out, stderr strings.Builder
		code := run(tt.args, strings.NewReader(""), &out, &stderr)
		if code != tt.code || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%q: exit code %d, stderr %q; want %d and %q", tt.args, code, stderr.String(), tt.code, tt.want)
		}
	}
}
