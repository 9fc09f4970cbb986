package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/bench"
)

// newBenchCompareCommand is for developers and hidden: it needs other servers on this machine.
func newBenchCompareCommand() *cobra.Command {
	groups := strings.Join(bench.CompareGroups(), ", ")
	config := bench.DefaultCompareConfig()
	cmd := compareCommand(&cobra.Command{
		Use:   "compare",
		Short: "Measure futago beside memcached, Redis and nginx on this machine",
		Long: `Measure futago beside memcached, Redis and nginx on this machine, in groups of cases: ` + groups + `.
All servers are started on free loopback ports with data in temporary folders (TMPDIR, for the group fsync on a
real disk), and stopped at the end; those of a group run for that group only. Behind the figures come the noise
of the machine and the targets, with the word reached: aim, must or no. 'make bench' runs it;
docs/performance.md explains the tables and the file of --json.`,
		Example: `  futago bench compare --rounds 5 --window 2s --raw results.jsonl
  futago bench compare --case core --case unix --rounds 3
  futago bench compare --case http,gateway --json figures.json`,
	}, &config, bench.Compare)
	cmd.Flags().StringSliceVar(&config.Groups, "case", nil, "group of cases to measure: "+groups+"; may be repeated (default all)")
	return cmd
}

// newBenchProxyCommand is for developers and hidden: it needs twemproxy on this machine.
func newBenchProxyCommand() *cobra.Command {
	config := bench.DefaultCompareConfig()
	return compareCommand(&cobra.Command{
		Use:   "proxy",
		Short: "Measure a node directly, through futago proxy and through twemproxy on this machine",
		Long: `Measure a node directly, through futago proxy and through twemproxy (Debian package nutcracker) on this
machine. All are started on free loopback ports with data in temporary folders, and stopped at the end.
'make bench-proxy' runs it; docs/performance.md explains the table.`,
		Example: `  futago bench proxy --rounds 5 --window 2s`,
	}, &config, bench.CompareProxy)
}

// newBenchTyrantCommand is for developers and hidden: it needs memcached on this machine.
func newBenchTyrantCommand() *cobra.Command {
	records := bench.DefaultListed
	config := bench.DefaultCompareConfig()
	cmd := compareCommand(&cobra.Command{
		Use:   "tyrant",
		Short: "Measure Tokyo Tyrant's protocol beside memcached's on this machine",
		Long: `Measure a node by Tokyo Tyrant's binary protocol beside a node by memcached's text protocol, and
memcached, pinned to processors; then fwmkeys, and what it costs other clients. All servers are started on free
loopback ports with data in temporary folders, and stopped at the end. 'make bench-tyrant' runs it;
docs/performance.md explains the tables.`,
		Example: `  futago bench tyrant --rounds 5 --window 2s --raw results.jsonl
  futago bench tyrant --rounds 1 --window 500ms --records 100000`,
	}, &config, func(ctx context.Context, c bench.CompareConfig) (*bench.Report, error) {
		return bench.CompareTyrant(ctx, c, records)
	})
	cmd.Flags().IntVar(&records, "records", records, "records that fwmkeys looks through")
	return cmd
}

// compareCommand completes a command that prints a comparison.
func compareCommand(cmd *cobra.Command, config *bench.CompareConfig, compare func(context.Context, bench.CompareConfig) (*bench.Report, error)) *cobra.Command {
	var rawPath, jsonPath string
	cmd.Hidden = true
	cmd.Args = noWords
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return measure(cmd, &config.Futago, config, func(ctx context.Context) error {
			config.Log = cmd.ErrOrStderr()
			return withRaw(rawPath, func(raw io.Writer) error {
				config.Raw = raw
				report, err := compare(ctx, *config)
				if report != nil { // with an error: what was measured before it
					err = errors.Join(err, report.Write(cmd.OutOrStdout()), writeFigures(jsonPath, report))
				}
				return err
			})
		})
	}
	f := cmd.Flags()
	f.IntVar(&config.Rounds, "rounds", config.Rounds, "measurements of each case and server")
	f.DurationVar(&config.Window, "window", config.Window, "how long each measures")
	f.DurationVar(&config.WarmUp, "warm-up", config.WarmUp, "load before that, not counted")
	f.StringVar(&config.Futago, "futago", "", "binary to measure (default this one)")
	f.StringVar(&rawPath, "raw", "", "file for every single result, as lines of JSON")
	f.StringVar(&jsonPath, "json", "", "file for the figures, as JSON")
	return cmd
}

// writeFigures writes the report's figures to the file path; "" means to none.
func writeFigures(path string, report *bench.Report) (err error) {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return errors.Join(writeJSON(f, report.Figures()), f.Close())
}
