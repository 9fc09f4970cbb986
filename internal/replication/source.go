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

	"github.com/futago/futago/internal/hlc"
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

// follower is one connected peer.
type follower struct {
	s    *Source
	conn *linkConn
	node int
	life ulog.Identity // of its log
	told hlc.Stamp     // horizon in the last heartbeat; the stream's

	sendMu sync.Mutex // one frame at a time

	mu       sync.Mutex
	status   FollowerStatus
	lastSeen time.Time
}

// FollowerStatus describes a peer that follows this log.
type FollowerStatus struct {
	Node      int    `json:"node"`
	Addr      string `json:"addr"`
	State     string `json:"state"` // snapshot or stream
	Reason    string `json:"reason,omitempty"`
	Applied   uint64 `json:"applied_seq"` // position that it has applied
	Durable   uint64 `json:"durable_seq"` // position that it will ask for after a crash
	Lag       uint64 `json:"lag_entries"` // behind the end of this log
	Part      int    `json:"snapshot_part"`
	Parts     int    `json:"snapshot_parts"`
	DriftMs   int64  `json:"drift_ms"`   // its clock ahead of this one
	Snapshots int64  `json:"snapshots"`  // sent on this connection
	SentBytes int64  `json:"sent_bytes"` // of frames
	WireBytes int64  `json:"wire_bytes"` // that took on the wire: packed, and with what TLS adds
	Link      string `json:"link"`       // how the connection is protected and packed
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
	f.status = FollowerStatus{Node: h.Node, Addr: conn.RemoteAddr().String(), Link: conn.String(), State: "stream", Applied: h.Position.Seq, Parts: store.ScanParts}
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

// tell passes news of this link to the store's gate, unless a newer one of the same peer has taken over: the gate would take it
// for news of that one. The source's lock is held.
func (f *follower) tell(news func(*store.Store)) error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if f.s.followers[f.node] != f {
		return errReplaced
	}
	news(f.s.cfg.Store)
	return nil
}

// plan decides between stream and snapshot. A snapshot has three reasons only.
func (f *follower) plan(h *hello, held hlc.Stamp) (*welcome, *ulog.Reader, error) {
	st := f.s.cfg.Store
	log := st.Log()
	w := &welcome{Mode: "stream", Start: h.Position, Wall: st.Now(), Ready: f.s.cfg.Ready(), Held: held, Horizon: st.Authority(), Born: st.Born()}
	w.Vector = map[int]hlc.Stamp{}
	for _, m := range append(st.Members(), store.Member{Node: f.s.cfg.Node}) {
		if at := st.Covered(m.Node); at != 0 {
			w.Vector[m.Node] = at
		}
	}
	var reader *ulog.Reader
	err := errNothingYet
	if h.Position.Seq > 0 {
		reader, err = log.ReadAfter(h.Position)
	}
	switch {
	case err == nil:
		w.Lost = w.Held > h.Own
		if h.Partial >= 0 {
			w.Mode, w.Reason, w.Part = "snapshot", "snapshot goes on", min(h.Partial, store.ScanParts)
			switch {
			case w.Lost: // maybe in a part that was sent before
				w.Reason, w.Part = "the end of the log was lost during a snapshot", 0
			case w.Horizon != h.Horizon: // what the parts that were sent lacked was judged by another horizon
				w.Reason, w.Part = "deletes were forgotten during a snapshot", 0
			}
		}
	case errors.Is(err, errNothingYet) || errors.Is(err, ulog.ErrGone) || errors.Is(err, ulog.ErrForked):
		w.Mode, w.Reason = "snapshot", err.Error()
		w.Start = log.End()
		if reader, err = log.ReadAfterSeq(w.Start.Seq); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, err
	}
	w.End = log.End().Seq
	f.mu.Lock()
	f.status.State, f.status.Reason, f.status.Part = w.Mode, w.Reason, w.Part
	f.status.Applied = w.Start.Seq
	f.mu.Unlock()
	return w, reader, nil
}

var errNothingYet = errors.New("nothing there yet")

// send writes whole frames. A peer that does not take them within the timeout is gone.
func (f *follower) send(b []byte) error {
	f.sendMu.Lock()
	defer f.sendMu.Unlock()
	// A large record may take long on a slow line: one more timeout for each 4 MiB.
	f.conn.SetWriteDeadline(time.Now().Add(f.s.cfg.PeerTimeout * time.Duration(1+len(b)>>22)))
	if _, err := f.conn.Write(b); err != nil {
		return fmt.Errorf("send to peer: %w", err)
	}
	f.mu.Lock()
	f.status.SentBytes += int64(len(b))
	f.mu.Unlock()
	return nil
}

// readConfirms takes the follower's signs of life and its questions.
func (f *follower) readConfirms(ctx context.Context, frames *frameReader, questions chan<- ask) error {
	for {
		f.conn.SetReadDeadline(time.Now().Add(f.s.cfg.PeerTimeout))
		t, payload, err := frames.next(maxTalk)
		if err != nil {
			return fmt.Errorf("read from peer: %w", err)
		}
		switch t {
		case frameConfirm:
			c, err := decodeConfirm(payload)
			if err != nil {
				return err
			}
			if err := f.confirmed(c); err != nil {
				return err
			}
		case frameAsk:
			q, err := decodeAsk(payload)
			if err != nil {
				return err
			}
			select {
			case questions <- q:
			case <-ctx.Done():
			default: // it asks faster than it may; it asks again
			}
		default:
			return fmt.Errorf("%w: type %d where a confirm is due", errFrame, t)
		}
	}
}

func (f *follower) confirmed(c confirm) error {
	st := f.s.cfg.Store
	if c.Applied > st.Log().Written() || c.Durable > c.Applied {
		return fmt.Errorf("%w: peer confirms position %d, %d durable, the log ends at %d", errFrame, c.Applied, c.Durable, st.Log().Written())
	}
	f.mu.Lock()
	f.status.Applied, f.status.Durable = c.Applied, c.Durable
	f.status.DriftMs = c.Wall - st.Now()
	f.mu.Unlock()
	err := f.tell(func(st *store.Store) {
		if c.Whole {
			st.Confirm(f.node, c.Applied)
		}
	})
	if err != nil {
		return err
	}
	st.Retain(f.node, c.Durable)
	if c.Promised != 0 {
		st.HearPromise(f.node, f.life, c.Promised, c.End)
	}
	return nil
}
