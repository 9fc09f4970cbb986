package server

import (
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/observe"
	"github.com/futago/futago/internal/tyrant"
)

const (
	// heavyRequest is how many bytes a request and its reply have together that is timed by itself.
	heavyRequest = 32 << 10
	// askedKeys is how many keys of one get are noted.
	askedKeys = 256
	// markedKey is how much of a key is remembered while its write waits for the gate, bytes.
	markedKey = 48
)

var began = time.Now()

// nanos is a monotonic clock. A look at it costs as much as some requests, so the loops look once for each read of a connection, and
// not for each request.
func nanos() int64 { return int64(time.Since(began)) }

// watch is what a worker needs to note which requests are slow and which keys are hot. What it notes is in totals.
type watch struct {
	every int // mean distance of requests that are timed; 0: none is
	until int // requests up to the next one
	timed int64
	asked memcache.KeyList // of the last get in text

	// A lap is a span of time between two looks at the clock; what was executed in it is slow together or not at all.
	lapped   int64 // when the present lap began
	limit    int64 // what a slow lap takes at least; 0: nothing is slow
	requests int   // of the lap
	bytes    int   // of these requests and their replies
	found    bool  // a lap of this round was slow
	inRound  int   // requests of the round, up to the present lap

	late observe.Slow // the reply that waited longest for the gate since the last note; Requests 0: none was late
}

// newWatch begins at a random place, so that short connections have their share.
func newWatch(s *Server) watch {
	w := watch{every: s.cfg.SampleRequests, lapped: nanos()}
	w.next()
	return w
}

// next draws how far away the next timed request is, at random: any fixed distance may be that of a pattern of the clients.
func (w *watch) next() {
	if w.every > 0 {
		w.until = 1 + rand.IntN(2*w.every-1)
	}
}

// begins is called before a request is executed.
func (w *watch) begins() {
	if w.until--; w.until == 0 {
		w.timed = nanos()
	}
}

// spare undoes begins for what was not executed after all.
func (w *watch) spare() {
	if w.timed != 0 {
		w.timed = 0
		w.next()
	}
}

// ended is called after a request was executed that has size bytes with its reply.
func (s *session) ended(w *worker, size int) {
	w.requests++
	w.bytes += size
	if w.timed != 0 || size >= heavyRequest {
		s.measure(w, size)
	}
}

// measure notes a request that is timed, or large.
func (s *session) measure(w *worker, size int) {
	now := nanos()
	if w.timed != 0 {
		if s.slow == nil { // or it has only been begun, and is noted when it is over
			c := s.class(w)
			w.totals.times[c].Observe(time.Duration(now - w.timed))
			s.sample(w, c, size, time.Duration(now))
		}
		w.spare()
	}
	if size >= heavyRequest && w.limit > 0 {
		s.lap(w, now)
	}
}

// sample notes the keys of the last request.
func (s *session) sample(w *worker, c class, size int, at time.Duration) {
	hot := &w.totals.hot
	switch {
	case s.proto == isTyrant && w.treq.Command == tyrant.MGet:
		for _, key := range w.treq.Args[:min(len(w.treq.Args), askedKeys)] {
			hot.Note(key, false, at)
		}
	case s.proto == isMemcache && w.mreq.Op <= memcache.OpGats:
		asked, n := w.asked, 0
		for key, ok := asked.Next(); ok && n < askedKeys; key, ok = asked.Next() {
			hot.Note(key, false, at)
			n++
		}
		if n == 1 {
			w.totals.big.Note(s.subject(w), size) // a little too large: who asks for the list gets what it is
		}
	default:
		if key := s.subject(w); len(key) > 0 {
			hot.Note(key, c.writes(), at)
			w.totals.big.Note(key, size)
		}
	}
}

// lap ends a lap at a time.
func (s *session) lap(w *worker, now int64) {
	took := now - w.lapped
	if took >= w.limit {
		w.found = true
		note := observe.Slow{Took: time.Duration(took), Command: classNames[classOther], Bytes: w.bytes, Requests: w.requests}
		if w.requests > 0 {
			note.Command, note.Key = classNames[s.class(w)], s.subject(w)
		} else if s.proto == isMemcache { // a get that had paused goes on
			note.Command = classNames[textClasses[s.keysOp]]
		}
		note.Client = s.peer.name()
		w.srv.noteSlow(note)
	}
	w.inRound += w.requests
	w.lapped, w.requests, w.bytes = now, 0, 0
}

// startLap begins the laps of a round, or of a feed where there are no rounds, and returns when.
func (w *worker) startLap() int64 {
	w.limit, w.found = int64(w.srv.slow.Threshold()), false
	w.lapped, w.requests, w.bytes, w.inRound = nanos(), 0, 0, 0
	return w.lapped
}

// flushed notes how long the system took for what was written since the last lap, and begins another one.
func (w *worker) flushed(began int64) {
	now := nanos()
	if took := now - began; w.limit > 0 && took >= w.limit {
		w.found = true
		w.srv.noteSlow(observe.Slow{Took: time.Duration(took), Waited: observe.ForLog, Command: "write"})
	}
	w.lapped = now
}

// roundOver notes a round of the loop that began at a time.
func (w *worker) roundOver(began int64) {
	took := time.Duration(nanos() - began)
	w.totals.rounds.Observe(took)
	if w.limit > 0 && int64(took) >= w.limit && !w.found {
		w.srv.noteSlow(observe.Slow{Took: took, Command: "round", Requests: w.inRound})
	}
}

// passedGate notes that a reply may leave which was held since a mark was made.
func (s *session) passedGate(w *worker, m *mark) {
	took := w.lapped - m.at
	w.totals.gate.Observe(time.Duration(took))
	if w.limit == 0 || took < w.limit {
		return
	}
	w.late.Requests++
	if time.Duration(took) > w.late.Took {
		w.late.Took, w.late.Command, w.late.KeySize = time.Duration(took), classNames[m.class], m.keySize
		w.late.Key = append(w.late.Key[:0], m.key[:min(m.keySize, markedKey)]...)
		w.late.Client = s.peer.name()
	}
}

// noteLate notes the reply that was held longest, and how many were held too long with it.
func (w *worker) noteLate() {
	if w.late.Requests == 0 {
		return
	}
	w.late.Waited = observe.ForGate
	w.srv.noteSlow(w.late)
	w.late = observe.Slow{Key: w.late.Key[:0]}
}

// noteSlow remembers what was slow.
func (s *Server) noteSlow(n observe.Slow) {
	n.At = time.Now()
	s.slow.Note(n)
}

// noteAside notes a request that did not run in a loop: how long it took, and its key. Of those that could have, a sample is timed.
func (s *Server) noteAside(c class, began int64, client string, key []byte, size int) {
	now := nanos()
	took, t := time.Duration(now-began), s.totals[0]
	if every := s.cfg.SampleRequests; every > 0 && (c.aside() || rand.IntN(every) == 0) {
		t.times[c].Observe(took)
		if len(key) > 0 && !c.aside() {
			t.hot.Note(key, c.writes(), time.Duration(now))
			t.big.Note(key, size)
		}
	}
	if limit := s.slow.Threshold(); limit > 0 && took >= limit {
		s.noteSlow(observe.Slow{Took: took, Command: classNames[c], Key: key, Client: client, Bytes: size})
	}
}

// noteGate notes how long a reply of net/http was held.
func (s *Server) noteGate(r *http.Request, began int64) {
	took := time.Duration(nanos() - began)
	s.totals[0].gate.Observe(took)
	if limit := s.slow.Threshold(); limit > 0 && took >= limit {
		key, _ := httpKey(r.RequestURI)
		s.noteSlow(observe.Slow{Took: took, Waited: observe.ForGate, Command: classNames[httpClass(r.Method)], Key: key, Client: r.RemoteAddr})
	}
}
