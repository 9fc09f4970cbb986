package bench

import (
	"fmt"
	"io"
	"time"
)

// reachedShare of the rate that was asked for makes a measurement count as one under that rate.
const reachedShare = 0.99

// LagResult is what one measurement of replication lag found. Times are in microseconds.
type LagResult struct {
	Config LagConfig `json:"config"`
	// Begun is when the first probe was due.
	Begun time.Time `json:"begun"`
	// Probes sent, and how many of them were not seen in time: these count with the timeout below.
	Probes   uint64 `json:"probes"`
	Timeouts uint64 `json:"timeouts"`
	// Late counts probes that were due and not sent: this program was kept from running.
	Late       uint64  `json:"late"`
	P50Micros  float64 `json:"p50_us"`
	P99Micros  float64 `json:"p99_us"`
	P999Micros float64 `json:"p999_us"`
	MaxMicros  float64 `json:"max_us"`
	// PollMicros is the median round trip of a get at the node that is read: a lag is up to that too long.
	PollMicros float64 `json:"poll_us"`
	// SetsPerSecond is what the background load reached; RateReached says that it is what was asked for.
	SetsPerSecond float64 `json:"sets_per_second"`
	RateReached   bool    `json:"rate_reached"`
	// Errors counts error replies to sets and gets; FirstError is one of them.
	Errors     uint64 `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	// OtherCores is the processors that neither this program nor the processes of Config.ServerPIDs used.
	OtherCores float64 `json:"other_cores"`
}

// newLagResult takes load nil for no background load.
func newLagResult(c *LagConfig, begun time.Time, p *prober, load *Result, otherCores float64) *LagResult {
	r := &LagResult{
		Config: *c, Begun: begun, Probes: p.probes, Timeouts: p.timeouts, Late: p.late,
		P50Micros:  micros(p.lag.quantile(0.5)),
		P99Micros:  micros(p.lag.quantile(0.99)),
		P999Micros: micros(p.lag.quantile(0.999)),
		MaxMicros:  micros(time.Duration(p.lag.max)),
		PollMicros: micros(p.poll.quantile(0.5)),
		Errors:     p.counts.errors, FirstError: p.counts.firstError,
		RateReached: true, OtherCores: otherCores,
	}
	if load != nil {
		r.SetsPerSecond = load.OpsPerSecond
		r.RateReached = load.OpsPerSecond >= reachedShare*c.Rate // of Rate 0 any
		r.Errors += load.Errors
		if r.FirstError == "" {
			r.FirstError = load.FirstError
		}
	}
	return r
}

// Write prints the result for people.
func (r *LagResult) Write(w io.Writer) error {
	c := &r.Config
	reached := ""
	if !r.RateReached {
		reached = fmt.Sprintf(": the rate of %.0f was NOT reached, so this is not the lag under it", c.Rate)
	}
	load := fmt.Sprintf("%.0f sets/s", c.Rate)
	if c.Saturate {
		load = "as many sets as it takes"
	}
	text := fmt.Sprintf("set at %s, seen at %s: %.0f probes/s beside %s on %d connections, values of %d bytes, %.1f s\n",
		c.Write, c.Read, c.ProbeRate, load, c.Connections, c.ValueSize, c.Duration.Seconds())
	text += fmt.Sprintf("%12.0f us p50 %12.0f us p99 %12.0f us p99.9 %12.0f us max\n", r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros)
	text += fmt.Sprintf("%12d probes %9d timeouts after %v %9d late\n", r.Probes, r.Timeouts, c.Timeout, r.Late)
	text += fmt.Sprintf("%12.0f us for a get at the node that is read: a lag is up to that too long\n", r.PollMicros)
	text += fmt.Sprintf("%12.0f sets/s reached%s\n", r.SetsPerSecond, reached)
	text += fmt.Sprintf("%12.2f cores used by others, %d errors\n", r.OtherCores, r.Errors)
	if r.FirstError != "" {
		text += fmt.Sprintf("first error reply: %s\n", r.FirstError)
	}
	_, err := io.WriteString(w, text)
	return err
}
