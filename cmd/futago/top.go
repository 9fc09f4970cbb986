package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newTopCommand() *cobra.Command {
	t := &top{view: topView{sort: "node"}}
	var once, batch, asJSON bool
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch nodes live: state, load, latency, lag, memory, disk",
		Long: `Watch nodes live, one a line: state, requests a second, how long they take (the median, and what 99 of 100 stay below,
from being read to being answered), share of gets that found their key, how far a node is behind its peers, client connections, records, memory, size of the log, free disk. Below stands what nodes
warn of. A narrow terminal leaves columns out, the last ones first.

Keys: q ends, p pauses, s sorts by the next column, r turns the order round.

Without a terminal the table is printed once, with --batch again and again until SIGINT or SIGTERM. Exit code 1
with --once: a node did not answer; the others are shown all the same. NO_COLOR turns colours off.`,
		Example: `  futago top --admin 10.0.0.1:11280,10.0.0.2:11280
  futago top --sort ops --interval 5s
  futago top --once
  futago top --batch --json >> figures.jsonl`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 2*time.Second)
	flags := cmd.Flags()
	flags.DurationVar(&t.interval, "interval", time.Second, "time between two looks")
	flags.StringVar(&t.view.sort, "sort", t.view.sort, "sort by this `COLUMN`: "+strings.Join(topColumnNames(), ", "))
	flags.BoolVar(&t.view.reverse, "reverse", false, "sort the other way round")
	flags.BoolVar(&once, "once", false, "print the table once")
	flags.BoolVar(&batch, "batch", false, "print it again and again, without keys and screen")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object a line for each node; with --once or --batch")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		screen, onTerminal := cmd.OutOrStdout().(*os.File)
		keys, fromTerminal := cmd.InOrStdin().(*os.File)
		live := onTerminal && fromTerminal && isTerminal(screen) && term.IsTerminal(int(keys.Fd())) && !once && !batch
		switch {
		case once && batch:
			return usageError{errors.New("--once and --batch: allowed is one of them")}
		case t.interval < 100*time.Millisecond:
			return usageError{fmt.Errorf("--interval %v: allowed is 100ms or more", t.interval)}
		case topColumnAt(t.view.sort) < 0:
			return usageError{fmt.Errorf("--sort %q is no column: want %s%s", t.view.sort, strings.Join(topColumnNames(), ", "), didYouMean("", t.view.sort, topColumnNames()))}
		case asJSON && live:
			return usageError{errors.New("--json is not for a live view: say --once or --batch too")}
		}
		nodes, err := config.load(cmd)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			t.nodes = append(t.nodes, &topNode{node: n})
		}
		ctx, stop := interruptible(cmd)
		defer stop()
		t.view.painter = painter(coloured(cmd.OutOrStdout()))
		if live {
			return t.live(ctx, screen, keys)
		}
		out := bufio.NewWriter(cmd.OutOrStdout())
		for {
			rows := t.ask(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if asJSON {
				err = printTopJSON(out, rows)
			} else {
				t.view.render(out, rows, 0)
			}
			if err := errors.Join(err, out.Flush()); err != nil {
				return fmt.Errorf("print figures: %w", err)
			}
			if !batch {
				return withHint(topProblems(rows), adminHint)
			}
			if !wait(ctx, t.interval) {
				return nil
			}
			if !asJSON {
				fmt.Fprintln(out)
			}
		}
	}
	return cmd
}

// wait returns false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// top is some nodes that are looked at again and again.
type top struct {
	nodes    []*topNode
	interval time.Duration
	view     topView
}

// The sequences of a terminal: a screen of its own without cursor, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	homeScreen  = "\x1b[H"
	clearBelow  = "\x1b[J"
)

// live shows the nodes on a terminal until a key or ctx ends it.
func (t *top) live(ctx context.Context, screen, keyboard *os.File) error {
	was, err := term.MakeRaw(int(keyboard.Fd()))
	if err != nil {
		return fmt.Errorf("set up the terminal: %w", err)
	}
	defer func() { _ = term.Restore(int(keyboard.Fd()), was) }()
	if _, err := screen.WriteString(enterScreen); err != nil {
		return fmt.Errorf("write to the terminal: %w", err)
	}
	defer func() { _, _ = screen.WriteString(leaveScreen) }()

	keys, looks := make(chan byte), make(chan []topRow)
	go readKeys(ctx, keyboard, keys) // it ends with the process
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			select {
			case looks <- t.ask(ctx):
			case <-ctx.Done():
				return
			}
			if !wait(ctx, t.interval) {
				return
			}
		}
	}()
	var rows []topRow
	for {
		if err := t.draw(screen, rows); err != nil {
			return fmt.Errorf("write to the terminal: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case next := <-looks:
			if !t.view.paused {
				rows = next
			}
		case key, ok := <-keys:
			if !ok || t.view.press(key) {
				return nil
			}
		}
	}
}

// readKeys hands on what is typed, until the terminal is gone.
func readKeys(ctx context.Context, keyboard *os.File, keys chan<- byte) {
	defer close(keys)
	var one [1]byte
	for {
		if n, err := keyboard.Read(one[:]); n == 0 || err != nil {
			return
		}
		select {
		case keys <- one[0]:
		case <-ctx.Done():
			return
		}
	}
}

// draw puts a frame over the one before.
func (t *top) draw(screen *os.File, rows []topRow) error {
	width, height, err := term.GetSize(int(screen.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	var text strings.Builder
	fmt.Fprintf(&text, "futago top, every %v   q quit  p pause  s sort by %s  r reverse%s\n\n", t.interval, t.view.sort, t.view.mark())
	if rows == nil {
		fmt.Fprintln(&text, "asking the nodes ...")
	} else {
		t.view.render(&text, rows, width)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	lines = lines[:min(len(lines), height)]
	_, err = screen.WriteString(homeScreen + strings.Join(lines, "\x1b[K\r\n") + "\x1b[K" + clearBelow)
	return err
}
