package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/bench"
)

func figures() *bench.Figures {
	f := &bench.Figures{Begun: time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)}
	add := func(group, name, server string, connections int, ops, p99, ratio float64, quiet int) {
		f.Cases = append(f.Cases, bench.CaseFigure{Group: group, Placement: "pinned", Case: name, Server: server, Reference: "old <&>",
			Connections: connections, OpsPerSecond: ops, P99Micros: p99, Ratio: ratio, Quiet: quiet})
	}
	for _, n := range []int{50, 1000, 10_000} {
		add("connections", fmt.Sprint(n), "old <&>", n, 100_000, 900, 1, 5)
		add("connections", fmt.Sprint(n), "futago", n, 125_000, 700, 1.25, 5)
	}
	add("sizes", "32 B", "old <&>", 50, 100_000, 800, 1, 5)
	add("sizes", "32 B", "futago", 50, 50_000, 0, 0.5, 0)
	f.Targets = []bench.TargetFigure{
		{Case: "core P=1, pinned", Of: "ops/s", Peer: "old", Must: 1, Aim: 1.5, Ratio: 1.25, Quiet: true, Reached: "must"},
		{Case: "gateway GET, free", Of: "ops/s", Peer: "nginx", Must: 0.6, Aim: 1, Ratio: 0.5, Reached: "no"},
	}
	return f
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "figures.json")
	text, err := json.Marshal(figures())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(path, dir, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"2026-11-26", "| core P=1, pinned | ops/s | old | 1.00 | 1.50 | 1.25 | must |\n", "| gateway GET, free | ops/s | nginx | 0.60 | 1.00 | ~0.50 | no |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, out.String())
		}
	}
	for name, want := range map[string][]string{
		"ratios.svg":      {"connections 1000, pinned / old <&>", "1.25", "~0.50", "1/2", "futago is slower"},
		"connections.svg": {"futago", "old <&>", "10,000", "100 k", "p99, ms, logarithmic scale", "connections"},
		"sizes.svg":       {"32 B", "size of a value"},
	} {
		texts := svgTexts(t, filepath.Join(dir, name))
		for _, w := range want {
			if !slices.Contains(texts, w) {
				t.Errorf("%s has no text %q in %q", name, w, texts)
			}
		}
	}
}

// TestRunScale draws growing data, of which a case has two rounds and others none.
func TestRunScale(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "raw.jsonl")
	var text []byte
	for _, r := range []bench.ScaleResult{
		{Case: "load", Server: "futago", Records: 10_000_000, Values: map[string]float64{"records/s": 500_000, "anonymous B/record": 22}},
		{Case: "load", Server: "futago", Records: 1_000_000, Values: map[string]float64{"records/s": 1_000_000, "anonymous B/record": 40}},
		{Case: "start", Server: "futago", What: "kill -9, warm", Records: 1_000_000, Values: map[string]float64{"s": 0.6}},
		{Case: "start", Server: "futago", What: "kill -9, warm", Records: 1_000_000, Values: map[string]float64{"s": 0.8}},
		{Case: "delete", Server: "futago", What: "gets deleting", Records: 10_000_000, Values: map[string]float64{"p99 us": 900}},
	} {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(path, dir, io.Discard); err != nil {
		t.Fatal(err)
	}
	texts := svgTexts(t, filepath.Join(dir, "scale.svg"))
	for _, want := range []string{"10,000,000", "Records set a second", "futago, killed", "seconds, logarithmic scale", "deleting", "1 M", "p99, ms, logarithmic scale"} {
		if !slices.Contains(texts, want) {
			t.Errorf("no text %q in %q", want, texts)
		}
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(path, dir, io.Discard); err == nil || !strings.Contains(err.Error(), "no results") {
		t.Errorf("got error %v of an empty file, want one", err)
	}
}

// svgTexts returns what a file says, which must be good XML without numbers that are none.
func svgTexts(t *testing.T, path string) (texts []string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(content); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") {
		t.Errorf("%s has a place that is no number", path)
	}
	for d := xml.NewDecoder(strings.NewReader(string(content))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if data, ok := token.(xml.CharData); ok {
			texts = append(texts, string(data))
		}
	}
}

func TestRunErrors(t *testing.T) {
	dir := t.TempDir()
	if err := run(filepath.Join(dir, "none"), dir, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want %v", err, os.ErrNotExist)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(broken, dir, io.Discard); err == nil || !strings.Contains(err.Error(), "read figures "+broken) {
		t.Errorf("got error %v, want one that names the file", err)
	}
}

func TestLogTicks(t *testing.T) {
	tests := []struct {
		lo, hi float64
		want   []float64
	}{
		{1, 10, []float64{1, 2, 5, 10}},
		{30, 45, []float64{20, 50}},
		{0.7, 0.7, []float64{0.5, 1}},
		{5, 5, []float64{5, 10}},
		{3, 3000, []float64{1, 10, 100, 1000, 10000}},
	}
	for _, tt := range tests {
		got := logTicks(tt.lo, tt.hi)
		if !slices.EqualFunc(got, tt.want, func(a, b float64) bool { return math.Abs(a/b-1) < 1e-9 }) {
			t.Errorf("ticks from %g to %g: got %v want %v", tt.lo, tt.hi, got, tt.want)
		}
	}
}
