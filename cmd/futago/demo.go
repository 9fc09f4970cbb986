package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/futago/futago/internal/vfs"
	"github.com/spf13/cobra"
)

// demoConfig is what the command line of `futago demo` says. The demo has no configuration file and no
// environment variables: those of a real node, such as FUTAGO_DATA, must never reach a command that can
// empty its folder.
type demoConfig struct {
	basePort int
	// data is the folder of everything that the demo keeps; empty for the default.
	data string
	// fresh empties the folder first.
	fresh bool
}

func newDemoCommand() *cobra.Command {
	config := &demoConfig{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a pair of nodes, a gateway and a live page to try things out",
		Long: `Run two nodes as child processes, a gateway before them and a page that shows all three, updated
live. When both nodes are ready it prints commands to paste into another shell: write at one node, read at
the other, kill one, start it again.

Everything listens on loopback, at fixed distances from --base-port: clients of node 1 and 2 at +11 and
+12, their peer ports at +13 and +14, the page at +80, the nodes' admin ports at +81 and +82, the gateway
at +91 and its admin port at +92. On a terminal the keys 1 and 2 restart a node, k and then 1 or 2 kills
one, h shows the commands again and q ends the demo. Ctrl-C and SIGTERM end it too, with all children.

The nodes are ordinary ones: node1.log and node2.log in the data folder hold what they log.`,
		Example: `  futago demo
  futago demo --base-port 21300 --data /tmp/demo --fresh
  futago demo restart 1`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return config.run(cmd)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.PersistentFlags().IntVar(&config.basePort, "base-port", demoBasePort, "take the ports from this `number` on")
	cmd.Flags().StringVar(&config.data, "data", "", "keep logs and records in this `DIR` (default futago/demo in the user's cache folder, with the --base-port behind it where one is given)")
	cmd.Flags().BoolVar(&config.fresh, "fresh", false, "begin without the records of earlier runs")
	cmd.AddCommand(newDemoRestartCommand(&config.basePort))
	return cmd
}

// run is the life of the demo: it returns nil after a signal or the key q, when every child has ended.
func (c *demoConfig) run(cmd *cobra.Command) error {
	ports, err := newDemoPorts(c.basePort)
	if err != nil {
		return usageError{err}
	}
	if err := ports.check(); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	dir, unlock, err := c.openFolder()
	if err != nil {
		return err
	}
	defer unlock.Close()

	d, err := newDemo(ports, program, dir, newAnnouncer(cmd.OutOrStdout()))
	if err != nil {
		return err
	}
	stdin, _ := cmd.InOrStdin().(*os.File)
	keys, restore := openKeys(stdin)
	defer restore()
	d.keys = keys != nil
	ctx, stop := untilSignal(cmd.Context(), slog.New(slog.DiscardHandler), func(code int) {
		// The second signal: the children must not survive an exit without order.
		restore()
		for _, n := range d.nodes {
			n.kill()
		}
		os.Exit(code)
	})
	defer stop()
	return d.run(ctx, keys)
}

// openFolder makes the data folder, takes it for this process and empties it where asked.
func (c *demoConfig) openFolder() (dir string, unlock io.Closer, err error) {
	if dir, err = c.folder(); err != nil {
		return "", nil, err
	}
	folder, err := vfs.OS(dir)
	if err != nil {
		return "", nil, withHint(err, "Choose another folder with --data.")
	}
	if unlock, err = folder.Lock(); err != nil {
		return "", nil, withHint(fmt.Errorf("take the data folder %s: %w", dir, err), "Another demo may use it. Choose another folder with --data.")
	}
	if c.fresh {
		if err := emptyDemoFolder(dir); err != nil {
			unlock.Close()
			return "", nil, err
		}
	}
	return dir, unlock, nil
}

// folder is the absolute path of the data folder. Demos on different ports have different defaults.
func (c *demoConfig) folder() (string, error) {
	if c.data != "" {
		dir, err := filepath.Abs(c.data)
		if err != nil {
			return "", fmt.Errorf("find the data folder: %w", err)
		}
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", withHint(fmt.Errorf("find the user's cache folder: %w", err), "Name a folder with --data.")
	}
	name := "demo"
	if c.basePort != demoBasePort {
		name = fmt.Sprintf("demo-%d", c.basePort)
	}
	return filepath.Join(cache, "futago", name), nil
}

// emptyDemoFolder removes what a demo makes and nothing else, so that a wrong --data costs nobody's files.
func emptyDemoFolder(dir string) error {
	var errs []error
	for id := 1; id <= demoNodes; id++ {
		for _, name := range []string{demoNodeFolder(id), demoNodeLog(id)} {
			errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("empty the data folder: %w", err)
	}
	return nil
}

func demoNodeFolder(id int) string { return fmt.Sprintf("node%d", id) }

func demoNodeLog(id int) string { return fmt.Sprintf("node%d.log", id) }

// loopback is the address of a port of this machine.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }
