package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
)

// lagWindows makes lag take that many windows of a comparison: its probes are far fewer than the requests of a
// load, and the p99.9 of a few hundred would be the largest of them.
const lagWindows = 5

// pairRound is what one round found of a pair.
type pairRound struct {
	// sets are as many as one node confirms on 50 connections; lag is measured after them.
	sets *Result
	lag  *LagResult
	// soloSeconds is how long the written node acknowledged without the other one during sets.
	soloSeconds float64
}

// comparePair measures a pair of nodes in rounds and adds them to report.
func comparePair(ctx context.Context, c CompareConfig, report *Report) (err error) {
	p, err := startPair(ctx, c.Futago)
	if err != nil {
		return fmt.Errorf("start a pair: %w", err)
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	for round := range c.Rounds {
		r, err := p.measure(ctx, c, uint64(round+1))
		if err != nil {
			return fmt.Errorf("measure a pair: %w", err)
		}
		report.pair = append(report.pair, r)
		if err := errors.Join(writeRaw(c.Raw, "pair", "only sets", "futago", r.sets), writeRaw(c.Raw, "pair", "lag", "futago", r.lag)); err != nil {
			return err
		}
		if c.Log != nil {
			fmt.Fprintf(c.Log, "pair: round %d of %d\n", round+1, c.Rounds)
		}
	}
	return nil
}

// measure takes the first node for writes.
func (p *pair) measure(ctx context.Context, c CompareConfig, seed uint64) (r pairRound, err error) {
	_, soloBefore, err := p.solo(ctx, 0)
	if err != nil {
		return r, err
	}
	// Run knows one server process; here are two.
	otherCores, err := watchOthers(append(p.pids(), os.Getpid()))
	if err != nil {
		return r, err
	}
	sets := DefaultConfig()
	sets.Address, sets.ServerPID = p.nodes[0].address, p.pids()[0]
	sets.GetRatio, sets.Fill, sets.Seed = 0, false, seed
	sets.Duration, sets.WarmUp = c.Window, c.WarmUp
	if r.sets, err = Run(ctx, sets); err != nil {
		return r, fmt.Errorf("sets: %w", err)
	}
	if r.sets.OtherCores, err = otherCores(); err != nil {
		return r, err
	}
	_, soloAfter, err := p.solo(ctx, 0)
	if err != nil {
		return r, err
	}
	r.soloSeconds = soloAfter - soloBefore

	lag := DefaultLagConfig()
	lag.Write, lag.Read, lag.ServerPIDs = p.nodes[0].address, p.nodes[1].address, p.pids()
	lag.Duration, lag.WarmUp = lagWindows*c.Window, c.WarmUp
	if r.lag, err = Lag(ctx, lag); err != nil {
		return r, fmt.Errorf("replication lag: %w", err)
	}
	if n := r.sets.Errors + r.lag.Errors; n > 0 {
		return r, fmt.Errorf("%d errors: %s%s", n, r.sets.FirstError, r.lag.FirstError)
	}
	return r, nil
}

// writePair prints a table of the lag and one of the sets, with a line for each round and one for the medians.
func (r *Report) writePair(w io.Writer) error {
	lags, sets := r.pairTables()
	c := r.pair[0].lag.Config
	fmt.Fprintf(w, "\nA pair of futago nodes, ack=peer, fsync=interval, on this machine\n"+
		"Replication lag: %.0f sets/s to one node, %.0f probes/s there, seen at the other node\n", c.Rate, c.ProbeRate)
	if err := lags.write(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "Sets to one node, confirmed by both: %d connections, P=1, closed loop\n", r.pair[0].sets.Config.Connections)
	if err := sets.write(w); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "Medians are of the quiet rounds, in which other work took at most %.2f processors; where none was quiet (~), of all.\n"+
		"A lag counts from before the set is sent until the reply to a get shows it, and includes one poll (a get's round trip).\n"+
		"late: probes that were due while this program was kept from running. ~sets/s: fewer than were due, so the lag is not\n"+
		"that under the full rate; or, of the second table, not all confirmed by both: solo s is the seconds without the other.\n", quietCores)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Report) pairTables() (lags, sets *roundTable) {
	lags = &roundTable{columns: []string{"p50 us", "p99 us", "p99.9 us", "max us", "probes", "timeouts", "late", "poll us", "sets/s"}}
	sets = &roundTable{columns: []string{"sets/s", "p50 us", "p99 us", "p99.9 us", "max us", "solo s"}, decimals: map[int]int{5: 1}}
	for _, p := range r.pair {
		l, s := p.lag, p.sets
		lags.add(l.OtherCores, []float64{l.P50Micros, l.P99Micros, l.P999Micros, l.MaxMicros,
			float64(l.Probes), float64(l.Timeouts), float64(l.Late), l.PollMicros, l.SetsPerSecond})
		if !l.RateReached {
			lags.mark(8)
		}
		sets.add(s.OtherCores, []float64{s.OpsPerSecond, s.P50Micros, s.P99Micros, s.P999Micros, s.MaxMicros, p.soloSeconds})
		if p.soloSeconds > 0 {
			sets.mark(0)
		}
	}
	return lags, sets
}

// roundTable has a line for each round and one for their medians.
type roundTable struct {
	columns  []string
	decimals map[int]int // of a column, 0 for those not named
	rounds   []tableRound
}

type tableRound struct {
	values     []float64 // one for each column
	otherCores float64
	marked     int // column that is not what it says, -1 for none
}

func (t *roundTable) add(otherCores float64, values []float64) {
	t.rounds = append(t.rounds, tableRound{values, otherCores, -1})
}

// mark marks a column of the last round.
func (t *roundTable) mark(column int) { t.rounds[len(t.rounds)-1].marked = column }

func (t *roundTable) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "round\t")
	for _, name := range t.columns {
		fmt.Fprintf(tw, "%s\t", name)
	}
	fmt.Fprintln(tw, "other work\t")
	var quietRounds []tableRound
	for i, r := range t.rounds {
		t.writeLine(tw, strconv.Itoa(i+1), r)
		fmt.Fprintf(tw, "%.2f\t\n", r.otherCores)
		if r.otherCores <= quietCores {
			quietRounds = append(quietRounds, r)
		}
	}
	n, mark := len(quietRounds), ""
	if n == 0 {
		quietRounds, mark = t.rounds, "~"
	}
	medians := tableRound{values: make([]float64, len(t.columns)), marked: -1}
	for i := range medians.values {
		column := make([]float64, len(quietRounds))
		for j, r := range quietRounds {
			column[j] = r.values[i]
			if r.marked == i {
				medians.marked = i
			}
		}
		medians.values[i] = median(column)
	}
	t.writeLine(tw, "median", medians)
	fmt.Fprintf(tw, "%s%d/%d quiet\t\n", mark, n, len(t.rounds))
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (t *roundTable) writeLine(w io.Writer, name string, r tableRound) {
	fmt.Fprintf(w, "%s\t", name)
	for i, v := range r.values {
		mark := ""
		if i == r.marked {
			mark = "~"
		}
		fmt.Fprintf(w, "%s%.*f\t", mark, t.decimals[i], v)
	}
}
