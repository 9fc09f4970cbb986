package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/httphead"
	"github.com/futago/futago/internal/observe"
)

// Server is the client port of one store.
type Server struct {
	cfg      Config
	store    Store
	logger   *slog.Logger
	limits   atomic.Pointer[Limits]
	maxConns atomic.Int64 // that of limits or less, as far as descriptors reach
	started  int64        // ms since hlc.Epoch

	listeners []*listener
	loops     []*loop // empty with the goroutine carrier
	totals    []*totals
	resetBase atomic.Pointer[tally]
	conns     atomic.Int64 // open, of all protocols
	pending   atomic.Int64 // bytes of unsent output and partial input
	draining  atomic.Bool
	suspended atomic.Bool
	leaving   atomic.Bool // SendAway lets clients go
	peers     peers
	streams   streams // of the goroutine carrier
	prefixes  prefixes
	slow      observe.SlowLog
	audit     auditor
	dumping   sync.Mutex // held while a step of a dump is made
	cabinet   *cabinet.Cabinet
	pulse     pulse
	turns     chan struct{} // holds one for each command that takes long and runs

	web       *http.Server
	plainHTTP bool // see speaksHTTP
	handoffs  *httphead.Handoff

	// ctx ends when the rest of the connections is to be closed.
	ctx        context.Context
	cancel     context.CancelFunc
	lasting    context.Context // of what no drain waits for: the servers that follow this node, copies
	endLasting context.CancelFunc
	accepting  sync.WaitGroup
	serving    sync.WaitGroup
	done       chan struct{} // closed when everything has ended
	mu         sync.Mutex    // guards the two below
	running    bool
	stopped    bool
}

// listener is an opened Listener.
type listener struct {
	Listener
	source  acceptor
	address string // opened: host:port or a path
	label   string // network:address
}

// New checks the configuration and returns a server that does not listen yet.
func New(cfg Config, st Store) (*Server, error) {
	if len(cfg.Listen) == 0 {
		return nil, errors.New("listen: want at least one address")
	}
	if cfg.MaxConns <= 0 || cfg.MaxPending <= 0 || cfg.MaxPendingTotal <= 0 || cfg.MaxValue <= 0 || cfg.FirstByteTimeout <= 0 || cfg.RequestTimeout <= 0 {
		return nil, errors.New("max-conns, max-pending, max-pending-total, max-value, first-byte-timeout and request-timeout: want more than 0")
	}
	if err := cfg.checkTLS(); err != nil {
		return nil, err
	}
	if err := cfg.checkSockets(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, store: st, logger: cfg.Logger, started: st.Now(), done: make(chan struct{}),
		totals: []*totals{new(totals)}, cabinet: cabinet.New(st, int(cfg.MaxPending)),
	}
	s.slow.SetThreshold(cfg.SlowThreshold)
	if s.audit.log = cfg.Audit; s.audit.log == nil {
		s.audit.log, _ = access.OpenAudit("", cfg.Logger) // without a file nothing can fail
	}
	s.turns = make(chan struct{}, heavyTurns(s.threads()))
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.lasting, s.endLasting = context.WithCancel(s.ctx)
	s.SetLimits(Limits{cfg.MaxConns, cfg.FirstByteTimeout, cfg.IdleTimeout, cfg.RequestTimeout})
	s.handoffs = httphead.NewHandoff()
	s.web = newWeb(s)
	s.plainHTTP = s.speaksHTTP()
	if !cfg.Goroutines {
		if err := s.makeLoops(); err != nil {
			return nil, err
		}
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(&collector{s}); err != nil {
			s.closeLoops()
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return s, nil
}

// threads is the number of loops.
func (s *Server) threads() int {
	if s.cfg.Threads > 0 {
		return s.cfg.Threads
	}
	return max(runtime.NumCPU()/2, 1)
}

// Listen opens the addresses. Clients can connect from now on; they are served once Serve runs.
func (s *Server) Listen() error {
	for _, l := range s.cfg.Listen {
		ln, err := s.cfg.open(l)
		if err != nil {
			s.closeListeners()
			return err
		}
		source, err := newAcceptor(ln, len(s.loops) > 0)
		if err != nil {
			ln.Close()
			s.closeListeners()
			return fmt.Errorf("listen on %s: %w", l, err)
		}
		s.listeners = append(s.listeners, &listener{Listener: l, label: addrLabel(ln.Addr()), address: ln.Addr().String(), source: source})
	}
	return nil
}

// Cabinet is the store as Tokyo Tyrant's clients see it.
func (s *Server) Cabinet() *cabinet.Cabinet { return s.cabinet }

// Addrs are the opened addresses, with the ports that were taken: host:port, or the path of a socket.
func (s *Server) Addrs() []string {
	var all []string
	for _, l := range s.listeners {
		all = append(all, l.address)
	}
	return all
}

// Serve serves the opened addresses and returns when Shutdown or Close has ended everything.
func (s *Server) Serve() {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		<-s.done
		return
	}
	s.running = true
	s.serving.Go(func() { _ = s.web.Serve(s.handoffs) })
	for _, l := range s.loops {
		s.serving.Go(l.run)
	}
	for i, l := range s.listeners {
		s.accepting.Go(func() { s.accept(l, i) })
	}
	s.mu.Unlock()
	<-s.done
}

// Suspend sends all clients away, and those that come, until Resume. What they have sent is not executed.
func (s *Server) Suspend() {
	s.suspended.Store(true)
	for _, l := range s.loops {
		l.wake()
	}
	s.streams.closeAll()
}

// sendsAway reports whether clients are to be sent away. Who would suspend the server may not have run yet, so it is asked.
func (s *Server) sendsAway() bool {
	if s.cfg.Look != nil {
		s.cfg.Look()
	}
	return s.suspended.Load()
}

// Shutdown stops accepting, finishes the requests that were received, sends their replies, closes idle connections,
// and when ctx ends the others. It returns ctx's error if it had to.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopped
	s.stopped = true
	running := s.running
	s.mu.Unlock()
	if !first {
		<-s.done
		return nil
	}
	s.draining.Store(true)
	s.endLasting()
	s.closeListeners()
	s.accepting.Wait()
	if !running {
		s.closeLoops()
		s.finish()
		return nil
	}
	for _, l := range s.loops {
		l.wake()
	}
	s.streams.drain()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		s.waitCarriers()
		// Only now can no connection be handed to HTTP any more.
		_ = s.web.Shutdown(ctx)
	}()
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = fmt.Errorf("drain: %w", context.Cause(ctx))
	}
	s.cancel()
	for _, l := range s.loops {
		l.wake()
	}
	s.streams.closeAll()
	_ = s.web.Close()
	<-drained
	s.handoffs.Close()
	s.serving.Wait()
	s.finish()
	return err
}

// Close ends everything at once, without finishing requests.
func (s *Server) Close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Shutdown(ctx)
}

func (s *Server) finish() {
	s.cancel()
	s.audit.flush()
	if s.cfg.Registerer != nil {
		s.cfg.Registerer.Unregister(&collector{s})
	}
	close(s.done)
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.source.close()
	}
}

// waitCarriers waits until the loops and the streams have no connection left.
func (s *Server) waitCarriers() {
	for _, l := range s.loops {
		<-l.done
	}
	s.streams.wait()
}

// hold counts size bytes as pending, or reports false when others hold all that they may together. What is small
// always passes. The caller must take the bytes off again.
func (s *Server) hold(size int) bool {
	if s.pending.Add(int64(size)) > s.cfg.MaxPendingTotal+int64(size) && size > smallBuffer {
		s.pending.Add(-int64(size))
		return false
	}
	return true
}

// idle is how long a connection may be idle, 0 for as long as it likes.
func (s *Server) idle(proto verdict) time.Duration {
	limit := s.limits.Load().IdleTimeout
	if proto == isHTTP && limit == 0 {
		return httpIdleTimeout
	}
	return limit
}

// wall is the time of a clock reading.
func (s *Server) wall(now int64) time.Time { return hlc.Make(now, 0, 0).Time() }

// closed forgets a connection.
func (s *Server) closed(p *peer) {
	s.peers.remove(p)
	s.conns.Add(-1)
}

// overfull reports whether a connection that holds something must wait until others hold less. One that holds most of
// it itself may finish, or nobody would.
func (s *Server) overfull(held int64) bool {
	return held > 0 && s.crowded(held)
}

// crowded reports whether the connections other than one that holds held bytes leave no room.
func (s *Server) crowded(held int64) bool {
	pending, limit := s.pending.Load(), s.cfg.MaxPendingTotal
	return pending > limit && pending-held > limit/2
}
