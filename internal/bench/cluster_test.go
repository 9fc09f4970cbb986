//go:build e2e

package bench

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// buildFutago returns the path of a futago binary of this source.
func buildFutago(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "futago")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/futago").CombinedOutput(); err != nil {
		t.Fatalf("build futago: %v\n%s", err, out)
	}
	return path
}

func TestCompareCluster(t *testing.T) {
	var raw, log strings.Builder
	c := CompareConfig{Futago: buildFutago(t), Rounds: 1, Window: 200 * time.Millisecond, Raw: &raw, Log: &log}
	k := ClusterKillConfig{Kills: 1, NodeTimeouts: []time.Duration{time.Second}, Rate: 200}
	cases := slices.Clone(clusterCases[2:3]) // ten-key gets: all kinds of rows
	report, err := compareCluster(t.Context(), c, k, cases)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"1 master", "3 masters"} {
		for _, server := range []string{"redis, 10 GETs at once", "redis, MGET of one slot", "front"} {
			row := report.row(group, freely.name, "ten-key gets", server)
			if row == nil || len(row.results) != 1 {
				t.Fatalf("%s, %s: got %+v, want one result", group, server, row)
			}
			if r := row.results[0]; r.OpsPerSecond <= 0 || r.P50Micros <= 0 {
				t.Errorf("%s, %s: got %+v", group, server, r)
			}
		}
	}
	if got := strings.Count(raw.String(), "\n"); got != 6 {
		t.Errorf("got %d raw lines, want 6:\n%s", got, raw.String())
	}
	kill := report.tables[len(report.tables)-1]
	if len(kill.Rows) != len(clusterClients) {
		t.Fatalf("got %d rows of kills, want %d", len(kill.Rows), len(clusterClients))
	}
	for _, row := range kill.Rows {
		values := row.Rounds[0].Values
		// Nobody is taken for dead before the node timeout.
		if values[0] < 1000 || values[2] == 0 {
			t.Errorf("%s: got a gap of %.0f ms and %.0f sets, want at least 1000 ms and some", row.Name, values[0], values[2])
		}
	}
	if want := "kill, node timeout 1s: 1 of 1\n"; !strings.HasSuffix(log.String(), want) {
		t.Errorf("got log %q, want it to end with %q", log.String(), want)
	}
}
