package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// scaleOverwrite measures what a change of all records costs the clients of a node, and its disk.
func scaleOverwrite(ctx context.Context, r *scaleRun) error {
	latency := r.report.table("overwrite", fmt.Sprintf("latency of %.0f operations/s, half of them sets, while every record is overwritten once", r.config.Rate), latencyColumns...)
	disk := r.report.table("overwrite", "disk meanwhile, and until compaction has settled it",
		"s", "sets/s", "before MiB", "most MiB", "most / live", "end MiB", "end / live", "s until settled")
	return r.changed(ctx, func(s *scaleServer) error {
		n := r.records.n
		w := newWatch(s, r.config, r.records, func(seed uint64) func() int { return uniform(n, seed) })
		// In another order than they were set in: segments lose their records bit by bit, and compaction has to copy.
		all := s.bulk(each(n, func(dst []byte, i int) []byte {
			return r.records.appendSet(dst, Memcache, keptKeys, shuffled(i, n), 1, 0)
		}))
		c, err := w.change(ctx, all, n, "overwrite")
		if err != nil {
			return err
		}
		if err := c.add(r, latency, "overwriting"); err != nil {
			return err
		}
		most, took := w.most(c.begun), (c.changed - c.begun).Seconds()
		return r.add(disk, futagoServer, "", Round{OtherCores: w.others, Values: []float64{took, float64(n) / took, float64(c.before.used) / mib,
			float64(most.used) / mib, float64(most.used) / float64(most.live), float64(c.end.used) / mib, float64(c.end.used) / float64(c.end.live),
			(c.end.at - c.begun).Seconds()}}, nil)
	})
}

// freedShare is the part of the disk below which space counts as given back.
const freedShare = 0.65

// scaleDelete measures how space comes back after deletes, and what that costs the clients of a node.
func scaleDelete(ctx context.Context, r *scaleRun) error {
	latency := r.report.table("delete", fmt.Sprintf("latency of %.0f operations/s, half of them sets, on the records that stay", r.config.Rate), latencyColumns...)
	disk := r.report.table("delete", fmt.Sprintf("disk after the delete of a share of %g of the records, scattered over all", r.config.DeleteShare),
		"s", "deletes/s", "before MiB", "end MiB", "end / before", "end / live", "s until below 65 %", "s until settled", "tombstones")
	return r.changed(ctx, func(s *scaleServer) error {
		n, share := r.records.n, r.config.DeleteShare
		w := newWatch(s, r.config, r.records, func(seed uint64) func() int { return surviving(n, share, seed) })
		doomed := 0
		for i := range n {
			if chosen(i, share) {
				doomed++
			}
		}
		next := 0
		all := s.bulk(each(doomed, func(dst []byte, _ int) []byte {
			for !chosen(next, share) {
				next++
			}
			next++
			return appendDelete(dst, next-1)
		}))
		all.scanner = func() scanner { return &linesScanner{want: "DELETED"} }
		c, err := w.change(ctx, all, doomed, "delete")
		if err != nil {
			return err
		}
		if err := c.add(r, latency, "deleting"); err != nil {
			return err
		}
		took := (c.changed - c.begun).Seconds()
		round := Round{OtherCores: w.others, Values: []float64{took, float64(doomed) / took, float64(c.before.used) / mib, float64(c.end.used) / mib,
			float64(c.end.used) / float64(c.before.used), float64(c.end.used) / float64(c.end.live), 0, (c.end.at - c.begun).Seconds(), float64(c.end.tombstones)}}
		if freed, ok := w.below(c.begun, int64(freedShare*float64(c.before.used))); ok {
			round.Values[6] = (freed - c.begun).Seconds()
		} else {
			round.doubt("the disk did not come below %.0f %% of before", 100*freedShare)
		}
		return r.add(disk, futagoServer, "", round, nil)
	})
}

// surviving draws one of the records that are not deleted; when all are, any.
func surviving(n int, share float64, seed uint64) func() int {
	draw := uniform(n, seed)
	return func() int {
		i := draw()
		for tries := 0; chosen(i, share) && tries < 1000; tries++ {
			i = draw()
		}
		return i
	}
}

// changed starts a node with all records for f.
func (r *scaleRun) changed(ctx context.Context, f func(*scaleServer) error) error {
	return r.onNode(ctx, func() (*scaleServer, error) {
		s, _, _, err := r.filled(ctx, futagoServer)
		return s, err
	}, f)
}

// onNode starts a node for f, where there is room for it.
func (r *scaleRun) onNode(ctx context.Context, start func() (*scaleServer, error), f func(*scaleServer) error) (err error) {
	if err := fits(futagoServer, r.records); err != nil {
		r.skip(err)
		return nil
	}
	s, err := start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.discard()) }()
	return f(s)
}

// change is a change of all data under a watch.
type change struct {
	w              *watch
	before, end    diskSample // end is the first of those after which the disk became no less
	begun, changed time.Duration
	settled        time.Duration
}

// change makes the load for a window, then the change at the configured rate, and goes on until the disk has settled.
func (w *watch) change(ctx context.Context, all *stream, n int, what string) (*change, error) {
	c := &change{w: w}
	if all.rate = w.config.ChangeRate; all.rate > 0 {
		all.burst = 16
	}
	err := w.while(ctx, func(ctx context.Context) (err error) {
		w.config.logf("  load before")
		if err := w.pass(ctx, w.config.Window); err != nil {
			return err
		}
		if c.before, err = w.look(ctx); err != nil {
			return err
		}
		c.begun = w.now()
		all.epoch = w.epoch
		if err := w.lookUntil(ctx, func() error { return w.server.send(ctx, w.config, all, n, what) }, nil); err != nil {
			return err
		}
		c.changed = w.now()
		w.config.logf("  wait until the disk has settled")
		c.end, err = w.settle(ctx)
		c.settled = w.now()
		return err
	})
	return c, err
}

// add adds the latency before, while changing and after that.
func (c *change) add(r *scaleRun, t *Table, changing string) error {
	series := c.w.series()
	series.Marks = map[string]float64{changing: c.begun.Seconds(), "settling": c.changed.Seconds()}
	for _, p := range []struct {
		what     string
		from, to time.Duration
	}{{"before", min(time.Second, c.begun/2), c.begun}, // the first second is that of connecting
		{changing, c.begun, c.changed}, {"settling", c.changed, c.settled}} {
		if err := c.w.add(r, t, p.what, p.from, p.to, series); err != nil {
			return err
		}
		series = nil
	}
	return nil
}

// below is the first time after another when the disk in use was below so many bytes.
func (w *watch) below(since time.Duration, bytes int64) (at time.Duration, ok bool) {
	for _, d := range w.disk {
		if d.at > since && d.used < bytes {
			return d.at, true
		}
	}
	return 0, false
}
