package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/bench"
)

// newBenchCheckCommand is for developers and hidden: it needs other servers and load generators on this machine.
func newBenchCheckCommand() *cobra.Command {
	config := bench.DefaultCompareConfig()
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Compare the figures of futago bench with those of other load generators",
		Long: `Compare the figures of futago bench with those of other load generators on this machine: memcslap on memcached,
redis-benchmark on Redis and wrk on a node. Both programs make the same load on the same server in turns. All servers
are started on free loopback ports with data in temporary folders, and stopped at the end. 'make bench-check' runs it;
docs/performance.md explains the table.`,
		Example: `  futago bench check
  futago bench check --rounds 1 --window 1s --json`,
		Args:   noWords,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, &config.Futago, &config, func(ctx context.Context) error {
				config.Log = cmd.ErrOrStderr()
				results, err := bench.Check(ctx, config)
				if err != nil {
					err = fmt.Errorf("bench check: %w", err)
				}
				if len(results) > 0 { // with an error: what was measured before it
					err = errors.Join(err, writeReport(cmd.OutOrStdout(), results, asJSON))
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&config.Rounds, "rounds", config.Rounds, "measurements of each case and program")
	f.DurationVar(&config.Window, "window", config.Window, "how long each measures")
	f.DurationVar(&config.WarmUp, "warm-up", config.WarmUp, "load of futago bench before that, not counted")
	f.StringVar(&config.Futago, "futago", "", "binary of the node (default this one)")
	f.BoolVar(&asJSON, "json", false, "print the results as JSON")
	return cmd
}
