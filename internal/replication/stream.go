package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
)

// heartbeatEvery is the pace of signs of life in both directions.
const heartbeatEvery = time.Second

// beatWithin is that pace where a peer counts as gone after a silence of the given length.
func beatWithin(silence time.Duration) time.Duration { return min(heartbeatEvery, silence/3) }

// joinEvery is the source's pace while it is solo: the follower waits for the end of that before it serves.
const joinEvery = 20 * time.Millisecond

// stream sends what the log holds behind the reader and then whatever is written, without what the follower wrote itself:
// it has that, and what it lost of it comes with the scan that runs beside.
func (f *follower) stream(ctx context.Context, reader *ulog.Reader) error {
	st := f.s.cfg.Store
	rise := make(chan struct{}, 1)
	cancel := st.OnRise(func() {
		select {
		case rise <- struct{}{}:
		default:
		}
	})
	defer cancel()
	beat := time.NewTimer(0)
	defer beat.Stop()
	sign := func() error {
		pause, err := f.beat()
		beat.Reset(pause)
		return err
	}
	buf := make([]byte, batchHeader, batchBytes+64<<10)
	for {
		if st.Horizon() > f.told {
			if err := sign(); err != nil {
				return err
			}
		}
		buf = buf[:batchHeader]
		var last ulog.Entry
		for len(buf) < batchBytes {
			e, ok := reader.Next()
			if !ok {
				break
			}
			last.Seq, last.CRC = e.Seq, e.CRC
			if !f.wrote(e.Raw) {
				buf = appendRecord(buf, e.Raw)
			}
		}
		select {
		case <-beat.C:
			if err := sign(); err != nil {
				return err
			}
		default:
		}
		if last.Seq != 0 {
			putBatchHeader(buf, last.Seq, last.CRC)
			if err := f.send(appendFrame(nil, frameBatch, buf)); err != nil {
				return err
			}
			if cap(buf) > 4*batchBytes {
				buf = make([]byte, batchHeader, batchBytes+64<<10)
			}
			continue
		}
		if reader.Gone() {
			return fmt.Errorf("%w: peer was too slow for the retained log", ulog.ErrGone)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-rise:
		case <-beat.C:
			if err := sign(); err != nil {
				return err
			}
		}
	}
}

// beat sends a sign of life and returns when the next is due.
func (f *follower) beat() (pause time.Duration, err error) {
	st := f.s.cfg.Store
	f.told = st.Horizon()
	h, pause := heartbeat{End: st.Log().Written(), Wall: st.Now(), Ready: f.s.cfg.Ready(), Horizon: st.Authority()}, beatWithin(f.s.cfg.PeerTimeout)
	h.Proposal, h.Awaited = st.Proposal()
	var joined bool
	if h.Joined, joined = st.Joined(); !joined {
		h.Joined, pause = notJoined, joinEvery
	}
	return pause, f.send(appendFrame(nil, frameHeartbeat, h.append(nil)))
}

// wrote reports whether an entry needs no sending: it is a note of this log, or all of it comes from the follower.
func (f *follower) wrote(raw record.Raw) bool {
	switch raw.Kind() {
	case record.Mark:
		return true
	case record.Counter:
		var r record.Record
		raw.Into(&r)
		all := true
		r.Stamps(func(s hlc.Stamp) { all = all && s.Node() == f.node })
		return all
	}
	return raw.Stamp().Node() == f.node
}

// snapshot sends the records of every part from one on, tombstones, floors and members included, then says that it is complete.
// The caller is between BeginScan and EndScan. When it is not whole it sends only records that contain a stamp of the follower's origin above the given one.
func (f *follower) snapshot(ctx context.Context, part int, whole bool, above hlc.Stamp) error {
	st := f.s.cfg.Store
	if whole {
		f.mu.Lock()
		f.status.Snapshots++
		f.mu.Unlock()
	}
	buf := make([]byte, batchHeader, batchBytes+64<<10)
	for _, r := range st.Preface() {
		buf = appendRecord(buf, r.Append(nil))
	}
	var failed error
	send := func(complete int) bool {
		if ctx.Err() != nil {
			failed = ctx.Err()
			return false
		}
		if len(buf) > batchHeader || whole {
			putBatchHeader(buf, uint64(complete), 0)
			if failed = f.s.copyPace.wait(ctx, len(buf)); failed == nil {
				failed = f.send(appendFrame(nil, frameChunk, buf))
			}
		}
		buf = buf[:batchHeader]
		if cap(buf) > 4*batchBytes {
			buf = make([]byte, batchHeader, batchBytes+64<<10)
		}
		return failed == nil
	}
	took := time.Now()
	for ; part < store.ScanParts; part++ {
		ok := st.ScanPart(part, func(r *record.Record) bool {
			if whole || f.needs(r, above) {
				buf = appendRecord(buf, r.Append(nil))
			}
			return len(buf) >= batchBytes
		}, func() bool { return len(buf) < batchBytes || send(part) })
		if !ok {
			return failed
		}
		// Small parts go together; the count says what is complete with the frame.
		if len(buf) >= batchBytes/4 || part == store.ScanParts-1 {
			if !send(part + 1) {
				return failed
			}
		}
		f.mu.Lock()
		f.status.Part = part + 1
		f.mu.Unlock()
	}
	if err := f.send(appendFrame(nil, frameComplete, nil)); err != nil || !whole {
		return err
	}
	f.s.cfg.Logger.Info("snapshot sent", "peer", f.node, "took", time.Since(took).Round(time.Millisecond))
	f.mu.Lock()
	f.status.State, f.status.Reason = "stream", ""
	f.mu.Unlock()
	return nil
}

// needs reports whether the follower lost something in r: a stamp of its own origin above what it has.
func (f *follower) needs(r *record.Record, above hlc.Stamp) bool {
	lost := false
	r.Stamps(func(s hlc.Stamp) { lost = lost || s.Node() == f.node && s > above })
	return lost
}
