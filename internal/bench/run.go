package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
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
	if c.Stop == nil {
		return c.run(ctx, cancel, nil)
	}
	s := newStopper(cancel)
	c.until = s.until
	defer s.watch(c.Stop)()
	result, err := c.run(ctx, cancel, s)
	if err != nil && context.Cause(ctx) == ErrStopped {
		return nil, ErrStopped
	}
	if err == nil {
		result.CutShort = s.stopped()
	}
	return result, err
}

// run is Run once the context is its own. s is nil where nothing stops it.
func (c *Config) run(ctx context.Context, cancel context.CancelCauseFunc, s *stopper) (*Result, error) {
	r, err := newRun(ctx, c)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if c.Progress != nil {
		defer r.report()()
	}
	if c.Fill {
		if err := r.fill(ctx, cancel); err != nil {
			return nil, err
		}
		if c.Protocol == HTTP {
			// A server may carry a connection otherwise once it has written; futago does.
			if err := r.reconnect(ctx); err != nil {
				return nil, err
			}
		}
	}
	if s != nil {
		s.measuring.Store(r)
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
	load   *workload
	loops  []*loop
	start  time.Time
	// begin and end are those of the measured window, in ns since start; 0 until it is known.
	begin, end atomic.Int64
}

// newRun opens all connections. c must be valid.
func newRun(ctx context.Context, c *Config) (*run, error) {
	if err := allowFiles(c.Connections); err != nil {
		return nil, err
	}
	r := &run{config: c, load: newWorkload(c), start: time.Now()}
	for i := range c.Threads {
		l, err := newLoop(c, r.load, i, r.start)
		if err != nil {
			r.close()
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	if err := r.connect(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *run) connect(ctx context.Context) error {
	d := &dialer{config: r.config, depth: max(r.config.Pipeline, fillPipeline)}
	for i, l := range r.loops {
		if err := l.connect(ctx, d, share(r.config.Connections, r.config.Threads, i)); err != nil {
			return err
		}
	}
	return nil
}

// reconnect goes on with new connections. No request may be under way.
func (r *run) reconnect(ctx context.Context) error {
	for _, l := range r.loops {
		l.disconnect()
	}
	return r.connect(ctx)
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
	threads := uint64(c.Threads)
	l := &loop{
		config: c, load: load, poller: p, start: start,
		random:   newRandom(c.Seed, i),
		buf:      make([]byte, readSize),
		silence:  silenceLimit,
		fillNext: load.fills * uint64(i) / threads,
		fillEnd:  load.fills * uint64(i+1) / threads,
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
	r.begin.Store(int64(begin))
	r.end.Store(int64(end))

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

// observe reads processor times at begin and end, since start.
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

// waitUntil waits for a time since start or until the window is ended. It returns false at the end of ctx.
func (r *run) waitUntil(ctx context.Context, at time.Duration) bool {
	timer := time.NewTimer(at - time.Since(r.start))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-r.config.until:
	case <-timer.C:
	}
	return true
}
