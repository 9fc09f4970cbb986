package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/bench"
)

// newBenchClusterCommand is for developers and hidden: it needs Redis and its tools on this machine.
func newBenchClusterCommand() *cobra.Command {
	kills := bench.DefaultClusterKillConfig()
	config := bench.DefaultCompareConfig()
	cmd := compareCommand(&cobra.Command{
		Use:   "cluster",
		Short: "Measure a front of a Redis cluster beside the bare cluster on this machine",
		Long: `Measure fronts (futago serve --store) of Redis clusters with one and three masters beside the bare clusters,
these with redis-benchmark; then kill masters of clusters with replicas while sets go on through fronts and
directly, with a client of the cluster (valkey-go), and look for what was acknowledged. All servers are started
on free loopback ports with data in temporary folders, and killed at the end. 'make bench-cluster' runs it;
docs/performance.md explains the tables. Debian packages: redis-server, redis-tools.`,
		Example: `  futago bench cluster --rounds 5 --window 2s --raw results.jsonl --json figures.json
  futago bench cluster --rounds 1 --window 500ms --kills 0
  futago bench cluster --rounds 1 --kills 20 --node-timeout 1s,5s --kill-rate 5000`,
	}, &config, func(ctx context.Context, c bench.CompareConfig) (*bench.Report, error) {
		return bench.CompareCluster(ctx, c, kills)
	})
	f := cmd.Flags()
	f.IntVar(&kills.Kills, "kills", kills.Kills, "kills of a master with each node timeout, 0 for none")
	f.DurationSliceVar(&kills.NodeTimeouts, "node-timeout", kills.NodeTimeouts, "how long a server may be silent before the others take it for dead")
	f.Float64Var(&kills.Rate, "kill-rate", kills.Rate, "sets a second that each client makes while a master is killed, at most")
	return cmd
}
