package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/httphead"
)

// Gateway is the proxy. Use New, optionally Listen, then Run once.
type Gateway struct {
	cfg      Config                  // of the start
	latest   atomic.Pointer[inForce] // with what reloads have changed
	reloads  *front.Reloads
	log      *slog.Logger
	group    atomic.Pointer[group] // the upstreams of this time
	metrics  *metrics
	gatherer prometheus.Gatherer
	conns    connLimit
	access   *accessLog // nil: none
	guard    *front.Access

	plain   plainConns
	handoff *httphead.Handoff // connections for net/http

	changes  sync.Mutex      // for who changes upstreams or settings, one after the other
	checking bool            // the upstreams of group are checked
	retiring sync.WaitGroup  // groups that requests use still
	stopped  context.Context // ends when nothing is waited for any more
	stop     context.CancelFunc

	started  time.Time
	running  atomic.Bool
	draining atomic.Bool

	mu             sync.Mutex
	tls            *tls.Config  // of clients' connections; nil: none, or before Listen
	listener       net.Listener // nil before Listen
	adminListener  net.Listener // nil before Listen, or when off
	accessLogClose io.Closer    // nil without a file of our own
}

// New returns a gateway that neither listens nor checks yet. The error is that of Config.Validate, or says that
// the metrics' names are taken in cfg.Registerer, or what is wrong with the files of cfg.Access.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	first, err := newInForce(cfg)
	if err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, log: cfg.Logger, started: time.Now()}
	g.latest.Store(first)
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.conns.max.Store(int64(cfg.MaxConns))
	g.plain.open = make(map[*plainConn]struct{})
	g.handoff = httphead.NewHandoff()
	g.stopped, g.stop = context.WithCancel(context.Background())
	if cfg.AccessLog != nil {
		g.access = newAccessLog(cfg.AccessLog)
	}
	g.metrics = newMetrics(g)
	g.group.Store(g.newGroup(cfg.Upstreams, nil))
	if g.guard, err = cfg.Access.Open(g.log); err != nil {
		return nil, err
	}
	g.reloads = front.NewReloads("gateway", g.log, g.guard, g.reload)
	if g.gatherer, err = front.Register(cfg.Registerer, append(g.metrics.collectors(), g.guard.Collectors()...)...); err != nil {
		return nil, errors.Join(err, g.guard.Close())
	}
	return g, nil
}

// Handler returns the handler for clients, for use in a server of the caller's. Active checks run only in Run.
func (g *Gateway) Handler() http.Handler { return http.HandlerFunc(g.serve) }

// AdminHandler returns the handler of /healthz, /readyz, /metrics, /status and /reload.
func (g *Gateway) AdminHandler() http.Handler {
	state := func() (state, reason string) {
		gr := g.group.Load()
		return g.stateOf(gr, gr.balancer.view())
	}
	return g.guard.Guard(front.AdminHandler(g.cfg.AdminListen, state, func() any { return g.Status() }, g.reloads, g.gatherer, g.cfg.Profile))
}

// Addr is the address for clients, with the real port, in the form of Config.Listen; "" before Listen.
func (g *Gateway) Addr() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return addr.Of(g.listener)
}

// AdminAddr is the address for operators; "" before Listen, or when off.
func (g *Gateway) AdminAddr() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return addr.Of(g.adminListener)
}

// Listen opens the listeners and the access log. From its return on, clients connect, and are answered once Run
// runs. A second call does nothing. Run must follow, or nothing closes them.
func (g *Gateway) Listen() (err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		return nil
	}
	listener, secure, err := g.guard.Listen(g.cfg.Listen)
	if err != nil {
		return err
	}
	var admin net.Listener
	if front.AdminOn(g.cfg.AdminListen) {
		if admin, err = g.guard.ListenAdmin(g.cfg.AdminListen); err != nil {
			listener.Close()
			return fmt.Errorf("admin: %w", err)
		}
	}
	if g.cfg.AccessLogPath != "" {
		f, err := os.OpenFile(g.cfg.AccessLogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			listener.Close()
			if admin != nil {
				admin.Close()
			}
			return fmt.Errorf("open access log: %w", err)
		}
		g.access, g.accessLogClose = newAccessLog(f), f
	}
	g.listener, g.adminListener = listener, admin
	g.tls = secure
	return nil
}

// Run serves until ctx ends, then stops accepting, lets requests in progress end (at most Config.ShutdownTimeout)
// and returns nil; or the error of a listener. It calls Listen if nobody has. A gateway runs once.
func (g *Gateway) Run(ctx context.Context) error {
	if !g.running.CompareAndSwap(false, true) {
		return ErrRunTwice
	}
	if err := g.Listen(); err != nil {
		return err
	}
	clients, admin := g.servers()
	failed := make(chan error, 3)
	var serving sync.WaitGroup
	serve := func(s *http.Server, l net.Listener) {
		serving.Go(func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
		})
	}
	serve(clients, g.handoff)
	serving.Go(func() {
		if err := g.accept(ctx, &limitedListener{listener: g.listener, limit: &g.conns}); err != nil {
			failed <- fmt.Errorf("serve %s: %w", g.listener.Addr(), err)
		}
	})
	if g.adminListener != nil {
		serve(admin, g.adminListener)
	}

	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	g.changes.Lock()
	g.checking = g.cfg.CheckInterval > 0
	g.startChecks(g.group.Load())
	g.changes.Unlock()
	loops.Go(func() { g.pruneLoop(background) })
	if g.access != nil {
		loops.Go(func() { g.access.flushLoop(background, g.accessLogFailed) })
	}

	g.log.Info("gateway started", "listen", g.Addr(), "admin", g.AdminAddr(), "upstreams", len(g.group.Load().upstreams))
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	g.shutdown(clients, admin)
	stop()
	loops.Wait()
	serving.Wait()
	g.log.Info("gateway stopped")
	return errors.Join(err, g.closeAccessLog(), g.guard.Close())
}

// servers returns the two HTTP servers. Neither takes anything of a body into memory.
func (g *Gateway) servers() (clients, admin *http.Server) {
	errorLog := slog.NewLogLogger(g.log.Handler(), slog.LevelDebug) // clients' mistakes
	clients = &http.Server{
		Handler:                      g.Handler(),
		DisableGeneralOptionsHandler: true, // OPTIONS * is not ours to answer: the rules refuse it
		ReadHeaderTimeout:            g.cfg.ReadHeaderTimeout,
		WriteTimeout:                 g.cfg.RetryBudget + g.cfg.WriteTimeout,
		IdleTimeout:                  g.cfg.IdleTimeout,
		MaxHeaderBytes:               g.cfg.MaxHeaderBytes,
		ErrorLog:                     errorLog,
	}
	admin = &http.Server{
		Handler:           g.AdminHandler(),
		ReadHeaderTimeout: g.cfg.ReadHeaderTimeout,
		ReadTimeout:       g.cfg.ReadHeaderTimeout,
		WriteTimeout:      g.cfg.WriteTimeout,
		IdleTimeout:       g.cfg.IdleTimeout,
		MaxHeaderBytes:    g.cfg.MaxHeaderBytes,
		ErrorLog:          errorLog,
	}
	return clients, admin
}

// shutdown ends the clients' server first: operators can watch it drain.
func (g *Gateway) shutdown(clients, admin *http.Server) {
	g.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), g.conf().ShutdownTimeout)
	defer cancel()
	g.listener.Close()
	clients.SetKeepAlivesEnabled(false)
	err := g.plain.drain(ctx)
	if err == nil { // only now can no connection come to net/http any more
		err = clients.Shutdown(ctx)
	}
	if err != nil {
		g.log.Warn("requests cut at shutdown", "err", err)
		g.plain.close()
		clients.Close()
	}
	admin.Close()
	g.changes.Lock()
	g.checking = false
	g.group.Load().stopChecks()
	for _, u := range g.group.Load().upstreams {
		u.close()
	}
	g.stop()
	g.retiring.Wait()
	g.changes.Unlock()
	g.plain.serving.Wait()
	g.handoff.Close()
}

// pruneLoop closes connections to upstreams that are not needed any more.
func (g *Gateway) pruneLoop(ctx context.Context) {
	ticker := time.NewTicker(idleConnTimeout / 2)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, u := range g.group.Load().upstreams {
				u.conns.prune(now)
			}
		}
	}
}

// finish counts and logs a request. It runs when the handler ends in any way.
func (g *Gateway) finish(ex *exchange) {
	end := time.Now()
	g.metrics.finished(ex, end)
	g.access.add(ex, end)
}

func (g *Gateway) accessLogFailed(err error) {
	g.log.Error("access log lost", "err", err)
}

func (g *Gateway) closeAccessLog() error {
	err := g.access.flush()
	if g.accessLogClose != nil {
		err = errors.Join(err, g.accessLogClose.Close())
	}
	if err != nil {
		return fmt.Errorf("close access log: %w", err)
	}
	return nil
}
