package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/bench"
)

// newBenchScaleCommand is for developers and hidden: it needs memcached and Redis on this machine.
func newBenchScaleCommand() *cobra.Command {
	config := bench.DefaultScaleConfig()
	var rawPath string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Measure a node as its data grows: load, memory, start, compaction, expiry",
		Long: `Measure one futago node with growing numbers of records on this machine:

  load       sets as fast as they are taken, memory and disk, beside memcached and Redis
  start      from start to the first answer, after SIGTERM and kill -9, warm and cold, beside Redis' RDB
  overwrite  latency and disk while every record is changed and compaction follows
  delete     the same while a share of the records is deleted, and when the space is back
  expire     latency while all records expire
  limit      a node that may have a third of its data in memory (needs a control group that it may make)

All servers are started on free loopback ports with data in temporary folders (below $TMPDIR, which should be
on a real disk), and killed at the end. 'make bench-scale' runs it; docs/performance.md explains the tables.`,
		Example: `  futago bench scale
  futago bench scale --records 1000000,10000000,50000000 --raw scale.jsonl
  futago bench scale --case load,start --rounds 3 --value-size 1000 --records 200000
  futago bench scale --case overwrite --rate 5000 --change-rate 0`,
		Hidden: true,
		Args:   noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return measure(cmd, &config.Futago, &config, func(ctx context.Context) error {
				config.Log = cmd.ErrOrStderr()
				return withRaw(rawPath, func(raw io.Writer) error {
					config.Raw = raw
					report, err := bench.MeasureScale(ctx, config)
					if report != nil { // with an error: what was measured beside it
						err = errors.Join(err, writeReport(cmd.OutOrStdout(), report, asJSON))
					}
					return err
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&config.Cases, "case", nil, "load, start, overwrite, delete, expire or limit; may be repeated (default all)")
	f.IntSliceVar(&config.Records, "records", config.Records, "numbers of records, least first; may be repeated")
	f.IntVar(&config.ValueSize, "value-size", config.ValueSize, "bytes of a value")
	f.BoolVar(&config.Alone, "alone", false, "leave memcached and Redis out")
	f.IntVar(&config.Rounds, "rounds", config.Rounds, "start: starts of each kind")
	f.DurationVar(&config.Window, "window", config.Window, "how long the load is measured before something happens, and each under a limit")
	f.Float64Var(&config.Rate, "rate", config.Rate, "operations a second of that load, half of them sets")
	f.Float64Var(&config.ChangeRate, "change-rate", config.ChangeRate, "overwrite, delete: changes a second beside it; 0 is as many as the node takes")
	f.Float64Var(&config.DeleteShare, "delete-share", config.DeleteShare, "delete: share of the records")
	f.DurationVar(&config.ExpireWithin, "expire-within", config.ExpireWithin, "expire: time in which all records expire")
	f.DurationVar(&config.Settle, "settle", config.Settle, "how long the disk must not become less until it counts as settled")
	f.StringVar(&config.Futago, "futago", "", "binary to measure (default this one)")
	f.StringVar(&rawPath, "raw", "", "file for every single result, as lines of JSON")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}
