package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/tyrant"
	"github.com/spf13/cobra"
)

func newImportCommand() *cobra.Command {
	var byPrefix, untilCaughtUp, asJSON bool
	var statePath string
	cmd := &cobra.Command{
		Use:   "import tyrant://HOST:PORT",
		Short: "Copy the records of a Tokyo Tyrant server into a node, and follow it",
		Long: `Copy the records of a running Tokyo Tyrant server into a node, through its client port, and then follow
the server's update log: what changes there changes here. It ends on SIGINT or SIGTERM, when the node has
what the server had at that moment, or with --until-caught-up as soon as it has; a second signal ends it at once.
The node must not be written to by others meanwhile, and should be empty at the beginning.

Entries of the log are not executed: they name keys, whose values are read again and stored. So counters
and appends are exact, and --state FILE lets the command be ended in any way, kill -9 included, and be run again:
the copy begins anew, and the log is read from where it was, at most a minute of it twice.

A server without an update log (-ulog and -sid) is copied only: what changes during the copy may be missed.
Keys are listed with the server's cursor, which all its clients share: one that iterates at the same time is
noticed, and the import fails. --by-prefix lists keys by prefixes instead, which disturbs nobody's cursor
but holds up a hash database for each list.

Exit code 1 also says that the node refused records, or that an entry of the log was not understood; they
are named. See also 'futago import ulog --help' and 'futago import tsv --help'.`,
		Example: `  futago import tyrant://10.0.0.9:1978 --addr 10.0.0.1:11211 --state /var/tmp/import.state
  futago import tyrant://10.0.0.9 --until-caught-up
  futago import ulog /var/ttserver/ulog --state /var/tmp/import.state
  futago import tsv records.tsv`,
		Args: words(1, 1),
	}
	config := newNodeConfig(cmd)
	flags := cmd.Flags()
	flags.StringVar(&statePath, "state", "", "keep in this `FILE` how far it is, and go on there")
	flags.BoolVar(&untilCaughtUp, "until-caught-up", false, "end as soon as the node has what the server has")
	flags.BoolVar(&byPrefix, "by-prefix", false, "list keys by prefixes, without the server's cursor")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source, err := parseTyrant(args[0])
		if err != nil {
			return usageError{fmt.Errorf("%q: %w", args[0], err)}
		}
		target, err := config.load(cmd)
		if err != nil {
			return err
		}
		state, err := migrate.OpenState(statePath, tyrantScheme+source, fmt.Sprint(config.Addr))
		if err != nil {
			return withHint(err, "Give the same addresses, or another --state FILE to begin anew.")
		}
		told, stop := untilSignal(cmd.Context(), slog.New(slog.DiscardHandler), os.Exit)
		defer stop()
		progress, notice, end := importProgress(cmd.ErrOrStderr())
		done, problem := migrate.Import(cmd.Context(), migrate.ImportConfig{
			Source: dialTyrant(source, config.Timeout), Target: target, State: state,
			ByPrefix: byPrefix, UntilCaughtUp: untilCaughtUp, CutOver: told.Done(), Progress: progress, Notice: notice,
		})
		end()
		print := func() error { return printImported(cmd.OutOrStdout(), done) }
		if asJSON {
			print = func() error { return writeJSON(cmd.OutOrStdout(), done) }
		}
		if err := print(); err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		tellRefused(cmd.ErrOrStderr(), done.Refusals)
		if problem != nil {
			return importHint(fmt.Errorf("import %s: %w", args[0], problem), statePath)
		}
		return notAll(done.Refused, done.Unknown)
	}
	cmd.AddCommand(newImportTSVCommand(), newImportUlogCommand())
	return cmd
}

// dialTyrant connects to the source.
func dialTyrant(address string, timeout time.Duration) migrate.Dial {
	return func(ctx context.Context, maxReply int) (*tyrant.Client, error) {
		nc, err := dialServer(ctx, address)
		if err != nil {
			return nil, err
		}
		return tyrant.NewClient(nc, tyrant.ClientConfig{Timeout: timeout, MaxReply: maxReply}), nil
	}
}

// notAll is the error for what was left out.
func notAll(refused, unknown int64) error {
	switch {
	case refused > 0:
		return withHint(errors.New("not everything was imported: the node refused records"),
			"Keys longer than 65,535 bytes and values above the node's --max-value are refused, and all writes when it is full or may not be written to.")
	case unknown > 0:
		return errors.New("not everything was imported: entries of the log were not understood")
	}
	return nil
}
