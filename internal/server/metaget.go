package server

import (
	"errors"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/users"
)

// metaGet answers mg. What it changes (T, the win of R or of a stale value) is committed once the reply is composed, but
// stands before it in the order of replies; when another client was faster, all is done again.
func (s *session) metaGet(w *worker) {
	r, m, v := &w.mreq, w.mreq.Meta, &w.view
	writes := w.srv.allowed(s.user, users.Write, r.Key) // who may only read renews nothing
	for {
		before := len(s.out)
		if !s.acquire(w, r.Key, v, !m.Has('u')) {
			if v.Fault != nil {
				s.out = append(s.out, faultLine(v.Fault)...)
				return
			}
			if !m.Has('N') {
				s.metaMiss(w)
				return
			}
			if s.vivify(w) {
				return
			}
			continue
		}
		if m.Has('v') && !s.roomFor(w, len(v.Value)) {
			v.Release()
			s.out = append(s.out, replyStarved...)
			return
		}
		g := w.metaPlan(v, writes)
		if !g.touch && !g.claim {
			w.countMetaGet(true)
			s.appendMetaHit(w, v, &g)
			v.Release()
			return
		}
		s.appendMetaHit(w, v, &g)
		v.Release()
		after := s.out
		s.out = s.out[:before]
		q := &w.req
		q.Op, q.Key, q.CAS, q.Expires, q.KeepExpires, q.Claim = store.Touch, r.Key, 0, g.expires, !g.touch, g.claim
		q.Unread = m.Has('u')
		err := w.commit(s)
		q.KeepExpires, q.Claim, q.Unread = false, false, false
		switch {
		case err == nil:
			s.out = after
			w.countMetaGet(true)
			return
		case errors.Is(err, store.ErrNoPeer), errors.Is(err, store.ErrUnknown):
			s.out = append(s.out, memcacheReply(r.Op, err)...)
			return
		case !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound):
			writes = false // a node that takes no writes still answers reads
		}
	}
}

// metaHit is what mg makes of a record.
type metaHit struct {
	expires      uint64 // that the record gets
	touch, claim bool   // it is given that expiry; this client is told to renew it
	value        bool   // it is sent: v, and not what the client has, C
	created      bool   // it was not there
}

// metaPlan reads the flags that change something, in their order.
func (w *worker) metaPlan(v *store.View, writes bool) (g metaHit) {
	m := w.mreq.Meta
	g.expires = v.Expires
	g.value = m.Has('v') && !(m.Has('C') && m.CAS == v.Token)
	if !writes {
		return g
	}
	list := m.List()
	for flag, _, ok := list.Next(); ok; flag, _, ok = list.Next() {
		switch flag {
		case 'T':
			g.expires, _ = w.expires(m.Exptime)
			g.touch = true
		case 'R':
			below, _ := w.expires(m.Renew)
			// In the seconds that t shows: what was stored for a minute just now is not below it.
			g.claim = g.claim || !v.Won && g.expires != 0 && w.secondsLeft(g.expires) < w.secondsLeft(below)
		}
	}
	g.claim = g.claim || v.Stale && !v.Won
	return g
}

// appendMetaHit appends the line of a hit, and the value where it is asked for.
func (s *session) appendMetaHit(w *worker, v *store.View, g *metaHit) {
	m := w.mreq.Meta
	s.beginMetaLine(g.value, len(v.Value))
	expires := v.Expires
	list := m.List()
	for flag, token, ok := list.Next(); ok; flag, token, ok = list.Next() {
		switch flag {
		case 'T':
			if g.touch {
				expires, _ = w.expires(m.Exptime)
			}
		case 'N':
			if g.created {
				expires, _ = w.expires(m.CreateExptime)
			}
		case 't':
			s.appendTTL(w, expires)
		case 'c':
			s.out = memcache.AppendMetaNumber(s.out, flag, v.Token)
		case 'f':
			s.out = memcache.AppendMetaNumber(s.out, flag, uint64(v.Flags))
		case 's':
			s.out = memcache.AppendMetaNumber(s.out, flag, uint64(len(v.Value)))
		case 'l':
			s.out = memcache.AppendMetaNumber(s.out, flag, uint64(v.Idle(w.now)))
		case 'h':
			n := uint64(0)
			if v.Read {
				n = 1
			}
			s.out = memcache.AppendMetaNumber(s.out, flag, n)
		default:
			s.appendMetaEcho(m, flag, token)
		}
	}
	if v.Won {
		s.out = append(s.out, " Z"...)
	}
	if v.Stale {
		s.out = append(s.out, " X"...)
	}
	if g.claim {
		s.out = append(s.out, " W"...)
	}
	s.out = append(s.out, '\r', '\n')
	switch {
	case !g.value:
	case g.touch || g.claim:
		s.appendBody(w, v.Value, "\r\n")
	default:
		s.sendBody(w, v.Value, "\r\n")
	}
}

// vivify makes the empty value that this client is to fill; false when somebody else has made one meanwhile.
func (s *session) vivify(w *worker) bool {
	r, m, q := &w.mreq, w.mreq.Meta, &w.req
	expires := w.expiryOfNew()
	q.Op, q.Key, q.Value, q.Type, q.Flags, q.CAS, q.Expires, q.Vivify, q.Unique = store.Add, r.Key, nil, nil, 0, 0, expires, true, m.Unique
	q.Unread = m.Has('u')
	err := w.commit(s)
	q.Vivify, q.Unread, q.Unique = false, false, 0
	switch {
	case errors.Is(err, store.ErrExists):
		return false
	case err != nil:
		s.out = append(s.out, memcacheReply(r.Op, err)...)
		return true
	}
	w.countMetaGet(false)
	v := store.View{Token: w.res.Token, Stamp: hlc.Make(w.now, 0, 0)}
	s.appendMetaHit(w, &v, &metaHit{touch: m.Has('T'), claim: true, created: true, value: m.Has('v')})
	return true
}

// expiryOfNew is the expiry of what is created: of N or T the later one in the line says it.
func (w *worker) expiryOfNew() (expires uint64) {
	m := w.mreq.Meta
	list := m.List()
	for flag, _, ok := list.Next(); ok; flag, _, ok = list.Next() {
		switch flag {
		case 'N':
			expires, _ = w.expires(m.CreateExptime)
		case 'T':
			expires, _ = w.expires(m.Exptime)
		}
	}
	return expires
}

// metaMiss answers mg without a record.
func (s *session) metaMiss(w *worker) {
	w.countMetaGet(false)
	if m := w.mreq.Meta; !m.Has('q') {
		s.out = append(s.out, "EN"...)
		s.appendMetaStatus(m, nil)
	}
}

// countMetaGet counts an mg that touches a record as a touch alone, as memcached does.
func (w *worker) countMetaGet(hit bool) {
	switch {
	case hit && w.mreq.Meta.Has('T'):
		w.tally[cmdTouch]++
		w.tally[touchHits]++
	case hit:
		w.tally[cmdGet]++
		w.tally[getHits]++
	default:
		w.tally[cmdGet]++
		w.tally[getMisses]++
	}
}
