package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// sampleInterval is how often memory is looked at during a copy: to sum it up costs the node a moment.
const sampleInterval = time.Second

const mib = 1 << 20

// measureCopy measures what a full copy to a wiped node costs the clients of the node that serves it.
func measureCopy(ctx context.Context, c *PairConfig, r *PairReport) error {
	tables := copyTables{
		whole: r.table("copy", fmt.Sprintf("%d records of 16+100 bytes to a wiped node; that one is not ready until the end, by design", c.CopyRecords),
			"s", "MiB sent", "MiB/s", "% of asks: serving ready", "copying alive"),
		latency: r.table("copy", fmt.Sprintf("%.0f operations/s at the serving node, half of them sets", c.CopyRate),
			"p50 us", "p99 us", "p99.9 us", "max us", "ops/s", "late"),
		memory: r.table("copy", "resident memory, MiB", "anonymous", "file-mapped"),
	}
	for round := range c.Rounds {
		if err := tables.measure(ctx, c); err != nil {
			return err
		}
		c.logf("copy: round %d of %d", round+1, c.Rounds)
	}
	return nil
}

type copyTables struct{ whole, latency, memory *Table }

// measure adds one round to all tables.
func (t *copyTables) measure(ctx context.Context, c *PairConfig) (err error) {
	p, err := startPair(ctx, c.Futago, "peer", "interval")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.discard()) }()
	p.kill9(1)
	if err := p.nodes[1].wipe(); err != nil {
		return err
	}
	c.logf("copy: set %d records", c.CopyRecords)
	if err := fillKeys(ctx, p.records(c.CopyRecords)); err != nil {
		return err
	}
	c.logf("copy: load before the copy")
	if err := t.before(ctx, c, p); err != nil {
		return err
	}
	c.logf("copy: load during the copy")
	return t.during(ctx, c, p)
}

func (t *copyTables) before(ctx context.Context, c *PairConfig, p *pair) error {
	otherCores, err := watchOthers(func() (cpuTime, error) { return p.all().cpu() })
	if err != nil {
		return err
	}
	l := newCopyLoad(c, p, c.CopyWindow)
	if err := l.run(ctx); err != nil {
		return err
	}
	others, err := otherCores()
	if err != nil {
		return err
	}
	m, err := readMemory(p.pids()[0])
	if err != nil {
		return err
	}
	t.addLoad("before", l, others)
	t.addMemory("serving node before", m, others)
	return nil
}

func (t *copyTables) during(ctx context.Context, c *PairConfig, p *pair) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := newCopyLoad(c, p, catchUpLimit)
	loaded := make(chan error, 1)
	go func() { loaded <- l.run(ctx) }()
	select {
	case <-l.began:
	case err := <-loaded:
		return errors.Join(err, errors.New("load ended before the copy"))
	}
	took, seen, others, err := p.copyWatched(ctx)
	l.end()
	if err != nil {
		cancel()
		return errors.Join(err, <-loaded)
	}
	if err := <-loaded; err != nil {
		return err
	}
	s, err := p.complete(ctx, c.CopyRecords)
	if err != nil {
		return err
	}
	serving, err := p.status(ctx, 0)
	if err != nil {
		return err
	}
	if len(serving.Followers) != 1 {
		return fmt.Errorf("the serving node has %d followers, want 1", len(serving.Followers))
	}
	sent := float64(serving.Followers[0].WireBytes) / mib
	whole := Round{Values: []float64{took.Seconds(), sent, sent / took.Seconds(), seen.servingReady(), seen.copyingAlive()}, OtherCores: others}
	if s.Peer.Links != 1 || s.Peer.Snapshots != 1 {
		whole.doubt("%d links and %d snapshots instead of one: what was sent is that of the last link", s.Peer.Links, s.Peer.Snapshots)
	}
	if seen.servingReady() < 100 {
		whole.doubt("the serving node was not ready all the time")
	}
	if seen.copyingAlive() < 100 {
		whole.doubt("the copying node did not answer all the time")
	}
	t.whole.add("copy", whole)
	t.addLoad("during", l, others)
	t.addMemory("serving node, most during", seen.serving, others)
	t.addMemory("copying node, most during", seen.copying, others)
	return nil
}

func (t *copyTables) addLoad(when string, l *copyLoad, others float64) {
	for i, kind := range copyLoadKinds {
		r := l.results[i]
		round := Round{Values: []float64{r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros, r.OpsPerSecond, float64(r.Late)}, OtherCores: others}
		if r.Errors > 0 || r.Misses > 0 {
			round.doubt("%d errors, %d misses: %s", r.Errors, r.Misses, r.FirstError)
		}
		t.latency.add(kind+" "+when, round)
	}
}

func (t *copyTables) addMemory(name string, m memory, others float64) {
	t.memory.add(name, Round{Values: []float64{float64(m.anonymous) / mib, float64(m.file) / mib}, OtherCores: others})
}

// copyLoad is gets and sets at the first node, each at half of the rate and measured apart.
type copyLoad struct {
	configs [2]Config
	results [2]*Result
	began   chan struct{} // closed when the windows of both have begun
	until   chan struct{} // closed to end both
}

// copyLoadKinds are the loads of a copyLoad.
var copyLoadKinds = [2]string{"gets", "sets"}

func newCopyLoad(c *PairConfig, p *pair, window time.Duration) *copyLoad {
	l := &copyLoad{began: make(chan struct{}), until: make(chan struct{})}
	var waiting sync.WaitGroup
	waiting.Add(len(l.configs))
	for i := range l.configs {
		load := p.records(c.CopyRecords)
		load.Fill, load.Seed = false, uint64(i+1)
		load.Connections /= len(l.configs)
		load.Rate = c.CopyRate / float64(len(l.configs))
		load.GetRatio = 1 - float64(i)
		load.Duration, load.WarmUp = window, c.WarmUp
		load.until = l.until
		load.began = waiting.Done
		l.configs[i] = load
	}
	go func() {
		waiting.Wait()
		close(l.began)
	}()
	return l
}

// end ends both windows.
func (l *copyLoad) end() { close(l.until) }

// run makes the load for the window, or until it is ended.
func (l *copyLoad) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	var errs [2]error
	for i, config := range l.configs {
		both.Go(func() {
			if l.results[i], errs[i] = Run(ctx, config); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", copyLoadKinds[i], errs[i])
				cancel()
			}
		})
	}
	both.Wait()
	return errors.Join(errs[:]...)
}

// copyWatch is what is seen of both nodes during a copy.
type copyWatch struct {
	serving, copying memory // the most
	asked, ready     int    // times that the serving node was asked for its readiness, and was ready
	// The same for whether the copying node lives, from its first answer on.
	askedCopying, alive int
}

// servingReady and copyingAlive are in percent.
func (w *copyWatch) servingReady() float64 { return percent(w.ready, w.asked) }
func (w *copyWatch) copyingAlive() float64 { return percent(w.alive, w.askedCopying) }

func percent(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

// copyWatched starts the wiped second node, and watches both until it is ready.
func (p *pair) copyWatched(ctx context.Context) (took time.Duration, w *copyWatch, others float64, err error) {
	otherCores, err := watchOthers(func() (cpuTime, error) { return p.all().cpu() })
	if err != nil {
		return 0, nil, 0, err
	}
	begun := time.Now()
	if err := p.restart(1); err != nil {
		return 0, nil, 0, err
	}
	w = &copyWatch{}
	ready := make(chan struct{})
	watched := make(chan error, 1)
	go func() { watched <- w.watch(ctx, p, ready) }()
	took, err = p.untilReady(ctx, begun)
	close(ready)
	if err := errors.Join(err, <-watched); err != nil {
		return 0, nil, 0, err
	}
	others, err = otherCores()
	return took, w, others, err
}

// watch samples now, then at each interval, and once more when the copying node is ready.
func (w *copyWatch) watch(ctx context.Context, p *pair, ready <-chan struct{}) error {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		if err := w.sample(ctx, p); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ready:
			return w.sample(ctx, p)
		}
	}
}

func (w *copyWatch) sample(ctx context.Context, p *pair) error {
	for i, into := range []*memory{&w.serving, &w.copying} {
		m, err := readMemory(p.pids()[i])
		if err != nil {
			return err
		}
		*into = into.atLeast(m)
	}
	w.asked++
	if p.ready(ctx, 0) == nil {
		w.ready++
	}
	code, _, err := p.ask(ctx, 1, "/healthz")
	alive := err == nil && code == http.StatusOK
	if alive || w.alive > 0 {
		w.askedCopying++
	}
	if alive {
		w.alive++
	}
	return nil
}
