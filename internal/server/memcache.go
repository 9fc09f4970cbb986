package server

import (
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/store"
)

var storeOps = [...]store.Op{
	memcache.OpSet: store.Set, memcache.OpAdd: store.Add, memcache.OpReplace: store.Replace, memcache.OpAppend: store.Append,
	memcache.OpPrepend: store.Prepend, memcache.OpCAS: store.CAS, memcache.OpDelete: store.Delete, memcache.OpIncr: store.Incr,
	memcache.OpDecr: store.Decr, memcache.OpTouch: store.Touch,
}

// replyStarved is memcached's answer to a get that it has no memory for.
const replyStarved = "SERVER_ERROR out of memory writing get response\r\n"

// execute turns the request in w.mreq into one store call and its result into one reply. false means that the caller
// must not decode further: the session is closing, or a get has paused.
func (s *session) execute(w *worker, start int) bool {
	r := &w.mreq
	w.asked = r.Keys // what is executed walks over them
	if w.srv.cfg.Users != nil {
		if s.user == nil {
			return s.authenticateText(w)
		}
		if !permit.Text(s.user, r) {
			w.tally[cmdDenied]++
			s.audit(w, errNoRight)
			s.reply(r, permit.ReplyDenied)
			return true
		}
	}
	if w.srv.cfg.Mask != 0 && w.srv.masksText(r) {
		w.tally[cmdDenied]++
		s.audit(w, errMasked)
		s.reply(r, replyForbidden)
		return true
	}
	switch r.Op {
	case memcache.OpGet, memcache.OpGets, memcache.OpGat, memcache.OpGats:
		return s.get(w, start)
	case memcache.OpSet, memcache.OpAdd, memcache.OpReplace, memcache.OpAppend, memcache.OpPrepend, memcache.OpCAS:
		s.storage(w)
	case memcache.OpDelete, memcache.OpTouch:
		s.simple(w)
	case memcache.OpIncr, memcache.OpDecr:
		s.arith(w)
	case memcache.OpMetaGet, memcache.OpMetaSet, memcache.OpMetaDelete, memcache.OpMetaArith, memcache.OpMetaDebug, memcache.OpMetaNoop:
		s.meta(w)
	case memcache.OpError:
		w.tally[cmdOther]++
		return s.refuse(w)
	case memcache.OpQuit:
		w.tally[cmdOther]++
		s.closing = true
		return false
	case memcache.OpFlushAll:
		s.flushAll(w)
	case memcache.OpVersion:
		w.tally[cmdOther]++
		s.out = memcache.AppendVersion(s.out, w.srv.cfg.Version)
	case memcache.OpVerbosity:
		w.tally[cmdOther]++
		s.reply(r, memcache.ReplyOK)
	case memcache.OpStats:
		w.tally[cmdOther]++
		return s.stats(w)
	case memcache.OpRefreshCerts:
		w.tally[cmdOther]++
		return s.refreshCerts(w)
	case memcache.OpDump:
		w.tally[cmdOther]++
		s.dumpKeys(w)
		return false
	case memcache.OpTune:
		w.tally[cmdOther]++
		s.out = append(s.out, r.Reply...)
	case memcache.OpMemLimit:
		w.tally[cmdOther]++
		s.memLimit(w)
	case memcache.OpShutdown:
		w.tally[cmdOther]++
		return s.shutdown(w)
	}
	return true
}

// reply appends a line unless the request forbids it.
func (s *session) reply(r *memcache.Request, line string) {
	if !r.Noreply {
		s.out = append(s.out, line...)
	}
}

func (s *session) get(w *worker, start int) bool {
	r := &w.mreq
	for i := 0; ; i++ {
		if s.ahead != nil {
			s.readOn(w, r.Keys)
		}
		if i > 0 && i%mostWarm == 0 { // those before it were looked at with the request
			w.warmKeys(r.Keys)
		}
		key, ok := r.Keys.Next()
		if !ok {
			s.out = append(s.out, memcache.ReplyEnd...)
			return true
		}
		s.getOne(w, r.Op, key, r.Exptime)
		if s.endBroken() {
			return true
		}
		if s.full(w, start) {
			s.pauseGet(r)
			if len(s.keys) > 0 {
				return false
			}
		}
	}
}

// endBroken ends a get that cannot go on. Its other keys are not answered.
func (s *session) endBroken() bool {
	if s.broken == "" {
		return false
	}
	s.out = append(s.out, s.broken...)
	s.broken = ""
	return true
}

// getOne answers one key of a get.
func (s *session) getOne(w *worker, op memcache.Op, key []byte, exptime int64) {
	if op == memcache.OpGet || op == memcache.OpGets {
		w.tally[cmdGet]++
		w.tally[getHits]++ // first, for the value may leave at once
		hit := s.appendValue(w, op, key)
		if !hit {
			w.tally[getHits]--
			w.tally[getMisses]++
		}
		w.srv.prefixes.get(key, hit && s.broken == "")
		return
	}
	w.tally[cmdTouch]++
	hit := s.getAndTouch(w, op, key, exptime)
	w.srv.prefixes.get(key, hit)
	switch {
	case hit:
		w.tally[touchHits]++
	case s.broken == "":
		w.tally[touchMisses]++
	}
}

// appendValue appends the value of key as it is now; false when there is none. It sets broken instead when there is no
// memory for it.
func (s *session) appendValue(w *worker, op memcache.Op, key []byte) bool {
	v := &w.view
	if !s.acquire(w, key, v, true) {
		if v.Fault != nil {
			s.broken = faultLine(v.Fault)
		}
		return v.Fault != nil
	}
	if !s.roomFor(w, len(v.Value)) {
		v.Release()
		s.broken = replyStarved
		return true
	}
	if op == memcache.OpGets || op == memcache.OpGats {
		s.out = memcache.AppendValueCAS(s.out, key, v.Flags, len(v.Value), v.Token)
	} else {
		s.out = memcache.AppendValue(s.out, key, v.Flags, len(v.Value))
	}
	if op == memcache.OpGet || op == memcache.OpGets {
		s.sendBody(w, v.Value, "\r\n")
	} else {
		s.appendBody(w, v.Value, "\r\n")
	}
	v.Release()
	return true
}

// getAndTouch touches first, so that the unique it returns is the one that holds afterwards. With a time that is past
// the record can only be read before.
func (s *session) getAndTouch(w *worker, op memcache.Op, key []byte, exptime int64) bool {
	at, expired := w.expires(exptime)
	before := len(s.out)
	if expired && (!s.appendValue(w, op, key) || s.broken != "") {
		return s.broken != "" // what could not be read must not be gone
	}
	w.req.Op, w.req.Key, w.req.Expires, w.req.CAS = store.Touch, key, at, 0
	// The write stands before its value in the order of replies: hold from there.
	after := s.out
	s.out = s.out[:before]
	err := w.commit(s)
	s.out = after
	switch {
	case errors.Is(err, store.ErrNotFound):
		s.out = s.out[:before]
		return false
	case errors.Is(err, store.ErrNoPeer), errors.Is(err, store.ErrUnknown):
		s.out, s.broken = s.out[:before], memcacheReply(op, err)
		return false
	case expired:
		return true
	}
	// A node that takes no writes still answers reads.
	return s.appendValue(w, op, key)
}

func (s *session) storage(w *worker) {
	r, q := &w.mreq, &w.req
	w.tally[cmdSet]++
	w.srv.prefixes.set(r.Key)
	q.Op, q.Key, q.Value, q.Type, q.Flags, q.CAS = storeOps[r.Op], r.Key, r.Value, nil, r.Flags, 0
	q.Expires, _ = w.expires(r.Exptime)
	if r.Op == memcache.OpCAS {
		q.CAS = r.CAS
	}
	err := w.commit(s)
	q.Value = nil
	w.countStorage(r.Op, err)
	if err == nil {
		s.reply(r, memcache.ReplyStored)
		return
	}
	s.reply(r, memcacheReply(r.Op, err))
}

func (w *worker) countStorage(op memcache.Op, err error) {
	if err == nil {
		w.tally[itemsStored]++
		if op == memcache.OpCAS {
			w.tally[casHits]++
		}
		return
	}
	switch {
	case errors.Is(err, store.ErrTooLarge):
		w.tally[storeTooLarge]++
	case errors.Is(err, store.ErrNoMemory):
		w.tally[storeNoMemory]++
	case op != memcache.OpCAS:
	case errors.Is(err, store.ErrNotFound):
		w.tally[casMisses]++
	case errors.Is(err, store.ErrConflict):
		w.tally[casBadval]++
	}
}

// simple is delete and touch.
func (s *session) simple(w *worker) {
	r, q := &w.mreq, &w.req
	q.Op, q.Key, q.CAS = storeOps[r.Op], r.Key, 0
	hit, miss, done := deleteHits, deleteMisses, memcache.ReplyDeleted
	if r.Op == memcache.OpTouch {
		w.tally[cmdTouch]++
		q.Expires, _ = w.expires(r.Exptime)
		hit, miss, done = touchHits, touchMisses, memcache.ReplyTouched
	} else {
		w.srv.prefixes.delete(r.Key)
	}
	err := w.commit(s)
	switch {
	case err == nil:
		w.tally[hit]++
		s.reply(r, done)
		return
	case errors.Is(err, store.ErrNotFound):
		w.tally[miss]++
	}
	s.reply(r, memcacheReply(r.Op, err))
}

func (s *session) arith(w *worker) {
	r, q := &w.mreq, &w.req
	hit, miss := incrHits, incrMisses
	if r.Op == memcache.OpDecr {
		hit, miss = decrHits, decrMisses
	}
	q.Op, q.Key, q.Delta, q.CAS = storeOps[r.Op], r.Key, r.Delta, 0
	err := w.commit(s)
	if err == nil {
		w.tally[hit]++
		if !r.Noreply {
			s.out = memcache.AppendUint(s.out, w.res.Number)
		}
		return
	}
	if errors.Is(err, store.ErrNotFound) {
		w.tally[miss]++
	}
	s.reply(r, memcacheReply(r.Op, err))
}

// refuse answers a line that is no valid command.
func (s *session) refuse(w *worker) bool {
	r := &w.mreq
	if r.Drop {
		// Whatever comes of it, the reply is an error already.
		w.tally[storeTooLarge]++
		w.req.Op, w.req.Key, w.req.CAS = store.Delete, r.Key, 0
		_ = w.commit(s)
		s.open = false // it stays one, also if the delete is not confirmed
	}
	s.out = append(s.out, r.Reply...)
	s.closing = r.Close
	return !r.Close
}

func (s *session) flushAll(w *worker) {
	r := &w.mreq
	if err := w.flushAll(s, r.Exptime); err != nil {
		s.reply(r, memcacheReply(r.Op, err))
		return
	}
	s.reply(r, memcache.ReplyOK)
}

// flushAll deletes everything, at once or after a delay in the form of an exptime.
func (w *worker) flushAll(s *session, delay int64) error {
	w.tally[cmdFlush]++
	var at uint64
	if delay > 0 {
		var past bool
		if at, past = w.expires(delay); past {
			at = 0
		}
	}
	seq, err := w.store.FlushAll(at)
	if err == nil && seq != 0 {
		w.hold(s, seq)
	}
	s.audit(w, err)
	return err
}

// memcacheReply is the reply line for an error of the store.
func memcacheReply(op memcache.Op, err error) string {
	joins := op == memcache.OpAppend || op == memcache.OpPrepend
	switch {
	case errors.Is(err, store.ErrNotFound):
		if joins || op == memcache.OpReplace {
			return memcache.ReplyNotStored
		}
		return memcache.ReplyNotFound
	case errors.Is(err, store.ErrExists):
		return memcache.ReplyNotStored
	case errors.Is(err, store.ErrConflict):
		return memcache.ReplyExists
	case errors.Is(err, store.ErrNotNumeric):
		return memcache.ReplyNotNumeric
	case errors.Is(err, store.ErrTooLarge):
		if joins {
			return memcache.ReplyNotStored
		}
		return memcache.ReplyTooLarge
	case errors.Is(err, store.ErrKey):
		return memcache.ReplyBadFormat
	case errors.Is(err, store.ErrNoMemory):
		return memcache.ReplyNoMemory
	}
	return faultLine(faultOf(err))
}

// faultOf is the fault in an error of the store, without what is said around it.
func faultOf(err error) error {
	for _, fault := range []error{
		store.ErrNoMemory, store.ErrNoSpace, store.ErrClock, store.ErrClockAhead, store.ErrDamaged, store.ErrReadOnly, store.ErrNoPeer, store.ErrUnreached, store.ErrUnknown,
		store.ErrForeign, store.ErrMoved, store.ErrRefused, store.ErrClosed,
	} {
		if errors.Is(err, fault) {
			return fault
		}
	}
	return errInternal
}

var errInternal = errors.New("internal error")
