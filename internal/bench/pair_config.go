package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// PairConfig says what is measured of a pair of futago nodes.
type PairConfig struct {
	// Futago is the path of the futago binary.
	Futago string `json:"-"`
	// Cases are measured in the order of PairCases; none means all.
	Cases []string `json:"cases,omitempty"`
	// Rounds is the number of times that each thing is measured, kills apart. What is compared takes turns within
	// a round, so that a slow minute of the machine hits all of it.
	Rounds int `json:"rounds"`
	// WarmUp is load before a window, not counted.
	WarmUp time.Duration `json:"warm_up_ns"`
	// LagWindow is how long replication lag is measured: 200 probes a second.
	LagWindow time.Duration `json:"lag_window_ns"`
	// SetsWindow is how long sets are measured.
	SetsWindow time.Duration `json:"sets_window_ns"`
	// Kills of a node, each with both clients.
	Kills int `json:"kills"`
	// Missed are the numbers of writes that a node misses before it starts again.
	Missed []int `json:"missed"`
	// Records are what a wiped node gets in a snapshot.
	Records int `json:"records"`
	// CopyRecords are what a wiped node gets in a copy under load, CopyRate the operations a second of that load,
	// half of them sets, and CopyWindow how long it is measured before the copy.
	CopyRecords int           `json:"copy_records"`
	CopyRate    float64       `json:"copy_rate"`
	CopyWindow  time.Duration `json:"copy_window_ns"`

	// Log takes lines that tell the progress; nil drops them.
	Log io.Writer `json:"-"`
}

// DefaultPairConfig returns five rounds of everything, and 20 kills.
func DefaultPairConfig() PairConfig {
	return PairConfig{
		Rounds:      5,
		WarmUp:      500 * time.Millisecond,
		LagWindow:   10 * time.Second,
		SetsWindow:  2 * time.Second,
		Kills:       20,
		Missed:      []int{100_000, 1_000_000},
		Records:     1_000_000,
		CopyRecords: 5_000_000,
		CopyRate:    5000,
		CopyWindow:  10 * time.Second,
	}
}

// Validate returns all problems at once.
func (c *PairConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	const maxRecords = 50_000_000
	names := PairCases()
	check(c.Futago != "", "futago is empty: must be the path of the binary")
	for _, name := range c.Cases {
		check(slices.Contains(names, name), "case %q: must be one of %s", name, strings.Join(names, ", "))
	}
	check(c.Rounds >= 1 && c.Rounds <= 1000, "rounds %d: must be 1 to 1000", c.Rounds)
	check(c.WarmUp >= 0 && c.WarmUp <= time.Hour, "warm-up %v: must be 0 to 1h", c.WarmUp)
	for _, w := range []struct {
		name string
		time time.Duration
	}{{"lag-window", c.LagWindow}, {"sets-window", c.SetsWindow}, {"copy-window", c.CopyWindow}} {
		check(w.time >= 10*time.Millisecond && w.time <= time.Hour, "%s %v: must be 10ms to 1h", w.name, w.time)
	}
	check(c.Kills >= 1 && c.Kills <= 1000, "kills %d: must be 1 to 1000", c.Kills)
	for _, n := range c.Missed {
		check(n >= 1 && n <= maxRecords, "missed %d: must be 1 to %d", n, maxRecords)
	}
	check(c.Records >= 1 && c.Records <= maxRecords, "records %d: must be 1 to %d", c.Records, maxRecords)
	check(c.CopyRecords >= 1 && c.CopyRecords <= maxRecords, "copy-records %d: must be 1 to %d", c.CopyRecords, maxRecords)
	check(c.CopyRate >= 1 && c.CopyRate <= 1e6, "copy-rate %g: must be 1 to 1e6 operations a second", c.CopyRate)
	return errors.Join(errs...)
}

// logf tells progress.
func (c *PairConfig) logf(format string, args ...any) {
	if c.Log != nil {
		fmt.Fprintf(c.Log, format+"\n", args...)
	}
}
