package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
	"github.com/spf13/cobra"
)

func newLogRepairCommand() *cobra.Command {
	var asJSON, dry bool
	var node int
	cmd := &cobra.Command{
		Use:   "repair DIR",
		Short: "Take the damage out of a log, so that its node starts",
		Long: `Take the damage out of the log in the data folder DIR, so that its node starts again. The node must be
stopped. All that can be read stays; damaged bytes are kept in files cut-*, which a node never reads.

When entries are lost, the log gets a new identity and notes the hole: the node asks its peer for
everything, its own writes included. Without a peer, what is printed as lost is lost; a key whose newest
write is lost may show an older one. A log that needs no repair is not changed, and an unfinished end is
left to the next start. A damaged MANIFEST is made anew from the segments; name the id of the node with
--node then, which is written nowhere else.

Exit code 0: the log is sound now; 1: it could not be repaired; with --dry-run 4 means that there is damage.`,
		Example: `  futago log repair --dry-run /var/lib/futago
  futago log repair /var/lib/futago
  futago log repair /var/lib/futago --node 1`,
		Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if node < 0 || node > hlc.MaxNode {
				return usageError{fmt.Errorf("--node %d: allowed is 1 to %d", node, hlc.MaxNode)}
			}
			if _, err := openLogFolder(args[0]); err != nil { // it must be there: OS would make it
				return err
			}
			fs, err := vfs.OS(args[0])
			if err != nil {
				return err
			}
			progress, end := progressBar(cmd.ErrOrStderr(), "reading", true)
			done, err := ulog.Repair(ulog.RepairConfig{FS: fs, Node: node, Dry: dry, Progress: progress})
			end()
			if damage, ok := errors.AsType[*ulog.CorruptError](err); ok {
				return withHint(fmt.Errorf("repair %s: %s: %w", args[0], damage.Segment, damage.Err),
					"Name the id of the node with --node to make it anew from the segments; or start the node with an empty folder: the peer fills it.")
			}
			if err != nil {
				return fmt.Errorf("repair %s: %w", args[0], err)
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), done)
			} else {
				err = printRepair(cmd.OutOrStdout(), done, dry)
			}
			if err != nil {
				return fmt.Errorf("print report: %w", err)
			}
			if dry && !done.Sound() {
				return damageFound{fmt.Errorf("log in %s is damaged: %s", args[0], count(int64(len(done.Damage)), "place"))}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&node, "node", 0, "id of the node, to make a damaged MANIFEST anew")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what is damaged and would be lost")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func printRepair(w io.Writer, r *ulog.Repaired, dry bool) error {
	if err := printReport(w, &r.Report); err != nil || r.Sound() {
		return err
	}
	entries, unknown, lost := uint64(0), false, false
	for _, d := range r.Damage {
		entries += d.Entries
		lost = lost || d.Lost
		unknown = unknown || d.Lost && d.Entries == 0
	}
	total := count(int64(entries), "entry")
	if unknown {
		total = "at least " + total
	}
	will := func(did, would string) string {
		if dry {
			return would
		}
		return did
	}
	var lines []string
	if r.Rebuilt {
		lines = append(lines, will("MANIFEST was made anew from the segments", "MANIFEST would be made anew from the segments")+": without the old one nobody knows whether a segment is missing")
	}
	if lost || r.Rebuilt {
		lines = append(lines, will("lost: ", "would be lost: ")+total,
			will("the node asks its peer for everything when it starts", "the node would ask its peer for everything when it starts"))
	} else {
		lines = append(lines, will("lost: nothing", "would be lost: nothing"))
	}
	for _, list := range []struct {
		what  string
		names []string
	}{{"kept the damaged bytes in", r.Kept}, {"copied without the damage", r.Rewrote}, {"removed, nothing in it could be read", r.Removed}, {"written anew", r.Hints}} {
		if len(list.names) > 0 {
			lines = append(lines, list.what+": "+strings.Join(list.names, ", "))
		}
	}
	_, err := fmt.Fprintln(w, strings.Join(append(lines, will("repaired", "nothing was changed")), "\n"))
	return err
}
