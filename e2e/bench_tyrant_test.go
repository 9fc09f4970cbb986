//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchTyrant measures a node and memcached once, in small sizes. A reply that is an error or a miss, and a number of
// keys that is not the right one, would make it fail.
func TestBenchTyrant(t *testing.T) {
	raw := filepath.Join(t.TempDir(), "raw")
	args := []string{"bench", "tyrant", "--rounds=1", "--window=50ms", "--warm-up=10ms", "--records=20000", "--raw", raw}
	cmd := exec.CommandContext(t.Context(), futagoProgram, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, &stderr)
	}
	for _, want := range []string{"memcached -t 1", "futago, memcache", "of 10 keys", "beside fwmkeys of all keys"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("output lacks %q:\n%s", want, &out)
		}
	}
	text, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	cases := make(map[string]bool)
	for line := range bytes.Lines(text) {
		var r struct {
			Case, Server string
			Result       struct {
				Requests, Errors, Misses uint64
				Config                   struct{ Protocol string }
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("raw line %q: %v", line, err)
		}
		if r.Result.Requests == 0 || r.Result.Errors > 0 || r.Result.Misses > 0 {
			t.Errorf("%s, %s: got %+v, want requests without errors and misses", r.Case, r.Server, r.Result)
		}
		if r.Server == "futago, tyrant" && r.Result.Config.Protocol == "tyrant" {
			cases[r.Case] = true
		}
	}
	if len(cases) != 7 {
		t.Errorf("got %d cases in Tokyo Tyrant's protocol, want 7: %v", len(cases), cases)
	}
}
