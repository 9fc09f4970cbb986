package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/backup"
	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/listing"
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/observe"
	"github.com/futago/futago/internal/replication"
	"github.com/futago/futago/internal/script"
	"github.com/futago/futago/internal/server"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/users"
	"github.com/futago/futago/internal/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Node is one running node.
type Node struct {
	cfg      Config
	logger   *slog.Logger
	events   *events
	registry *prometheus.Registry
	started  time.Time
	state    stateBox
	catching catching
	hold     hold
	history  *observe.History
	recent   recent
	fs       vfs.FS                    // of the log
	thawing  sync.Mutex                // held while noticeFreeze looks
	rereads  sync.Mutex                // held by a reload
	latest   atomic.Pointer[Config]    // see present; nil before the first reload
	process  uint64                    // a random number: tells this process from all others
	nudge    chan struct{}             // a link may be caught up
	beat     atomic.Pointer[time.Time] // when watchFreeze looked last; nil before

	store  *store.Store
	server *server.Server
	source *replication.Source // nil without a peer listener
	users  *users.Users        // nil: everybody may do everything
	tls    *access.TLS         // nil: no client or admin address wants it
	script *script.Host        // nil: there is none
	feed   *feed.Feed          // what changes, for the admin port
	keys   *listing.Lister
	backup *backup.Source // backups, for the admin port

	mirrors mirrors
	links   links
	admin   *adminServer // nil when turned off
	audit   *access.Audit
	// adminTLS is for the admin addresses of other nodes; nil: they are asked without TLS.
	adminTLS   *access.ClientTLS
	peerClient *http.Client // asks them
	peerLn     net.Listener
	link       *replication.Link // how both directions of the peer link are protected

	opened    atomic.Bool   // store, server and links are there
	listening atomic.Bool   // the client port is open
	isReady   chan struct{} // closed when clients are served
	asked     chan struct{} // closed when a client has asked the node to stop
	stopOnce  sync.Once     // closes it
	stopping  chan struct{} // closed when the drain begins
	workers   sync.WaitGroup
}

// New returns a node that does nothing yet. The configuration must be valid.
func New(cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Node == 0 {
		cfg.Node = 1
	}
	if cfg.Ack == "" {
		cfg.Ack = "local"
		if len(cfg.Peer) > 0 || cfg.PeerListen != "" {
			cfg.Ack = "peer"
		}
	}
	next := slog.DiscardHandler
	if cfg.Logger != nil {
		next = cfg.Logger.Handler()
	}
	n := &Node{cfg: cfg, events: newEvents(next), registry: prometheus.NewRegistry(), started: time.Now(),
		history: observe.NewHistory(figures), process: rand.Uint64(), nudge: make(chan struct{}, 1), isReady: make(chan struct{}), stopping: make(chan struct{}), asked: make(chan struct{})}
	n.peerClient = n.newPeerClient()
	n.logger = slog.New(n.events).With("node", cfg.Node)
	n.state.state, n.state.reason, n.state.since = Starting, "process started", n.started
	n.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), &collector{n})
	return n, nil
}

// Ready is closed when clients are served for the first time.
func (n *Node) Ready() <-chan struct{} { return n.isReady }

// Addrs are the client addresses, with the ports that were taken; empty until Ready.
func (n *Node) Addrs() []string {
	if !n.listening.Load() {
		return nil
	}
	return n.server.Addrs()
}

// Stopping is closed when the node begins to drain.
func (n *Node) Stopping() <-chan struct{} { return n.stopping }

// stop makes Run drain and return.
func (n *Node) stop() { n.stopOnce.Do(func() { close(n.asked) }) }

// Run opens the node, serves until ctx ends or a client that may has stopped it, drains and returns nil, or returns why the node cannot run.
func (n *Node) Run(ctx context.Context) error {
	if err := n.openAccess(); err != nil {
		return err
	}
	defer n.audit.Close()
	if n.cfg.AdminListen != "none" {
		admin, err := n.openAdmin()
		if err != nil {
			return err
		}
		n.admin = admin
		defer n.peerClient.CloseIdleConnections()
		defer admin.close()
	}
	if err := n.open(); err != nil {
		return errors.Join(err, n.abandon())
	}
	n.workers.Go(n.watchFreeze)
	n.workers.Go(n.watchFigures)
	started := make(chan error, 1)
	n.workers.Go(func() { started <- n.start() })
	var err error
	select {
	case <-ctx.Done():
	case err = <-started:
		if err == nil {
			select {
			case <-ctx.Done():
			case <-n.asked:
			}
		}
	}
	return errors.Join(err, n.drain())
}

// open recovers the store and begins to serve and follow the peer.
func (n *Node) open() error {
	n.setState(Recovering, "reading the log in "+n.cfg.Data)
	if n.cfg.PeerListen != "" {
		ln, err := net.Listen("tcp", n.cfg.PeerListen)
		if err != nil {
			return fmt.Errorf("listen for the peer on %s: %w", n.cfg.PeerListen, err)
		}
		n.peerLn = ln
	}
	if err := n.openLink(); err != nil {
		return err
	}
	fs, err := n.fileSystem()
	if err != nil {
		return err
	}
	n.fs = fs
	took := time.Now()
	c := store.DefaultConfig()
	c.FS, c.InMemory, c.Node = fs, n.cfg.Data == "none", n.cfg.Node
	c.Fsync, c.FsyncInterval, c.SegmentSize = ulog.Policy(n.cfg.Fsync), n.cfg.FsyncInterval, n.cfg.SegmentSize
	c.TombstoneRetention = n.cfg.TombstoneRetention
	c.MaxValue, c.MaxMemory, c.MinFree, c.MaxClockDrift = n.cfg.MaxValue, n.cfg.MaxMemory, n.cfg.MinFree, n.cfg.MaxClockDrift
	if c.Evict = n.cfg.Evict; c.Evict {
		evicting(&c)
	}
	c.LogRetain, c.CompactRate = n.cfg.LogRetain, n.cfg.CompactRate
	c.AwaitPeer = len(n.cfg.Peer) > 0
	c.AckPeer, c.AckStrict, c.AckTimeout = n.cfg.Ack == "peer", n.cfg.Ack == "strict", n.cfg.AckTimeout
	c.Logger, c.Now = n.logger, n.cfg.Now
	c.Damaged = func(part int) {
		for _, l := range n.pullers() {
			l.Mend(part)
		}
	}
	if c.Now == nil {
		c.Steady = hlc.NewSteady(n.cfg.MaxClockDrift)
	}
	if n.store, err = store.Open(c); err != nil {
		return fmt.Errorf("open store in %s: %w", n.cfg.Data, err)
	}
	st := n.store.Stats()
	n.logger.Info("log is read", "items", st.Items, "seq", st.LastSeq, "took", time.Since(took).Round(time.Millisecond))
	if n.server, err = n.newServer(); err != nil {
		return err
	}
	n.feed = feed.New(n.store, n.cfg.Node)
	n.keys = &listing.Lister{Node: n.cfg.Node, Store: n.store}
	n.backup = backup.NewSource(backup.SourceConfig{Store: n.store, Node: n.cfg.Node, Program: n.cfg.Version, Logger: n.logger})
	n.follow()
	n.opened.Store(true)
	return nil
}

// evicting suits the store to a cache: small segments, so that few of them are no room for records, and deletes, which an
// eviction is where others must know of it, are forgotten as soon as all know.
func evicting(c *store.Config) {
	const unit = 64 << 10
	c.SegmentSize = min(c.SegmentSize, max(c.MaxMemory/store.EvictSegments/unit*unit, unit))
	// Each step looks at every record; but what is evicted takes room until then.
	c.TombstoneRetention, c.HorizonStep = 0, min(max(time.Duration(c.MaxMemory>>26)*time.Second, time.Second), 10*time.Second)
}

// openLink reads what the peer link is protected with.
func (n *Node) openLink() (err error) {
	c := replication.LinkConfig{
		TLSCert: n.cfg.PeerTLSCert, TLSKey: n.cfg.PeerTLSKey, TLSCA: n.cfg.PeerTLSCA, TLSName: n.cfg.PeerTLSName,
		SecretFile: n.cfg.PeerSecretFile, Compress: n.cfg.PeerCompress == "zstd",
	}
	n.link, err = replication.OpenLink(c, n.logger)
	return err
}

func (n *Node) fileSystem() (vfs.FS, error) {
	if n.cfg.Data == "none" {
		return vfs.Memory(), nil
	}
	return vfs.OS(n.cfg.Data)
}

func (n *Node) newServer() (_ *server.Server, err error) {
	c := server.DefaultConfig()
	for _, text := range n.cfg.Listen {
		l, err := server.ParseListen(text)
		if err != nil {
			return nil, err
		}
		c.Listen = append(c.Listen, l)
	}
	c.Sockets = n.cfg.Sockets
	c.MaxConns, c.Threads, c.MaxValue = n.cfg.MaxConns, n.cfg.Threads, n.cfg.MaxValue
	c.FirstByteTimeout, c.IdleTimeout, c.RequestTimeout = n.cfg.FirstByteTimeout, n.cfg.IdleTimeout, n.cfg.RequestTimeout
	c.MaxPending, c.MaxPendingTotal = n.cfg.MaxPending, n.cfg.MaxPendingTotal
	c.Evict, c.SlowThreshold, c.SampleRequests = n.cfg.Evict, n.cfg.SlowThreshold, n.cfg.SampleRequests
	c.Users, c.TLS, c.Audit = n.users, n.tls, n.audit
	c.Node, c.Look = n.cfg.Node, n.noticeFreeze
	if n.cfg.Script != "" {
		c.Script = n.callScript
	}
	n.allowTyrant(&c)
	if c.Mask, err = tyrant.ParseMask(n.cfg.Mask); err != nil {
		return nil, fmt.Errorf("mask: %w", err)
	}
	if slices.Contains(n.cfg.Allow, allowShutdown) {
		c.Stop = n.stop
	}
	c.Version, c.Logger, c.Registerer = memcache.ServerVersion(n.cfg.Version), n.logger, n.registry
	return server.New(c, n.store)
}

// start catches up and opens the client port.
func (n *Node) start() error {
	if err := n.catchUp("before clients are served"); err != nil {
		return err
	}
	select {
	case <-n.stopping:
		return nil
	default:
	}
	n.openMirrors()
	if err := n.openScript(); err != nil {
		return err
	}
	if err := n.server.Listen(); err != nil {
		return err
	}
	n.listening.Store(true)
	for _, a := range n.server.Addrs() {
		n.logger.Info("listening for clients", "addr", a)
	}
	n.workers.Go(n.server.Serve)
	if n.peerLn == nil {
		n.ready("single node")
	}
	close(n.isReady)
	return nil
}

// drain ends everything in order: clients, the peer, the store.
func (n *Node) drain() error {
	n.setState(Draining, "asked to stop")
	close(n.stopping)
	n.feed.Close()
	n.backup.Close()
	patience := n.present().DrainTimeout
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	if n.listening.Load() {
		// Half of the time at most: the peer must still get the last entries.
		clients, done := context.WithTimeout(ctx, patience/2)
		if err := n.server.Shutdown(clients); err != nil {
			n.logger.Warn("some connections were cut", "err", err)
		}
		done()
	} else {
		n.server.Close()
	}
	n.followMaster("", 0, false, false)
	if n.script != nil {
		n.script.Close()
	}
	n.store.Log().End()
	n.drainLinks(ctx)
	n.workers.Wait()
	if err := n.store.Close(); err != nil {
		errs = append(errs, fmt.Errorf("close store: %w", err))
	}
	n.logger.Info("node stopped")
	return errors.Join(errs...)
}

// abandon undoes a half-done open.
func (n *Node) abandon() error {
	if n.source != nil {
		n.source.Close()
	} else if n.peerLn != nil {
		n.peerLn.Close()
	}
	n.stopLinks()
	if n.server != nil {
		n.server.Close()
	}
	n.followMaster("", 0, false, false)
	if n.script != nil {
		n.script.Close()
	}
	if n.store != nil {
		return n.store.Close()
	}
	return nil
}
