package server

import (
	"bytes"
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

// binaryStarved is the text of the answer to a get that there is no memory for.
const binaryStarved = "Out of memory writing get response"

// lookup is what became of a read.
type lookup uint8

const (
	absent lookup = iota // nothing was appended
	found                // the reply was appended
	failed               // an error was appended
)

func (s *session) binaryGet(w *worker) {
	w.tally[cmdGet]++
	w.tally[getHits]++ // first, for the value may leave at once
	read := s.appendPacket(w)
	w.srv.prefixes.get(w.breq.Key, read == found)
	if read == absent {
		w.tally[getHits]--
		w.tally[getMisses]++
		s.binaryMiss(&w.breq)
	}
}

// binaryMiss answers a read that found nothing.
func (s *session) binaryMiss(r *memcache.BinaryRequest) {
	switch {
	case r.Quiet:
	case r.Op == memcache.OpcodeGetK || r.Op == memcache.OpcodeGatK:
		s.out = memcache.AppendBinaryMiss(s.out, r.Echo, r.Key)
	default:
		s.out = memcache.AppendBinaryError(s.out, r.Echo, memcache.BinaryNotFound, "")
	}
}

// appendPacket appends the reply of a read: the record as it is now, or why it cannot be had.
func (s *session) appendPacket(w *worker) lookup {
	r, v := &w.breq, &w.view
	if !s.acquire(w, r.Key, v, true) {
		if v.Fault != nil {
			s.binaryFail(r, v.Fault)
			return failed
		}
		return absent
	}
	var key, value []byte
	if r.Op == memcache.OpcodeGetK || r.Op == memcache.OpcodeGatK {
		key = r.Key
	}
	if r.Op != memcache.OpcodeTouch {
		value = v.Value
	}
	if !s.roomFor(w, len(value)) {
		v.Release()
		s.out = memcache.AppendBinaryError(s.out, r.Echo, memcache.BinaryOutOfMemory, binaryStarved)
		return failed
	}
	s.out = memcache.AppendBinaryValue(s.out, r.Echo, v.Flags, key, len(value), v.Token)
	if r.Op == memcache.OpcodeGet || r.Op == memcache.OpcodeGetK {
		s.sendBody(w, value, "")
	} else {
		s.appendBody(w, value, "")
	}
	v.Release()
	return found
}

// binaryTouch is touch, gat and gatk. Like getAndTouch it touches first, and reads before only what will be gone.
func (s *session) binaryTouch(w *worker) {
	r, q := &w.breq, &w.req
	w.tally[cmdTouch]++
	at, expired := w.expires(r.Exptime)
	before, read := len(s.out), absent
	if expired {
		switch read = s.appendPacket(w); read {
		case absent:
			w.tally[touchMisses]++
			w.srv.prefixes.get(r.Key, false)
			s.binaryMiss(r)
			return
		case failed: // what could not be read must not be gone
			return
		}
	}
	q.Op, q.Key, q.Expires, q.CAS = store.Touch, r.Key, at, 0
	// The write stands before its value in the order of replies: hold from there.
	after := s.out
	s.out = s.out[:before]
	err := w.commit(s)
	s.out = after
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.out, read = s.out[:before], absent
	case errors.Is(err, store.ErrNoPeer), err != nil && r.Op == memcache.OpcodeTouch:
		s.out = s.out[:before]
		s.binaryFail(r, err)
		return
	case !expired:
		// A node that takes no writes still answers reads.
		read = s.appendPacket(w)
	}
	w.srv.prefixes.get(r.Key, read == found)
	switch read {
	case absent:
		w.tally[touchMisses]++
		s.binaryMiss(r)
	case found:
		w.tally[touchHits]++
	}
}

// appendBinaryStats answers stat. As in memcached more may follow the words reset, settings and detail.
func (w *worker) appendBinaryStats(out []byte, r *memcache.BinaryRequest) []byte {
	w.tally.publish(w.totals)
	l := statList{out: out, packet: &r.Echo}
	name := r.Key
	detail, isDetail := bytes.CutPrefix(name, []byte("detail"))
	switch {
	case bytes.HasPrefix(name, []byte("reset")):
		w.srv.resetCounters()
	case bytes.HasPrefix(name, []byte("settings")):
		w.listStats(&l, "settings")
	case isDetail && bytes.HasPrefix(detail, []byte(" dump")):
		l.text("detailed", string(w.srv.prefixes.appendDump(nil)))
	case isDetail && bytes.HasPrefix(detail, []byte(" on")):
		w.srv.prefixes.on.Store(true)
	case isDetail && bytes.HasPrefix(detail, []byte(" off")):
		w.srv.prefixes.on.Store(false)
	case !w.listStats(&l, string(name)):
		return memcache.AppendBinaryError(out, r.Echo, memcache.BinaryNotFound, "")
	}
	l.text("", "")
	return l.out
}
