package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
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
	cases := []benchCase{
		{"P=1", func(c *Config) { c.Keys = 1000 }},
		{"P=16", func(c *Config) { c.Keys, c.Pipeline = 1000, 16 }},
		{"larger", func(c *Config) { c.Keys, c.ValueSize = 1000, 1000 }},
	}
	alone := placement{"pinned", cpus[0], cpus[len(cpus)-1:]}
	report, err := compare(t.Context(), c, []match{
		{group: "core", place: alone, peers: []*peer{fakePeer("old"), fakePeer("new")}, cases: cases},
		{group: "core", place: freely, peers: []*peer{fakePeer("old")}, cases: cases},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := len(cases) * 3; len(report.rows) != want {
		t.Errorf("got %d rows, want %d", len(report.rows), want)
	}
	for _, row := range report.rows {
		if len(row.results) != 2 {
			t.Errorf("%s, %s, %s: got %d results, want one of each round", row.placement, row.benchCase, row.server, len(row.results))
		}
		for i, r := range row.results {
			// P=16 finds what P=1 has set; other sizes are set anew, and so are the first ones after them.
			if want := row.benchCase != "P=16"; r.Config.Fill != want {
				t.Errorf("%s, %s, %s, round %d: fill %v, want %v", row.placement, row.benchCase, row.server, i+1, r.Config.Fill, want)
			}
		}
	}
	if got, want := strings.Count(raw.String(), "\n"), 2*len(report.rows); got != want {
		t.Errorf("got %d raw lines, want %d", got, want)
	}
	if got := strings.Count(log.String(), "\n"); got != 4 {
		t.Errorf("log has %d lines, want one for each of 4 rounds:\n%s", got, log.String())
	}
}

func TestComparePeerThatHasItsValues(t *testing.T) {
	server := fakePeer("empty")
	server.full = true
	c := CompareConfig{Rounds: 1, Window: 20 * time.Millisecond}
	_, err := compare(t.Context(), c, []match{{group: "http", place: freely, peers: []*peer{server}, cases: coreCases[:1]}})
	if err == nil || !strings.Contains(err.Error(), "compare servers, http: measure empty, P=1: 0 errors and ") {
		t.Errorf("got error %v, want one of the misses at a server that was not filled", err)
	}
}

func TestCompareStopsWhatPrepareStarted(t *testing.T) {
	var node *process
	broken := errors.New("broken")
	m := match{group: "gateway", place: freely, prepare: func(ctx context.Context) (processes, error) {
		var err error
		if node, err = fakePeer("node").start(ctx, -1); err != nil {
			return nil, err
		}
		return processes{node}, broken
	}}
	if _, err := compare(t.Context(), CompareConfig{Rounds: 1}, []match{m}); !errors.Is(err, broken) {
		t.Errorf("got error %v, want that of the preparation", err)
	}
	select {
	case <-node.exited:
	default:
		t.Error("the node still runs")
		node.kill()
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

func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", "")
	_, err := compare(t.Context(), DefaultCompareConfig(), []match{
		{group: "core", place: freely, peers: []*peer{memcachedPeer(1), redisPeer()}},
		{group: "unix", place: freely, peers: []*peer{memcachedPeer(1), {name: "x", program: "no-such-program-of-this-name"}}},
	})
	for _, want := range []string{
		"compare servers, core: program memcached is not installed: install the Debian package memcached\n",
		"compare servers, core: program redis-server is not installed: install the Debian package redis-server\n",
		"compare servers, unix: program no-such-program-of-this-name is not installed",
	} {
		if err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("got error %v, want %q in it once", err, want)
		}
	}
}

func TestCompareConfigValidate(t *testing.T) {
	c := CompareConfig{Groups: []string{"cores"}, Rounds: 0, Window: time.Microsecond, WarmUp: -1}
	err := c.Validate()
	for _, want := range []string{"futago is empty", `case "cores": must be one of core, `, "rounds 0", "window 1µs", "warm-up -1ns"} {
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
	r := &Report{config: CompareConfig{Rounds: 3, Window: 2 * time.Second}, programs: []string{"old 1.0"}}
	alone, free := &match{group: "core", place: placement{name: "pinned"}}, &match{group: "core", place: freely}
	for i, other := range []float64{0, 0.3, 0.1} {
		n := float64(i + 1)
		r.add(alone, "P=1", "old", &Result{OpsPerSecond: 100_000 * n, ServerCPUMicros: 8, P99Micros: 800})
		// The second round is disturbed, and its figures do not count.
		r.add(alone, "P=1", "new", &Result{OpsPerSecond: 150_000 * n, ServerCPUMicros: 5 + other*other, P99Micros: 400 * n, OtherCores: other})
		r.add(free, "P=1", "new", &Result{OpsPerSecond: 50_000, ServerCPUMicros: 5, OtherCores: 0.5})
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	// The columns: ops/s, spread, ratio, CPU, CPU ratio, p50, p99, p99.9, load, quiet.
	var lines []string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for _, want := range []string{
		"old 1.0",
		"core pinned P=1 old 200000 100% 1.00 8.00 1.00 0 800 - 0.00 3/3",
		"core pinned P=1 new 300000 100% 1.50 5.00 1.60 0 800 - 0.00 2/3",
		"core free P=1 new 50000 0% 1.00 5.00 1.00 0 0 - 0.00 ~0/3",
		"Noise: other work took 0.10 processors in the median and 0.50 in the worst of 9 measurements; 5 were quiet.",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in the report:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "Targets") {
		t.Errorf("targets of servers that took no part:\n%s", b.String())
	}
}

func TestReportTellsServersApart(t *testing.T) {
	r := &Report{config: CompareConfig{Rounds: 1, Window: time.Second}}
	m := &match{group: "1 master", place: freely}
	r.add(m, "P=1", "redis", &Result{OpsPerSecond: 100, ServerCPUMicros: 8, BehindCPUMicros: 8, P999Micros: 9})
	r.add(m, "P=1", "front", &Result{OpsPerSecond: 50, ServerCPUMicros: 20, BehindCPUMicros: 9, P999Micros: 9})
	r.tables = []*Table{{Case: "growth"}}
	var b strings.Builder
	r.Figures().write(&b)
	// The columns: ops/s, spread, ratio, CPU, CPU ratio, front, behind, p50, p99, p99.9, load, quiet.
	text := strings.Join(strings.Fields(b.String()), " ")
	for _, want := range []string{
		"CPU us CPU ratio front us behind us p50 us", "redis 100 0% 1.00 8.00 1.00 0.00 8.00 0 0 9 0.00 1/1", "front 50 0% 0.50 20.00 0.40 11.00 9.00 0 0 9 0.00 1/1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the report:\n%s", want, b.String())
		}
	}
	if f := r.Figures(); len(f.Tables) != 1 {
		t.Errorf("figures have %d tables, want 1", len(f.Tables))
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
