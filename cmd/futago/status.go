package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// maxStatus bounds a status document in bytes.
const maxStatus = 4 << 20

// statusConfig says which nodes `futago status` asks.
type statusConfig struct {
	// Admin are the admin addresses of the nodes.
	Admin []string
	// Timeout bounds the whole answer of each.
	Timeout time.Duration
	table   settings
}

func newStatusCommand() *cobra.Command {
	config := &statusConfig{Admin: []string{"127.0.0.1:11280"}, Timeout: 2 * time.Second}
	config.table.add("admin", listValue(&config.Admin), "ask the node whose --admin-listen is this `ADDR`")
	config.table.add("timeout", durationValue(&config.Timeout), "give up waiting for a node after so long")
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of nodes side by side",
		Long: `Show the state of nodes side by side: one column for each, one line for each item of its status
document; below what is wrong (a node that is solo or refuses writes) and the last events of all. Exit code 1
means that a node did not answer; the others are shown all the same.`,
		Example: `  futago status
  futago status --admin 10.0.0.1:11280 --admin 10.0.0.2:11280
  futago status --json`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := config.table.load(cmd); err != nil {
				return usageError{err}
			}
			if config.Timeout <= 0 {
				return usageError{fmt.Errorf("timeout %v: allowed is more than 0", config.Timeout)}
			}
			return config.run(cmd.Context(), cmd.OutOrStdout(), asJSON)
		},
	}
	config.table.bind(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the document of each node on a line, as it came")
	return cmd
}

// run asks all nodes at once, prints what answered in the order of the addresses, and returns what did not.
func (c *statusConfig) run(ctx context.Context, out io.Writer, asJSON bool) error {
	documents := make([]statusDocument, len(c.Admin))
	problems := make([]error, len(c.Admin))
	var asked sync.WaitGroup
	for i, addr := range c.Admin {
		asked.Go(func() {
			documents[i], problems[i] = fetchStatus(ctx, addr, c.Timeout)
		})
	}
	asked.Wait()
	var answered []statusDocument
	for i := range documents {
		if problems[i] == nil {
			answered = append(answered, documents[i])
		}
	}
	print := printStatusTable
	if asJSON {
		print = printStatusJSON
	}
	if len(answered) > 0 {
		if err := print(out, answered); err != nil {
			return fmt.Errorf("print status: %w", err)
		}
	}
	return withHint(errors.Join(problems...), "Is the node running? Name its --admin-listen address with --admin or FUTAGO_ADMIN.")
}

// fetchStatus reads the status document of the node whose admin address is addr.
func fetchStatus(ctx context.Context, addr string, timeout time.Duration) (statusDocument, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	host, transport := adminTransport(addr)
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/status", nil)
	if err != nil {
		return statusDocument{}, fmt.Errorf("ask %s for its status: %w", addr, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return statusDocument{}, fmt.Errorf("ask %s for its status: %w", addr, errors.Unwrap(err)) // without the URL
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return statusDocument{}, fmt.Errorf("ask %s for its status: HTTP status %s", addr, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxStatus+1))
	if err == nil && len(body) > maxStatus {
		err = fmt.Errorf("more than %s", formatSize(maxStatus))
	}
	if err != nil {
		return statusDocument{}, fmt.Errorf("read status of %s: %w", addr, err)
	}
	document, err := decodeStatus(body)
	if err != nil {
		return statusDocument{}, fmt.Errorf("read status of %s: %w", addr, err)
	}
	document.admin = addr
	return document, nil
}

// adminTransport returns the host for URLs of the admin address and the way to it. Proxies of the
// environment do not count: nodes are near.
func adminTransport(addr string) (string, *http.Transport) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "node", &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
	}
	return clientAddr(addr), &http.Transport{}
}
