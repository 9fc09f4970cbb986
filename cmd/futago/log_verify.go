package main

import (
	"fmt"
	"io"

	"github.com/futago/futago/internal/ulog"
	"github.com/spf13/cobra"
)

func newLogVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read every byte of a log and say what is damaged",
		Long: `Read every byte of the log in the data folder DIR and say what is damaged: each segment entry by entry,
each hint against its segment, and whether the end is one that a node would start with. Nothing is changed.
While a node uses the folder its latest writes may be missing or half written: that is no damage.

Exit code 0: nothing is damaged; 4: something is; 1: the log cannot be read at all.`,
		Example: `  futago log verify /var/lib/futago
  futago log verify --json /backup/futago-monday`,
		Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fs, err := openLogFolder(args[0])
			if err != nil {
				return err
			}
			noteHolder(cmd.ErrOrStderr(), args[0])
			progress, end := progressBar(cmd.ErrOrStderr(), "reading", true)
			report, err := ulog.Verify(fs, progress)
			end()
			if err != nil {
				return fmt.Errorf("verify %s: %w", args[0], err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), report)
			}
			if err != nil {
				return fmt.Errorf("print report: %w", err)
			}
			if !report.Sound() {
				return withHint(damageFound{fmt.Errorf("log in %s is damaged: %s", args[0], count(int64(len(report.Damage)), "place"))},
					"Stop the node and run 'futago log repair "+args[0]+"'; add --dry-run to see what it would do.")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

// printReport prints what was found, and the verdict last.
func printReport(w io.Writer, r *ulog.Report) error {
	var err error
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	if r.Node != 0 {
		line("log %v of node %d: %s, %s, %s up to sequence %d", r.Identity, r.Node, count(int64(r.Segments), "segment"), count(r.Bytes, "byte"), count(int64(r.Entries), "entry"), r.Last)
	}
	if !r.Newest.IsZero() {
		line("newest write: %s", stampTime(r.Newest))
	}
	if r.Hole {
		line("entries were lost before and are not all back from the peer")
	}
	if r.Torn != nil {
		line("unfinished end, cut by the next start: %s", describe(*r.Torn))
	}
	for _, d := range r.Damage {
		line("damaged: %s", describe(d))
	}
	if r.Sound() {
		line("sound")
	}
	return err
}
