package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func newStatusCommand() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of nodes side by side",
		Long: `Show the state of nodes side by side: one column for each, with what matters most; below what is wrong (a node
that is solo or refuses writes) and the last events of all. --all shows every item of the status documents, and
its exact value. Exit code 1 means that a node did not answer; the others are shown all the same.`,
		Example: `  futago status
  futago status --all
  futago status --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago status --json`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 2*time.Second)
	cmd.Flags().BoolVar(&all, "all", false, "show every item, and more events")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the document of each node on a line, as it came")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := config.load(cmd)
		if err != nil {
			return err
		}
		print := printStatusSummary
		switch {
		case asJSON:
			print = printStatusJSON
		case all:
			print = printStatusAll
		}
		return showStatus(cmd.Context(), nodes, cmd.OutOrStdout(), print)
	}
	return cmd
}

// showStatus asks all nodes at once, prints what answered in the order of the addresses, and returns what did not.
func showStatus(ctx context.Context, nodes []*adminNode, out io.Writer, print func(io.Writer, []statusDocument) error) error {
	documents, problems := askAll(nodes, func(_ int, n *adminNode) (statusDocument, error) { return n.document(ctx) })
	var answered []statusDocument
	for _, d := range documents {
		if d.admin != "" {
			answered = append(answered, d)
		}
	}
	if len(answered) > 0 {
		if err := print(out, answered); err != nil {
			return fmt.Errorf("print status: %w", err)
		}
	}
	return withHint(problems, adminHint)
}

// document asks for the status document, whatever is in it.
func (n *adminNode) document(ctx context.Context) (statusDocument, error) {
	body, err := n.body(ctx, "its status", "/status", maxStatus)
	if err != nil {
		return statusDocument{}, err
	}
	d, err := decodeStatus(body)
	if err != nil {
		return statusDocument{}, fmt.Errorf("read status of %s: %w", n.addr, err)
	}
	d.admin = n.addr
	return d, nil
}
