package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/addr"
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/memcache"
)

// Proxy is the port and what is behind it. Use New, optionally Listen, then Run once.
type Proxy struct {
	cfg       Config                 // of the start
	latest    atomic.Pointer[Config] // with what reloads have changed
	reloads   *front.Reloads
	log       *slog.Logger
	group     atomic.Pointer[group] // the upstreams of this time
	retiring  sync.WaitGroup        // earlier ones that somebody uses still
	holds     holds
	guard     *front.Access
	latency   *prometheus.HistogramVec // by upstream
	gatherer  prometheus.Gatherer
	logins    context.Context // ends when passwords are no longer looked at
	endLogins context.CancelFunc
	started   time.Time
	running   atomic.Bool
	draining  atomic.Bool
	pending   atomic.Int64 // of Config.MaxPending
	links     sync.WaitGroup

	open, accepted, refused atomic.Uint64 // connections of clients
	active                  *front.Tally  // clients that wait for upstreams

	switched atomic.Bool // the upstreams are those of a switch

	changes sync.Mutex // for who changes upstreams or settings, one after the other
	checks  bool       // the upstreams of group are checked

	mu            sync.Mutex
	tls           *tls.Config  // of clients' connections; nil: none, or before Listen
	listener      net.Listener // nil before Listen
	adminListener net.Listener // nil before Listen, or when off
	clients       map[net.Conn]struct{}
	serving       sync.WaitGroup // the clients
}

// New returns a proxy that neither listens nor checks yet. The error is that of Config.Validate, or says that the metrics'
// names are taken in cfg.Registerer, or what is wrong with the files of cfg.Access.
func New(cfg Config) (*Proxy, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Proxy{cfg: cfg, log: cfg.Logger, started: time.Now(), clients: make(map[net.Conn]struct{})}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.logins, p.endLogins = context.WithCancel(context.Background())
	p.latency = newLatency()
	p.active = front.NewTally()
	first, err := p.newGroup(&cfg, nil)
	if err != nil {
		return nil, err
	}
	p.group.Store(first)
	if p.guard, err = cfg.Access.Open(p.log); err != nil {
		return nil, err
	}
	p.latest.Store(&cfg)
	p.reloads = front.NewReloads("proxy", p.log, p.guard, p.reload)
	if err := p.register(); err != nil {
		return nil, errors.Join(err, p.guard.Close())
	}
	return p, nil
}

// clock returns nanoseconds since the proxy was made; it never goes back.
func (p *Proxy) clock() int64 { return int64(time.Since(p.started)) }

// tick is the time between two looks of the watch.
func (p *Proxy) tick() time.Duration { return max(p.conf().Timeout/40, time.Millisecond) }

// reserve takes n bytes of the memory for large requests and replies, or with n < 0 gives them back. false: it is used up.
func (p *Proxy) reserve(n int64) bool {
	if p.pending.Add(n) <= p.conf().MaxPending || n <= 0 {
		return true
	}
	p.pending.Add(-n)
	return false
}

// Addr is the address for clients, with the real port, in the form of Config.Listen; "" before Listen.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return addr.Of(p.listener)
}

// AdminAddr is the address for operators; "" before Listen, or when off.
func (p *Proxy) AdminAddr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return addr.Of(p.adminListener)
}

// Listen opens the listeners. Clients that connect are answered once Run runs and has checked every upstream. A second
// call does nothing. Run must follow, or nothing closes them.
func (p *Proxy) Listen() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	listener, secure, err := p.guard.Listen(p.cfg.Listen)
	if err != nil {
		return err
	}
	if front.AdminOn(p.cfg.AdminListen) {
		if p.adminListener, err = p.guard.ListenAdmin(p.cfg.AdminListen); err != nil {
			listener.Close()
			return fmt.Errorf("admin: %w", err)
		}
	}
	p.listener, p.tls = listener, secure
	return nil
}

// Run serves until ctx ends, then stops accepting, lets requests in progress end (at most Config.DrainTimeout) and returns
// nil; or the error of a listener. It calls Listen if nobody has. A proxy runs once.
func (p *Proxy) Run(ctx context.Context) error {
	if !p.running.CompareAndSwap(false, true) {
		return ErrRunTwice
	}
	if err := p.Listen(); err != nil {
		return err
	}
	failed := make(chan error, 2)
	var servers sync.WaitGroup
	admin := p.adminServer()
	if p.adminListener != nil {
		servers.Go(func() {
			if err := admin.Serve(p.adminListener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", p.adminListener.Addr(), err)
			}
		})
	}
	p.beginChecks() // a second at most
	servers.Go(func() {
		if err := p.accept(); !p.draining.Load() {
			failed <- fmt.Errorf("serve %s: %w", p.listener.Addr(), err)
		}
	})
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	p.drain()
	p.endChecks()
	p.links.Wait()
	admin.Close()
	servers.Wait()
	p.log.Info("proxy stopped")
	return errors.Join(err, p.guard.Close())
}

// beginChecks returns when each upstream has been checked once.
func (p *Proxy) beginChecks() {
	p.changes.Lock()
	defer p.changes.Unlock()
	g := p.group.Load()
	p.log.Info("proxy started", "listen", p.Addr(), "admin", p.AdminAddr(), "upstreams", len(g.upstreams), "choice", p.conf().Choice)
	p.checks = true
	startAll(g.upstreams)
}

// endChecks ends all upstreams. Nobody may use them any more.
func (p *Proxy) endChecks() {
	p.changes.Lock()
	defer p.changes.Unlock()
	p.checks = false
	stopAll(p.group.Load().upstreams)
	p.retiring.Wait()
}

// handshakeTimeout bounds the TLS handshake of a client.
const handshakeTimeout = 10 * time.Second

// acceptPause is the wait after an accept that failed for want of resources.
const acceptPause = 20 * time.Millisecond

// accept serves clients until the listener is closed.
func (p *Proxy) accept() error {
	for number := uint64(0); ; number++ {
		nc, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			p.log.Warn("accept failed", "err", err)
			time.Sleep(acceptPause)
			continue
		}
		if p.open.Load() >= uint64(p.conf().MaxConns) {
			p.refused.Add(1)
			// A fresh socket takes these bytes without blocking; the deadline is for the case that it does not.
			nc.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			nc.Write([]byte(memcache.ReplyTooManyConns))
			nc.Close()
			continue
		}
		p.admit(nc, number)
	}
}

// admit starts the goroutine of a client.
func (p *Proxy) admit(nc net.Conn, number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.draining.Load() {
		nc.Close()
		return
	}
	p.open.Add(1)
	p.accepted.Add(1)
	p.clients[nc] = struct{}{}
	p.serving.Go(func() {
		if secured, ok := p.secure(nc); ok {
			newClient(p, secured, number).serve()
		}
		p.mu.Lock()
		delete(p.clients, nc)
		p.mu.Unlock()
		p.open.Add(^uint64(0))
		nc.Close()
	})
}

// secure makes the TLS handshake of a client, within handshakeTimeout; closing nc ends it.
func (p *Proxy) secure(nc net.Conn) (net.Conn, bool) {
	if p.tls == nil {
		return nc, true
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	secured := tls.Server(nc, p.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		p.log.Debug("begin TLS", "remote", nc.RemoteAddr(), "err", err)
		return nil, false
	}
	return secured, true
}

// drain ends the clients: those without a request soon, others when they have their replies, all in the end.
func (p *Proxy) drain() {
	p.mu.Lock()
	p.draining.Store(true)
	p.endHold()
	p.listener.Close()
	for nc := range p.clients {
		nc.SetReadDeadline(time.Now().Add(drainPatience))
	}
	p.mu.Unlock()
	cut := time.AfterFunc(p.conf().DrainTimeout, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.log.Warn("requests cut at shutdown", "clients", len(p.clients))
		p.endLogins()
		for nc := range p.clients {
			nc.Close()
		}
	})
	p.serving.Wait()
	cut.Stop()
	p.endLogins()
}
