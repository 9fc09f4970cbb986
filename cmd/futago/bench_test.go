package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

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

func TestBenchCommandErrors(t *testing.T) {
	tests := []struct {
		args []string
		code int
		want string
	}{
		{[]string{"bench", "--get-ratio", "2"}, exitUsage, "get-ratio 2"},
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
