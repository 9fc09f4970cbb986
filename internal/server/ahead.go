package server

import (
	"bytes"
	"iter"
	"slices"
	"sync"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

// Batcher is a Store that is far away: several requests at once take the time of one. What it has told of has passed the gate: its
// results have no position.
type Batcher interface {
	// Together does reads and writes at once. No two of them concern one key, unless both read. A record of most bytes or more is not
	// read: its Fault is store.ErrTooLarge.
	Together(reads []store.Read, most int, writes []store.Write)
}

const (
	// aheadRequests is how many requests of a connection are executed at once.
	aheadRequests = 32
	// aheadKeys is how many records are read at once.
	aheadKeys = 128
	// aheadBytes bounds what is read ahead for a connection; each record has its share. A larger one is read when its turn comes. All wait
	// behind what is read for others, so it may not be much.
	aheadBytes = 1 << 20
)

// ahead is what was done of the next requests of a connection before their turn, because they had come together and the store is
// far away: records were read, and writes executed, all at once. Each request is then decoded and answered in its turn, as always.
//
// No two of these requests have a key in common that one of them writes, so each sees the effects of those before it. All that is not a
// read or a write of its own keys, such as flush_all, waits for those before it, and is not looked past.
type ahead struct {
	queue []*lane // of the requests, in order: who executed it; nil where that is still to be done
	next  int     // in queue
	began int64   // when, in nanoseconds

	reads   []store.Read
	reached int   // in reads: what is before was asked for
	held    int64 // bytes of the records, which count as pending

	written [][]byte      // keys
	writes  []store.Write // of the lanes that wait
	waiting []*lane
	lanes   []*lane // spare ones behind used
	used    int
}

// lane executes one request that writes, up to where it needs the store, and goes on when the writes of all lanes are done.
type lane struct {
	session
	w      worker
	resume func() (struct{}, bool) // false: it has ended
	wait   func(struct{}) bool
	write  store.Write // that it waits for
}

// laneStore is the store as a lane sees it.
type laneStore struct {
	Store
	*lane
}

// Commit has the writes of all lanes done.
func (s laneStore) Commit(req *store.Request, res *store.Result) error {
	s.write = store.Write{Request: req, Result: res}
	s.wait(struct{}{})
	return s.write.Err
}

var aheads = sync.Pool{New: func() any { return new(ahead) }}

// early returns who has executed the present request of s already, or nil. rest is the input behind it, into which it looks.
func (s *session) early(w *worker, rest []byte) *lane {
	if w.batch == nil {
		return nil
	}
	switch a := s.ahead; {
	case a == nil || a.next == len(a.queue):
		s.lookAhead(w, rest)
	case s.locked(w): // the user was removed meanwhile, and the input means something else
		s.closing = true
		return &lane{}
	}
	a := s.ahead
	if a == nil {
		return nil
	}
	if w.timed != 0 {
		w.timed = a.began
	}
	a.next++
	return a.queue[a.next-1]
}

// lookAhead finds requests to execute at once with the present one, and does so.
func (s *session) lookAhead(w *worker, rest []byte) {
	s.leaveAhead(w)
	if len(rest) == 0 && !s.asksSeveral(w) || s.locked(w) || w.srv.crowded(int64(s.unsent())) {
		return
	}
	a := aheads.Get().(*ahead)
	l := a.lane(s, w)
	l.w.mreq, l.w.breq = w.mreq, w.breq
	if m := w.mreq.Meta; m != nil && m.Has('b') {
		l.w.mreq.Key = bytes.Clone(w.mreq.Key) // it belongs to the decoder of s
	}
	for more := a.join(l); more && len(a.queue) < aheadRequests; more = a.join(l) {
		l = a.lane(s, w)
		n, ok := l.decode(rest)
		if !ok {
			break
		}
		rest = rest[n:]
	}
	if s.ahead = a; len(a.queue) < 2 && len(a.reads) < 2 {
		a.queue = a.queue[:0]
		s.leaveAhead(w)
		return
	}
	a.run(w)
}

// asksSeveral reports whether the present request is a get of several keys.
func (s *session) asksSeveral(w *worker) bool {
	if s.proto == isBinary || w.mreq.Op != memcache.OpGet && w.mreq.Op != memcache.OpGets {
		return false
	}
	keys := w.mreq.Keys
	keys.Next()
	_, more := keys.Next()
	return more
}

// lane returns the next lane, in the state of a session that has just begun.
func (a *ahead) lane(s *session, w *worker) *lane {
	if a.used == len(a.lanes) {
		l := new(lane)
		l.w.store = laneStore{lane: l}
		a.lanes = append(a.lanes, l)
	}
	l := a.lanes[a.used]
	a.used++
	out := l.out[:0]
	if cap(out) > keptBuffer {
		out = nil
	}
	l.session = session{peer: s.peer, user: s.user, proto: s.proto, out: out}
	l.dec.MaxValue, l.bin.MaxValue = s.dec.MaxValue, s.bin.MaxValue
	l.w.srv, l.w.store, l.w.totals, l.w.now = w.srv, laneStore{w.store, l}, w.totals, w.now
	return l
}

// decode reads a whole request.
func (l *lane) decode(in []byte) (n int, ok bool) {
	var err error
	if len(in) == 0 {
		return 0, false
	}
	if l.proto == isBinary {
		n, _, err = l.bin.Decode(in, &l.w.breq)
	} else {
		n, _, err = l.dec.Decode(in, &l.w.mreq)
	}
	return n, err == nil
}

// join adds the request of a lane, and reports whether more may follow. What may not be executed at once with the others is left out.
func (a *ahead) join(l *lane) (more bool) {
	reads, writes, key := l.footprint()
	switch {
	case reads && key == nil:
		return a.joinGet(l.w.mreq.Keys)
	case !reads && !writes, a.conflicts(key, writes), reads && len(a.reads) == aheadKeys:
		return false
	}
	if writes {
		a.written = append(a.written, key)
	}
	if reads { // what mg changes it changes in its turn
		a.reads, a.queue = append(a.reads, store.Read{Key: key}), append(a.queue, nil)
		return true
	}
	a.queue = append(a.queue, l)
	return true
}

// joinGet adds a get. The first one may have more keys than are read at once.
func (a *ahead) joinGet(keys memcache.KeyList) (more bool) {
	before := len(a.reads)
	for key, ok := keys.Next(); ok; key, ok = keys.Next() {
		full := len(a.reads) == aheadKeys
		if full && before == 0 && len(a.queue) == 0 {
			a.queue = append(a.queue, nil)
			return false
		}
		if full || a.conflicts(key, false) {
			a.reads = a.reads[:before]
			return false
		}
		a.reads = append(a.reads, store.Read{Key: key})
	}
	a.queue = append(a.queue, nil)
	return true
}

// conflicts reports whether a request with this key has to wait for one of those that were added.
func (a *ahead) conflicts(key []byte, writes bool) bool {
	return slices.ContainsFunc(a.written, func(other []byte) bool { return bytes.Equal(key, other) }) ||
		writes && slices.ContainsFunc(a.reads, func(r store.Read) bool { return bytes.Equal(key, r.Key) })
}

// footprint says what the request in l does to records: whether it reads or writes the one under key, or reads those of a get, whose key is nil.
// Neither: it is to be executed alone.
func (l *lane) footprint() (reads, writes bool, key []byte) {
	if l.proto == isBinary {
		r := &l.w.breq
		if r.Status != memcache.BinaryOK || r.Close {
			return false, false, nil
		}
		switch r.Op {
		case memcache.OpcodeGet, memcache.OpcodeGetK:
			return true, false, r.Key
		case memcache.OpcodeSet, memcache.OpcodeAdd, memcache.OpcodeReplace, memcache.OpcodeAppend, memcache.OpcodePrepend,
			memcache.OpcodeDelete, memcache.OpcodeIncr, memcache.OpcodeDecr, memcache.OpcodeTouch:
			return false, true, r.Key
		}
		return false, false, nil
	}
	switch r := &l.w.mreq; r.Op {
	case memcache.OpGet, memcache.OpGets:
		return true, false, nil
	case memcache.OpMetaGet:
		return true, r.Meta.Has('T') || r.Meta.Has('N') || r.Meta.Has('R'), r.Key
	case memcache.OpSet, memcache.OpAdd, memcache.OpReplace, memcache.OpAppend, memcache.OpPrepend, memcache.OpCAS,
		memcache.OpDelete, memcache.OpIncr, memcache.OpDecr, memcache.OpTouch, memcache.OpMetaSet, memcache.OpMetaDelete, memcache.OpMetaArith:
		return false, true, r.Key
	}
	return false, false, nil
}

// run executes the writes, and reads the records: all at once, and then what a write has to do besides.
func (a *ahead) run(w *worker) {
	a.began = nanos()
	for _, l := range a.queue {
		if l != nil {
			l.resume, _ = iter.Pull(l.execution)
			a.await(l)
		}
	}
	for a.together(w, a.reads); len(a.waiting) > 0; a.together(w, nil) {
		waited := a.waiting
		a.waiting = a.waiting[:0]
		for _, l := range waited {
			a.await(l)
		}
	}
}

// await has a lane go on until it waits again, or ends.
func (a *ahead) await(l *lane) {
	if _, waits := l.resume(); waits {
		a.waiting = append(a.waiting, l)
	}
}

// execution executes the request of the lane. It is left where the store is needed.
func (l *lane) execution(wait func(struct{}) bool) {
	l.wait = wait
	if l.proto == isBinary {
		l.executeBinary(&l.w)
	} else {
		l.execute(&l.w, 0)
	}
	l.w.tally.publish(l.w.totals)
}

// together reads records, and does the writes that lanes wait for.
func (a *ahead) together(w *worker, reads []store.Read) {
	if len(reads)+len(a.waiting) == 0 {
		return
	}
	a.writes = a.writes[:0]
	for _, l := range a.waiting {
		a.writes = append(a.writes, l.write)
	}
	w.batch.Together(reads, aheadBytes/max(len(reads), 1), a.writes)
	for i, l := range a.waiting {
		l.write.Err = a.writes[i].Err
	}
	before := a.held
	for i := range reads {
		a.held += int64(len(reads[i].View.Value))
	}
	w.srv.pending.Add(a.held - before)
}

// take gives the record of a key if it was read; ok is false if it was not.
func (a *ahead) take(key []byte, v *store.View) (found, ok bool) {
	for i := a.reached; i < len(a.reads); i++ { // what was not asked for is of a request that was refused
		if r := &a.reads[i]; bytes.Equal(r.Key, key) {
			a.reached = i + 1
			*v, r.View = r.View, store.View{}
			return r.Found, v.Fault != store.ErrTooLarge
		}
	}
	return false, false
}

// acquire is Acquire of the store, or Peek of what does not count as a read, or what was read ahead.
func (s *session) acquire(w *worker, key []byte, v *store.View, counts bool) bool {
	if s.ahead != nil {
		if found, ok := s.ahead.take(key, v); ok {
			return found
		}
	}
	if !counts {
		return w.store.Peek(key, v)
	}
	return w.store.Acquire(key, v)
}

// readOn reads the next keys of a get that has more than were read.
func (s *session) readOn(w *worker, keys memcache.KeyList) {
	a := s.ahead
	if a == nil || a.reached < len(a.reads) {
		return
	}
	a.forget(w)
	for key, ok := keys.Next(); ok && len(a.reads) < aheadKeys; key, ok = keys.Next() {
		a.reads = append(a.reads, store.Read{Key: key})
	}
	a.together(w, a.reads)
}

// forget lets go of the records.
func (a *ahead) forget(w *worker) {
	clear(a.reads)
	w.srv.pending.Add(-a.held)
	a.reads, a.reached, a.held = a.reads[:0], 0, 0
}

// leaveAhead ends a feed. The input is about to go, and records get old; but what was executed is kept until it is answered.
func (s *session) leaveAhead(w *worker) {
	a := s.ahead
	if a == nil {
		return
	}
	a.forget(w)
	if slices.ContainsFunc(a.queue[a.next:], func(l *lane) bool { return l != nil }) {
		return
	}
	for _, l := range a.lanes[:a.used] { // nothing of the input may be held
		l.w.mreq, l.w.breq, l.w.req = memcache.Request{}, memcache.BinaryRequest{}, store.Request{}
	}
	clear(a.written)
	a.queue, a.written, a.next, a.used = a.queue[:0], a.written[:0], 0, 0
	s.ahead = nil
	aheads.Put(a)
}
