package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/spf13/cobra"
)

const (
	// maxConflicts bounds a node's list in bytes: what it keeps is less.
	maxConflicts = 16 << 20
	// maxConflictLimit is more than a node keeps.
	maxConflictLimit = 100_000
)

func newConflictsCommand() *cobra.Command {
	limit, asJSON := 20, false
	cmd := &cobra.Command{
		Use:   "conflicts",
		Short: "Show changes that were dropped because another node changed the same key at once",
		Long: `Show the changes that were dropped whole because another node had changed the same key without knowing of
them: both were acknowledged, the one with the later stamp won. The newest comes last. Increments on two
nodes are no conflict, they all count.

Each node notes what it finds itself; a conflict that several nodes found is shown once. A node keeps the
newest one or two MiB of notes in its data folder, over restarts; the count is since its start.`,
		Example: `  futago conflicts --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago conflicts --limit 1000 --json`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 5*time.Second)
	cmd.Flags().IntVar(&limit, "limit", limit, "show at most so many, the newest")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line; keys are in Base64")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := config.load(cmd)
		if err == nil && (limit < 1 || limit > maxConflictLimit) {
			err = usageError{fmt.Errorf("--limit %d: allowed is 1 to %d", limit, maxConflictLimit)}
		}
		if err != nil {
			return err
		}
		lists, problem := askAll(nodes, func(_ int, n *adminNode) (l conflictList, err error) {
			err = n.get(cmd.Context(), "its conflicts", "/conflicts?limit="+strconv.Itoa(limit), maxConflicts, &l)
			return l, err
		})
		conflicts := mergeConflicts(lists)
		conflicts = conflicts[max(len(conflicts)-limit, 0):]
		out := cmd.OutOrStdout()
		if asJSON {
			for i := range conflicts {
				if err = writeJSONLine(out, conflicts[i]); err != nil {
					break
				}
			}
		} else {
			err = printConflicts(out, conflicts, lists, nodes)
		}
		if err != nil {
			return fmt.Errorf("print conflicts: %w", err)
		}
		return withHint(problem, adminHint)
	}
	return cmd
}

// conflictList is what a node tells; the zero value stands for one that did not answer.
type conflictList struct {
	Node      int              `json:"node"`
	Count     int64            `json:"count"` // since its start
	Conflicts []store.Conflict `json:"conflicts"`
}

// foundConflict is a conflict and the nodes that found it; its time is when the first of them did.
type foundConflict struct {
	store.Conflict
	FoundBy []int `json:"found_by"`
}

// mergeConflicts is every conflict once, in the order of time.
func mergeConflicts(lists []conflictList) []foundConflict {
	type change struct {
		key           string
		winner, loser store.Side
	}
	side := func(s store.Side) store.Side {
		s.Time = time.Time{} // the stamp says it
		return s
	}
	at := map[change]int{}
	var all []foundConflict
	for _, l := range lists {
		for _, c := range l.Conflicts {
			name := change{string(c.Key), side(c.Winner), side(c.Loser)}
			i, known := at[name]
			if !known {
				at[name] = len(all)
				all = append(all, foundConflict{c, []int{l.Node}})
				continue
			}
			if c.Time.Before(all[i].Time) {
				all[i].Time = c.Time
			}
			if !slices.Contains(all[i].FoundBy, l.Node) {
				all[i].FoundBy = append(all[i].FoundBy, l.Node)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b foundConflict) int { return a.Time.Compare(b.Time) })
	return all
}

func printConflicts(w io.Writer, conflicts []foundConflict, lists []conflictList, nodes []*adminNode) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(conflicts) > 0 {
		fmt.Fprintln(t, "found\tby node\tkey\twinner\tloser")
	}
	for i := range conflicts {
		c := &conflicts[i]
		var by []string
		for _, n := range c.FoundBy {
			by = append(by, strconv.Itoa(n))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", stampTime(c.Time), strings.Join(by, ", "), quoteKey(c.Key), sideText(&c.Winner), sideText(&c.Loser))
	}
	if len(conflicts) > 0 {
		fmt.Fprintln(t)
	}
	for i, l := range lists {
		if l.Node != 0 {
			fmt.Fprintf(t, "node %d (%s): %s since its start\n", l.Node, nodes[i].addr, counted(l.Count, "conflict"))
		}
	}
	return t.Flush()
}

// sideText is one of the two changes: what it was, who made it, when.
func sideText(s *store.Side) string {
	what := s.Kind
	switch s.Kind {
	case "value":
		what += " of " + count(int64(s.Size), "byte")
	case "tombstone":
		what = "delete"
	}
	return fmt.Sprintf("%s by node %d at %s", what, s.Node, stampTime(s.Time))
}
