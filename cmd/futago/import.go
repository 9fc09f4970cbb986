package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/tyrant"
	"github.com/spf13/cobra"
)

func newImportCommand() *cobra.Command {
	var byPrefix, untilCaughtUp bool
	var c transferConfig
	cmd := &cobra.Command{
		Use:   "import memcache://HOST:PORT|redis://HOST:PORT|tyrant://HOST:PORT",
		Short: "Copy the records of another server, or of a file, into a node",
		Long: `Copy the records of a running server into a node, through its client port.

memcache:// is memcached 1.6 or later: keys are listed by 'lru_crawler metadump all', or mgdump; values, flags and the
remaining time to live are kept. redis:// is Redis, Valkey or KeyDB, redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]: strings
with their time to live; keys of other types are counted and named. rediss:// is the same with TLS: the host in the URL must
be in the certificate, which the system trusts or --source-tls-ca. Records that the node cannot take, such as too large a
value, are counted and named, too, and make the exit code 1. What changes in the source during the copy may be missed.
Run it again at any time: it stores everything once more. With --state FILE an import from redis:// goes on where it was.

tyrant:// is Tokyo Tyrant: the copy is followed by the server's update log: what changes there changes here. It ends on
SIGINT or SIGTERM, when the node has what the server had at that moment, or with --until-caught-up as soon as it has; a
second signal ends it at once. The node must not be written to by others meanwhile, and should be empty at the beginning.
Entries of the log are not executed: they name keys, whose values are read again and stored. So counters and appends are
exact, and --state FILE lets the command be ended in any way, kill -9 included, and be run again: the copy begins anew, and
the log is read from where it was, at most a minute of it twice. A server without an update log (-ulog and -sid) is copied
only. Keys are listed with the server's cursor, which all its clients share: one that iterates at the same time is
noticed, and the import fails. --by-prefix lists keys by prefixes instead, which disturbs nobody's cursor but holds up
a hash database for each list. --rate bounds the copy and what follows, each; with --dry-run the copy is read and checked, and
neither side is changed. Exit code 1 also says that an entry of the log was not understood.

Files: see 'futago import jsonl --help', 'futago import tsv --help' and 'futago import ulog --help'.`,
		Example: `  futago import memcache://10.0.0.9:11211 --addr 10.0.0.1:11211
  futago import redis://10.0.0.9:6379/0 --source-password-file redis.password --state redis.state
  futago import rediss://cache.example:6380 --source-tls-ca ca.pem --source-password-file redis.password
  futago import redis://10.0.0.9 --prefix session: --rate 5000 --dry-run
  futago import tyrant://10.0.0.9:1978 --addr 10.0.0.1:11211 --state /var/tmp/import.state
  futago import tyrant://10.0.0.9 --dry-run
  futago import tyrant://10.0.0.9 --until-caught-up --rate 20000
  futago import jsonl records.jsonl`,
		Args: words(1, 1),
	}
	config := newNodeConfig(cmd)
	c.addCommon(cmd)
	c.addTransfer(cmd)
	flags := cmd.Flags()
	flags.StringVar(&c.sourcePassword, "source-password-file", "", "redis: the first line of this `FILE` is the password, which others on this machine would see in the URL")
	flags.StringVar(&c.sourceTLS.CA, "source-tls-ca", "", "rediss: trust the authorities in this PEM `FILE` instead of the system's")
	flags.StringVar(&c.sourceTLS.Cert, "source-tls-client-cert", "", "rediss: show the source the certificate in this PEM `FILE`")
	flags.StringVar(&c.sourceTLS.Key, "source-tls-client-key", "", "rediss: the key of that certificate, a PEM `FILE`")
	flags.BoolVar(&untilCaughtUp, "until-caught-up", false, "tyrant: end as soon as the node has what the server has")
	flags.BoolVar(&byPrefix, "by-prefix", false, "tyrant: list keys by prefixes, without the server's cursor")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		tyrantOnly := []string{"until-caught-up", "by-prefix"}
		if strings.HasPrefix(args[0], tyrantScheme) || !strings.Contains(args[0], "://") {
			if err := notGiven(cmd, tyrantScheme, "prefix", "keep", "source-password-file", "source-tls-ca", "source-tls-client-cert", "source-tls-client-key"); err != nil {
				return err
			}
			return importTyrant(cmd, config, args[0], &c, byPrefix, untilCaughtUp)
		}
		target, err := c.load(cmd, config)
		if err != nil {
			return err
		}
		source, name, err := c.sourceOf(args[0], config)
		if err != nil {
			return usageError{err}
		}
		if err := notGiven(cmd, args[0][:strings.Index(args[0], "://")+3], tyrantOnly...); err != nil {
			return err
		}
		return c.run(cmd, target, config, name, source, false)
	}
	cmd.AddCommand(newImportJSONCommand(), newImportTSVCommand(), newImportUlogCommand())
	return cmd
}

// notGiven refuses flags that say nothing to an import from such a source.
func notGiven(cmd *cobra.Command, scheme string, names ...string) error {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s has no meaning for %s", name, scheme)}
		}
	}
	return nil
}

// importTyrant copies a server of Tokyo Tyrant and follows it.
func importTyrant(cmd *cobra.Command, config *nodeConfig, text string, c *transferConfig, byPrefix, untilCaughtUp bool) error {
	source, err := parseTyrant(text)
	if err != nil {
		return usageError{fmt.Errorf("%q: %w", text, err)}
	}
	target, err := c.load(cmd, config)
	if err != nil {
		return err
	}
	unlock, err := lockState(c.state, c.dryRun)
	if err != nil {
		return err
	}
	defer unlock()
	state, err := migrate.OpenState(c.state, tyrantScheme+source, fmt.Sprint(config.Addr))
	if err != nil {
		return withHint(err, "Give the same addresses, or another --state FILE to begin anew.")
	}
	told, stop := untilSignal(cmd.Context(), slog.New(slog.DiscardHandler), os.Exit)
	defer stop()
	progress, notice, end := importProgress(cmd.ErrOrStderr())
	done, problem := migrate.Import(cmd.Context(), migrate.ImportConfig{
		Source: dialTyrant(source, config.Timeout), Target: target, DryRun: c.dryRun, Rate: c.rate, State: state,
		ByPrefix: byPrefix, UntilCaughtUp: untilCaughtUp, CutOver: told.Done(), Progress: progress, Notice: notice,
	})
	end()
	print := func() error { return printImported(cmd.OutOrStdout(), done) }
	if c.asJSON {
		print = func() error { return writeJSON(cmd.OutOrStdout(), done) }
	}
	if err := print(); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	if problem != nil {
		return importHint(fmt.Errorf("import %s: %w", text, problem), c.state)
	}
	return notUnderstood(notAll(&done.Summary), done.Unknown)
}

// dialTyrant connects to the source.
func dialTyrant(address string, timeout time.Duration) migrate.Dial {
	return func(ctx context.Context, maxReply int) (*tyrant.Client, error) {
		nc, err := dialServer(ctx, address)
		if err != nil {
			return nil, sourceError{err}
		}
		return tyrant.NewClient(nc, tyrant.ClientConfig{Timeout: timeout, MaxReply: maxReply}), nil
	}
}

// notUnderstood is the error for entries of a log, unless there is another one.
func notUnderstood(err error, unknown int64) error {
	if err == nil && unknown > 0 {
		err = errors.New("not everything was imported: entries of the log were not understood")
	}
	return err
}
