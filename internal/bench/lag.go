package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	// backgroundPipeline bounds the sets under way on one connection of the background load.
	backgroundPipeline = 256
	// maxLagValueSize keeps the background's buffers small.
	maxLagValueSize = 64 << 10
	// maxProbesDue bounds the probes that wait for their value: ProbeRate times Timeout.
	maxProbesDue = 10000
)

// LagConfig says how replication lag between two nodes is measured.
type LagConfig struct {
	// Write is the node that takes all writes, Read the one that is looked at: HOST:PORT, or unix:PATH.
	Write string `json:"write"`
	Read  string `json:"read"`
	// Rate is the number of sets a second that Write takes beside the probes; 0 for none.
	Rate float64 `json:"rate"`
	// Saturate makes Write take as many sets as it can instead, one at a time on each connection; Rate must be 0.
	Saturate bool `json:"saturate"`
	// Connections carry these sets.
	Connections int `json:"connections"`
	// ValueSize of these sets and of the probes, in bytes.
	ValueSize int `json:"value_size"`
	// ProbeRate is the number of probes a second: new keys, set at Write and asked for at Read.
	ProbeRate float64 `json:"probe_rate"`
	// Timeout is how long a probe's key is asked for.
	Timeout time.Duration `json:"timeout_ns"`
	// Duration is the measured window; WarmUp is background load before it.
	Duration time.Duration `json:"duration_ns"`
	WarmUp   time.Duration `json:"warm_up_ns"`
	// ServerPIDs are the processes of the nodes, where they run on this machine: their processor time is not
	// other work.
	ServerPIDs []int `json:"server_pids,omitempty"`
}

// DefaultLagConfig returns 10,000 sets a second of 100 bytes on 4 connections and 200 probes a second. Write and
// Read are left to the caller.
func DefaultLagConfig() LagConfig {
	return LagConfig{
		Rate:        10_000,
		Connections: 4,
		ValueSize:   100,
		ProbeRate:   200,
		Timeout:     time.Second,
		Duration:    5 * time.Second,
		WarmUp:      500 * time.Millisecond,
	}
}

// Validate returns all problems at once, each naming the setting, its value and what is allowed.
func (c *LagConfig) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Write != "", "write is empty: must be HOST:PORT or unix:PATH")
	check(c.Read != "", "read is empty: must be HOST:PORT or unix:PATH")
	check(c.Rate >= 0 && c.Rate <= 1e7, "rate %g: must be 0 (no sets beside the probes) to 1e7 sets a second", c.Rate)
	check(c.Rate == 0 || !c.Saturate, "rate %g: must be 0 with saturate", c.Rate)
	check(c.Connections >= 1 && c.Connections <= 1000, "connections %d: must be 1 to 1000", c.Connections)
	check(c.ValueSize >= 0 && c.ValueSize <= maxLagValueSize, "value-size %d: must be 0 to %d", c.ValueSize, maxLagValueSize)
	check(c.ProbeRate >= 0.1 && c.ProbeRate <= 10000, "probes %g: must be 0.1 to 10000 a second", c.ProbeRate)
	check(c.Timeout >= time.Millisecond && c.Timeout <= time.Minute, "timeout %v: must be 1ms to 1m", c.Timeout)
	check(c.ProbeRate*c.Timeout.Seconds() <= maxProbesDue, "probes %g with timeout %v: together at most %d probes may wait",
		c.ProbeRate, c.Timeout, maxProbesDue)
	check(c.Duration > 0 && c.Duration <= 24*time.Hour, "duration %v: must be above 0 and at most 24h", c.Duration)
	check(c.WarmUp >= 0 && c.WarmUp <= time.Hour, "warm-up %v: must be 0 to 1h", c.WarmUp)
	for _, pid := range c.ServerPIDs {
		check(pid > 0, "server-pid %d: must be a process id", pid)
	}
	if load := c.background(); len(errs) == 0 && c.loaded() {
		errs = append(errs, load.Validate())
	}
	return errors.Join(errs...)
}

// loaded says whether there is a load beside the probes.
func (c *LagConfig) loaded() bool { return c.Rate > 0 || c.Saturate }

// background is the load beside the probes.
func (c *LagConfig) background() Config {
	load := DefaultConfig()
	load.Address = c.Write
	load.Connections = c.Connections
	load.Pipeline = backgroundPipeline
	load.GetRatio = 0
	load.ValueSize = c.ValueSize
	load.Rate = c.Rate
	load.Duration, load.WarmUp = c.Duration, c.WarmUp
	load.Fill = false
	if c.Saturate {
		load.Pipeline = 1
	}
	return load
}

// Lag sets new keys at one node, at even distances and under a load of other sets, and asks the other node
// for them until they are there. A probe's lag is the time from just before its set is written to just after the
// reply that shows it is read: it includes the set's way to Write and the reply's way from Read. Both clocks
// are the same one, of this process.
//
// It blocks for warm-up and duration, and up to Timeout longer for the last probes. Probes expire from the
// nodes after some minutes; keys of the background load stay. Probes that time out are counted; it is an error
// when all do.
func Lag(ctx context.Context, c LagConfig) (*LagResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p, err := newProber(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer p.close()
	otherCores, err := watchOthers(func() (cpuTime, error) { return sumCPU(c.ServerPIDs) })
	if err != nil {
		return nil, err
	}

	var wg sync.WaitGroup
	var load *Result
	var loadErr, probeErr error
	if c.loaded() {
		wg.Go(func() {
			if load, loadErr = Run(ctx, c.background()); loadErr != nil {
				loadErr = fmt.Errorf("sets at %s: %w", c.Write, loadErr)
				cancel(loadErr)
			}
		})
	}
	begun := time.Now().Add(c.WarmUp)
	wg.Go(func() {
		// Not unlocked: the poller's short waits must not wait for the Go scheduler.
		runtime.LockOSThread()
		if probeErr = p.run(ctx, int64(c.WarmUp), int64(c.WarmUp+c.Duration)); probeErr != nil {
			cancel(probeErr)
		}
	})
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	others, err := otherCores()
	if err != nil {
		return nil, err
	}
	if p.timeouts == p.probes {
		return nil, fmt.Errorf("none of %d keys set at %s came to %s within %v: is it the same pair? first error reply: %q",
			p.probes, c.Write, c.Read, c.Timeout, p.counts.firstError)
	}
	return newLagResult(&c, begun, p, load, others), nil
}
