package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/futago/futago/internal/ulog"
	"github.com/spf13/cobra"
)

// logRestore is what `futago log restore` was asked for.
type logRestore struct {
	from, base, to, until string
	partial               bool
}

func newLogRestoreCommand() *cobra.Command {
	var asJSON bool
	var c logRestore
	cmd := &cobra.Command{
		Use:   "restore DIR --to NEWDIR",
		Short: "Write the records of an earlier time, or of now, to a new data folder",
		Long: `Write the records that the log in the data folder DIR held at a time to a new data folder: of every key the
newest entry whose write is not later. DIR is not changed and may belong to a running node; without --until
the result is a backup of now.

A log forgets replaced records when it compacts. What the log does not hold any more comes from --base, an
earlier copy of the folder; best is one made soon after the time, then nothing is missing. If the record of
a key at that time is in neither, nothing is written and exit code 4 says so, unless --partial takes what
there is: for such a key an older record, or none.

The new log has a new identity and notes that it lacks something: a node asks its peers for everything. To
go back in time with a pair, stop both nodes, start one with the new folder and the other with an empty one;
a node that kept its folder would bring the present back.

A point in time is written as 2026-01-02T15:04:05Z or as how long ago it was, 90m. About 200 bytes of memory
are needed for each key.`,
		Example: `  # everything as it was at noon
  futago log restore /var/lib/futago --until 2026-01-02T12:00:00Z --to /var/lib/futago-noon

  # the same, with what yesterday's backup still holds
  futago log restore /var/lib/futago --until 90m --to /srv/noon --base /backup/futago-yesterday

  # a backup while the node runs
  futago log restore /var/lib/futago --to /backup/futago-today`,
		Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.from = args[0]
			until := time.Now()
			if c.until != "" {
				var err error
				if until, err = parseMoment(c.until, until); err != nil {
					return usageError{fmt.Errorf("--until %q: %w", c.until, err)}
				}
			}
			if c.to == "" {
				return usageError{errors.New("--to is missing: name a folder that does not exist yet")}
			}
			noteHolder(cmd.ErrOrStderr(), c.from)
			progress, end := progressBar(cmd.ErrOrStderr(), "writing", false)
			done, err := c.run(cmd.Context(), until, progress)
			end()
			if err != nil {
				return fmt.Errorf("restore %s: %w", c.from, err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), done)
			} else {
				err = printRestored(cmd.OutOrStdout(), done, until, c.to)
			}
			if err != nil {
				return fmt.Errorf("print result: %w", err)
			}
			if !done.Written {
				return withHint(damageFound{errors.New("the records of that time are not all there: nothing was written")},
					"Name an earlier copy of the folder with --base, best one made soon after the time; or take what there is with --partial.")
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.until, "until", "", "restore the state at this `TIME` (default now)")
	flags.StringVar(&c.to, "to", "", "write the new data folder `NEWDIR`, which must not exist or be empty")
	flags.StringVar(&c.base, "base", "", "an earlier copy `DIR` of the data folder, for what compactions have removed")
	flags.BoolVar(&c.partial, "partial", false, "write what there is, if the records of that time are not all there")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

func (c *logRestore) run(ctx context.Context, until time.Time, progress func(done, total int64)) (done *ulog.Restored, err error) {
	config := ulog.RestoreConfig{Time: until, Partial: c.partial, Progress: progress}
	if config.From, err = openLogFolder(c.from); err != nil {
		return nil, err
	}
	if c.base != "" {
		if config.Base, err = openLogFolder(c.base); err != nil {
			return nil, fmt.Errorf("open base: %w", err)
		}
	}
	return ulog.RestoreFolder(ctx, config, c.to)
}

func printRestored(w io.Writer, r *ulog.Restored, until time.Time, to string) error {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if r.Missing > 0 {
		var examples []string
		for _, key := range r.Examples {
			examples = append(examples, fmt.Sprintf("%.64q", key))
		}
		add("%s: the record at %s is not there any more: %s", count(int64(r.Missing), "key"), stampTime(until), strings.Join(examples, ", "))
	}
	if r.Flushed {
		add("a flush after that time removed records without a trace")
	}
	if r.Hole {
		add("the log had lost entries before, and they are not all back")
	}
	for _, d := range r.Damage {
		add("damaged: %s", describe(d))
	}
	if r.Written {
		add("%s: %s and %s as of %s, %d of them from the base; log %v", to, count(int64(r.Records), "record"), count(int64(r.Tombstones), "tombstone"), stampTime(until), r.FromBase, r.Identity)
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}
