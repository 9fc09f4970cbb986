package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

const (
	// watchPause is how long watch waits after no node could be followed.
	watchPause = 300 * time.Millisecond

	// watchBeat is how often a node says that it lives: docs/changes.md.
	watchBeat = 3 * time.Second

	watchGoneHint = "Begin without --from, list the keys of that node once the first line is there, and apply what follows it."
)

func newWatchCommand() *cobra.Command {
	w := &watch{}
	cmd := &cobra.Command{
		Use:   "watch [PREFIX...]",
		Short: "Print what changes, as JSON lines",
		Long: `Print what changes from now on, or behind the position --from, one JSON object a line: "op" is set, delete,
evict or flush. With prefixes only keys that begin with one of them are printed, and flushes. Every line has the
"position" behind it. Without --from the first line has "op": "start" and the position at which the watch begins.

Of several --admin addresses one node is followed. When it fails the watch goes on at the next one; then the
changes of the last seconds may be printed again, none is left out. The last line of a key counts.

SIGINT and SIGTERM end the watch with exit code 0. Exit code 1: no node could be followed at first, one refused,
or none knows the position any more. What happens on the way is told on standard error.`,
		Example: `  futago watch
  futago watch user: session: --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago watch --values=false --from "$(cat position)"`,
		Args: words(0, -1),
	}
	config := newAdminConfig(cmd, 10*time.Second)
	cmd.Flags().StringVar(&w.position, "from", "", "go on behind this `POSITION` of an earlier watch, of any of the nodes")
	cmd.Flags().BoolVar(&w.values, "values", true, "print values; with false only what changed")
	cmd.RunE = func(cmd *cobra.Command, prefixes []string) error {
		nodes, err := config.load(cmd)
		if err != nil {
			return err
		}
		if config.Timeout <= watchBeat {
			return usageError{fmt.Errorf("--timeout %v: allowed is more than %v, for a node without changes says every %v that it lives", config.Timeout, watchBeat, watchBeat)}
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		w.said = map[*adminNode]string{}
		w.prefixes, w.out, w.notes = prefixes, bufio.NewWriter(cmd.OutOrStdout()), cmd.ErrOrStderr()
		return w.run(ctx, nodes)
	}
	return cmd
}

// watch prints what changes on some nodes, of which it follows one at a time.
type watch struct {
	prefixes []string
	values   bool
	position string // behind what was printed; "": not begun yet
	out      *bufio.Writer
	notes    io.Writer
	followed bool                  // the last node told something
	said     map[*adminNode]string // the last note
}

// run goes from node to node until ctx ends, or none can be followed for a reason that stays.
func (w *watch) run(ctx context.Context, nodes []*adminNode) error {
	begun, silent, gone := false, 0, 0 // nodes in a row that could not be followed, and that do not know the position
	var problems []error
	for i := 0; ; i = (i + 1) % len(nodes) {
		w.followed = false
		err := w.follow(ctx, nodes[i])
		if ctx.Err() != nil {
			return nil
		}
		refusal, refused := errors.AsType[answerError](err)
		switch {
		case errors.As(err, new(outputError)):
			return err
		case refused && (refusal.code == http.StatusBadRequest || refusal.code == http.StatusUnauthorized || refusal.code == http.StatusForbidden || refusal.code == http.StatusNotFound):
			if refusal.code == http.StatusBadRequest && w.position != "" {
				return withHint(err, "Give a position as a watch told it, whole, or begin without --from.")
			}
			return err
		case w.followed:
			begun, silent, gone, problems = true, 0, 0, nil
			clear(w.said)
			w.note(nodes[i], err)
		case refused && refusal.code == http.StatusGone:
			gone++
			fallthrough
		default:
			silent++
			problems = append(problems, err)
			w.note(nodes[i], err)
		}
		if silent < len(nodes) {
			continue
		}
		switch {
		case gone == len(nodes):
			return withHint(errors.Join(problems...), watchGoneHint)
		case !begun:
			return withHint(errors.Join(problems...), adminHint)
		}
		silent, gone, problems = 0, 0, nil
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPause):
		}
	}
}

// note tells why a node is not followed, once.
func (w *watch) note(n *adminNode, err error) {
	if text := err.Error(); text != w.said[n] {
		w.said[n] = text
		fmt.Fprintf(w.notes, "futago: %s\n", text)
	}
}

// outputError is an error of standard output: no node is to blame.
type outputError struct{ error }

func (e outputError) Unwrap() error { return e.error }
