package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/bench"
)

func newBenchLagCommand() *cobra.Command {
	config := bench.DefaultLagConfig()
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lag --write ADDR --read ADDR",
		Short: "Measure how long a write takes to be seen at the other node",
		Long: `Measure replication lag: how long a write at one node takes to be seen at the other one.

New keys are set at --write, --probes a second at even distances, and --read is asked for them over and
over until they are there. A lag is the time from sending the set to having the reply that shows it, by
this machine's clock: it includes the ways from here to both nodes, and up to one round trip of a get.
Meanwhile --rate other sets a second go to --write; the result says when the nodes did not take as many.
A key that is not seen within --timeout counts as a timeout, and with that time among the lags.

The sets of --rate go to 100,000 keys k000000000000000 and up, so do not aim at a pair whose data matters.
The probes' keys begin with lag- and expire after five minutes.`,
		Example: `  futago bench lag --write 10.0.0.1:11211 --read 10.0.0.2:11211
  futago bench lag --write 127.0.0.1:11211 --read 127.0.0.1:11221 --rate 0 --probes 50 --duration 20s
  futago bench lag --write 10.0.0.1:11211 --read 10.0.0.2:11211 --saturate --connections 50
  futago bench lag --write 10.0.0.1:11211 --read 10.0.0.2:11211 --rate 50000 --json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config.Saturate && !cmd.Flags().Changed("rate") {
				config.Rate = 0
			}
			if err := config.Validate(); err != nil {
				return usageError{err}
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			result, err := bench.Lag(ctx, config)
			if err != nil {
				return fmt.Errorf("bench lag: %w", err)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), result)
			}
			return result.Write(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&config.Write, "write", "", "node that takes the writes, host:port or unix:PATH")
	f.StringVar(&config.Read, "read", "", "node that is looked at, host:port or unix:PATH")
	f.Float64Var(&config.Rate, "rate", config.Rate, "sets a second beside the probes, 0 for none")
	f.BoolVar(&config.Saturate, "saturate", false, "as many sets beside the probes as --connections make, instead of --rate")
	f.IntVar(&config.Connections, "connections", config.Connections, "connections for these sets")
	f.IntVar(&config.ValueSize, "value-size", config.ValueSize, "bytes of a value, of sets and probes")
	f.Float64Var(&config.ProbeRate, "probes", config.ProbeRate, "probes a second")
	f.DurationVar(&config.Timeout, "timeout", config.Timeout, "how long to look for a probe's key")
	f.DurationVar(&config.Duration, "duration", config.Duration, "how long to measure")
	f.DurationVar(&config.WarmUp, "warm-up", config.WarmUp, "sets before that, without probes")
	f.IntSliceVar(&config.ServerPIDs, "server-pid", nil, "processes of nodes on this machine, not counted as other work; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}
