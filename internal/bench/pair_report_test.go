package bench

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// twoRows is a report of three rounds, the second of which is disturbed.
func twoRows() *PairReport {
	r := newPairReport(DefaultPairConfig())
	t := r.table("sets", "as many as there are", "sets/s", "p99 us")
	t.Ratios = []string{"/ old"}
	t.refs = func(row string) []string { return []string{map[string]string{"old": "old", "new": "old"}[row]} }
	for i, other := range []float64{0.1, 0.5, 0} {
		n := float64(i + 1)
		t.add("old", Round{Values: []float64{1000, 7.5}, OtherCores: other})
		t.add("new", Round{Values: []float64{1000 * n, 300 / n}, OtherCores: other})
		t.add("loud", Round{Values: []float64{0.125, 0}, OtherCores: 0.5})
	}
	t.row("new").Rounds[2].doubt("%d errors", 7)
	r.table("ready", "nothing of it was measured", "s")
	r.finish()
	return r
}

func TestPairReportText(t *testing.T) {
	var b strings.Builder
	if err := twoRows().Write(&b); err != nil {
		t.Fatal(err)
	}
	// The columns: sets/s, range, p99, ratio, other work, quiet rounds.
	want := []string{
		"old 1000 1000..1000 7.5 1 0.10 2/3",
		"! new 2000 1000..3000 200 2 0.10 2/3",
		"loud 0.125 0.125..0.125 0 - 0.50 ~0/3",
		"! new, round 3: 7 errors",
	}
	got := strings.Split(b.String(), "\n")
	for i, w := range want {
		if line := strings.Join(strings.Fields(got[i+4]), " "); line != w {
			t.Errorf("line %d: got %q want %q", i+4, line, w)
		}
	}
	if strings.Contains(b.String(), "ready:") {
		t.Errorf("report shows a table without rows:\n%s", b.String())
	}
}

func TestPairReportJSON(t *testing.T) {
	text, err := json.Marshal(twoRows())
	if err != nil {
		t.Fatal(err)
	}
	var back PairReport
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	row := back.Tables[0].row("new")
	if row == nil || len(row.Rounds) != 3 || row.Quiet != 2 || row.Medians[1] != 200 || row.Ratios[0] != 2 ||
		row.Least != 1000 || row.Largest != 3000 || len(row.Rounds[2].Doubts) != 1 || back.Processors < 1 {
		t.Errorf("got %+v of %s", row, text)
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 2: "2", 0.3456: "0.346", 12.34: "12.3", 99.96: "100", 123.4: "123", 1234567: "1234567"} {
		if got := short(v); got != want {
			t.Errorf("short(%g) = %q, want %q", v, got, want)
		}
	}
}

func TestPairConfigValidate(t *testing.T) {
	c := PairConfig{Cases: []string{"lagg"}, WarmUp: -1, Missed: []int{0}, CopyRate: 0.5}
	err := c.Validate()
	for _, want := range []string{"futago is empty", `case "lagg": must be one of lag, sets, failover, ready, copy`, "rounds 0", "warm-up -1ns",
		"lag-window 0s", "sets-window 0s", "copy-window 0s", "kills 0", "missed 0", "records 0", "copy-records 0", "copy-rate 0.5"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want all problems, %q among them", err, want)
		}
	}
	c = DefaultPairConfig()
	c.Futago, c.LagWindow = "bin/futago", time.Second
	if err := c.Validate(); err != nil {
		t.Errorf("default config: %v", err)
	}
}

func TestSetsAreComparedWithRedis(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range setsServers() {
		names[s.name] = true
	}
	if len(names) != 10 {
		t.Errorf("got %d servers, want six of futago and four of redis: %v", len(names), names)
	}
	for name := range names {
		for _, ref := range setsReferences(name) {
			if !names[ref] || strings.HasSuffix(ref, syncedAlways) != strings.HasSuffix(name, syncedAlways) {
				t.Errorf("%q is compared with %q, want a server with the same sync", name, ref)
			}
		}
	}
}
