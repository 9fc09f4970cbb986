package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// maxScaleRecords is what a machine of ordinary size holds.
	maxScaleRecords = 50_000_000
	// maxScaleValueSize keeps values parts of one block of random text.
	maxScaleValueSize = 16 << 10
)

// ScaleConfig says how a futago node is measured as its data grows.
type ScaleConfig struct {
	// Futago is the path of the futago binary.
	Futago string `json:"-"`
	// Cases are measured in the order of ScaleCases; none means all.
	Cases []string `json:"cases,omitempty"`
	// Records are the numbers of records for which everything is measured, least first.
	Records []int `json:"records"`
	// ValueSize is in bytes; keys have 16.
	ValueSize int `json:"value_size"`
	// Alone leaves memcached and Redis out.
	Alone bool `json:"alone,omitempty"`
	// Rounds is the number of starts of each kind; all else is measured once.
	Rounds int `json:"rounds"`
	// Window is how long the load is measured before something happens, and each kind of gets under a memory limit.
	Window time.Duration `json:"window_ns"`
	// Rate is the operations a second of the load beside what happens, half of them sets.
	Rate float64 `json:"rate"`
	// ChangeRate is the sets or deletes a second that change the data; 0 is as many as the node takes.
	ChangeRate float64 `json:"change_rate"`
	// DeleteShare is the share of the records that are deleted, above 0 to 1.
	DeleteShare float64 `json:"delete_share"`
	// ExpireWithin is the time in which all records expire.
	ExpireWithin time.Duration `json:"expire_within_ns"`
	// Settle is how long the disk in use must not become less until it counts as settled.
	Settle time.Duration `json:"settle_ns"`

	// Raw takes each ScaleResult as one line of JSON; nil drops them.
	Raw io.Writer `json:"-"`
	// Log takes lines that tell the progress; nil drops them.
	Log io.Writer `json:"-"`
}

// DefaultScaleConfig returns one and ten million records of 16 and 32 bytes.
func DefaultScaleConfig() ScaleConfig {
	return ScaleConfig{
		Records:      []int{1_000_000, 10_000_000},
		ValueSize:    32,
		Rounds:       1,
		Window:       10 * time.Second,
		Rate:         20_000,
		ChangeRate:   100_000,
		DeleteShare:  0.5,
		ExpireWithin: time.Minute,
		Settle:       20 * time.Second,
	}
}

// Validate returns all problems at once.
func (c *ScaleConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	names := ScaleCases()
	check(c.Futago != "", "futago is empty: must be the path of the binary")
	for _, name := range c.Cases {
		check(slices.Contains(names, name), "case %q: must be one of %s", name, strings.Join(names, ", "))
	}
	check(len(c.Records) > 0, "records is empty: must be one number at least")
	for i, n := range c.Records {
		check(n >= 1000 && n <= maxScaleRecords, "records %d: must be 1000 to %d", n, maxScaleRecords)
		check(i == 0 || n > c.Records[i-1], "records %d: must be above the one before", n)
	}
	check(c.ValueSize >= 1 && c.ValueSize <= maxScaleValueSize, "value-size %d: must be 1 to %d", c.ValueSize, maxScaleValueSize)
	check(c.Rounds >= 1 && c.Rounds <= 100, "rounds %d: must be 1 to 100", c.Rounds)
	check(c.Window >= 10*time.Millisecond && c.Window <= time.Hour, "window %v: must be 10ms to 1h", c.Window)
	check(c.Rate >= 10 && c.Rate <= 1e6, "rate %g: must be 10 to 1e6 operations a second", c.Rate)
	check(c.ChangeRate >= 0 && c.ChangeRate <= 1e7, "change-rate %g: must be 0 (no bound) to 1e7 a second", c.ChangeRate)
	check(c.DeleteShare > 0 && c.DeleteShare <= 1, "delete-share %g: must be above 0 and at most 1", c.DeleteShare)
	check(c.ExpireWithin >= time.Second && c.ExpireWithin <= time.Hour, "expire-within %v: must be 1s to 1h", c.ExpireWithin)
	check(c.Settle >= 10*time.Millisecond && c.Settle <= time.Hour, "settle %v: must be 10ms to 1h", c.Settle)
	return errors.Join(errs...)
}

// logf tells progress.
func (c *ScaleConfig) logf(format string, args ...any) {
	if c.Log != nil {
		fmt.Fprintf(c.Log, format+"\n", args...)
	}
}
