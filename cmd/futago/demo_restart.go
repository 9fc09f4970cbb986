package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newDemoRestartCommand(basePort *int) *cobra.Command {
	return &cobra.Command{
		Use:   "restart N",
		Short: "Kill a node of the running demo, if it runs, and start it again",
		Long: `Kill a node of the running demo, if it runs, and start it again. It tells what happened when the node
is ready again, that is, after it has caught up with the other one.`,
		Example: `  futago demo restart 1
  futago demo restart 2 --base-port 21300`,
		Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ports, err := newDemoPorts(*basePort)
			if err != nil {
				return usageError{err}
			}
			id, err := parseDemoNode(args[0])
			if err != nil {
				return usageError{err}
			}
			text, err := askRestart(cmd.Context(), loopback(ports.page), id)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
}

// parseDemoNode reads the number of a node.
func parseDemoNode(s string) (int, error) {
	id, err := strconv.Atoi(s)
	if err != nil || id < 1 || id > demoNodes {
		return 0, fmt.Errorf("node %.20q: want 1 to %d", s, demoNodes)
	}
	return id, nil
}

// askRestart asks the demo whose page is at addr, and returns what it says.
func askRestart(ctx context.Context, addr string, id int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, demoReadyTimeout+demoStopTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/restart?node=%d", addr, id), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set(demoHeader, "1")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: it is on this machine
	response, err := client.Do(request)
	if err != nil {
		err = fmt.Errorf("ask the demo at %s: %w", addr, err)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return "", withHint(err, "No demo runs there. Start one with 'futago demo', or name the --base-port that it was given.")
		}
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("read the demo's answer: %w", err)
	}
	text := strings.TrimSpace(string(body))
	if response.StatusCode != http.StatusOK {
		problem, hint, ok := strings.Cut(text, "\n")
		if ok {
			return "", withHint(errors.New(problem), hint)
		}
		return "", errors.New(problem)
	}
	return text, nil
}
