package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fakePeer is this test program as a server. env hands the port to it.
func fakePeer(name string) *peer {
	return &peer{name: name, program: "env", protocol: Memcache, args: func(port int, _ string) []string {
		return []string{serveVariable + "=" + strconv.Itoa(port), os.Args[0]}
	}}
}

func TestCompare(t *testing.T) {
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	var raw, log strings.Builder
	c := CompareConfig{Futago: os.Args[0], Rounds: 2, Window: 20 * time.Millisecond, Raw: &raw, Log: &log}
	report, err := compare(t.Context(), c, []placement{
		{"pinned", cpus[0], cpus[len(cpus)-1:], []*peer{fakePeer("old"), fakePeer("new")}},
		{"free", -1, nil, []*peer{fakePeer("old")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(benchCases) * 3; len(report.rows) != want {
		t.Errorf("got %d rows, want %d", len(report.rows), want)
	}
	for _, row := range report.rows {
		if len(row.results) != 2 {
			t.Errorf("%s, %s, %s: got %d results, want one of each round", row.placement, row.benchCase, row.server, len(row.results))
		}
	}
	if got, want := strings.Count(raw.String(), "\n"), 2*len(report.rows); got != want {
		t.Errorf("got %d raw lines, want %d", got, want)
	}
	if got := strings.Count(log.String(), "\n"); got != 4 {
		t.Errorf("log has %d lines, want one for each of 4 rounds:\n%s", got, log.String())
	}
}

func TestPeerStops(t *testing.T) {
	s, err := fakePeer("fake").start(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat the folder of a stopped server: got error %v, want that it is gone", err)
	}
	if err := s.cmd.Process.Signal(os.Interrupt); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal a stopped server: got error %v, want %v", err, os.ErrProcessDone)
	}
}

func TestPeerThatDoesNotStart(t *testing.T) {
	p := &peer{name: "broken", program: "sh", args: func(int, string) []string {
		return []string{"-c", "echo no such option >&2; exit 3"}
	}}
	_, err := p.start(t.Context(), -1)
	for _, want := range []string{"start broken", "exit status 3", "no such option"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

func TestPeerThatDoesNotListen(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p := &peer{name: "deaf", program: "sleep", args: func(int, string) []string { return []string{"1000"} }}
	if _, err := p.start(ctx, -1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestMissingProgram(t *testing.T) {
	pl := placement{name: "free", serverCPU: -1, peers: []*peer{{name: "x", program: "no-such-program-of-this-name"}}}
	_, err := compare(t.Context(), DefaultCompareConfig(), []placement{pl})
	if err == nil || !strings.Contains(err.Error(), "run scripts/test-deps") {
		t.Errorf("got error %v, want one that says what to run", err)
	}
}

func TestCompareConfigValidate(t *testing.T) {
	c := CompareConfig{Rounds: 0, Window: time.Microsecond, WarmUp: -1}
	err := c.Validate()
	for _, want := range []string{"futago is empty", "rounds 0", "window 1µs", "warm-up -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want all problems, %q among them", err, want)
		}
	}
	c = DefaultCompareConfig()
	c.Futago = "bin/futago"
	if err := c.Validate(); err != nil {
		t.Errorf("default config: %v", err)
	}
}

func TestReport(t *testing.T) {
	r := newReport(CompareConfig{Rounds: 3, Window: 2 * time.Second})
	for i, other := range []float64{0, 0.3, 0.1} {
		n := float64(i + 1)
		r.add("pinned", "P=1", "old", &Result{OpsPerSecond: 100_000 * n, ServerCPUMicros: 8, P99Micros: 800})
		// The second round is disturbed, and its figures do not count.
		r.add("pinned", "P=1", "new", &Result{OpsPerSecond: 150_000 * n, ServerCPUMicros: 5 + other*other, P99Micros: 400 * n, OtherCores: other})
		r.add("free", "P=1", "new", &Result{OpsPerSecond: 50_000, ServerCPUMicros: 5, OtherCores: 0.5})
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	// The columns: ops/s, spread, ratio, CPU, CPU ratio, p50, p99, p99.9, load, quiet.
	want := []string{
		"pinned P=1 old 200000 100% 1.00 8.00 1.00 0 800 0 0.00 3/3",
		"pinned P=1 new 300000 100% 1.50 5.00 1.60 0 800 0 0.00 2/3",
		"free P=1 new 50000 0% 1.00 5.00 1.00 0 0 0 0.00 ~0/3",
	}
	lines := strings.Split(b.String(), "\n")
	for i, w := range want {
		if got := strings.Join(strings.Fields(lines[i+2]), " "); got != w {
			t.Errorf("line %d: got %q want %q", i+2, got, w)
		}
	}
}

func TestMedian(t *testing.T) {
	tests := []struct {
		values       []float64
		want, spread float64
	}{
		{nil, 0, 0},
		{[]float64{3}, 3, 0},
		{[]float64{3, 1, 2}, 2, 1},
		{[]float64{4, 1, 3, 2}, 2.5, 1.2},
	}
	for _, tt := range tests {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %g, want %g", tt.values, got, tt.want)
		}
		if got := spread(tt.values); math.Abs(got-tt.spread) > 1e-9 {
			t.Errorf("spread(%v) = %g, want %g", tt.values, got, tt.spread)
		}
	}
}

func TestTailBuffer(t *testing.T) {
	var b tailBuffer
	for i := range 1000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	got := b.String()
	if len(got) > keptOutput || !strings.HasSuffix(got, "line 999") {
		t.Errorf("got %d bytes that end in %q, want at most %d and the last line", len(got), got[max(0, len(got)-10):], keptOutput)
	}
}
