package replication

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// PullerConfig of a Puller. Store, Node and Addr are required.
type PullerConfig struct {
	Store       *store.Store
	Node        int
	Addr        string        // peer port of the other node
	Advertise   string        // peer port of this node, for the other one; without a host: at the address that it comes from
	Admin       string        // admin port of this node, likewise; "" is none
	VerifyEvery time.Duration // how often nodes compare what they hold while they are idle; default 30 s
	PeerTimeout time.Duration // silence after which the peer is gone; default 3 s
	// Durable makes the position that is confirmed as durable wait for a sync; false where nothing is ever synced.
	Durable bool
	// Returned is called after a link came back that was down for longer than PeerTimeout while the peer served clients:
	// this node may be behind.
	Returned func()
	Changed  func() // called, holding a lock, when CaughtUp or Twin may answer differently; must not block; nil: nobody asks
	Process  uint64 // a random number of this process: a source with the same one is this node itself
	Link     *Link  // how the connection is protected and packed; nil: plain TCP
	Logger   *slog.Logger
	Dial     func(ctx context.Context, addr string) (net.Conn, error) // nil: TCP
}

// Puller follows the log of one peer and applies it.
type Puller struct {
	cfg    PullerConfig
	cancel context.CancelFunc
	done   chan struct{}

	following sync.Mutex // held for as long as one link lasts

	mu     sync.Mutex
	status PullStatus
	pos    ulog.Position
	part   int // parts of an unfinished snapshot that are applied, -1: none is unfinished

	goal     uint64 // position that means caught up, of the present link
	joined   uint64 // the same: the source acknowledges nothing behind it without this node
	linked   bool   // welcome was read on the present link
	lost     bool   // own writes that this node lost are still coming
	progress time.Time
	behind   time.Time // since when the end of the peer's log is not reached; zero: it is
	conn     net.Conn

	durable  uint64            // position that a durable mark holds
	pending  []markedSeq       // marks that are not durable yet
	horizon  hlc.Stamp         // of the source, as last heard
	proposal hlc.Stamp         // of the source, 0 = none
	awaited  uint64            // position that the source waits for this node to hold durably, 0 = none
	copied   hlc.Stamp         // horizon of the source when the unfinished snapshot began
	vector   map[int]hlc.Stamp // of the source, when the link began
	seen     store.Seen        // of the parts of a snapshot that are not complete
	audit    audit
	moved    time.Time // last time that records came in the stream
	hurry    chan struct{}

	unmarked int       // changes since the last mark
	markedAt time.Time // of the last mark
	markSeq  uint64    // position of the last mark
	stuck    error     // why what the peer sends cannot be applied, nil: it can
	heard    time.Time // last sign of life of the peer
	lastLink time.Time // the same, of the last link that ended
	twin     *RefusedError
	self     bool   // the address is this node's own
	outcast  string // why the mesh does not take this node with the data that it has, "": it does, as far as is known
}

type markedSeq struct{ own, pos uint64 }

// PullStatus describes the link to the peer.
type PullStatus struct {
	Addr       string  `json:"addr"`
	Node       int     `json:"node"`  // of the peer, 0 until it spoke
	State      string  `json:"state"` // connecting, snapshot, stream, clock, refused, stopped
	Reason     string  `json:"reason,omitempty"`
	Link       string  `json:"link,omitempty"` // how the connection is protected and packed, as it was last
	Applied    uint64  `json:"applied_seq"`    // position in the peer's log
	End        uint64  `json:"end_seq"`        // of the peer's log, as last heard
	LagEntries uint64  `json:"lag_entries"`
	LagSeconds float64 `json:"lag_seconds"` // since this node last held everything, as far as it knows: it grows without a link
	CaughtUp   bool    `json:"caught_up"`   // holds what the peer had when the present link came up
	PeerReady  bool    `json:"peer_ready"`
	DriftMs    int64   `json:"drift_ms"` // the peer's clock ahead of this one
	Part       int     `json:"snapshot_part"`
	Parts      int     `json:"snapshot_parts"`
	Records    int64   `json:"records"`   // received
	Changed    int64   `json:"changed"`   // that changed something here
	Links      int64   `json:"links"`     // established since the start
	Snapshots  int64   `json:"snapshots"` // completed

	Verified time.Time `json:"verified,omitzero"` // last time that this node and the peer were compared; absent: not yet
	Equal    *bool     `json:"equal,omitempty"`   // what that found; nil: not yet compared
	Unequal  int       `json:"unequal_ranges"`    // ranges that it found unequal
	Repairs  int64     `json:"repairs"`           // comparisons after which records were asked for
	Mended   int64     `json:"mended_records"`    // that came then and changed something here
}

// FoundEqual reports whether there was a comparison, and the last one found nothing.
func (s PullStatus) FoundEqual() bool { return s.Equal != nil && *s.Equal }

// NewPuller returns a puller; Start begins to follow.
func NewPuller(cfg PullerConfig) *Puller {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.PeerTimeout <= 0 {
		cfg.PeerTimeout = 3 * time.Second
	}
	if cfg.Dial == nil {
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: cfg.PeerTimeout}
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	if cfg.VerifyEvery <= 0 {
		cfg.VerifyEvery = 30 * time.Second
	}
	p := &Puller{cfg: cfg, done: make(chan struct{}), progress: time.Now(), part: -1, hurry: make(chan struct{}, 1)}
	p.status = PullStatus{Addr: cfg.Addr, State: "connecting", Parts: store.ScanParts}
	return p
}

// Start follows the peer until Stop.
func (p *Puller) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.done)
		p.run(ctx)
	}()
}

// Stop ends the link and notes the position.
func (p *Puller) Stop() {
	p.cancel()
	p.Drop()
	<-p.done
}

// Drop ends the present link; the puller connects anew, and is not caught up until it has.
func (p *Puller) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.linked = false
	p.status.CaughtUp = false
	if p.conn != nil {
		p.conn.Close()
	}
}

// Cut ends the present link and returns when nothing of it is applied any more.
func (p *Puller) Cut() {
	p.Drop()
	p.following.Lock()
	//lint:ignore SA2001 passing the lock is the point
	p.following.Unlock()
}

// Status describes the link.
func (p *Puller) Status() PullStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.status
	st.Applied = p.pos.Seq
	st.LagEntries = st.End - min(st.End, st.Applied)
	if !p.behind.IsZero() {
		st.LagSeconds = time.Since(p.behind).Seconds()
	}
	st.Part = max(p.part, 0)
	return st
}

// CaughtUp reports whether this node holds what the peer had when the link came up and what the peer acknowledged alone
// since, else since when it came no nearer to that.
func (p *Puller) CaughtUp() (ok bool, still time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status.CaughtUp, time.Since(p.progress)
}

// Stuck returns why what the peer sends cannot be applied, nil when it can.
func (p *Puller) Stuck() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stuck
}

// Twin returns the refusal of a peer that has this node's own id, nil when none was met.
func (p *Puller) Twin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.twin == nil {
		return nil
	}
	return p.twin
}

// Outcast returns why the mesh does not take this node with the data that it has, "" while it does, as far as the peer said.
func (p *Puller) Outcast() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcast
}

// Self reports whether the address turned out to be this node's own.
func (p *Puller) Self() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.self
}

func (p *Puller) tellLocked() {
	if p.cfg.Changed != nil {
		p.cfg.Changed()
	}
}

// retryEvery is the pause between attempts to connect.
const retryEvery = 100 * time.Millisecond

func (p *Puller) run(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		err := p.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		pause := retryEvery
		p.mu.Lock()
		was := p.linked
		p.linked, p.conn = false, nil
		p.status.State, p.status.Reason = "connecting", err.Error()
		p.status.CaughtUp = false
		if was {
			p.lastLink = p.heard
			if p.behind.IsZero() {
				p.behind = p.heard
			}
		} else {
			p.stuck = nil // whether it still could not be applied is not known before the peer is back
		}
		var drift *hlc.DriftError
		var no *RefusedError
		switch {
		case errors.As(err, &drift):
			p.status.State, pause = "clock", heartbeatEvery
		case errors.As(err, &no):
			p.status.State, pause = "refused", heartbeatEvery
			p.self = no.Self
			if no.Outcast {
				p.outcast = no.Reason
			}
			if no.SameNode {
				p.twin = no
			}
			p.tellLocked()
		case p.stuck != nil:
			pause = heartbeatEvery
		}
		p.mu.Unlock()
		if text := p.state() + err.Error(); text != said {
			said = text
			p.cfg.Logger.Info("peer is not followed", "remote", p.cfg.Addr, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	p.note(true)
	p.mu.Lock()
	p.status.State = "stopped"
	p.mu.Unlock()
}

func (p *Puller) state() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status.State
}

// load reads what the store remembers of the peer, once.
func (p *Puller) load(node int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status.Node == node {
		return
	}
	p.status.Node, p.pos, p.part = node, ulog.Position{}, -1
	m, ok, err := p.cfg.Store.Followed(node)
	if err != nil {
		p.cfg.Logger.Warn("noted position of the peer is unreadable, asking for a snapshot", "peer", node, "err", err)
	}
	if !ok {
		return
	}
	p.pos, p.part, p.copied = m.Position, m.Part, m.Horizon
	p.durable, p.markSeq = m.Position.Seq, m.Position.Seq
}

// addrOf is the address under which the mesh may know the peer, as far as that is news.
func (p *Puller) addrOf(node int) string {
	if m, ok := p.cfg.Store.Member(node); ok && m.Addr != "" {
		return ""
	}
	return p.cfg.Addr
}

// settleLocked works out what the position means.
func (p *Puller) settleLocked() {
	if p.pos.Seq >= p.status.End && p.part < 0 {
		p.behind = time.Time{}
	} else if p.behind.IsZero() {
		p.behind = time.Now()
	}
	if p.linked && p.part < 0 && !p.lost {
		p.cfg.Store.Holds(p.status.Node, p.pos.Life, p.pos.Seq)
	} else {
		p.cfg.Store.HoldsNothing(p.status.Node)
	}
	if p.linked && !p.status.CaughtUp && p.part < 0 && !p.lost && p.pos.Seq >= p.goal && p.pos.Seq >= p.joined {
		p.status.CaughtUp = true
		p.tellLocked()
	}
}

const (
	// noteEvery is the least time between two notes of the position.
	noteEvery = 200 * time.Millisecond
	// noteSkipped is how many entries without a change are passed before the position is noted all the same, and
	// noteSkippedEvery the least time. Without such a bound the peer keeps its log for us, of which any entry may be large,
	// and in the end gives it up; without such a distance two idle nodes would answer note with note.
	noteSkipped      = 16
	noteSkippedEvery = time.Second
)

// note writes the position to this node's own log, behind what it covers.
func (p *Puller) note(force bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.unmarked > 0 && (force || time.Since(p.markedAt) >= noteEvery) ||
		p.pos.Seq >= p.markSeq+noteSkipped && (force || time.Since(p.markedAt) >= noteSkippedEvery) ||
		p.markSeq < p.awaited && p.awaited <= p.pos.Seq
	if !due || p.status.Node == 0 {
		return
	}
	own, err := p.cfg.Store.SetFollowed(p.status.Node, store.Followed{Position: p.pos, Part: p.part, Horizon: p.copied})
	if err != nil {
		return // the store does not take writes; the position stays older, which is safe
	}
	p.cfg.Store.Log().Flush()
	p.pending = append(p.pending, markedSeq{own, p.pos.Seq})
	p.unmarked, p.markedAt, p.markSeq = 0, time.Now(), p.pos.Seq
}
