package server

import (
	"errors"
	"math"
	"strconv"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

// meta executes mg, ms, md, ma, me and mn. The flag q hides what is expected, never an error.
func (s *session) meta(w *worker) {
	w.tally[cmdMeta]++
	switch w.mreq.Op {
	case memcache.OpMetaGet:
		s.metaGet(w)
	case memcache.OpMetaSet:
		s.metaSet(w)
	case memcache.OpMetaDelete:
		s.metaDelete(w)
	case memcache.OpMetaArith:
		s.metaArith(w)
	case memcache.OpMetaDebug:
		w.tally[cmdOther]++
		s.metaDebug(w)
	case memcache.OpMetaNoop:
		w.tally[cmdOther]++
		s.out = append(s.out, memcache.ReplyMetaNoop...)
	}
}

// beginMetaLine begins the line of success, of which the size of the value is a part where that follows.
func (s *session) beginMetaLine(withValue bool, size int) {
	if withValue {
		s.out = strconv.AppendInt(append(s.out, "VA "...), int64(size), 10)
	} else {
		s.out = append(s.out, "HD"...)
	}
}

func (s *session) endMetaLine(withValue bool, value []byte) {
	s.out = append(s.out, '\r', '\n')
	if withValue {
		s.out = append(append(s.out, value...), '\r', '\n')
	}
}

// appendMetaEcho appends what a reply repeats of the request.
func (s *session) appendMetaEcho(m *memcache.Meta, flag byte, token []byte) {
	switch flag {
	case 'k':
		s.out = memcache.AppendMetaKey(s.out, m)
	case 'O':
		s.out = memcache.AppendMetaToken(s.out, flag, token)
	}
}

// appendTTL appends the seconds left.
func (s *session) appendTTL(w *worker, expires uint64) {
	s.out = strconv.AppendInt(append(s.out, " t"...), w.secondsLeft(expires), 10)
}

// secondsLeft is the time until then in seconds, rounded up; -1 for ever.
func (w *worker) secondsLeft(expires uint64) int64 {
	if expires == 0 {
		return -1
	}
	return max(0, (int64(expires)-w.now+999)/1000)
}

// appendMetaStatus ends a status line with what the request asked back; own appends the flags that only its command has.
func (s *session) appendMetaStatus(m *memcache.Meta, own func(flag byte)) {
	list := m.List()
	for flag, token, ok := list.Next(); ok; flag, token, ok = list.Next() {
		s.appendMetaEcho(m, flag, token)
		if own != nil {
			own(flag)
		}
	}
	s.out = append(s.out, '\r', '\n')
}

func (s *session) metaSet(w *worker) {
	r, m, q := &w.mreq, w.mreq.Meta, &w.req
	w.tally[cmdSet]++
	q.Op, q.Key, q.Value, q.Type, q.Flags, q.CAS, q.Unique = store.Set, r.Key, r.Value, nil, m.Flags, 0, m.Unique
	q.Expires, _ = w.expires(m.Exptime)
	compares := m.Has('C')
	switch m.Mode {
	case 'E':
		q.Op, compares = store.Add, false
	case 'A':
		q.Op = store.Append
	case 'P':
		q.Op = store.Prepend
	case 'R':
		q.Op = store.Replace
	}
	joins := q.Op == store.Append || q.Op == store.Prepend
	if compares {
		q.CAS = m.CAS
		if !joins {
			q.Op, q.Outdated = store.CAS, m.Has('I') && m.CAS != 0
		}
	}
	op := q.Op
	err := w.commit(s)
	for joins && m.Has('N') && errors.Is(err, store.ErrNotFound) && !compares {
		q.Op = store.Add
		q.Expires, _ = w.expires(m.CreateExptime)
		if err = w.commit(s); errors.Is(err, store.ErrExists) { // another client was faster
			q.Op = op
			err = w.commit(s)
		}
	}
	q.Value, q.Outdated, q.Unique = nil, false, 0
	status, token := "HD", uint64(0)
	if op == store.CAS {
		w.countStorage(memcache.OpCAS, err)
	} else {
		w.countStorage(r.Op, err)
	}
	switch {
	case err == nil:
		if token = w.res.Token; m.Has('q') {
			return
		}
	case errors.Is(err, store.ErrConflict):
		status = "EX"
	case errors.Is(err, store.ErrNotFound) && op == store.CAS:
		status = "NF"
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists), errors.Is(err, store.ErrTooLarge) && joins:
		status = "NS"
	default:
		s.out = append(s.out, memcacheReply(r.Op, err)...)
		return
	}
	s.out = append(s.out, status...)
	s.appendMetaStatus(m, func(flag byte) {
		switch {
		case flag == 'c':
			s.out = memcache.AppendMetaNumber(s.out, flag, token)
		case flag == 's' && err == nil:
			s.out = memcache.AppendMetaNumber(s.out, flag, uint64(w.res.Size))
		}
	})
}

// comparable is a unique to compare with where the store takes 0 for none: no record has it.
func comparable(unique uint64) uint64 {
	if unique == 0 {
		return math.MaxUint64
	}
	return unique
}

func (s *session) metaDelete(w *worker) {
	r, m, q := &w.mreq, w.mreq.Meta, &w.req
	q.Op, q.Key, q.CAS = store.Delete, r.Key, 0
	if m.Has('C') {
		q.CAS = comparable(m.CAS)
	}
	q.Value, q.Type, q.Flags, q.Expires, q.Unique = nil, nil, 0, 0, m.Unique
	if m.Has('T') {
		q.Expires, _ = w.expires(m.Exptime)
	}
	switch {
	case m.Has('I'):
		q.Op, q.Remove, q.KeepExpires = store.Invalidate, m.Has('x'), !m.Has('T') && !m.Has('x')
	case m.Has('x'):
		q.Op = store.Replace
	}
	err := w.commit(s)
	q.Remove, q.KeepExpires, q.Unique = false, false, 0
	switch {
	case err == nil:
		if q.Op == store.Invalidate { // counts as nothing, as in memcached
			w.tally[cmdOther]++
		} else {
			w.tally[deleteHits]++
		}
		if m.Has('q') {
			return
		}
		s.out = append(s.out, "HD"...)
	case errors.Is(err, store.ErrNotFound):
		w.tally[deleteMisses]++
		s.out = append(s.out, "NF"...)
	case errors.Is(err, store.ErrConflict):
		w.tally[deleteMisses]++
		s.out = append(s.out, "EX"...)
	default:
		s.out = append(s.out, memcacheReply(r.Op, err)...)
		return
	}
	s.appendMetaStatus(m, nil)
}

func (s *session) metaArith(w *worker) {
	r, m, q := &w.mreq, w.mreq.Meta, &w.req
	hit, miss := incrHits, incrMisses
	q.Op = store.Incr
	if m.Mode == 'D' || m.Mode == '-' {
		hit, miss = decrHits, decrMisses
		q.Op = store.Decr
	}
	q.Key, q.CAS, q.Delta, q.Unique = r.Key, m.CAS, m.Delta, m.Unique
	q.Create, q.Initial, q.Flags, q.Type = m.Has('N'), m.Initial, 0, nil
	q.Expires = w.expiryOfNew()
	if q.Retime = m.Has('T'); q.Retime {
		q.RetimeTo, _ = w.expires(m.Exptime)
	}
	was := s.expiryBefore(w)
	err := w.commit(s)
	q.Create, q.Retime, q.Unique = false, false, 0
	switch {
	case err == nil:
		if w.res.Fresh { // neither a hit nor a miss, as in memcached
			w.tally[cmdOther]++
			w.tally[itemsStored]++
		} else {
			w.tally[hit]++
		}
		if !m.Has('q') {
			s.appendNumber(w, was)
		}
		return
	case errors.Is(err, store.ErrNotFound):
		w.tally[miss]++
		s.out = append(s.out, "NF"...)
	case errors.Is(err, store.ErrConflict):
		s.out = append(s.out, "EX"...)
	default:
		s.out = append(s.out, memcacheReply(r.Op, err)...)
		return
	}
	s.appendMetaStatus(m, nil)
}

// expiryBefore is the expiry that t shows in front of T: that of the record as it is. 0 where nobody asks for it.
func (s *session) expiryBefore(w *worker) (expires uint64) {
	if m := w.mreq.Meta; m.Has('t') && m.Has('T') && w.store.Peek(w.mreq.Key, &w.view) {
		expires = w.view.Expires
		w.view.Release()
	}
	return expires
}

// appendNumber answers arithmetic that was done.
func (s *session) appendNumber(w *worker, was uint64) {
	m := w.mreq.Meta
	var digits [20]byte
	number := strconv.AppendUint(digits[:0], w.res.Number, 10)
	s.beginMetaLine(m.Has('v'), len(number))
	expires := w.res.Expires
	switch {
	case w.res.Fresh:
		expires = 0
	case m.Has('T'):
		expires = was
	}
	list := m.List()
	for flag, token, ok := list.Next(); ok; flag, token, ok = list.Next() {
		switch flag {
		case 'T':
			expires, _ = w.expires(m.Exptime)
		case 'N':
			if w.res.Fresh {
				expires, _ = w.expires(m.CreateExptime)
			}
		case 't':
			s.appendTTL(w, expires)
		case 'c':
			s.out = memcache.AppendMetaNumber(s.out, flag, w.res.Token)
		default:
			s.appendMetaEcho(m, flag, token)
		}
	}
	s.endMetaLine(m.Has('v'), number)
}

// metaDebug tells what is known of a record. There are no slab classes: all are in class 1.
func (s *session) metaDebug(w *worker) {
	m, v := w.mreq.Meta, &w.view
	if !w.store.Peek(w.mreq.Key, v) {
		if v.Fault != nil {
			s.out = append(s.out, faultLine(v.Fault)...)
			return
		}
		s.out = append(s.out, memcache.ReplyMetaEnd...)
		return
	}
	s.out = append(append(append(s.out, "ME "...), m.KeyText...), " exp="...)
	s.out = strconv.AppendInt(s.out, w.secondsLeft(v.Expires), 10)
	s.out = strconv.AppendInt(append(s.out, " la="...), v.Idle(w.now), 10)
	s.out = strconv.AppendUint(append(s.out, " cas="...), v.Token, 10)
	fetched := "no"
	if v.Read {
		fetched = "yes"
	}
	s.out = append(append(append(s.out, " fetch="...), fetched...), " cls=1 size="...)
	s.out = strconv.AppendInt(s.out, int64(len(w.mreq.Key)+len(v.Value)), 10)
	v.Release()
	s.out = append(s.out, '\r', '\n')
}
