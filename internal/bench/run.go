package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// Run makes the load that c describes and returns what it measured. It blocks for the fill, the warm-up and the
// duration; cancelling ctx ends it within a tenth of a second. A connection that breaks, or a reply that
// is not in the protocol, ends the run with an error; error replies are only counted.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := newRun(ctx, &c)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if c.Fill {
		if err := r.fill(ctx, cancel); err != nil {
			return nil, err
		}
	}
	return r.measure(ctx, cancel)
}

// fillKeys only sets every key of c once.
func fillKeys(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := newRun(ctx, &c)
	if err != nil {
		return err
	}
	defer r.close()
	return r.fill(ctx, cancel)
}

type run struct {
	config *Config
	loops  []*loop
	start  time.Time
}

// newRun opens all connections. c must be valid.
func newRun(ctx context.Context, c *Config) (*run, error) {
	r := &run{config: c, start: time.Now()}
	load := newWorkload(c)
	for i := range c.Threads {
		l, err := newLoop(c, load, i, r.start)
		if err == nil {
			r.loops = append(r.loops, l)
			err = l.connect(ctx, share(c.Connections, c.Threads, i))
		}
		if err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

func (r *run) close() {
	for _, l := range r.loops {
		l.close()
	}
}

func newLoop(c *Config, load *workload, i int, start time.Time) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	keys := uint64(c.Keys)
	l := &loop{
		config: c, load: load, poller: p, start: start,
		random:   newRandom(c.Seed, i),
		buf:      make([]byte, readSize),
		silence:  silenceLimit,
		fillNext: keys * uint64(i) / uint64(c.Threads),
		fillEnd:  keys * uint64(i+1) / uint64(c.Threads),
	}
	if c.Rate > 0 {
		l.interval = float64(c.Threads) * 1e9 / c.Rate
	}
	return l, nil
}

// share divides n things among threads as evenly as possible.
func share(n, threads, i int) int {
	return n*(i+1)/threads - n*i/threads
}

// fill sets every key once.
func (r *run) fill(ctx context.Context, cancel context.CancelCauseFunc) error {
	return r.each(cancel, func(_ int, l *loop) error { return l.fill(ctx) })
}

// each runs f for every loop on a thread of its own and waits for all; the first error cancels the others.
func (r *run) each(cancel context.CancelCauseFunc, f func(i int, l *loop) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(r.loops))
	for i, l := range r.loops {
		wg.Go(func() {
			// Not unlocked: the thread ends with the goroutine, and its processor mask with it.
			runtime.LockOSThread()
			if len(r.config.CPUs) > 0 {
				errs[i] = pin(r.config.CPUs)
			}
			if errs[i] == nil {
				errs[i] = f(i, l)
			}
			if errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

func (r *run) measure(ctx context.Context, cancel context.CancelCauseFunc) (*Result, error) {
	c := r.config
	// Nothing is left for the garbage collector to do in the window.
	runtime.GC()
	begin := time.Since(r.start) + c.WarmUp
	end := begin + c.Duration

	watch := make(chan *observer, 1)
	go func() { watch <- r.observe(ctx, begin, end) }()

	windows := make([]time.Duration, len(r.loops))
	usages := make([]cpuTime, len(r.loops))
	late := make([]uint64, len(r.loops))
	err := r.each(cancel, func(i int, l *loop) error {
		var err error
		windows[i], usages[i], err = l.measure(ctx, int64(begin), int64(end))
		late[i] = l.late()
		return err
	})
	if err != nil {
		cancel(err)
		<-watch
		return nil, err
	}
	seen := <-watch
	if seen.err != nil {
		return nil, seen.err
	}

	result := &Result{Config: *c, Begun: r.start.Add(begin)}
	var all histogram
	var used cpuTime
	for i, l := range r.loops {
		all.add(&l.histogram)
		result.Requests += l.counts.replies
		result.Errors += l.counts.errors
		result.Misses += l.counts.misses
		result.Late += late[i]
		if result.FirstError == "" {
			result.FirstError = l.counts.firstError
		}
		result.Seconds = max(result.Seconds, windows[i].Seconds())
		result.OpsPerSecond += float64(l.counts.replies) / windows[i].Seconds()
		result.LoadCores += usages[i].Seconds() / windows[i].Seconds()
		used += usages[i]
	}
	if result.Requests == 0 {
		return nil, fmt.Errorf("server at %s answered no request in %v", c.Address, c.Duration)
	}
	result.MeanMicros = micros(all.mean())
	result.P50Micros = micros(all.quantile(0.5))
	result.P99Micros = micros(all.quantile(0.99))
	result.P999Micros = micros(all.quantile(0.999))
	result.MaxMicros = micros(time.Duration(all.max))
	result.ServerCPUMicros = micros(seen.server) / float64(result.Requests)
	// Ticks of 10 ms may make the sum of the parts larger than the whole.
	result.OtherCores = max(0, (seen.machine-seen.server-used).Seconds()/seen.took.Seconds())
	return result, nil
}

// observer is what is seen from outside in the measured window.
type observer struct {
	server, machine cpuTime
	took            time.Duration
	err             error
}

// observe reads processor times at begin and end, since start, and reports progress between.
func (r *run) observe(ctx context.Context, begin, end time.Duration) *observer {
	sample := func() (at time.Time, server, machine cpuTime, err error) {
		at = time.Now()
		if r.config.ServerPID != 0 {
			if server, err = ProcessCPU(r.config.ServerPID); err != nil {
				return at, 0, 0, err
			}
		}
		machine, err = machineCPU()
		return at, server, machine, err
	}
	if !r.waitUntil(ctx, begin) {
		return &observer{err: context.Cause(ctx)}
	}
	from, server0, machine0, err := sample()
	if err != nil {
		return &observer{err: err}
	}
	if r.config.began != nil {
		r.config.began()
	}
	if !r.waitUntil(ctx, end) {
		return &observer{err: context.Cause(ctx)}
	}
	to, server1, machine1, err := sample()
	return &observer{server: server1 - server0, machine: machine1 - machine0, took: to.Sub(from), err: err}
}

// waitUntil waits for a time since start or until the window is ended, with progress reports. It returns false at
// the end of ctx.
func (r *run) waitUntil(ctx context.Context, at time.Duration) bool {
	const reportInterval = 500 * time.Millisecond
	for {
		left := at - time.Since(r.start)
		if left <= 0 {
			return true
		}
		timer := time.NewTimer(min(left, reportInterval))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-r.config.until:
			timer.Stop()
			return true
		case <-timer.C:
		}
		if r.config.Progress != nil {
			var done uint64
			for _, l := range r.loops {
				done += l.done.Load()
			}
			r.config.Progress(done, time.Since(r.start))
		}
	}
}
