package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// follow is one link.
func (p *Puller) follow(ctx context.Context) error {
	p.following.Lock()
	defer p.following.Unlock()
	raw, err := p.cfg.Dial(ctx, p.cfg.Addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	p.mu.Lock()
	p.conn = raw
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn, err := p.secure(raw)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(p.cfg.PeerTimeout))
	alive := &aliveConn{Conn: conn}
	frames := newFrameReader(alive)
	w, err := p.introduce(conn, frames)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Time{})
	alive.timeout = p.cfg.PeerTimeout

	// Signs of life go out beside the applying: a large batch must not look like silence.
	var sendMu sync.Mutex
	beat := make(chan struct{})
	defer close(beat)
	go func() {
		tick := time.NewTicker(beatWithin(p.cfg.PeerTimeout))
		defer tick.Stop()
		for {
			select {
			case <-beat:
				return
			case <-p.hurry:
			case <-tick.C:
			}
			if p.confirm(conn, &sendMu, true) != nil {
				conn.Close()
				return
			}
		}
	}()
	if err := p.confirm(conn, &sendMu, false); err != nil {
		return err
	}
	defer p.note(true)
	var recs []record.Record
	for {
		t, payload, err := frames.next(maxFrame)
		if err != nil {
			return fmt.Errorf("read from peer: %w", err)
		}
		p.mu.Lock()
		p.heard = time.Now()
		p.mu.Unlock()
		if recs, err = p.take(t, payload, recs[:0]); err != nil {
			return err
		}
		if t != frameHeartbeat {
			if err := p.confirm(conn, &sendMu, false); err != nil {
				return err
			}
		}
		p.note(false)
		if w.Mode == "snapshot" && t == frameComplete {
			p.cfg.Logger.Info("snapshot is complete", "peer", p.Status().Node)
		}
	}
}

// introduce exchanges greeting, hello and welcome.
func (p *Puller) introduce(conn net.Conn, frames *frameReader) (*welcome, error) {
	var g greeting
	if err := frames.expect(frameGreeting, &g); err != nil {
		return nil, fmt.Errorf("read greeting: %w", err)
	}
	st := p.cfg.Store
	switch {
	case g.Protocol != protocolName:
		return nil, &RefusedError{Reason: "this is no peer port"}
	case g.Version != protocolVersion:
		return nil, &RefusedError{Reason: fmt.Sprintf("peer speaks protocol version %d, this node %d: run the same release on both", g.Version, protocolVersion)}
	case g.Node == p.cfg.Node && p.cfg.Process != 0 && g.Process == p.cfg.Process:
		return nil, &RefusedError{Self: true, Reason: "this is the node itself"}
	case g.Node == p.cfg.Node:
		return nil, &RefusedError{SameNode: true, Reason: fmt.Sprintf("both nodes have the id %d: start one of them with another --node and an empty data folder", g.Node)}
	}
	if reason := stranger(st, g.Node, g.Items); reason != "" {
		return nil, &RefusedError{Reason: reason}
	}
	items := st.Items()
	if err := st.Expect(g.Node, p.addrOf(g.Node)); err != nil {
		return nil, err
	}
	p.load(g.Node)
	if st.Log().Hole() && p.part < 0 {
		p.pos = ulog.Position{} // everything, for nothing that is here is surely the newest
	}
	h := hello{Version: protocolVersion, Node: p.cfg.Node, Life: st.Log().Identity(), Position: p.pos, Partial: p.part, Own: st.Log().Origin(p.cfg.Node),
		Horizon: p.copied, Addr: p.cfg.Advertise, Items: items, Admin: p.cfg.Admin}
	if above, open := st.Gap(g.Node); open {
		h.Own = above
	} else if p.part >= 0 {
		h.Own = math.MaxUint64 // what is missing comes with the rest of the snapshot
	}
	if _, err := conn.Write(appendJSON(nil, frameHello, h)); err != nil {
		return nil, fmt.Errorf("send hello: %w", err)
	}
	var w welcome
	if err := frames.expect(frameWelcome, &w); err != nil {
		return nil, fmt.Errorf("read welcome: %w", err)
	}
	if w.Mode == "stream" && w.Lost {
		// The first of the lost writes would hide the others, should the link end between.
		if err := st.OpenGap(g.Node, h.Own); err != nil {
			return nil, err
		}
	}
	// A node that lost its newest stamps must not issue them again.
	if err := st.Clock().Observe(w.Held); err != nil {
		return nil, err
	}
	if w.Held > st.Log().Origin(p.cfg.Node) { // and not after a restart either, should that come before they are given back
		if err := st.Promise(w.Held); err != nil {
			return nil, err
		}
		st.Log().Flush()
	}
	if err := st.HearHorizon(max(w.Born, w.Horizon)); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.heard = time.Now()
	away := p.lastLink
	if w.Start.Life != p.pos.Life || w.Start.Seq != p.pos.Seq { // marks so far speak of another stretch of another log
		p.durable, p.pending = 0, nil
	}
	p.audit = audit{diff: p.audit.diff, done: p.audit.done, id: p.audit.id}
	p.horizon, p.proposal, p.awaited, p.vector, p.seen = w.Horizon, 0, 0, w.Vector, store.Seen{}
	if w.Mode == "snapshot" {
		p.part, p.copied = w.Part, w.Horizon
		p.cfg.Logger.Info("receiving a snapshot from the peer", "peer", g.Node, "reason", w.Reason, "part", w.Part)
	} else {
		p.part = -1
		p.cfg.Logger.Info("following the peer", "peer", g.Node, "seq", p.pos.Seq, "end", w.End)
	}
	p.pos = w.Start
	p.pos.Life = g.Life  // an earlier life of the log led to the present one
	p.joined = notJoined // until the first heartbeat
	p.outcast = ""
	p.goal, p.linked, p.lost = w.End, true, w.Mode == "stream" && w.Lost
	p.status.State, p.status.Reason, p.status.Node = w.Mode, w.Reason, g.Node
	p.status.End, p.status.PeerReady, p.status.DriftMs = w.End, w.Ready, w.Wall-st.Now()
	p.status.Links++
	p.status.CaughtUp = false
	p.settleLocked()
	p.mu.Unlock()
	if w.Mode == "stream" && !w.Lost {
		if err := st.CloseGap(g.Node); err != nil {
			return nil, err
		}
	}
	st.HearWall(g.Node, w.Wall)
	if w.Ready && !away.IsZero() && time.Since(away) > p.cfg.PeerTimeout && p.cfg.Returned != nil {
		p.cfg.Returned()
	}
	return &w, nil
}

// take handles one frame.
func (p *Puller) take(t frameType, payload []byte, recs []record.Record) ([]record.Record, error) {
	switch t {
	case frameBatch, frameChunk, frameMend:
		seq, crc, recs, err := decodeRecords(payload, recs)
		if err != nil {
			return recs, err
		}
		if t == frameMend {
			return recs, p.applied(p.mend(seq, recs, crc == 1))
		}
		feed := store.Feed{}
		if t == frameBatch {
			feed.Stream = p.Status().Node
		}
		changed, err := p.cfg.Store.Apply(recs, feed)
		if err == nil && t == frameChunk {
			var removed int
			removed, err = p.removeForgotten(recs, seq)
			changed += removed
		}
		p.cfg.Store.Log().Flush()
		p.cfg.Store.Flush()
		p.mu.Lock()
		p.unmarked += changed
		p.status.Records += int64(len(recs))
		p.status.Changed += int64(changed)
		p.mu.Unlock()
		if err := p.applied(err); err != nil {
			return recs, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		// Behind the goal only the end of the peer's solo time is missing. Under a load that this node cannot confirm in time
		// that never comes, so what flows then is no progress.
		nearer := p.part >= 0 || p.lost || p.pos.Seq < p.goal
		if t == frameBatch {
			p.pos.Seq, p.pos.CRC = seq, crc
			p.status.End = max(p.status.End, seq)
			if len(recs) > 0 {
				p.moved = time.Now()
			}
		} else if p.part >= 0 { // a chunk beside a stream has no progress of its own
			p.part = int(min(seq, store.ScanParts))
		}
		if nearer {
			p.progress = time.Now()
		}
		p.settleLocked()
		return recs, nil
	case frameDigest:
		return recs, p.compare(payload)
	case frameComplete:
		return recs, p.complete()
	case frameHeartbeat:
		h, err := decodeHeartbeat(payload)
		if err != nil {
			return recs, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.status.End = max(h.End, p.pos.Seq)
		p.status.PeerReady, p.status.DriftMs = h.Ready, h.Wall-p.cfg.Store.Now()
		p.joined, p.horizon, p.proposal, p.awaited = h.Joined, h.Horizon, h.Proposal, h.Awaited
		p.settleLocked()
		p.cfg.Store.HearWall(p.status.Node, h.Wall)
		if err := p.cfg.Store.HearHorizon(h.Horizon); err != nil {
			return recs, err
		}
		return recs, p.cfg.Store.Promise(h.Proposal)
	case frameBye:
		return recs, errors.New("peer is draining")
	}
	return recs, fmt.Errorf("%w: type %d", errFrame, t)
}

// applied notes why records could not be applied, or that they are written: a confirmed position must be.
func (p *Puller) applied(err error) error {
	what := "apply"
	if err == nil {
		what, err = "write", p.cfg.Store.Log().Failed()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil || !errors.As(err, new(*hlc.DriftError)) {
		p.stuck = err
	}
	if err != nil {
		return fmt.Errorf("%s what the peer sent: %w", what, err)
	}
	return nil
}

// removeForgotten removes, in the parts of a snapshot that are complete up to the given one, what the source has forgotten.
func (p *Puller) removeForgotten(recs []record.Record, complete uint64) (removed int, err error) {
	p.mu.Lock()
	part, horizon, seen := p.part, p.copied, p.seen
	p.mu.Unlock()
	if part < 0 || horizon == 0 {
		return 0, nil
	}
	st := p.cfg.Store
	st.See(seen, recs)
	end := int(min(complete, store.ScanParts))
	for ; part < end; part++ {
		n, err := st.RemoveUnseen(part, seen, horizon, nil)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	maps.DeleteFunc(seen, func(h uint64, _ struct{}) bool { return store.PartOf(h) < end })
	return removed, nil
}

// complete ends a snapshot, or the records that this node had lost.
func (p *Puller) complete() error {
	st := p.cfg.Store
	p.mu.Lock()
	node, whole, horizon, vector := p.status.Node, p.part >= 0, p.copied, p.vector
	p.mu.Unlock()
	if err := st.CloseGap(node); err != nil {
		return err
	}
	if whole {
		if err := st.Log().CloseHole(); err != nil {
			return err
		}
		if err := st.AdoptHorizon(horizon); err != nil {
			return err
		}
		for n, at := range vector {
			if n >= 1 && n <= hlc.MaxNode && n != p.cfg.Node {
				st.Cover(n, at)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if whole {
		p.status.Snapshots++
	}
	p.part, p.lost, p.progress, p.copied, p.seen = -1, false, time.Now(), 0, nil
	p.status.State, p.status.Reason = "stream", ""
	p.unmarked++ // worth a note
	p.markedAt = time.Time{}
	p.settleLocked()
	return nil
}

// confirm tells the source how far this node is, and with questions what it wants to know.
func (p *Puller) confirm(conn net.Conn, sendMu *sync.Mutex, questions bool) error {
	sendMu.Lock()
	defer sendMu.Unlock()
	log := p.cfg.Store.Log()
	safe := log.Written()
	if p.cfg.Durable {
		safe = log.Durable()
	}
	p.mu.Lock()
	for len(p.pending) > 0 && p.pending[0].own <= safe {
		p.durable = p.pending[0].pos
		p.pending = p.pending[1:]
	}
	c := confirm{Applied: p.pos.Seq, Durable: min(p.durable, p.pos.Seq), Wall: p.cfg.Store.Now(), Whole: p.part < 0}
	if p.part >= 0 {
		c.Durable = 0
	}
	proposed := p.proposal != 0
	p.mu.Unlock()
	if proposed {
		c.Promised, c.End = p.cfg.Store.Promised()
	}
	b := appendFrame(nil, frameConfirm, c.append(nil))
	if questions {
		if q, due := p.inquire(); due {
			b = appendJSON(b, frameAsk, q)
		}
	}
	conn.SetWriteDeadline(time.Now().Add(p.cfg.PeerTimeout))
	if _, err := conn.Write(b); err != nil {
		return fmt.Errorf("confirm to peer: %w", err)
	}
	return nil
}
