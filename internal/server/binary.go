package server

import (
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/users"
)

// binaryStoreOps are the writes of the binary protocol as store operations, by their loud opcodes.
var binaryStoreOps = [...]store.Op{
	memcache.OpcodeSet: store.Set, memcache.OpcodeAdd: store.Add, memcache.OpcodeReplace: store.Replace,
	memcache.OpcodeAppend: store.Append, memcache.OpcodePrepend: store.Prepend, memcache.OpcodeDelete: store.Delete,
	memcache.OpcodeIncr: store.Incr, memcache.OpcodeDecr: store.Decr,
}

// feedBinary is feed for the binary protocol.
func (s *session) feedBinary(w *worker, in []byte, start int) (n int) {
	for seen := 0; n < len(in); {
		if s.full(w, start) {
			s.more = true
			return n
		}
		if n >= seen {
			seen = n + s.lookOn(w, in[n:])
		}
		s.bin.Locked = s.locked(w)
		size, need, err := s.bin.Decode(in[n:], &w.breq)
		n += size
		if err != nil {
			s.need = need
			return n
		}
		before := s.made()
		w.begins()
		if l := s.early(w, in[n:]); l != nil {
			s.out = append(s.out, l.out...)
		} else {
			s.executeBinary(w)
		}
		s.answeredBinary(w.breq.Echo)
		s.ended(w, size+s.made()-before)
		if s.closing || s.slow != nil {
			return n
		}
	}
	return n
}

// executeBinary turns the packet in w.breq into one store call and its result into the replies.
func (s *session) executeBinary(w *worker) {
	r := &w.breq
	if r.Status != memcache.BinaryOK || r.Close {
		w.tally[cmdOther]++
		s.refusePacket(w)
		return
	}
	masked := w.srv.cfg.Mask != 0 && w.srv.masksBinary(r)
	if masked || w.srv.cfg.Users != nil && !s.bin.Locked && !permit.Binary(s.user, r) {
		w.tally[cmdDenied]++
		s.audit(w, refusal(masked))
		s.out = memcache.AppendBinaryError(s.out, r.Echo, permit.StatusDenied, permit.BinaryDenied)
		return
	}
	switch r.Op {
	case memcache.OpcodeGet, memcache.OpcodeGetK:
		s.binaryGet(w)
	case memcache.OpcodeTouch, memcache.OpcodeGat, memcache.OpcodeGatK:
		s.binaryTouch(w)
	case memcache.OpcodeSet, memcache.OpcodeAdd, memcache.OpcodeReplace, memcache.OpcodeAppend, memcache.OpcodePrepend:
		s.binaryStorage(w)
	case memcache.OpcodeDelete:
		s.binaryDelete(w)
	case memcache.OpcodeIncr, memcache.OpcodeDecr:
		s.binaryArith(w)
	case memcache.OpcodeFlush:
		s.binaryDone(r, 0, w.flushAll(s, r.Exptime))
	default:
		w.tally[cmdOther]++
		s.binaryAdmin(w)
	}
}

// binaryAdmin executes what touches no record.
func (s *session) binaryAdmin(w *worker) {
	r := &w.breq
	switch r.Op {
	case memcache.OpcodeQuit:
		s.closing = true
		s.binaryDone(r, 0, nil)
	case memcache.OpcodeNoop:
		s.binaryDone(r, 0, nil)
	case memcache.OpcodeVersion:
		s.out = memcache.AppendBinaryText(s.out, r.Echo, "", w.srv.cfg.Version)
	case memcache.OpcodeStat:
		s.audit(w, nil)
		s.out = w.appendBinaryStats(s.out, r)
	case memcache.OpcodeSASLList, memcache.OpcodeSASLAuth, memcache.OpcodeSASLStep:
		s.authenticate(w)
	}
}

// refusePacket answers what is no valid command.
func (s *session) refusePacket(w *worker) {
	r := &w.breq
	if r.Drop && w.srv.allowed(s.user, users.Write, r.Key) && !w.srv.masksBinary(r) {
		// Whatever comes of it, the reply is an error already.
		w.tally[storeTooLarge]++
		w.req.Op, w.req.Key, w.req.CAS = store.Delete, r.Key, 0
		_ = w.commit(s)
		s.open = false // it stays one, also if the delete is not confirmed
	}
	if r.Status != memcache.BinaryOK {
		s.out = memcache.AppendBinaryError(s.out, r.Echo, r.Status, "")
	}
	s.closing = r.Close
}

// binaryDone answers a write: cas is the unique that it left if err is nil.
func (s *session) binaryDone(r *memcache.BinaryRequest, cas uint64, err error) {
	switch {
	case err != nil:
		s.binaryFail(r, err)
	case !r.Quiet:
		s.out = memcache.AppendBinaryDone(s.out, r.Echo, cas)
	}
}

func (s *session) binaryFail(r *memcache.BinaryRequest, err error) {
	status, text := binaryReply(r.Op, err)
	s.out = memcache.AppendBinaryError(s.out, r.Echo, status, text)
}

func (s *session) binaryStorage(w *worker) {
	r, q := &w.breq, &w.req
	w.tally[cmdSet]++
	w.srv.prefixes.set(r.Key)
	q.Op, q.Key, q.Value, q.Type, q.Flags, q.CAS = binaryStoreOps[r.Op], r.Key, r.Value, nil, r.Flags, r.CAS
	q.Expires, _ = w.expires(r.Exptime)
	counted := memcache.OpSet
	if joins := r.Op == memcache.OpcodeAppend || r.Op == memcache.OpcodePrepend; r.CAS != 0 && !joins {
		q.Op, counted = store.CAS, memcache.OpCAS // whichever of the three it is
	}
	err := w.commit(s)
	q.Value = nil
	w.countStorage(counted, err)
	s.binaryDone(r, w.res.Token, err)
}

func (s *session) binaryDelete(w *worker) {
	r, q := &w.breq, &w.req
	w.srv.prefixes.delete(r.Key)
	q.Op, q.Key, q.CAS = store.Delete, r.Key, r.CAS
	err := w.commit(s)
	switch {
	case err == nil:
		w.tally[deleteHits]++
	case errors.Is(err, store.ErrNotFound):
		w.tally[deleteMisses]++
	}
	s.binaryDone(r, 0, err)
}

func (s *session) binaryArith(w *worker) {
	r, q := &w.breq, &w.req
	hit, miss := incrHits, incrMisses
	if r.Op == memcache.OpcodeDecr {
		hit, miss = decrHits, decrMisses
	}
	q.Op, q.Key, q.Delta, q.CAS, q.Flags, q.Type = binaryStoreOps[r.Op], r.Key, r.Delta, r.CAS, 0, nil
	q.Create, q.Initial = r.Create, r.Initial
	if r.Create {
		q.Expires, _ = w.expires(r.Exptime)
	}
	err := w.commit(s)
	q.Create = false // the text protocol never creates
	switch {
	case err == nil && w.res.Fresh: // neither a hit nor a miss, as in memcached
		w.tally[cmdOther]++
		w.tally[itemsStored]++
	case err == nil:
		w.tally[hit]++
	case errors.Is(err, store.ErrNotFound):
		w.tally[miss]++
	}
	if err != nil {
		s.binaryFail(r, err)
		return
	}
	if !r.Quiet {
		s.out = memcache.AppendBinaryNumber(s.out, r.Echo, w.res.Number, w.res.Token)
	}
}

// binaryReply is the status for an error of the store, and the text where it is not that of the status.
func binaryReply(op memcache.Opcode, err error) (status memcache.BinaryStatus, text string) {
	joins := op == memcache.OpcodeAppend || op == memcache.OpcodePrepend
	switch {
	case errors.Is(err, store.ErrNotFound):
		if joins {
			return memcache.BinaryNotStored, ""
		}
		return memcache.BinaryNotFound, ""
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		return memcache.BinaryExists, ""
	case errors.Is(err, store.ErrNotNumeric):
		return memcache.BinaryNotNumeric, ""
	case errors.Is(err, store.ErrTooLarge):
		if joins {
			return memcache.BinaryNotStored, ""
		}
		return memcache.BinaryTooLarge, ""
	case errors.Is(err, store.ErrKey):
		return memcache.BinaryInvalid, ""
	}
	return memcache.BinaryOutOfMemory, faultOf(err).Error()
}
