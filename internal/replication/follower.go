package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

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
	DriftMs   int64  `json:"drift_ms"`        // its clock ahead of this one
	Snapshots int64  `json:"snapshots"`       // sent on this connection
	SentBytes int64  `json:"sent_bytes"`      // of frames
	WireBytes int64  `json:"wire_bytes"`      // that took on the wire: packed, and with what TLS adds
	Link      string `json:"link"`            // how the connection is protected and packed
	Admin     string `json:"admin,omitempty"` // where its admin port can be reached from here; empty: not known
}

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

var errNothingYet = errors.New("nothing there yet")
