package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/clusterfront"
	"github.com/futago/futago/internal/gateway"
	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/proxy"
	"github.com/futago/futago/internal/reload"
)

func newConfigReloadCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have running nodes, gateways and proxies read their configuration again",
		Long: `Have running nodes, gateways and proxies read their configuration again: the file, users, certificates and the
script, as SIGHUP does. Each tells what has changed, and which settings take effect only when it is restarted.
If anything is wrong with the configuration of one, all stays there what it was, and the exit code is 1.

While a node runs these settings can change: ` + strings.Join(node.Changeable(), ", ") + `.
Of a gateway: ` + strings.Join(gateway.Changeable(), ", ") + `.
Of a proxy: ` + strings.Join(proxy.Changeable(), ", ") + `.
Of a front of a cluster: ` + strings.Join(clusterfront.Changeable(), ", ") + `.
Flags and variables of a process are those of its start, and stronger than the file.`,
		Example: `  futago config reload
  futago config reload --admin 10.0.0.1:11280,10.0.0.2:11280
  futago config reload --admin 127.0.0.1:11283
  futago config reload --json`,
		Args: noWords,
	}
	config := newAdminConfig(cmd, 10*time.Second)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report of each on a line, as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		nodes, err := config.load(cmd)
		if err != nil {
			return err
		}
		reports, problem := askAll(nodes, func(_ int, n *adminNode) (report reloadReport, err error) {
			err = n.ask(cmd.Context(), "a reload", http.MethodPost, "/reload", nil, func(r io.Reader) error {
				return json.NewDecoder(io.LimitReader(r, maxStatus)).Decode(&report)
			})
			return report, err
		})
		for i := range reports {
			if reports[i].of() == "" {
				continue // it did not answer, or refused
			}
			if asJSON {
				err = writeJSONLine(cmd.OutOrStdout(), &reports[i])
			} else {
				err = printReload(cmd.OutOrStdout(), &reports[i], nodes[i].addr)
			}
			if err != nil {
				return fmt.Errorf("print report: %w", err)
			}
		}
		if refusal, refused := errors.AsType[answerError](problem); refused {
			return withHint(problem, reloadHint(refusal.code))
		}
		return withHint(problem, adminHint)
	}
	return cmd
}

func reloadHint(code int) string {
	if code == http.StatusConflict {
		return "Nothing has changed there. Put that right and reload again; futago config check looks at a file without a node."
	}
	return refusalHint(code)
}

// reloadReport is that of a node, or of a gateway or a proxy.
type reloadReport struct {
	Node  int    `json:"node,omitempty"`
	Front string `json:"front,omitempty"`
	reload.Report
}

// of says who reports; "" is nobody.
func (r *reloadReport) of() string {
	if r.Node != 0 {
		return fmt.Sprintf("node %d", r.Node)
	}
	return plain(r.Front)
}

func printReload(w io.Writer, r *reloadReport, addr string) error {
	fmt.Fprintf(w, "%s (%s)\n", r.of(), addr)
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, group := range []struct {
		title   string
		changes []reload.Change
	}{{"changed", r.Changed}, {"needs a restart", r.Restart}} {
		for _, c := range group.changes {
			from, to := "hidden", "hidden"
			if !c.Secret {
				from, to = settingText(c.Old), settingText(c.New)
			}
			fmt.Fprintf(t, "  %s\t%s\t%s -> %s\tfrom %s\n", group.title, plain(c.Name), from, to, plain(c.Source))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Read) > 0 {
		fmt.Fprintf(w, "  read again: %s\n", strings.Join(r.Read, ", "))
	}
	if len(r.Changed)+len(r.Restart) == 0 {
		_, err := fmt.Fprintln(w, "  no setting has another value")
		return err
	}
	return nil
}

// settingText is the value of a setting, on one line.
func settingText(values []string) string {
	if text := strings.Join(values, " "); text != "" {
		return plain(text)
	}
	return "nothing"
}
