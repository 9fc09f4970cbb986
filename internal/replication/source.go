package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// SourceConfig of a Source. Store and Node are required.
type SourceConfig struct {
	Store       *store.Store
	Node        int
	PeerTimeout time.Duration // silence after which a follower is gone; default 3 s
	Ready       func() bool   // this node serves clients; nil: it does
	// Reborn is called before a follower is served whose log began another life, when it has been served in an earlier one:
	// it must return after what that earlier life sent is applied or dropped. nil: nobody follows that node here.
	Reborn  func(node int)
	Process uint64 // a random number of this process
	Link    *Link  // how connections are protected and packed; nil: plain TCP
	// SnapshotRate bounds the bytes a second of full copies, 0: nothing does.
	SnapshotRate int64
	Logger       *slog.Logger
}

// Source serves the log of this node to the peers that follow it.
type Source struct {
	cfg SourceConfig
	ln  net.Listener

	mu        sync.Mutex
	followers map[int]*follower
	conns     map[net.Conn]bool
	lives     map[int]ulog.Identity // of the followers' logs, as last served
	draining  bool
	closed    bool
	handlers  sync.WaitGroup
	refusals  refusals
	copyPace  *pace // of full copies
}

// NewSource returns a source that serves connections accepted from ln.
func NewSource(cfg SourceConfig, ln net.Listener) *Source {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.PeerTimeout <= 0 {
		cfg.PeerTimeout = 3 * time.Second
	}
	if cfg.Ready == nil {
		cfg.Ready = func() bool { return true }
	}
	return &Source{cfg: cfg, ln: ln, followers: map[int]*follower{}, conns: map[net.Conn]bool{}, lives: map[int]ulog.Identity{},
		copyPace: newPace(cfg.SnapshotRate)}
}

// maxPeerConns bounds connections on the peer port: a few followers, each maybe twice while an old link dies.
const maxPeerConns = 64

// Serve accepts followers until Close.
func (s *Source) Serve() error {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			s.cfg.Logger.Warn("peer connection was not accepted", "err", err)
			time.Sleep(10 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		s.mu.Lock()
		full := len(s.conns) >= maxPeerConns || s.closed
		if !full {
			s.conns[conn] = true
			s.handlers.Add(1)
		}
		s.mu.Unlock()
		if full {
			conn.Close()
			continue
		}
		go func() {
			defer s.handlers.Done()
			if err := s.handle(conn); err != nil {
				s.cfg.Logger.Info("peer link ended", "remote", conn.RemoteAddr().String(), "err", err)
			}
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		}()
	}
}

// Close ends all links at once.
func (s *Source) Close() {
	s.ln.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.handlers.Wait()
}

// Drop ends all links; the followers connect anew.
func (s *Source) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// DropNode ends the link of one follower.
func (s *Source) DropNode(node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.followers[node]; f != nil {
		f.conn.Close()
	}
}

// Drain waits until every follower has applied the whole log, says goodbye and ends all links. A follower that is gone
// before counts as done.
func (s *Source) Drain(ctx context.Context) error {
	s.ln.Close()
	end := s.cfg.Store.Log().End().Seq
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !s.appliedBy(end) {
		select {
		case <-ctx.Done():
			s.Close()
			return fmt.Errorf("hand the last entries to the peer: %w", ctx.Err())
		case <-tick.C:
		}
	}
	s.mu.Lock()
	s.draining = true
	list := slices.Collect(maps.Values(s.followers))
	s.mu.Unlock()
	for _, f := range list {
		f.send(appendFrame(nil, frameBye, nil))
	}
	s.Close()
	return nil
}

func (s *Source) appliedBy(end uint64) bool {
	for _, f := range s.Followers() {
		if f.Applied < end || f.State == "snapshot" {
			return false
		}
	}
	return true
}

// Followers describes the connected peers.
func (s *Source) Followers() []FollowerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.cfg.Store.Log().Written()
	list := []FollowerStatus{}
	for _, f := range s.followers {
		f.mu.Lock()
		st := f.status
		f.mu.Unlock()
		st.WireBytes = f.conn.wire.out.Load()
		st.Lag = end - min(end, st.Applied)
		list = append(list, st)
	}
	return list
}

// handle is one connection.
func (s *Source) handle(raw net.Conn) error {
	conn := s.secure(raw)
	if conn == nil {
		return nil
	}
	log := s.cfg.Store.Log()
	conn.SetDeadline(time.Now().Add(s.cfg.PeerTimeout))
	// What this node holds of the follower is read before the follower says what it has itself: what it writes meanwhile must
	// not look lost.
	held := log.Origins()
	g := greeting{Protocol: protocolName, Version: protocolVersion, Node: s.cfg.Node, Life: log.Identity(), Items: s.cfg.Store.Items(), Process: s.cfg.Process}
	if _, err := conn.Write(appendJSON(nil, frameGreeting, g)); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	frames := newFrameReader(conn)
	var h hello
	if err := frames.expect(frameHello, &h); err != nil {
		return fmt.Errorf("read hello: %w", err)
	}
	if no := s.refusal(&h); no.Reason != "" {
		conn.Write(appendJSON(nil, frameRefuse, no))
		if err := errors.New(no.Reason); s.refusals.news(raw.RemoteAddr(), err) {
			s.cfg.Logger.Warn("peer was refused", "peer", h.Node, "remote", raw.RemoteAddr().String(), "err", err)
		}
		return nil
	}
	f := &follower{s: s, conn: conn, node: h.Node, life: h.Life, lastSeen: time.Now()}
	f.status = FollowerStatus{Node: h.Node, Addr: conn.RemoteAddr().String(), Link: conn.String(), State: "stream", Applied: h.Position.Seq, Parts: store.ScanParts,
		Admin: adminOf(&h, conn.RemoteAddr())}
	if err := s.enter(f); err != nil {
		return err
	}
	defer s.leave(f)
	if err := s.cfg.Store.Expect(h.Node, s.addrOf(&h, conn)); err != nil {
		return fmt.Errorf("note the peer: %w", err)
	}
	s.mu.Lock()
	before, known := s.lives[h.Node]
	s.lives[h.Node] = h.Life
	s.mu.Unlock()
	if known && before != h.Life && s.cfg.Reborn != nil {
		s.cfg.Reborn(h.Node)
		held = log.Origins()
	}

	// What is forgotten from here on is above the horizon in the welcome: the copy must have it.
	s.cfg.Store.BeginScan()
	endScan := sync.OnceFunc(s.cfg.Store.EndScan)
	defer endScan()
	start, reader, err := f.plan(&h, held[h.Node])
	if err != nil {
		return err
	}
	defer reader.Close()
	if start.Mode == "stream" && !start.Lost {
		endScan()
	}
	if err := f.send(appendJSON(nil, frameWelcome, start)); err != nil {
		return err
	}
	if start.Mode == "snapshot" {
		s.cfg.Logger.Info("sending a snapshot to the peer", "peer", h.Node, "reason", start.Reason, "part", start.Part)
	} else {
		s.cfg.Logger.Info("peer follows", "peer", h.Node, "seq", h.Position.Seq)
	}
	err = f.tell(func(st *store.Store) {
		if start.Mode == "snapshot" {
			st.Behind(h.Node)
		}
		st.Linked(h.Node, true)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var workers sync.WaitGroup
	defer workers.Wait()
	failed := make(chan error, 3)
	run := func(work func() error) {
		workers.Go(func() {
			if err := work(); err != nil {
				failed <- err
				conn.Close()
				cancel()
			}
		})
	}
	questions := make(chan ask, 1)
	run(func() error { return f.readConfirms(ctx, frames, questions) })
	run(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case q := <-questions:
				if err := f.answer(ctx, q); err != nil {
					return err
				}
			}
		}
	})
	run(func() error { return f.stream(ctx, reader) })
	if start.Mode == "snapshot" {
		run(func() error { defer endScan(); return f.snapshot(ctx, start.Part, true, 0) })
	} else if start.Lost {
		run(func() error { defer endScan(); return f.snapshot(ctx, 0, false, h.Own) })
	}
	err = <-failed
	conn.Close()
	cancel()
	return err
}

// enter replaces an older link of the same peer.
func (s *Source) enter(f *follower) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return errors.New("node is draining")
	}
	if old := s.followers[f.node]; old != nil {
		old.conn.Close()
	}
	s.followers[f.node] = f
	return nil
}

func (s *Source) leave(f *follower) {
	_ = f.tell(func(st *store.Store) {
		delete(s.followers, f.node)
		st.Linked(f.node, false)
	})
}

var errReplaced = errors.New("a newer link of the peer has taken over")
