package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/migrate"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// moveLate is for how long the source is looked at after the cut-over.
const moveLate = 5 * time.Second

func newMigrateCommand() *cobra.Command {
	var c migrate.MoveConfig
	var asJSON bool
	var state string
	ends := &moveEnds{}
	cmd := &cobra.Command{
		Use:   "migrate --from ADDR,ADDR --to ADDR[,ADDR]",
		Short: "Move all records between a pair and a cluster while clients write",
		Long: `Move all records between the nodes of a pair and the fronts of a cluster, in either direction, while clients go on writing.
Both sides are named by the admin addresses of their nodes or fronts; what they are is found out.

All records are copied, what changes is followed by the source's change feed, and everything is compared, record by record:
value, flags, Content-Type, expiry. Keys that differ are looked at again until they are equal. What the feed tells is not
executed: it names keys, which are read again. So the command may be killed at any moment and be run again: with
--state FILE it goes on behind the changes that the target has, and compares all records once more.

With --proxy the clients are cut over in the end: all proxies hold their requests, the target gets the last changes, the
keys that were changed last are compared, and the proxies send to the target. If that cannot be done in time they go on at
the source, and it is tried again. For 5 s more the source is looked at, and who still writes there is told of. Without
--proxy both sides are kept equal until SIGINT or SIGTERM; the target has what the source had at that moment then. With
--until-equal it ends as soon as both were found equal.

The target must be empty, or come from an earlier run with the same state file. With --replace it may hold anything, and what
the source does not have is deleted there. Nobody else may write to it before the cut-over. Counters are copied as the numbers that they
are; CAS uniques are not kept.

Exit code 0: both sides were equal, and the proxies, if any, are cut over. Exit code 1: not so. Nothing is lost then: clients
use the source, unless it is said that some proxies were cut over.`,
		Example: `  futago migrate --from 10.0.0.1:11280,10.0.0.2:11280 --to 10.0.0.3:11280 --dry-run
  futago migrate --from 10.0.0.1:11280,10.0.0.2:11280 --to 10.0.0.3:11280 --state /var/tmp/move.state
  futago migrate --from 10.0.0.1:11280,10.0.0.2:11280 --to 10.0.0.3:11280 --state /var/tmp/move.state --proxy 10.0.1.1:11283,10.0.1.2:11283
  futago migrate --from 10.0.0.3:11280 --to 10.0.0.1:11280,10.0.0.2:11280 --until-equal --rate 20000`,
		Args: noWords,
	}
	ends.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&state, "state", "", "keep in this `FILE` how far it is, and go on there")
	flags.IntVar(&c.Rate, "rate", 0, "store at most so many records a second (default as fast as it goes)")
	flags.BoolVar(&c.DryRun, "dry-run", false, "read and check everything, store nothing")
	flags.BoolVar(&c.Replace, "replace", false, "delete in the target what the source does not have, though this is the first run")
	flags.BoolVar(&c.UntilEqual, "until-equal", false, "end as soon as both sides were found equal")
	flags.BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if c.Rate < 0 {
			return usageError{fmt.Errorf("--rate %d: allowed is 0 or more", c.Rate)}
		}
		if err := ends.load(cmd); err != nil {
			return err
		}
		errOut := cmd.ErrOrStderr()
		progress, notice, end := moveProgress(errOut)
		if err := ends.find(cmd.Context(), &c, notice); err != nil {
			return err
		}
		unlock, err := lockState(state, c.DryRun)
		if err != nil {
			return err
		}
		defer unlock()
		if c.State, err = migrate.OpenMove(state, &c.From, &c.To); err != nil {
			return withHint(err, "Name the nodes or fronts of the move that the state file is of, in any order, or give another --state FILE to begin anew.")
		}
		told, stop := untilSignal(cmd.Context(), slog.New(slog.DiscardHandler), os.Exit)
		defer stop()
		c.Stop, c.Progress, c.Notice, c.Late = told.Done(), progress, notice, moveLate
		done, problem := migrate.Move(cmd.Context(), c)
		end()
		print := func() error { return printMoved(cmd.OutOrStdout(), done) }
		switch {
		case asJSON:
			print = func() error { return writeJSON(cmd.OutOrStdout(), done) }
		case problem != nil && done.Passes == 0: // nothing was done
			print = func() error { return nil }
		}
		if err := print(); err != nil {
			return fmt.Errorf("print result: %w", err)
		}
		if problem == nil && done.Unfit > 0 {
			problem = migrate.ErrUnfitRecords
		}
		if problem != nil {
			return moveHint(fmt.Errorf("migrate: %w", problem), ends.lacks(context.WithoutCancel(cmd.Context())), state)
		}
		return nil
	}
	return cmd
}

// moveHint says what to do about an error of a move, while a cluster lacks something.
func moveHint(err error, lacks, state string) error {
	switch {
	case errors.Is(err, errHeld):
		return withHint(err, "See which process that is, and let it end, or stop it. Two moves at once to or from the same nodes would undo each other.")
	case errors.Is(err, migrate.ErrNotEmpty):
		return withHint(err, "Empty it, or name the --state FILE of the run that filled it, or have everything deleted there that the source does not have: --replace.")
	case errors.Is(err, migrate.ErrSwitched):
		return withHint(err, "The state file says so, or the proxies named with --proxy. If they were cut over, the move is done: stop the nodes of the source. If none was, remove that file and begin anew with --replace.")
	case errors.Is(err, migrate.ErrPartly):
		return withHint(err, "Clients of these proxies write to the source, others to the target: stop these proxies, or start them with the target's addresses as --upstream.")
	case errors.Is(err, migrate.ErrUnfitRecords):
		return withHint(err, "Start the target with a larger --max-value, or change or delete these records in the source. Then run it again.")
	case errors.Is(err, migrate.ErrUnequal):
		return withHint(err, "Somebody writes to the target, or the source changes faster than it can be followed. Run it again when that is over.")
	case errors.Is(err, feed.ErrGone):
		return withHint(err, "Run it again: it begins with a new position.")
	case lacks != "":
		return withHint(err, "The cluster: "+lacks+". "+clusterHint)
	}
	return importHint(err, state)
}

// moveProgress draws on a terminal how far a move is; elsewhere nothing. Notices go between. end removes what is drawn.
func moveProgress(w io.Writer) (progress func(migrate.MoveProgress), notice func(text string), end func()) {
	var bar *progressbar.ProgressBar
	notice = func(text string) {
		if bar != nil {
			bar.Clear()
		}
		fmt.Fprintf(w, "futago: %s\n", text)
	}
	if !isTerminal(w) {
		return nil, notice, func() {}
	}
	phase := ""
	return func(p migrate.MoveProgress) {
			if bar == nil || p.Phase != phase {
				if phase = p.Phase; bar != nil {
					bar.Clear()
				}
				bar = progressbar.NewOptions64(max(p.Total, 1), progressbar.OptionSetWriter(w), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
					progressbar.OptionSetItsString("records"), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
			}
			bar.Describe(fmt.Sprintf("%s; %s told, %s wait, %s behind", p.Phase, counted(p.Changes, "change"), grouped(p.Waiting), roundSeconds(p.Lag.Seconds())))
			bar.ChangeMax64(max(p.Total, 1))
			bar.Set64(p.Done)
		}, notice, func() {
			if bar != nil {
				bar.Clear()
			}
		}
}

// printMoved prints what a move has done.
func printMoved(w io.Writer, d *migrate.Moved) error {
	var b strings.Builder
	would := ""
	if d.DryRun {
		would = "would be "
	}
	fmt.Fprintf(&b, "read      %s, %s, in %s\n", counted(d.Read, "record"), counted(d.Bytes, "byte"), counted(int64(d.Passes), "round"))
	fmt.Fprintf(&b, "stored    %s%s, %s%s deleted\n", would, grouped(d.Stored), would, grouped(d.Removed+d.Surplus))
	if !d.DryRun {
		equal := "not yet found equal"
		if d.Equal {
			equal = "equal"
		}
		fmt.Fprintf(&b, "followed  %s\n", counted(d.Changes, "change"))
		fmt.Fprintf(&b, "compared  %s: %s differed, %s changed all the time; %s\n", counted(d.Compared, "record"), grouped(d.Differing), grouped(d.Moving), equal)
	}
	for _, key := range d.Examples {
		fmt.Fprintf(&b, "differed  %s\n", key)
	}
	for _, r := range d.UnfitKeys {
		fmt.Fprintf(&b, "unfit     %s: %s: %s\n", grouped(r.Count), r.Reason, strings.Join(r.Examples, ", "))
	}
	if d.CutOver {
		fmt.Fprintf(&b, "cut over  clients waited %s\n", formatDuration(d.Pause.Round(time.Millisecond)))
		if d.Late+d.LateGone > 0 {
			fmt.Fprintf(&b, "late      %s to the source, past the proxies, %s carried over; %s gone there alone: %s\n",
				counted(d.Late, "write"), grouped(d.LateCarried), counted(d.LateGone, "record"), strings.Join(d.LateKeys, ", "))
		}
		b.WriteString("Clients use the target now. Give the proxies its addresses in their configuration, then stop the nodes of the source (systemctl stop futago).\n")
	}
	fmt.Fprintf(&b, "time      %s\n", roundSeconds(d.Seconds))
	_, err := io.WriteString(w, b.String())
	return err
}
