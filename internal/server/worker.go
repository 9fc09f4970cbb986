package server

import (
	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/httphead"
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// worker is what the sessions of one loop, or of one goroutine, share one after the other while they execute requests.
type worker struct {
	srv    *Server
	store  Store
	tally  tally
	totals *totals
	// buffers are the spare ones of the loop; nil where a goroutine serves one connection.
	buffers *buffers
	// sender is the loop; nil where a goroutine serves one connection.
	sender interface {
		// sendNow sends the output of the session that is fed now, value and tail, as far as they may leave and the client takes
		// them, and returns how many bytes of value and tail have left.
		sendNow(value []byte, tail string) int
	}
	now    int64   // ms since hlc.Epoch, of this round
	wrote  bool    // something was committed since the last Flush
	strict bool    // writes may fail after they were executed
	batch  Batcher // the store, where it is far away; else nil
	warmer Warmer  // the store, where it has records in memory; else nil
	watch

	mreq memcache.Request
	breq memcache.BinaryRequest
	treq tyrant.Request
	req  store.Request
	res  store.Result
	view store.View
	tt   cabinet.Scratch
	head httphead.Request
	key  []byte // that head names
	warm [mostWarm][]byte

	dated int64  // the second that date says
	date  []byte // as HTTP writes it
}

func newWorker(s *Server, t *totals) worker {
	w := worker{srv: s, store: s.store, totals: t, now: s.store.Now(), strict: s.store.Level() == store.LevelStrict, watch: newWatch(s)}
	w.batch, _ = s.store.(Batcher)
	w.warmer, _ = s.store.(Warmer)
	return w
}

// flush hands on what was committed; once per round.
func (w *worker) flush() {
	if w.wrote {
		w.wrote = false
		w.store.Flush()
		w.flushed(w.lapped)
	}
}

// commit executes what stands in w.req. The session then waits for the returned position.
func (w *worker) commit(s *session) error {
	err := w.store.Commit(&w.req, &w.res)
	if err == nil && w.res.Seq != 0 {
		w.hold(s, w.res.Seq)
		if big := &w.totals.big; big.Wants(w.res.Size) {
			big.Note(w.req.Key, w.res.Size)
		}
	}
	return err
}

// hold keeps the replies from here on until the gate has decided on seq.
func (w *worker) hold(s *session, seq uint64) {
	w.wrote = true
	if w.strict {
		s.holdAlone(w, seq)
		return
	}
	s.hold(w, seq)
}

// expires turns an exptime into the store's time, 0 for never.
func (w *worker) expires(exptime int64) (at uint64, expired bool) {
	if exptime == 0 {
		return 0, false
	}
	return expiresAt(exptime, w.now)
}

func expiresAt(exptime, now int64) (at uint64, expired bool) {
	epoch := hlc.Epoch.UnixMilli()
	ms, expired := memcache.ExptimeToUnixMilli(exptime, hlc.Make(now, 0, 0).Time())
	if ms == 0 {
		return 0, false
	}
	// A time before the epoch must not become 0, which is never.
	return uint64(max(ms-epoch, 1)), expired
}
