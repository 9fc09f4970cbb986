package bench

import (
	"context"
	"fmt"
	"time"
)

// diskInterval is how often the disk in use is looked at.
const diskInterval = 500 * time.Millisecond

// watch is paced gets and sets at a node, while its disk use is looked at. All times count from its beginning.
type watch struct {
	server     *scaleServer
	config     *ScaleConfig
	gets, sets *stream
	epoch      time.Time
	disk       []diskSample
	others     float64
}

// diskSample is what a node took at a time.
type diskSample struct {
	at         time.Duration
	used, live int64 // bytes of disk, and of live entries
	items      int
	tombstones int
}

// newWatch prepares gets and sets of the records that draw names; the two get different numbers.
func newWatch(s *scaleServer, c *ScaleConfig, r *records, draw func(seed uint64) func() int) *watch {
	w := &watch{server: s, config: c, epoch: time.Now()}
	load := func(seed uint64, request func([]byte, int) []byte) *stream {
		return &stream{protocol: Memcache, address: s.address, connections: 25, depth: 256, burst: 1, rate: c.Rate / 2,
			next: endless(draw(seed), request), epoch: w.epoch}
	}
	w.gets = load(1, func(dst []byte, i int) []byte { return r.appendGet(dst, Memcache, i) })
	w.sets = load(2, func(dst []byte, i int) []byte { return r.appendSet(dst, Memcache, keptKeys, i, 2, 0) })
	return w
}

// now is the time since the beginning.
func (w *watch) now() time.Duration { return time.Since(w.epoch) }

// while makes the load while f runs.
func (w *watch) while(ctx context.Context, f func(ctx context.Context) error) error {
	others, err := w.server.others()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	until := make(chan struct{})
	loaded := make(chan error, 1)
	go func() {
		err := runStreams(ctx, until, w.gets, w.sets)
		if err != nil {
			cancel(err)
		}
		loaded <- err
	}()
	err = f(ctx)
	close(until)
	if err != nil {
		cancel(err)
		<-loaded
		return err
	}
	if err := <-loaded; err != nil {
		return fmt.Errorf("load: %w", err)
	}
	for _, s := range []*stream{w.gets, w.sets} {
		if err := s.failure(); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	w.others, err = others()
	return err
}

// look takes a sample of the disk.
func (w *watch) look(ctx context.Context) (diskSample, error) {
	used, err := w.server.disk()
	if err != nil {
		return diskSample{}, err
	}
	st, err := w.server.status(ctx)
	if err != nil {
		return diskSample{}, err
	}
	d := diskSample{at: w.now(), used: used, live: st.Store.Bytes, items: st.Store.Items, tombstones: st.Store.Tombstones}
	w.disk = append(w.disk, d)
	return d, nil
}

// lookUntil takes samples until enough says so, or f, which runs meanwhile unless it is nil, has ended.
func (w *watch) lookUntil(ctx context.Context, f func() error, enough func(diskSample) bool) error {
	ended := make(chan error, 1)
	if f != nil {
		go func() { ended <- f() }()
	}
	tick := time.NewTicker(min(diskInterval, w.config.Window))
	defer tick.Stop()
	for {
		d, err := w.look(ctx)
		if err == nil && enough != nil && enough(d) {
			return nil
		}
		if err != nil {
			if f != nil {
				return fmt.Errorf("look at the disk: %w", err) // f ends with ctx, which the caller ends
			}
			return err
		}
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pass takes samples for a time.
func (w *watch) pass(ctx context.Context, d time.Duration) error {
	end := w.now() + d
	return w.lookUntil(ctx, nil, func(s diskSample) bool { return s.at >= end })
}

// settle takes samples until the disk in use has not become less for a while.
func (w *watch) settle(ctx context.Context) (d diskSample, err error) {
	const limit = time.Hour
	begun := w.now()
	least := diskSample{used: 1 << 62}
	err = w.lookUntil(ctx, nil, func(s diskSample) bool {
		if s.used < least.used-least.used/100 {
			least = s
		}
		return s.at-max(least.at, begun) >= w.config.Settle || s.at-begun > limit
	})
	return least, err
}

// most is the sample with the most disk in use since a time.
func (w *watch) most(since time.Duration) (most diskSample) {
	for _, d := range w.disk {
		if d.at >= since && d.used > most.used {
			most = d
		}
	}
	return most
}

// series is all that was seen, for a chart.
func (w *watch) series() *ScaleSeries {
	s := &ScaleSeries{GetsP99Micros: w.gets.p99s(), SetsP99Micros: w.sets.p99s()}
	for _, d := range w.disk {
		s.Disk = append(s.Disk, ScaleDisk{Seconds: d.at.Seconds(), DiskBytes: d.used, LiveBytes: d.live, Items: d.items, Tombstones: d.tombstones})
	}
	return s
}

// add appends the latency of gets and sets between two times to a table.
func (w *watch) add(r *scaleRun, table *Table, what string, from, to time.Duration, series *ScaleSeries) error {
	for i, s := range []*stream{w.gets, w.sets} {
		span := s.between(from, to)
		round := Round{Values: span.values(), OtherCores: w.others}
		if ops, due := round.Values[len(round.Values)-1], s.rate; ops < 0.98*due {
			round.doubt("%.0f of %.0f operations a second were made: the rest came too late", ops, due)
		}
		if s.counts.misses > 0 {
			round.doubt("%d misses", s.counts.misses)
		}
		if err := r.add(table, futagoServer, copyLoadKinds[i]+" "+what, round, series); err != nil {
			return err
		}
		series = nil // once is enough
	}
	return nil
}
