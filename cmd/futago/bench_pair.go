package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/bench"
)

// newBenchPairCommand is for developers and hidden: it needs Redis on this machine.
func newBenchPairCommand() *cobra.Command {
	config := bench.DefaultPairConfig()
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "pair",
		Short: "Measure a pair of nodes on this machine: lag, sets, failover, catch-up, copy",
		Long: `Measure pairs of futago nodes on this machine:

  lag       replication lag at 2,000 and 10,000 sets a second, and with as many as a node takes
  sets      throughput in all ways of acknowledgement, beside Redis with a replica, with and without WAIT
  failover  from kill -9 of a node to the first success of a client
  ready     from start to ready after writes that a node has missed, and of a wiped node
  copy      what a full copy to a wiped node costs the clients of the other one

All servers are started on free loopback ports with data in temporary folders (below $TMPDIR, which should be
on a real disk), and killed at the end. 'make bench-pair' runs it; docs/performance.md explains the table.`,
		Example: `  futago bench pair
  futago bench pair --case sets --rounds 9 --sets-window 5s
  futago bench pair --case lag --case failover --kills 50 --json
  futago bench pair --case copy --rounds 1 --copy-records 100000 --copy-window 1s`,
		Hidden: true,
		Args:   noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, &config.Futago, &config, func(ctx context.Context) error {
				config.Log = cmd.ErrOrStderr()
				report, err := bench.MeasurePair(ctx, config)
				if report != nil { // with an error: what was measured beside it
					err = errors.Join(err, writeReport(cmd.OutOrStdout(), report, asJSON))
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&config.Cases, "case", nil, "lag, sets, failover, ready or copy; may be repeated (default all)")
	f.IntVar(&config.Rounds, "rounds", config.Rounds, "measurements of each thing")
	f.DurationVar(&config.WarmUp, "warm-up", config.WarmUp, "load before a window, not counted")
	f.DurationVar(&config.LagWindow, "lag-window", config.LagWindow, "lag: how long each measures, 200 probes a second")
	f.DurationVar(&config.SetsWindow, "sets-window", config.SetsWindow, "sets: how long each measures")
	f.IntVar(&config.Kills, "kills", config.Kills, "failover: kills of a node")
	f.IntSliceVar(&config.Missed, "missed", config.Missed, "ready: writes missed; may be repeated")
	f.IntVar(&config.Records, "records", config.Records, "ready: records of a wiped node")
	f.IntVar(&config.CopyRecords, "copy-records", config.CopyRecords, "copy: records of a wiped node")
	f.Float64Var(&config.CopyRate, "copy-rate", config.CopyRate, "copy: operations a second at the serving node, half of them sets")
	f.DurationVar(&config.CopyWindow, "copy-window", config.CopyWindow, "copy: how long these are measured before it")
	f.StringVar(&config.Futago, "futago", "", "binary to measure (default this one)")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}
