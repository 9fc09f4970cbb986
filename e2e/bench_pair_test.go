//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pairTable is a table of what `futago bench pair --json` prints.
type pairTable struct {
	Case    string
	Title   string
	Columns []string
	Ratios  []string
	Rows    []struct {
		Name   string
		Rounds []struct {
			Values     []float64
			OtherCores float64 `json:"other_cores"`
		}
		Medians []float64
		Ratios  []float64
	}
}

// benchPair measures a small pair once.
func benchPair(t *testing.T, args ...string) (tables []pairTable, progress string) {
	t.Helper()
	args = append([]string{"bench", "pair", "--json", "--rounds=1", "--warm-up=20ms"}, args...)
	cmd := exec.CommandContext(t.Context(), futagoProgram, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%q: %v\n%s", args, err, &stderr)
	}
	var report struct{ Tables []pairTable }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%q: decode %v\n%s", args, err, &out)
	}
	return report.Tables, stderr.String()
}

// TestBenchPair measures everything in small sizes. It knows what must be there and what cannot be negative or 0, and
// nothing of how fast it is.
func TestBenchPair(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		rows   []int // of each table
		rounds int
		zero   []string // columns that may be 0
	}{
		{"lag", []string{"--lag-window=200ms"}, []int{3}, 1, []string{"timeouts", "late"}},
		{"sets", []string{"--sets-window=50ms"}, []int{10}, 1, nil},
		{"failover", []string{"--kills=2"}, []int{2}, 2, nil},
		{"ready", []string{"--missed=500", "--missed=2000", "--records=2000"}, []int{3}, 1, []string{"snapshots"}},
		{"copy", []string{"--copy-records=20000", "--copy-rate=500", "--copy-window=200ms"}, []int{1, 4, 3}, 1, []string{"late"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tables, progress := benchPair(t, append(tt.args, "--case="+tt.name)...)
			if !strings.Contains(progress, tt.name+": done in") {
				t.Errorf("progress %q does not say that %s is done", progress, tt.name)
			}
			if len(tables) != len(tt.rows) {
				t.Fatalf("got %d tables want %d", len(tables), len(tt.rows))
			}
			for i, table := range tables {
				if table.Case != tt.name || len(table.Rows) != tt.rows[i] {
					t.Errorf("table %q of case %s: got %d rows, want %d of case %s", table.Title, table.Case, len(table.Rows), tt.rows[i], tt.name)
				}
				checkPairTable(t, table, tt.rounds, tt.zero)
			}
		})
	}
}

// checkPairTable looks for figures that are missing or have a sign that they cannot have.
func checkPairTable(t *testing.T, table pairTable, rounds int, zero []string) {
	t.Helper()
	for _, row := range table.Rows {
		if len(row.Rounds) != rounds || len(row.Medians) != len(table.Columns) || len(row.Ratios) != len(table.Ratios) {
			t.Errorf("%s: got %d rounds, %d medians and %d ratios; want %d, %d and %d", row.Name, len(row.Rounds), len(row.Medians),
				len(row.Ratios), rounds, len(table.Columns), len(table.Ratios))
			continue
		}
		for _, round := range row.Rounds {
			if len(round.Values) != len(table.Columns) || round.OtherCores < 0 {
				t.Errorf("%s: got %d values beside %g processors of other work, want %d", row.Name, len(round.Values), round.OtherCores, len(table.Columns))
			}
		}
		for i, column := range table.Columns {
			if v := row.Medians[i]; v < 0 || v == 0 && !slices.Contains(zero, column) {
				t.Errorf("%s: %s is %g", row.Name, column, v)
			}
		}
		for i, name := range table.Ratios {
			if row.Ratios[i] <= 0 {
				t.Errorf("%s: ratio %s is %g", row.Name, name, row.Ratios[i])
			}
		}
	}
	// A wiped node gets a snapshot, another one does not.
	if i := slices.Index(table.Columns, "snapshots"); i >= 0 {
		for _, row := range table.Rows {
			if wiped := strings.HasPrefix(row.Name, "wiped"); (row.Medians[i] == 1) != wiped {
				t.Errorf("%s: got %g snapshots", row.Name, row.Medians[i])
			}
		}
	}
}
