package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// catchUpLimit bounds the time that a node needs to be ready.
const catchUpLimit = 15 * time.Minute

// measureReady measures how long a node that was away needs until it serves again. Each time a new pair is started.
func measureReady(ctx context.Context, c *PairConfig, r *PairReport) error {
	t := r.table("ready", "from the start of a node that was killed to 200 from its /readyz; values of 100 bytes, the peer is idle meanwhile",
		"s", "records", "records/s", "snapshots")
	for round := range c.Rounds {
		for _, n := range c.Missed {
			if err := measureStart(ctx, c, t, fmt.Sprintf("%d missed writes", n), n, false); err != nil {
				return err
			}
		}
		if err := measureStart(ctx, c, t, fmt.Sprintf("wiped, %d records", c.Records), c.Records, true); err != nil {
			return err
		}
		c.logf("ready: round %d of %d", round+1, c.Rounds)
	}
	return nil
}

func measureStart(ctx context.Context, c *PairConfig, t *Table, name string, n int, wiped bool) error {
	c.logf("ready: %s", name)
	round, err := startAfter(ctx, c, n, wiped)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	t.add(name, round)
	return nil
}

// startAfter kills the second node of a pair, sets n keys at the first, and starts the second again, wiped or not.
func startAfter(ctx context.Context, c *PairConfig, n int, wiped bool) (round Round, err error) {
	p, err := startPair(ctx, c.Futago, "peer", "interval")
	if err != nil {
		return round, err
	}
	defer func() { err = errors.Join(err, p.discard()) }()
	p.kill9(1)
	if wiped {
		if err := p.nodes[1].wipe(); err != nil {
			return round, err
		}
	}
	if err := fillKeys(ctx, p.records(n)); err != nil {
		return round, err
	}
	otherCores, err := watchOthers(func() (cpuTime, error) { return p.all().cpu() })
	if err != nil {
		return round, err
	}
	begun := time.Now()
	if err := p.restart(1); err != nil {
		return round, err
	}
	took, err := p.untilReady(ctx, begun)
	if err != nil {
		return round, err
	}
	if round.OtherCores, err = otherCores(); err != nil {
		return round, err
	}
	s, err := p.complete(ctx, n)
	round.Values = []float64{took.Seconds(), float64(n), float64(n) / took.Seconds(), float64(s.Peer.Snapshots)}
	return round, err
}

// records describes n keys at the first node.
func (p *pair) records(n int) Config {
	load := DefaultConfig()
	load.Address = p.nodes[0].address
	load.Keys = n
	return load
}

// untilReady waits until the second node, started at begun, is ready, and returns how long it took.
func (p *pair) untilReady(ctx context.Context, begun time.Time) (took time.Duration, err error) {
	err = p.nodes[1].until(ctx, catchUpLimit, func(ctx context.Context) error {
		err := p.ready(ctx, 1)
		if err == nil && took == 0 {
			took = time.Since(begun)
		}
		return err
	})
	return took, err
}

// complete returns what the second node, which is ready, says of itself, and an error unless it has n records.
func (p *pair) complete(ctx context.Context, n int) (nodeStatus, error) {
	s, err := p.status(ctx, 1)
	if err == nil && s.Store.Items != n {
		err = fmt.Errorf("the node is ready with %d of %d records", s.Store.Items, n)
	}
	return s, err
}
