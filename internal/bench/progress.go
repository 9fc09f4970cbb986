package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// Phase is a part of a run.
type Phase string

// The phases, in their order.
const (
	Filling   Phase = "filling"
	WarmingUp Phase = "warm-up"
	Measuring Phase = "measuring"
)

// Progress is how far a run is.
type Progress struct {
	Phase Phase
	// Done is the requests answered since Run began, those of fill and warm-up included.
	Done uint64
	// OpsPerSecond is of the time since the report before.
	OpsPerSecond float64
	// Filled is the share of the keys that are set, 0 to 1. Only while filling.
	Filled float64
	// Errors and P99Micros are of the measured window so far.
	Errors    uint64
	P99Micros float64
	// Left is the time to the end of the window. Not while filling.
	Left time.Duration
}

// reportInterval is how often Progress is called.
const reportInterval = 500 * time.Millisecond

// report begins to call Progress. The function that it returns ends that.
func (r *run) report() (stop func()) {
	interval := reportInterval
	if r.config.reportInterval > 0 {
		interval = r.config.reportInterval
	}
	ticker := time.NewTicker(interval)
	end := make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		last := Progress{}
		lastAt := time.Since(r.start)
		for {
			select {
			case <-end:
				return
			case <-ticker.C:
			}
			now := time.Since(r.start)
			last = r.progress(now, last.Done, now-lastAt)
			lastAt = now
			r.config.Progress(last)
		}
	})
	return func() {
		ticker.Stop()
		close(end)
		reporter.Wait()
	}
}

// progress is that at now, since start, with so many requests done by the report before, which is elapsed ago.
func (r *run) progress(now time.Duration, before uint64, elapsed time.Duration) Progress {
	p := Progress{Phase: Filling}
	for _, l := range r.loops {
		p.Done += l.done.Load()
	}
	p.OpsPerSecond = float64(p.Done-before) / elapsed.Seconds()
	begin := time.Duration(r.begin.Load())
	switch {
	case begin == 0:
		p.Filled = float64(p.Done) / float64(r.load.fills)
		return p
	case now < begin:
		p.Phase = WarmingUp
	default:
		p.Phase = Measuring
		var all histogram
		for _, l := range r.loops {
			p.Errors += l.glimpse.look(&all)
		}
		p.P99Micros = micros(all.quantile(0.99))
	}
	p.Left = max(0, time.Duration(r.end.Load())-now)
	return p
}

// glimpse shows a load thread's figures to another thread, without a lock at each request: a look shows what there was
// shortly after the look before, and asks for the next.
type glimpse struct {
	wanted atomic.Bool

	mu        sync.Mutex
	histogram histogram
	errors    uint64
}

// update is for the load thread.
func (g *glimpse) update(h *histogram, errors uint64) {
	if !g.wanted.Load() {
		return
	}
	g.mu.Lock()
	g.histogram, g.errors = *h, errors
	g.mu.Unlock()
	g.wanted.Store(false)
}

// look adds the histogram to sum and returns the number of errors.
func (g *glimpse) look(sum *histogram) (errors uint64) {
	g.mu.Lock()
	sum.add(&g.histogram)
	errors = g.errors
	g.mu.Unlock()
	g.wanted.Store(true)
	return errors
}
