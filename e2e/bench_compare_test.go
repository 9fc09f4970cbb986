//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestBenchCompare measures every group once on the real servers, in small sizes. A reply that is an error or a miss would
// make it fail. It knows nothing of how fast they are.
func TestBenchCompare(t *testing.T) {
	groups := map[string][]string{ // the servers in the order of the first case, that of the ratios first
		"core":        {"memcached -t 1", "redis", "futago"},
		"connections": {"memcached -t 1", "redis", "futago"},
		"sizes":       {"memcached -t 1", "redis", "futago"},
		"incr":        {"memcached -t 1", "redis", "futago"},
		"protocols":   {"memcached -t 1", "futago"},
		"unix":        {"memcached -t 1", "redis", "futago"},
		"tls":         {"memcached -t 1", "redis", "futago"},
		"fsync":       {"redis", "futago"},
		"http":        {"nginx, a file", "futago", "memcached -t 1"},
		"gateway":     {"nginx, keepalive", "nginx", "futago gateway"},
	}
	var figures struct {
		Programs []string
		Noise    struct{ Measurements int }
		Cases    []struct {
			Group, Case, Server, Reference string
			OpsPerSecond                   float64 `json:"ops_per_second"`
			P99Micros                      float64 `json:"p99_us"`
			Ratio                          float64
		}
		Targets []struct{ Reached string }
	}
	path := filepath.Join(t.TempDir(), "figures.json")
	cmd := exec.CommandContext(t.Context(), futagoProgram, "bench", "compare", "--rounds=1", "--window=50ms", "--warm-up=10ms", "--json", path)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, &out)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &figures); err != nil {
		t.Fatalf("decode %v\n%s", err, text)
	}
	seen := map[string][]string{}
	first := map[string]string{}
	for _, c := range figures.Cases {
		if first[c.Group] == "" {
			first[c.Group] = c.Case
		}
		if servers := seen[c.Group]; c.Case == first[c.Group] && len(servers) < len(groups[c.Group]) {
			seen[c.Group] = append(servers, c.Server)
		}
		if c.OpsPerSecond <= 0 || c.P99Micros <= 0 || c.Ratio <= 0 || c.Server == c.Reference && c.Ratio != 1 {
			t.Errorf("%+v: want figures, and ratio 1 of the reference", c)
		}
	}
	for group, want := range groups {
		if got := seen[group]; !slices.Equal(got, want) {
			t.Errorf("%s: got servers %q, want %q", group, got, want)
		}
	}
	if len(seen) != len(groups) || figures.Noise.Measurements != len(figures.Cases) || len(figures.Programs) != 4 {
		t.Errorf("got %d groups, %d measurements of %d figures, programs %q; want %d groups and four programs", len(seen),
			figures.Noise.Measurements, len(figures.Cases), figures.Programs, len(groups))
	}
	if len(figures.Targets) != 13 {
		t.Errorf("got %d targets, want all: %+v", len(figures.Targets), figures.Targets)
	}
	for _, target := range figures.Targets {
		switch target.Reached {
		case "aim", "must", "no":
		default:
			t.Errorf("a target is reached by the word %q", target.Reached)
		}
	}
}
