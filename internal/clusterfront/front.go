// Package clusterfront is the client port of a node in front of a cluster that keeps the records: a process that holds nothing, of
// which any number may run side by side.
package clusterfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/listing"
	"github.com/futago/futago/internal/observe"
	"github.com/futago/futago/internal/profile"
	"github.com/futago/futago/internal/rediscluster"
	"github.com/futago/futago/internal/reload"
	"github.com/futago/futago/internal/server"
)

// Config says where to serve, and which cluster.
type Config struct {
	// Server is the client port. Users, TLS, Logger and Registerer come from the fields below.
	Server server.Config
	// Store is the cluster.
	Store rediscluster.Config
	// Users is the file of those who may use both ports; empty lets everybody.
	Users string
	// TLS are the files for addresses with the option tls.
	TLS access.TLSFiles
	// AdminListen serves operators; none or empty: nobody does.
	AdminListen string
	// MetricsOpen serves /metrics there to everybody.
	MetricsOpen bool
	// AuditLog is a file that gets a line for each login there.
	AuditLog string
	// Profile are the profiles there.
	Profile profile.Config
	// DrainTimeout is how long a stop may take to finish requests.
	DrainTimeout time.Duration
	// Version is that of the program.
	Version string
	// Logger receives the log; nil discards it.
	Logger *slog.Logger
	// LogLevel is that of the log, which a reload changes; nil: none does.
	LogLevel *slog.LevelVar
	// Settings are those in force. Reread reads them again, for a reload; nil: only files are read again.
	Settings []reload.Setting
	Reread   func() (Config, error)
	// Registerer receives the metrics; nil keeps them at the operators' address alone.
	Registerer prometheus.Registerer
}

// Front is a port with its cluster. Use Open, then Run once.
type Front struct {
	cfg      Config
	log      *slog.Logger
	store    *rediscluster.Store
	server   *server.Server
	feed     *feed.Feed
	keys     *listing.Lister
	guard    *front.Access
	reloads  *front.Reloads
	latest   atomic.Pointer[Config] // with what reloads have changed; never changed in place
	gatherer prometheus.Gatherer
	started  time.Time
	draining atomic.Bool
	serving  atomic.Bool
	past     past

	health struct {
		sync.Mutex
		rediscluster.Health
		at time.Time
	}
}

// Open connects to the cluster and opens the files.
func Open(ctx context.Context, cfg Config) (_ *Front, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Front{cfg: cfg, log: cfg.Logger, started: time.Now(), past: past{History: observe.NewHistory(figures)}}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	f.latest.Store(&cfg)
	guard := front.AccessConfig{TLS: cfg.TLS, Users: cfg.Users, AdminUsers: cfg.Users, MetricsOpen: cfg.MetricsOpen, AuditLog: cfg.AuditLog}
	if f.guard, err = guard.Open(f.log); err != nil {
		return nil, err
	}
	f.reloads = front.NewReloads("cluster front", f.log, f.guard, f.reload)
	if cfg.Users != "" {
		access.WarnInClear(f.log, cfg.inClear()...)
	}
	cfg.Store.Logger, cfg.Store.MaxValue = f.log, cfg.Server.MaxValue
	if f.store, err = rediscluster.Open(ctx, cfg.Store); err != nil {
		return nil, err
	}
	f.feed = feed.NewOf("a cluster", f.openChanges)
	f.keys = &listing.Lister{Store: f.store}
	registry := prometheus.NewRegistry()
	c := cfg.Server
	c.Goroutines, c.Users, c.TLS, c.Logger, c.Registerer = true, f.guard.Users(), f.guard.TLS(), f.log, registry
	c.Audit = f.guard.Audit()
	if f.server, err = server.New(c, f.store); err != nil {
		return nil, err
	}
	registry.MustRegister(append(f.guard.Collectors(), &collector{f})...)
	f.gatherer = registry
	if cfg.Registerer != nil {
		g, err := front.Register(cfg.Registerer)
		if err != nil {
			return nil, err
		}
		f.gatherer = prometheus.Gatherers{registry, g}
	}
	return f, nil
}

// inClear are the addresses at which clients may log in without TLS.
func (c *Config) inClear() (list []string) {
	for _, l := range c.Server.Listen {
		if l.TLS == server.NoTLS || l.TLS == server.OptionalTLS {
			list = append(list, l.String())
		}
	}
	return list
}

// close ends what Open has begun.
func (f *Front) close() {
	if f.feed != nil {
		f.feed.Close()
	}
	if f.server != nil {
		f.server.Close()
	}
	if f.store != nil {
		f.store.Close()
	}
	if f.guard != nil {
		_ = f.guard.Close()
	}
}

// Addrs are the addresses that clients use, once Run has opened them.
func (f *Front) Addrs() []string { return f.server.Addrs() }

// Run serves until ctx ends, then finishes what clients have sent, and returns nil; or the error of a listener. ready is called when
// clients are served, with the operators' address; nil does nothing.
func (f *Front) Run(ctx context.Context, ready func(admin string)) error {
	defer f.close()
	if err := f.server.Listen(); err != nil {
		return err
	}
	var admin net.Listener
	if front.AdminOn(f.cfg.AdminListen) {
		var err error
		if admin, err = f.guard.ListenAdmin(f.cfg.AdminListen); err != nil {
			return fmt.Errorf("admin: %w", err)
		}
	}
	failed := make(chan error, 1)
	pages := &http.Server{Handler: f.AdminHandler(), ReadHeaderTimeout: adminTimeout, ReadTimeout: adminTimeout, WriteTimeout: adminTimeout, IdleTimeout: time.Minute}
	var group sync.WaitGroup
	if admin != nil {
		group.Go(func() {
			if err := pages.Serve(admin); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", admin.Addr(), err)
			}
		})
	}
	group.Go(f.server.Serve)
	ended := make(chan struct{})
	group.Go(func() { f.watchFigures(ended) })
	f.serving.Store(true)
	f.log.Info("front of a cluster started", "listen", f.server.Addrs(), "admin", addr.Of(admin), "cluster", f.cfg.Store.Addrs, "durability", f.store.Durability())
	f.log.Warn("the cluster keeps the records: a write is told of before another machine has it, see docs/cluster.md", "durability", f.store.Durability())
	if ready != nil {
		ready(addr.Of(admin))
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	f.draining.Store(true)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.latest.Load().DrainTimeout)
	defer cancel()
	if late := f.server.Shutdown(drain); late != nil {
		f.log.Warn("clients were cut off", "err", late)
	}
	f.feed.Close()
	_ = pages.Close()
	close(ended)
	group.Wait()
	f.log.Info("front of a cluster stopped")
	return err
}

// adminTimeout bounds a request to the operators' address.
const adminTimeout = 10 * time.Second
