package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/clusterfront"
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/rediscluster"
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/tyrant"
)

// ofCluster are the settings that a front of a cluster has.
var ofCluster = []string{
	"config", "store", "listen", "allow-open", "allow", "mask", "users", "tls-cert", "tls-key", "tls-client-ca", "admin-listen", "metrics-open", "audit-log",
	"pprof", "pprof-block-rate", "pprof-mutex-fraction", "drain-timeout", "max-value", "max-conns", "first-byte-timeout", "idle-timeout", "request-timeout",
	"max-pending", "max-pending-total", "slow-threshold", "sample-requests", "log-level", "log-format",
}

// clusterProblems names the settings that were given and mean nothing where a cluster keeps the records.
func clusterProblems(table *settings) error {
	var errs []error
	for _, st := range table.list {
		if st.source != "default" && !slices.Contains(ofCluster, st.name) {
			errs = append(errs, fmt.Errorf("%s (%s): not together with store: the cluster keeps the records, and a front has neither data nor peers", st.name, st.source))
		}
	}
	return errors.Join(errs...)
}

// clusterConfig turns the settings of a node into those of a front.
func (c *serveConfig) clusterConfig() (cfg clusterfront.Config, err error) {
	n := &c.Node
	if cfg.Store, err = rediscluster.ParseAddress(c.Store); err != nil {
		return cfg, err
	}
	s := server.DefaultConfig()
	for _, text := range n.Listen {
		l, err := server.ParseListen(text)
		if err != nil {
			return cfg, err
		}
		s.Listen = append(s.Listen, l)
	}
	if s.Mask, err = tyrant.ParseMask(n.Mask); err != nil {
		return cfg, fmt.Errorf("mask: %w", err)
	}
	for _, name := range n.Allow {
		if name != "shutdown" {
			return cfg, fmt.Errorf("allow %s: a front of a cluster has only shutdown", name)
		}
	}
	s.MaxConns, s.MaxValue, s.MaxPending, s.MaxPendingTotal = n.MaxConns, n.MaxValue, n.MaxPending, n.MaxPendingTotal
	s.FirstByteTimeout, s.IdleTimeout, s.RequestTimeout = n.FirstByteTimeout, n.IdleTimeout, n.RequestTimeout
	s.SlowThreshold, s.SampleRequests, s.Version = n.SlowThreshold, n.SampleRequests, memcache.ServerVersion(n.Version)
	cfg.Server, cfg.Version, cfg.Users, cfg.TLS = s, n.Version, n.Users, access.TLSFiles{Cert: n.TLSCert, Key: n.TLSKey, ClientCA: n.TLSClientCA}
	cfg.AdminListen, cfg.MetricsOpen, cfg.AuditLog, cfg.Profile, cfg.DrainTimeout = n.AdminListen, n.MetricsOpen, n.AuditLog, n.Profile, n.DrainTimeout
	cfg.Registerer = newRegistry()
	return cfg, nil
}

// serveCluster runs a front until a signal has drained it, or it fails.
func (c *serveConfig) serveCluster(cmd *cobra.Command, table *settings) error {
	cfg, err := c.clusterConfig()
	if err != nil {
		return usageError{err}
	}
	cfg.Settings = table.inForce()
	cfg.Reread = func() (clusterfront.Config, error) { return rereadCluster(cmd, table) }
	cfg.Logger, cfg.LogLevel = c.Log.newLogger(cmd.ErrOrStderr())
	ctx, stop := untilSignal(cmd.Context(), cfg.Logger, os.Exit)
	defer stop()
	if slices.Contains(c.Node.Allow, "shutdown") {
		cfg.Server.Stop = stop
	}
	if cfg.Server.Sockets, err = systemdSockets(); err != nil {
		return err
	}
	f, err := clusterfront.Open(ctx, cfg)
	if err != nil {
		return serveError(err)
	}
	defer onReload(func() { _, _ = f.Reload() })() // it logs what came of it
	return serveError(f.Run(ctx, func(string) {
		if err := notifySystemd("READY=1"); err != nil {
			cfg.Logger.Warn("service manager not notified", "err", err)
		}
		if c.ready != nil {
			c.ready()
		}
	}))
}

// rereadCluster is rereadServe for a front.
func rereadCluster(cmd *cobra.Command, began *settings) (clusterfront.Config, error) {
	config := defaultServeConfig()
	table := serveSettings(config)
	table.givenAs(began)
	err := table.load(cmd)
	if err == nil {
		err = errors.Join(clusterProblems(table), config.Node.Validate())
	}
	if err != nil {
		return clusterfront.Config{}, err
	}
	cfg, err := config.clusterConfig()
	cfg.Settings, cfg.LogLevel = table.inForce(), config.Log.level()
	return cfg, err
}
