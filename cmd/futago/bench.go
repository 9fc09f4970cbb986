package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/futago/futago/internal/bench"
)

func newBenchCommand() *cobra.Command {
	config := bench.DefaultConfig()
	valueSize := fmt.Sprint(config.ValueSize)
	var noFill, asJSON, insecure bool
	var secure tlsConfig
	var table settings
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Make load on a server and measure throughput and latency",
		Long: `Make load on a server and measure throughput and latency.

Every key is set once first (unless --no-fill), so do not aim at a server whose data matters.
Without --rate each connection sends --pipeline requests, waits for all replies, and goes on: that shows
throughput. With --rate requests are due at even distances, and latency counts from the time a request
was due: that shows what users see while the server stalls. Requests that were due and could not even be
sent are shown as late.

With --tls the load takes far more processor time than without: look at the cores that it used, and give
it more --threads.`,
		Example: `  futago bench
  futago bench --addr 127.0.0.1:11211 --pipeline 16 --duration 10s
  futago bench --rate 40000 --connections 100 --json
  futago bench --protocol binary --multi-get 10 --get-ratio 1
  futago bench --protocol meta --zipf 0.99 --value-size 100:9,10000:1
  futago bench --get-ratio 0.5 --incr-ratio 0.3 --value-size 32-4096
  futago bench --connections 20000 --threads 2 --rate 50000
  futago bench --addr cache.example:11211 --tls-ca ca.pem
  futago bench --protocol tyrant --addr 127.0.0.1:1978 --multi-get 100 --get-ratio 1
  futago bench --protocol redis --addr 127.0.0.1:6379 --server-pid "$(pidof redis-server)"`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if err = table.load(cmd); err != nil {
				return usageError{err}
			}
			secure.On = secure.On || insecure
			if config.TLS, err = secure.client("tls"); err != nil {
				return usageError{err}
			}
			if insecure {
				config.TLS.InsecureSkipVerify = true
			}
			if config.ValueSizes, err = bench.ParseSizes(valueSize); err != nil {
				return usageError{err}
			}
			if size, ok := config.ValueSizes.Fixed(); ok {
				config.ValueSize, config.ValueSizes = size, nil
			}
			config.Fill = !noFill
			if err := config.Validate(); err != nil {
				return usageError{err}
			}
			ctx, stop := interruptible(cmd)
			defer stop()
			context.AfterFunc(ctx, stop) // a second interrupt ends the program
			config.Stop = ctx.Done()
			if w := cmd.ErrOrStderr(); isTerminal(w) {
				config.Progress = func(p bench.Progress) { fmt.Fprint(w, clearLine, progressText(p)) }
				defer fmt.Fprint(w, clearLine)
			}
			result, err := bench.Run(context.WithoutCancel(cmd.Context()), config)
			if errors.Is(err, bench.ErrStopped) {
				fmt.Fprintf(cmd.ErrOrStderr(), "futago: bench %s: %v\n", config.Address, err)
				return exitCode(exitInterrupted)
			}
			if err != nil {
				return benchError(&config, err)
			}
			if err := writeReport(cmd.OutOrStdout(), result, asJSON); err != nil || !result.CutShort {
				return err
			}
			return exitCode(exitInterrupted)
		},
	}
	f := cmd.Flags()
	f.StringVar(&config.Address, "addr", config.Address, "server to load, host:port or unix:PATH")
	f.StringVar(&config.Protocol, "protocol", config.Protocol, `memcache (text), meta or binary (memcached's others), redis, tyrant (binary: get,
mget, put, addint) or http (GET and PUT of /KEY)`)
	f.IntVar(&config.Connections, "connections", config.Connections, "connections over all threads")
	f.IntVar(&config.Pipeline, "pipeline", config.Pipeline, "requests under way on each connection")
	f.Float64Var(&config.GetRatio, "get-ratio", config.GetRatio, "share of gets, 0 to 1")
	f.Float64Var(&config.IncrRatio, "incr-ratio", config.IncrRatio, "share of increments, of keys of their own, 0 to 1; the others are sets")
	f.IntVar(&config.MultiGet, "multi-get", config.MultiGet, "keys of each get; counts as one request")
	f.IntVar(&config.Keys, "keys", config.Keys, "number of different keys")
	f.Float64Var(&config.Zipf, "zipf", config.Zipf, "skew of a Zipf distribution of the keys, 0 for equal chances")
	f.IntVar(&config.KeySize, "key-size", config.KeySize, "bytes of a key")
	f.StringVar(&valueSize, "value-size", valueSize, "bytes of a value: SIZE, MIN-MAX, or a list of these with weights, as 100:9,10000:1")
	f.Float64Var(&config.Rate, "rate", config.Rate, "requests a second, 0 for as many as the server answers")
	f.DurationVar(&config.Duration, "duration", config.Duration, "how long to measure")
	f.DurationVar(&config.WarmUp, "warm-up", config.WarmUp, "load before that, not counted")
	f.IntVar(&config.Threads, "threads", config.Threads, "load threads, each keeps up to one processor busy")
	f.IntVar(&config.WaitReplicas, "wait", 0, "with redis and --get-ratio 0: replicas that each set waits for")
	f.Uint64Var(&config.Seed, "seed", config.Seed, "start of the random order of keys and sizes of values")
	f.IntVar(&config.ServerPID, "server-pid", config.ServerPID, "process whose CPU time is shown for each request")
	f.IntSliceVar(&config.CPUs, "cpus", nil, "processors that load threads may run on (default all)")
	f.BoolVar(&noFill, "no-fill", false, "do not set the keys first")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	secure.add(&table, "tls")
	table.add("tls-insecure", boolValue(&insecure), "take any certificate; includes --tls")
	table.bind(cmd)
	cmd.AddCommand(newBenchLagCommand(), newBenchPairCommand(), newBenchCompareCommand(), newBenchProxyCommand(),
		newBenchTyrantCommand(), newBenchClusterCommand(), newBenchHitRateCommand(), newBenchCheckCommand(), newBenchScaleCommand())
	return cmd
}

// benchError names the server and says what to do next.
func benchError(config *bench.Config, err error) error {
	err = fmt.Errorf("bench %s: %w", config.Address, err)
	_, strange := errors.AsType[*bench.ReplyError](err)
	for protocol, begin := range map[string]string{bench.Redis: `a set: "-`, bench.HTTP: `a set: "HTTP/`} { // error lines to all others
		strange = strange || config.Protocol != protocol && strings.Contains(err.Error(), begin)
	}
	switch hint := tlsHint(err); {
	case hint != "":
		return withHint(err, hint)
	case errors.Is(err, syscall.ECONNREFUSED):
		return withHint(err, "Nobody listens there. Start a server, or name another one with --addr: FUTAGO_ADDR does not count, for a bench fills what it measures.")
	case strings.Contains(err.Error(), "MOVED "):
		return withHint(err, "That is a node of a Redis cluster, which has other keys only at other nodes: bench asks one server. futago bench cluster measures clusters.")
	case strange:
		return withHint(err, fmt.Sprintf("What answers there does not speak %s: name its protocol with --protocol, and its address for clients with --addr.", config.Protocol))
	case errors.Is(err, bench.ErrServerClosed):
		return withHint(err, fmt.Sprintf("Its log may say why. It may speak another protocol than %s (--protocol), or TLS (--tls), want a user, or take fewer connections (--connections).", config.Protocol))
	}
	return err
}

// interruptible returns the command's context, which an interrupt or SIGTERM ends. stop must be called.
func interruptible(cmd *cobra.Command) (ctx context.Context, stop context.CancelFunc) {
	return signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printDone prints what came of something, as JSON or as text.
func printDone(w io.Writer, asJSON bool, done any, text string) error {
	if asJSON {
		return writeJSON(w, done)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// writeJSONLine writes v on a line of its own.
func writeJSONLine(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// clearLine moves to the start of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

// progressText is how far a load is, on one line.
func progressText(p bench.Progress) string {
	text := fmt.Sprintf("%-9s", p.Phase)
	if p.Phase == bench.Filling {
		text += fmt.Sprintf(" %3.0f %%", 100*p.Filled)
	}
	text += fmt.Sprintf(" %10.0f requests/s", p.OpsPerSecond)
	if p.Phase == bench.Filling {
		return text
	}
	if p.P99Micros > 0 {
		text += fmt.Sprintf(", p99 %.0f us", p.P99Micros)
	}
	if p.Errors > 0 {
		text += fmt.Sprintf(", %d errors", p.Errors)
	}
	return text + fmt.Sprintf(", %.0f s left", p.Left.Seconds())
}
