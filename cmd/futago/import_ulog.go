package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/tyrant"
	"github.com/spf13/cobra"
)

func newImportUlogCommand() *cobra.Command {
	var from string
	var partial bool
	var c transferConfig
	cmd := &cobra.Command{
		Use:   "ulog DIR",
		Short: "Replay the update log files of a Tokyo Tyrant server into a node",
		Long: `Replay the update log files of a Tokyo Tyrant server (DIR/00000001.ulog and so on) into a node, up to
their end. The node must hold what the server held where the log begins, nothing for a whole log, and must
not be written to by others meanwhile.

Values are computed from the log and from what the node holds. Before each step the command writes down in --state
FILE what the step begins with; run again after any end, kill -9 included, it repeats that step with the same
outcome and goes on, so that increments and appends count once. Run again later, it replays what the log has got since.

Files that are missing and damage are named with file and offset, and end the command with exit code 4;
what was read before stays applied. With --dry-run everything is computed, in memory for all keys that the log changes, and
checked by the node, and nothing is stored. An incomplete entry at the very end is told, and replayed once it is complete.`,
		Example: `  futago import ulog /var/ttserver/ulog --state /var/tmp/ulog.state
  futago import ulog /backup/ulog --dry-run
  futago import ulog /backup/ulog --rate 20000 --from 2026-01-02T15:04:05Z --addr 10.0.0.1:11211
  futago import ulog /backup/ulog --from 1767366245000000 --partial`,
		Args: words(1, 1),
	}
	config := newNodeConfig(cmd)
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "begin with the entries of this `TIME`: a date, how long ago, or microseconds since 1970 (default all)")
	c.addCommon(cmd)
	flags.BoolVar(&partial, "partial", false, "begin behind a missing file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		micros, err := parseMicros(from, time.Now())
		if err != nil {
			return usageError{fmt.Errorf("--from %q: %w", from, err)}
		}
		target, err := c.load(cmd, config)
		if err != nil {
			return err
		}
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		unlock, err := lockState(c.state, c.dryRun)
		if err != nil {
			return err
		}
		defer unlock()
		state, err := migrate.OpenState(c.state, "ulog:"+dir, fmt.Sprint(config.Addr))
		if err != nil {
			return withHint(err, "Give the same folder and addresses, or another --state FILE to begin anew.")
		}
		errOut := cmd.ErrOrStderr()
		if !state.Begun() {
			state.From = micros
		} else if from != "" && micros != state.From {
			fmt.Fprintf(errOut, "futago: --from is that of the state file, %s\n", stampTime(time.UnixMicro(state.From)))
		}
		progress, end := progressBar(errOut, "replaying", true)
		done, problem := migrate.Replay(cmd.Context(), migrate.ReplayConfig{
			Dir: dir, Target: target, DryRun: c.dryRun, Rate: c.rate, State: state, Partial: partial, Progress: progress,
			Notice: func(text string) { fmt.Fprintf(errOut, "futago: %s\n", text) },
		})
		end()
		print := func() error { return printReplayed(cmd.OutOrStdout(), done) }
		if c.asJSON {
			print = func() error { return writeJSON(cmd.OutOrStdout(), done) }
		}
		if err := print(); err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		if problem != nil {
			return replayProblem(fmt.Errorf("replay %s: %w", dir, problem), c.state)
		}
		if done.Doubtful > 0 {
			return withHint(fmt.Errorf("%s could not be replayed: %s", counted(done.Doubtful, "entry"), "an addition to what is no number here"),
				"The node did not hold what the server held where the log begins.")
		}
		return notUnderstood(notAll(&done.Summary), done.Unknown)
	}
	return cmd
}

// parseMicros reads a point in time in microseconds; "" is the beginning of all.
func parseMicros(text string, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if micros, err := strconv.ParseUint(text, 10, 62); err == nil {
		return int64(micros), nil
	}
	at, err := parseMoment(text, now)
	return at.UnixMicro(), err
}

// replayProblem sorts an error by exit code and says what to do next.
func replayProblem(err error, state string) error {
	damage, damaged := errors.AsType[*tyrant.LogError](err)
	switch {
	case errors.Is(err, migrate.ErrMissing):
		return withHint(damageFound{err}, "Bring the older files back, or take what there is with --partial.")
	case damaged:
		return withHint(damageFound{err}, fmt.Sprintf("What was read before is applied. Nobody can read %s on from there; the original ends there without a word.", damage.File))
	}
	return importHint(err, state)
}

func printReplayed(w io.Writer, d *migrate.Replayed) error {
	var b strings.Builder
	fmt.Fprintf(&b, "replayed  %s: %s applied, %s cleared all, %s without effect, %s not understood, %s doubtful\n",
		counted(d.Entries, "entry"), grouped(d.Applied), grouped(d.Cleared), grouped(d.NoEffect), grouped(d.Unknown), grouped(d.Doubtful))
	b.WriteString(summaryText(&d.Summary))
	if d.Torn != "" {
		fmt.Fprintf(&b, "end       %s\n", d.Torn)
	}
	fmt.Fprintf(&b, "position  file %d at %d", d.Position.File, d.Position.Offset)
	if !d.Time.IsZero() {
		fmt.Fprintf(&b, ", %s", stampTime(d.Time))
	}
	fmt.Fprintf(&b, "\ntime      %s\n", roundSeconds(d.Seconds))
	_, err := io.WriteString(w, b.String())
	return err
}
