package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/bench"
)

// newBenchHitRateCommand is for developers and hidden: it needs memcached on this machine.
func newBenchHitRateCommand() *cobra.Command {
	var asJSON bool
	config := bench.DefaultHitRateConfig()
	mib := config.Memory >> 20
	cmd := &cobra.Command{
		Use:   "hitrate",
		Short: "Compare the hit rates of memcached and of futago --evict in the same memory",
		Long: `Compare the hit rates of memcached and of futago --evict as read-through caches with the same memory:
keys are asked for by a Zipf distribution, what is missed is stored. 'make bench-hitrate' runs it;
docs/performance.md explains the table.`,
		Example: `  futago bench hitrate
  futago bench hitrate --memory 256 --keys 4000000 --requests 20000000 --skew 0.9,1.0`,
		Args:   noWords,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config.Memory = mib << 20
			return measure(cmd, &config.Futago, &config, func(ctx context.Context) error {
				config.Log = cmd.ErrOrStderr()
				results, err := bench.CompareHitRates(ctx, config)
				if asJSON {
					return errors.Join(err, writeJSON(cmd.OutOrStdout(), results))
				}
				return errors.Join(err, writeHitRates(cmd.OutOrStdout(), results))
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&config.Futago, "futago", "", "binary to measure (default this one)")
	f.Int64Var(&mib, "memory", mib, "memory of each cache, MiB")
	f.IntVar(&config.Keys, "keys", config.Keys, "number of different keys")
	f.IntVar(&config.Requests, "requests", config.Requests, "gets of each case; the second half counts")
	f.Float64SliceVar(&config.Skews, "skew", config.Skews, "exponents of the Zipf distribution")
	f.BoolVar(&asJSON, "json", false, "print the results as JSON")
	f.Uint64Var(&config.Seed, "seed", config.Seed, "start of the random order of keys")
	return cmd
}

// writeHitRates prints pairs of results, of memcached and of futago.
func writeHitRates(out io.Writer, results []bench.HitRate) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "skew\tcache\thit rate\tmisses, ratio\tresident MiB\tnot stored\tseconds\t")
	for i, r := range results {
		ratio := ""
		if i%2 == 1 {
			ratio = fmt.Sprintf("%.2f", (1-r.Rate)/(1-results[i-1].Rate))
		}
		fmt.Fprintf(w, "%.1f\t%s\t%.1f %%\t%s\t%d\t%d\t%.1f\t\n", r.Skew, r.Server, 100*r.Rate, ratio, r.Resident>>20, r.Refused, r.Took.Round(100*time.Millisecond).Seconds())
	}
	return w.Flush()
}
