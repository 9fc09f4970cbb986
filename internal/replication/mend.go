package replication

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

// A follower compares what it holds with the source while both are idle, and asks for the records of what is unequal. They
// pass the merge like all others. It also asks for single records that it can no longer read.

// ask is a question of a follower.
type ask struct {
	ID     uint64            `json:"id"`
	Digest bool              `json:"digest,omitempty"` // what the source holds, in sums
	Ranges []int             `json:"ranges,omitempty"` // records that never expire, of these ranges of keys
	Hours  []store.HourGroup `json:"hours,omitempty"`  // records that expire then
}

// Limits of one question; what is left comes with the next.
const (
	maxAskRanges = 1024
	maxAskHours  = 512
)

// digestReply answers a question for the digest.
type digestReply struct {
	ID      uint64        `json:"id"`
	Still   bool          `json:"still"`   // nothing changed while the digest was taken
	End     uint64        `json:"end"`     // of the source's log then
	Applied uint64        `json:"applied"` // position in the follower's log that the source held then
	Digest  *store.Digest `json:"digest"`  // absent while it is being built
}

// answer answers one question.
func (f *follower) answer(ctx context.Context, q ask) error {
	st := f.s.cfg.Store
	if q.Digest {
		end := st.Log().Last()
		_, held := st.Held(f.node)
		d, _ := st.Digest()
		_, after := st.Held(f.node)
		r := digestReply{ID: q.ID, End: end, Applied: held, Digest: d, Still: st.Log().Last() == end && after == held}
		return f.send(appendJSON(nil, frameDigest, r))
	}
	buf := newMend(q.ID)
	diff := store.Difference{Ranges: q.Ranges, Hours: q.Hours}
	parts := diff.Parts()
	st.BeginScan()
	defer st.EndScan()
	var failed error
	for _, part := range parts {
		ok := st.ScanPart(part, func(r *record.Record) bool {
			if diff.Touches(r.Key) {
				buf = appendRecord(buf, r.Append(nil))
			}
			return len(buf) >= batchBytes
		}, func() bool {
			if failed = ctx.Err(); failed == nil && len(buf) >= batchBytes {
				failed = f.sendMend(buf, false)
				buf = newMend(q.ID)
			}
			return failed == nil
		})
		if !ok {
			return failed
		}
	}
	return f.sendMend(buf, true)
}

func newMend(id uint64) []byte {
	b := make([]byte, batchHeader)
	putBatchHeader(b, id, 0)
	return b
}

func (f *follower) sendMend(b []byte, last bool) error {
	if last {
		b[8] = 1
	}
	return f.send(appendFrame(nil, frameMend, b))
}

// decodeAsk checks a question.
func decodeAsk(b []byte) (q ask, err error) {
	if err := json.Unmarshal(b, &q); err != nil {
		return q, fmt.Errorf("%w: %w", errFrame, err)
	}
	bad := len(q.Ranges) > maxAskRanges || len(q.Hours) > maxAskHours
	for _, r := range q.Ranges {
		bad = bad || r < 0 || r >= store.Ranges
	}
	for _, h := range q.Hours {
		bad = bad || h.Group < 0 || h.Group >= store.Groups
	}
	if bad {
		return q, fmt.Errorf("%w: a question out of its limits", errFrame)
	}
	return q, nil
}

// audit is the comparison that a puller makes, under its mutex.
type audit struct {
	id      uint64           // of the last question
	asked   time.Time        // zero: no answer is due
	last    uint64           // end of the own log when the digest was asked for
	diff    store.Difference // whose records are to be asked for
	want    store.Difference // of it: whose records are coming
	seen    store.Seen
	horizon hlc.Stamp // of the source when they were asked for
	done    time.Time // of the last comparison
}

const (
	// idleFor is how long nothing must have come before nodes are compared.
	idleFor = 2 * time.Second
	// answerWithin is when a question is asked anew.
	answerWithin = time.Minute
)

// inquire returns the question that is due now, if any.
func (p *Puller) inquire() (q ask, due bool) {
	st := p.cfg.Store
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &p.audit
	if !a.asked.IsZero() && time.Since(a.asked) < answerWithin || p.part >= 0 || !p.linked {
		return q, false
	}
	q.ID = a.id + 1
	switch {
	case !a.diff.Empty():
		n, m := min(len(a.diff.Ranges), maxAskRanges), min(len(a.diff.Hours), maxAskHours)
		q.Ranges, q.Hours = a.diff.Ranges[:n:n], a.diff.Hours[:m:m]
		a.want, a.seen, a.horizon = store.Difference{Ranges: q.Ranges, Hours: q.Hours}, store.Seen{}, p.horizon
	case p.status.CaughtUp && time.Since(p.moved) >= idleFor && time.Since(a.done) >= p.cfg.VerifyEvery:
		q.Digest, a.last = true, st.Log().Last()
	default:
		return q, false
	}
	a.id, a.asked = q.ID, time.Now()
	return q, true
}

// Mend asks the peer for all records of a part of the store, of which some cannot be read here.
func (p *Puller) Mend(part int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	const per = store.Ranges / store.ScanParts
	for i := range per {
		if r := part*per + i; !slices.Contains(p.audit.diff.Ranges, r) {
			p.audit.diff.Ranges = append(p.audit.diff.Ranges, r)
		}
	}
	p.hurryLocked()
}

// Verify makes the comparison with the peer due now: it is made as soon as nothing has come for idleFor.
func (p *Puller) Verify() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.audit.done = time.Time{}
	p.hurryLocked()
}

// hurryLocked looks at once whether a question is due.
func (p *Puller) hurryLocked() {
	select {
	case p.hurry <- struct{}{}:
	default:
	}
}

// compare takes the answer to a question for the digest.
func (p *Puller) compare(payload []byte) error {
	var r digestReply
	if err := json.Unmarshal(payload, &r); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	st := p.cfg.Store
	own, built := st.Digest()
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &p.audit
	if r.ID != a.id {
		return nil
	}
	a.asked = time.Time{}
	last := st.Log().Last()
	if !r.Still || r.Digest == nil || !built || last != a.last || r.End != p.pos.Seq || r.Applied != last || !own.Comparable(r.Digest) {
		return nil // something moved: another time
	}
	diff := own.Compare(r.Digest)
	a.done, p.status.Verified = time.Now(), p.cfg.Store.Clock().Wall()
	p.status.Equal = new(diff.Empty())
	p.status.Unequal = len(diff.Ranges) + len(diff.Hours)
	if diff.Empty() {
		return nil
	}
	p.status.Repairs++
	p.cfg.Logger.Warn("this node and the peer differ, asking for the records", "peer", p.status.Node, "ranges", len(diff.Ranges), "hours", len(diff.Hours))
	a.diff.Ranges, a.diff.Hours = append(a.diff.Ranges, diff.Ranges...), append(a.diff.Hours, diff.Hours...)
	a.done = time.Time{} // compare again right after
	return nil
}

// mend takes records that were asked for.
func (p *Puller) mend(id uint64, recs []record.Record, last bool) error {
	changed, err := p.cfg.Store.Apply(recs, store.Feed{})
	p.mu.Lock()
	p.unmarked += changed
	p.status.Mended += int64(changed)
	mine := id == p.audit.id
	want, seen, horizon := p.audit.want, p.audit.seen, p.audit.horizon
	p.mu.Unlock()
	if err != nil || !mine {
		return err
	}
	if seen != nil {
		p.cfg.Store.See(seen, recs)
	}
	if !last {
		return nil
	}
	if seen != nil {
		for _, part := range want.Parts() {
			n, err := p.cfg.Store.RemoveUnseen(part, seen, horizon, func(r *record.Record) bool { return want.Touches(r.Key) })
			if err != nil {
				return err
			}
			changed += n
			p.cfg.Store.Mended(part)
		}
	}
	p.cfg.Store.Log().Flush()
	p.cfg.Store.Flush()
	p.mu.Lock()
	defer p.mu.Unlock()
	a := &p.audit
	a.asked = time.Time{}
	if seen != nil {
		a.diff.Ranges, a.diff.Hours = a.diff.Ranges[len(want.Ranges):], a.diff.Hours[len(want.Hours):]
		a.want, a.seen = store.Difference{}, nil
	}
	return nil
}
