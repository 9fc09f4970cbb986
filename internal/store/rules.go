package store

import (
	"math"
	"strconv"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// The rules by which a record follows another, as pure functions: what a client's operation makes of the record that is
// there, and what becomes of a record that a peer sends. Everything that the store writes went through them.

// bounds are the stamps below which the past is settled.
type bounds struct {
	floor   hlc.Stamp // flush in force: generations below are dead
	horizon hlc.Stamp // deletes up to here may be forgotten on this node
	born    hlc.Stamp // at least horizon: deletes up to here may be forgotten on some node, so a creation comes after them
}

// present is what was found under a key.
type present struct {
	found  bool          // there is a record, live or not
	live   bool          // clients see it
	spoilt bool          // there is one that cannot be read
	loc    uint64        // of it
	rec    record.Record // in place
}

// living reports whether clients see the record at now, milliseconds since hlc.Epoch.
func living(r *record.Record, now int64, floor hlc.Stamp) bool {
	return r.Kind != record.Tombstone && !r.ExpiredAt(now) && !r.DeadBelow(floor)
}

// evaluate decides whether the operation applies to what is there.
func (req *Request) evaluate(p *present, maxValue int64) error {
	req.creates, req.stale = false, false
	if p.spoilt && (req.CAS != 0 || req.Op != Set && req.Op != Delete) {
		return ErrDamaged
	}
	switch req.Op {
	case Add:
		if p.live {
			return ErrExists
		}
		return nil
	case Set:
		if req.CAS == 0 {
			return nil
		}
	}
	if req.Op == AddDouble && math.IsNaN(req.Double) {
		return ErrNotNumeric
	}
	if !p.live && !p.spoilt {
		if req.creates = req.vivifies(); req.creates {
			return nil
		}
		return ErrNotFound
	}
	if (req.CAS != 0 || req.Op == CAS) && req.CAS != p.rec.Token() {
		if (req.Op == Incr || req.Op == Decr) && len(p.rec.Bytes(req.scratch[:0])) == 0 {
			return ErrNotNumeric // memcached looks at the unique before the digits, but after the length
		}
		if req.stale = req.Outdated && req.CAS < p.rec.Token(); !req.stale {
			return ErrConflict
		}
	}
	switch req.Op {
	case Append, Prepend, Shift:
		size := len(p.rec.Bytes(req.scratch[:0])) + len(req.Value)
		if req.Op == Shift {
			size = min(size, req.Width)
		}
		if int64(size) > maxValue {
			return ErrTooLarge
		}
	case AddInt:
		if _, ok := p.rec.Int32(); !ok {
			return ErrNotNumeric
		}
	case AddDouble:
		if v, ok := p.rec.Float64(); !ok || math.IsNaN(v+req.Double) {
			return ErrNotNumeric
		}
	case Incr, Decr:
		if _, ok := p.rec.Number(); !ok {
			return ErrNotNumeric
		}
	case Touch:
		if req.Claim && p.rec.Won {
			return ErrExists
		}
	}
	return nil
}

// vivifies reports operations that create an absent key.
func (req *Request) vivifies() bool {
	switch req.Op {
	case Incr, Decr, Append, Shift:
		return req.Create
	case AddInt, AddDouble:
		return true
	}
	return false
}

// keepsValue reports operations after which a record counts as read if it was read before, as in memcached. Touch is a read
// itself.
func (req *Request) keepsValue() bool {
	switch req.Op {
	case Touch, Incr, Decr, AddInt, AddDouble, Invalidate:
		return true
	}
	return false
}

// compose makes the record that follows, all but its stamp. A joined value is built in req.scratch.
func (req *Request) compose(p *present, b bounds) record.Record {
	next := record.Record{Kind: record.Value, Key: req.Key, Flags: req.Flags, Expires: req.Expires, Type: req.Type, Value: req.Value, Unique: req.Unique}
	if p.found {
		next.Replaced = p.rec.Stamp
	}
	if req.stale {
		next.Stale, next.Won, next.Expires = true, p.rec.Won, p.rec.Expires
	}
	if req.creates {
		next.Created, next.Replaced = true, b.absence(p)
	}
	switch req.Op {
	case Add:
		next.Created, next.Won, next.Replaced = true, req.Vivify, b.absence(p)
	case Invalidate:
		next.Stale = true
		if req.KeepExpires {
			next.Expires = p.rec.Expires
		}
		if next.Value = nil; !req.Remove {
			next.Flags, next.Type, next.Value = p.rec.Flags, p.rec.Type, p.rec.Bytes(req.scratch[:0])
		}
	case Incr, Decr:
		if req.creates {
			req.scratch = strconv.AppendUint(req.scratch[:0], req.Initial, 10)
			next.Value = req.scratch
		}
	case Append, Prepend, Shift:
		if !req.creates {
			next.Flags, next.Expires, next.Type = p.rec.Flags, p.rec.Expires, p.rec.Type
			req.join(&p.rec)
			next.Value = req.scratch
		}
	case Delete:
		next = record.Record{Kind: record.Tombstone, Key: req.Key, Replaced: p.rec.Stamp, Evicted: req.evicts}
	}
	return next
}

// sign gives the composed record its stamp, which arithmetic adds to what is there as a contribution of the author, and a
// touch only notes. res gets the number that clients see after arithmetic.
func (req *Request) sign(p *present, next record.Record, by record.Author, res *Result) record.Record {
	next.Stamp = by.Stamp
	cur := &p.rec
	switch req.Op {
	case Incr, Decr:
		if req.creates {
			res.Number = req.Initial
			return next
		}
		var number uint64
		next, number = record.Contribute(cur, by, req.Op == Incr, req.Delta, req.scratch)
		if req.Unique != 0 { // one token is one value: a sum that others may add to cannot have it
			next.Kind, next.Created, next.Unique = record.Value, false, req.Unique
			next.Value = strconv.AppendUint(next.Value[:0], number, 10)
		}
		if req.Retime {
			next.Expires = req.RetimeTo
		}
		res.Number = number
	case AddInt:
		if req.creates {
			zero := record.NewNumber(next, record.Int32)
			cur = &zero
		}
		next, res.Int = record.ContributeInt32(cur, by, req.Int, req.scratch)
	case AddDouble:
		if req.creates {
			zero := record.NewNumber(next, record.Float64)
			cur = &zero
		}
		next, res.Double = record.ContributeFloat64(cur, by, req.Double, req.scratch)
	case Touch:
		if req.KeepExpires {
			req.Expires = cur.Expires
		}
		next = record.Renew(cur, by.Stamp, req.Expires, req.scratch)
		next.Won = next.Won || req.Claim
	}
	next.Relayed = req.Relayed
	return next
}

// join puts the present value and the new one together in r.scratch.
func (req *Request) join(cur *record.Record) {
	switch req.Op {
	case Append:
		req.scratch = append(cur.AppendVisible(req.scratch[:0]), req.Value...)
	case Prepend:
		req.scratch = cur.AppendVisible(append(req.scratch[:0], req.Value...))
	case Shift:
		old, added := cur.Bytes(req.scratch[:0]), req.Value
		added = added[max(0, len(added)-req.Width):]
		old = old[max(0, len(old)+len(added)-req.Width):]
		req.scratch = append(append(make([]byte, 0, len(old)+len(added)), old...), added...)
	}
}

// absence is the stamp that a creation comes right after: of the tombstone, expired record or floor that it replaces, or
// the horizon below which such may be forgotten, whether they are still here or not.
func (b bounds) absence(p *present) hlc.Stamp {
	nothing := max(b.floor, b.born)
	switch {
	case !p.found, p.rec.DeadBelow(b.floor): // whether it is swept already or not
		return nothing
	case p.rec.Kind == record.Tombstone:
		return max(p.rec.Stamp, nothing)
	}
	return max(p.rec.GoneStamp(), nothing)
}

// verdict is what became of a foreign record.
type verdict uint8

const (
	dead    verdict = iota // of a flushed generation, or of a past that this node has forgotten
	known                  // nothing in it is new
	lost                   // what is there won over it, whole
	merged                 // it is new, and nothing was dropped for it
	replace                // it won over what was there, whole
)

// accept decides what follows when a foreign record r meets what is there.
func (b bounds) accept(p *present, r *record.Record) (next record.Record, v verdict) {
	if r.DeadBelow(b.floor) {
		return next, dead
	}
	if p.spoilt { // r is what a peer holds of the key
		return *r, merged
	}
	if !p.found {
		// What began it was applied here, and deleted since: an increment that did not know of the delete does not save it.
		if r.Begun() <= b.horizon {
			return next, dead
		}
		return *r, merged
	}
	next = record.Merge(&p.rec, r)
	if record.Equal(&next, &p.rec) {
		if record.Equal(r, &p.rec) || united(&p.rec, r) {
			return next, known
		}
		return next, lost
	}
	if united(&p.rec, r) {
		return next, merged
	}
	return next, replace
}

// united reports whether Merge unites the two instead of choosing one.
func united(a, b *record.Record) bool {
	return a.Gen().Compare(b.Gen()) == 0 && (a.Kind == record.Counter || b.Kind == record.Counter)
}

// forgettable reports whether a record is a delete, or has expired, and everything in it is at or below the horizon.
// What a peer may still send of that key is then at or below it too, and dead.
func forgettable(r *record.Record, now int64, horizon hlc.Stamp) bool {
	switch {
	case r.NewestStamp() > horizon:
		return false
	case r.Kind == record.Tombstone:
		return true
	}
	return r.ExpiredAt(now) && hlc.Make(int64(r.Expires), 0, 0) <= horizon
}

// removable reports whether a record that a whole copy of a peer lacks was forgotten there.
func removable(r *record.Record, horizon hlc.Stamp) bool {
	return r.Kind != record.Tombstone && r.Begun() <= horizon
}

// removal is the delete that removes it.
func removal(r *record.Record, horizon hlc.Stamp) record.Record {
	return record.Record{Kind: record.Tombstone, Key: r.Key, Replaced: r.Stamp, Stamp: horizon}
}
