package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	// steadyRecords are those that are looked at while others expire.
	steadyRecords = 100_000
	// slowestLoad is the sets a second at which the records that expire must be there before the first does.
	slowestLoad = 150_000
)

// scaleExpire measures what it costs the clients of a node when as many records as it has expire within a short time.
func scaleExpire(ctx context.Context, r *scaleRun) error {
	n := r.records.n
	looked := newRecords(min(n, steadyRecords), r.records.valueSize)
	latency := r.report.table("expire", fmt.Sprintf("latency of %.0f operations/s, half of them sets, on %s records beside those that expire within %v",
		r.config.Rate, count(looked.n), r.config.ExpireWithin), latencyColumns...)
	disk := r.report.table("expire", "the node after that", "before MiB", "end MiB", "end / before", "s until settled", "records left", "anonymous MiB before", "anonymous MiB after")
	return r.onNode(ctx, func() (*scaleServer, error) { return startScaleServer(ctx, r.config, futagoServer, 0) }, func(s *scaleServer) error {
		if _, err := s.fill(ctx, r.config, looked); err != nil {
			return err
		}
		// Whole seconds, as memcached's exptime has.
		first := time.Now().Add(time.Duration(n)*time.Second/slowestLoad + r.config.Window + 2*time.Second).Truncate(time.Second)
		within := max(int(r.config.ExpireWithin/time.Second), 1)
		err := s.send(ctx, r.config, s.bulk(each(n, func(dst []byte, i int) []byte {
			return r.records.appendSet(dst, Memcache, expiringKeys, i, 0, first.Unix()+int64(scatter(i)%uint64(within)))
		})), n, "set records that expire")
		if err != nil {
			return err
		}
		memoryBefore, err := s.memory()
		if err != nil {
			return err
		}
		w := newWatch(s, r.config, looked, func(seed uint64) func() int { return uniform(looked.n, seed) })
		begun, ended := first.Sub(w.epoch), first.Sub(w.epoch)+time.Duration(within)*time.Second
		var before, end diskSample
		var settled time.Duration
		err = w.while(ctx, func(ctx context.Context) (err error) {
			r.config.logf("  load before the first expires, in %v", begun.Round(time.Second))
			if err := w.lookUntil(ctx, nil, func(d diskSample) bool { return d.at >= begun }); err != nil {
				return err
			}
			before = w.disk[len(w.disk)-1]
			r.config.logf("  load while all expire, %d s", within)
			if err := w.lookUntil(ctx, nil, func(d diskSample) bool { return d.at >= ended }); err != nil {
				return err
			}
			r.config.logf("  wait until the disk has settled")
			end, err = w.settle(ctx)
			settled = w.now()
			return err
		})
		if err != nil {
			return err
		}
		c := &change{w: w, begun: begun, changed: ended, settled: settled}
		if err := c.add(r, latency, "expiring"); err != nil {
			return err
		}
		memoryAfter, err := s.memory()
		if err != nil {
			return err
		}
		round := Round{OtherCores: w.others, Values: []float64{float64(before.used) / mib, float64(end.used) / mib, float64(end.used) / float64(before.used),
			(end.at - begun).Seconds(), float64(w.disk[len(w.disk)-1].items), float64(memoryBefore.anonymous) / mib, float64(memoryAfter.anonymous) / mib}}
		if begun < r.config.Window/2 {
			round.doubt("the records were there only %v before the first expired", begun.Round(time.Millisecond))
		}
		return r.add(disk, futagoServer, "", round, nil)
	})
}
