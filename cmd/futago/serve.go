package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/node"
)

func newServeCommand() *cobra.Command {
	config := defaultServeConfig()
	table := serveSettings(config)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node",
		Long: `Run a node: a server for memcached, HTTP and Tokyo Tyrant clients that keeps its records in --data,
alone or as one of a pair. It listens on loopback unless told otherwise, and not at an address that strangers
may reach unless it asks who they are (--users, tls=mutual, certificates or a secret of peers) or --allow-open
says that this is meant; addresses of private networks are no such addresses.

With --store it is a front instead: it keeps nothing and passes everything to a Redis or Valkey cluster, whose
promises are weaker than a pair's.

Settings come, the stronger after the weaker, from defaults, the file named by --config, FUTAGO_ variables
and flags; 'futago config show' prints what is in force. Sizes are bytes, or 64MiB; durations 300ms or 2s.

SIGHUP, or 'futago config reload', reads the configuration file, users, the certificates for
clients and operators and the script again. The log says what changed, and which settings need a restart; if anything is wrong nothing
changes. The first SIGTERM or SIGINT drains: no new clients, running requests finish, the
peer gets the last entries, exit code 0. The second exits at once with code 1; nothing acknowledged is lost by
that. Under systemd the unit is ready when clients are served, its watchdog is served, and a socket unit may have opened
addresses of --listen.`,
		Example: `  # one node, records in ./futago-data
  futago serve

  # a cache in memory of at most 1 GiB
  futago serve --data none --max-memory 1GiB

  # a pair, on two machines
  futago serve --node 1 --listen 10.0.0.1:11211 --peer-listen 10.0.0.1:11212 --peer 10.0.0.2:11212
  futago serve --node 2 --listen 10.0.0.2:11211 --peer-listen 10.0.0.2:11212 --peer 10.0.0.1:11212

  # the same, and no write is acknowledged that only one of them has
  futago serve --node 1 --listen 10.0.0.1:11211 --peer-listen 10.0.0.1:11212 --peer 10.0.0.2:11212 --ack strict

  # a pair over a network that is not trusted; futago peer certs makes the files
  futago serve --node 1 --peer-listen 10.0.0.1:11212 --peer 10.0.0.2:11212 --peer-compress zstd \
    --peer-tls-cert 10.0.0.1.pem --peer-tls-key 10.0.0.1-key.pem --peer-tls-ca ca.pem

  # only users with a password, over TLS; on loopback without TLS as well
  futago users add users shop --prefix shop:
  futago serve --users users --listen :11211,tls --listen 127.0.0.1:11213 --tls-cert cert.pem --tls-key key.pem

  # past two machines: keep nothing here, but in a Redis cluster, which promises less (docs/cluster.md)
  futago serve --store redis-cluster://10.0.0.11:6379,10.0.0.12:6379

  # a port for memcached clients only beside one for everything
  futago serve --listen 127.0.0.1:11211 --listen 10.0.0.1:11213,protocols=memcache`,
		Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := table.load(cmd)
			if err == nil && config.Store != "" {
				err = clusterProblems(table)
			}
			if err := errors.Join(err, config.Node.Validate()); err != nil {
				return usageError{err}
			}
			if config.Store != "" {
				return config.serveCluster(cmd, table)
			}
			config.Node.Settings = table.inForce()
			config.Node.Reread = func() (node.Config, error) { return rereadServe(cmd, table) }
			var logger *slog.Logger
			logger, config.Node.LogLevel = config.Log.newLogger(cmd.ErrOrStderr())
			return config.serve(cmd.Context(), logger)
		},
	}
	table.bind(cmd)
	return cmd
}

// rereadServe is the configuration of a node that runs as its sources have it now: the file may be another, the flags and variables
// are those of its start.
func rereadServe(cmd *cobra.Command, began *settings) (node.Config, error) {
	config := defaultServeConfig()
	table := serveSettings(config)
	table.givenAs(began)
	if err := errors.Join(table.load(cmd), config.Node.Validate()); err != nil {
		return node.Config{}, err
	}
	config.Node.Settings, config.Node.LogLevel = table.inForce(), config.Log.level()
	return config.Node, nil
}

// serve runs the node until a signal has drained it, or it fails.
func (c *serveConfig) serve(ctx context.Context, logger *slog.Logger) error {
	ctx, stop := untilSignal(ctx, logger, os.Exit)
	defer stop()
	c.Node.Logger = logger
	var err error
	if c.Node.Sockets, err = systemdSockets(); err != nil {
		return err
	}
	patience, err := daemon.SdWatchdogEnabled(true)
	if err != nil {
		logger.Warn("no watchdog", "err", err)
	}
	n, err := node.New(c.Node)
	if err != nil {
		return serveError(err)
	}

	stopReloads := onReload(func() {
		if c.hangup != nil {
			c.hangup()
		}
		_, _ = n.Reload() // it logs what came of it
	})
	defer stopReloads()
	// The service manager is told what happens beside the node, which must not wait for it.
	var telling sync.WaitGroup
	defer telling.Wait()
	finished := make(chan struct{})
	defer close(finished)
	tell := func(state string) {
		if err := notifySystemd(state); err != nil {
			logger.Warn("service manager not notified", "err", err)
		}
	}
	telling.Go(func() { keepWatchdog(patience, n.Pulse, tell, finished) })
	telling.Go(func() {
		select {
		case <-n.Ready():
			tell("READY=1")
			if c.ready != nil {
				c.ready()
			}
		case <-finished:
			return
		case <-ctx.Done():
		}
		select {
		case <-n.Stopping():
			tell("STOPPING=1")
		case <-finished:
		}
	})
	return serveError(n.Run(ctx))
}

// serveError adds what to do next to the errors of a start that users meet most.
func serveError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return withHint(err, "Run as the user who owns the data folder and the files of users, certificates and the peer link, or choose others; ports below 1024 need a privilege.")
	case errors.Is(err, syscall.ENOSPC):
		return withHint(err, "Free some disk space, or choose a folder on another disk with --data.")
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok && path.Op == "mkdir" {
		return withHint(err, "Choose with --data a folder that can be made: what it is in must be a folder, on a disk that is there and may be written to.")
	}
	return listenError(err, "--listen, --peer-listen or --admin-listen")
}

// listenError adds what to do next to the error of an address that cannot be listened on. flags are those that name one.
func listenError(err error, flags string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "Another process listens there. Stop it, or choose another address with "+flags+".")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return withHint(err, "This machine does not have that address. Choose one that it has, or :PORT for all.")
	}
	return err
}
