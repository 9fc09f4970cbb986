package bench

import (
	"context"
	"errors"
	"fmt"
)

// lagLoads are the sets a second beside the probes; 0 stands for as many as the node takes.
var lagLoads = []float64{2000, 10_000, 0}

// lagSaturation is the number of connections that keep a node busy.
const lagSaturation = 50

// measureLag measures how long a write at one node takes to be seen at the other one.
func measureLag(ctx context.Context, c *PairConfig, r *PairReport) (err error) {
	p, err := startPair(ctx, c.Futago, "peer", "interval")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.discard()) }()
	t := r.table("lag", "replication lag, ack=peer, fsync=interval; from before a set is sent to one node until a get at the other shows it",
		"p50 us", "p99 us", "p99.9 us", "max us", "probes", "timeouts", "late", "poll us", "sets/s")
	for round := range c.Rounds {
		for _, rate := range lagLoads {
			lag := DefaultLagConfig()
			lag.Write, lag.Read, lag.ServerPIDs = p.nodes[0].address, p.nodes[1].address, p.pids()
			lag.Duration, lag.WarmUp = c.LagWindow, c.WarmUp
			lag.Rate = rate
			name := fmt.Sprintf("%.0f sets/s", rate)
			if rate == 0 {
				lag.Saturate, lag.Connections = true, lagSaturation
				name = fmt.Sprintf("saturated by %d connections", lagSaturation)
			}
			l, err := Lag(ctx, lag)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			t.add(name, lagRound(l))
		}
		c.logf("lag: round %d of %d", round+1, c.Rounds)
	}
	return nil
}

func lagRound(l *LagResult) Round {
	round := Round{OtherCores: l.OtherCores, Values: []float64{l.P50Micros, l.P99Micros, l.P999Micros, l.MaxMicros,
		float64(l.Probes), float64(l.Timeouts), float64(l.Late), l.PollMicros, l.SetsPerSecond}}
	if !l.RateReached {
		round.doubt("%.0f sets/s instead of %.0f", l.SetsPerSecond, l.Config.Rate)
	}
	if l.Errors > 0 {
		round.doubt("%d errors: %s", l.Errors, l.FirstError)
	}
	return round
}

func (r *Round) doubt(format string, args ...any) {
	r.Doubts = append(r.Doubts, fmt.Sprintf(format, args...))
}
