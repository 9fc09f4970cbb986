package server

import (
	"bytes"
	"context"
	"errors"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/observe"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// tyrantSession is what a conversation in Tokyo Tyrant's protocol has besides.
type tyrantSession struct {
	dec    tyrant.Decoder
	client *cabinet.Client
	gathered
}

// listOverhead is how much larger than the largest value a request with a list may be, in bytes.
const listOverhead = 1 << 20

// speakTyrant prepares a conversation in Tokyo Tyrant's protocol.
func (s *session) speakTyrant(srv *Server) {
	s.tt = &tyrantSession{client: srv.cabinet.Client(nil)}
	s.tt.dec.MaxValue = int(srv.cfg.MaxValue)
	s.tt.dec.MaxRequest = int(srv.cfg.MaxValue) + listOverhead
	if srv.cfg.Users != nil {
		s.tt.client.Sees = func(key []byte) bool { return s.reads(srv, key) }
	}
}

// feedTyrant is feed for Tokyo Tyrant's protocol.
func (s *session) feedTyrant(w *worker, in []byte, start int) (n int) {
	s.tt.client.Scratch = &w.tt
	if s.gathering() && !s.gatherOn(w, start) {
		s.more = true
		return 0
	}
	for seen := 0; n < len(in); {
		if s.full(w, start) {
			s.more = true
			return n
		}
		if n >= seen {
			seen = n + s.lookOn(w, in[n:])
		}
		size, need, err := s.tt.dec.Decode(in[n:], &w.treq)
		n += size
		if err != nil {
			s.need = need
			return n
		}
		before := s.made()
		w.begins()
		s.executeTyrant(w)
		s.answeredTyrant(tyrantRefusal(w.treq.Command))
		s.ended(w, size+s.made()-before)
		if s.more = s.gathering(); s.more || s.closing || s.slow != nil {
			return n
		}
	}
	return n
}

// executeTyrant turns the request in w.treq into a call of the cabinet and its result into the reply. Memory that the request
// lies in is not there any more when a slow part runs.
func (s *session) executeTyrant(w *worker) {
	r, c := &w.treq, s.tt.client
	if r.Close {
		w.tally[cmdOther]++
		s.closing = true
		return
	}
	w.tally[cmdTyrant+counter(r.Command.Index())]++
	if r.TooLarge {
		w.tally[storeTooLarge]++
		s.failTyrant(r.Command)
		return
	}
	masked := w.srv.cfg.Mask != 0 && w.srv.masksTyrant(r)
	if masked || !s.permittedTyrant(w) {
		w.tally[cmdDenied]++
		s.audit(w, refusal(masked))
		s.failTyrant(r.Command)
		return
	}
	switch r.Command {
	case tyrant.Put, tyrant.PutKeep, tyrant.PutCat, tyrant.PutShl, tyrant.PutNR:
		s.tyrantPut(w)
	case tyrant.Out:
		err := c.Out(r.Key)
		w.countDelete(err)
		s.tyrantDone(w, err)
	case tyrant.Get:
		s.tyrantGet(w)
	case tyrant.MGet:
		s.gather(w, r.Args)
	case tyrant.VSiz:
		n, err := c.VSiz(r.Key)
		w.countGet(err)
		if err != nil {
			s.failTyrant(r.Command)
			return
		}
		s.out = tyrant.AppendSize(s.out, n)
	case tyrant.IterInit:
		s.tyrantDone(w, c.IterInit())
	case tyrant.IterNext:
		s.tyrantList(w, !c.Ready(), nil, func(_ context.Context, c *cabinet.Client, dst []byte, _ [][]byte) []byte {
			key, err := c.IterNext()
			if err != nil {
				return nil
			}
			return tyrant.AppendValue(dst, key)
		})
	case tyrant.AddInt, tyrant.AddDouble:
		s.tyrantAdd(w)
	case tyrant.RNum:
		s.out = tyrant.AppendCount(s.out, c.RNum())
	case tyrant.Size:
		s.out = tyrant.AppendCount(s.out, c.Size())
	case tyrant.Stat:
		w.tally.publish(w.totals)
		s.out = tyrant.AppendValue(s.out, w.srv.tyrantStat())
	default:
		w.tally[cmdOther]++
		s.tyrantRest(w)
	}
}

func (s *session) tyrantPut(w *worker) {
	r, c := &w.treq, s.tt.client
	w.tally[cmdSet]++
	w.srv.prefixes.set(r.Key)
	var err error
	switch r.Command {
	case tyrant.PutKeep:
		err = c.PutKeep(r.Key, r.Value)
	case tyrant.PutCat:
		err = c.PutCat(r.Key, r.Value)
	case tyrant.PutShl:
		err = c.PutShl(r.Key, r.Value, int(r.Width))
	default:
		err = c.Put(r.Key, r.Value)
	}
	w.countPut(err)
	if big := &w.totals.big; err == nil && big.Wants(len(r.Value)) {
		big.Note(r.Key, len(r.Value))
	}
	s.tyrantDone(w, err)
}

// tyrantDone answers what has no result.
func (s *session) tyrantDone(w *worker, err error) {
	s.holdWritten(w)
	if w.treq.Command != tyrant.PutNR {
		s.out = tyrant.AppendStatus(s.out, err == nil)
	}
}

// holdWritten keeps the reply that follows until the gate has passed what the cabinet has written for it.
func (s *session) holdWritten(w *worker) {
	if seq := s.tt.client.Written(); seq != 0 {
		w.hold(s, seq)
	}
}

func (s *session) tyrantGet(w *worker) {
	r, v := &w.treq, &w.view
	found := w.store.Acquire(r.Key, v)
	w.srv.prefixes.get(r.Key, found)
	if !found {
		w.countGet(store.ErrNotFound)
		s.failTyrant(r.Command)
		return
	}
	w.countGet(nil)
	if !s.roomFor(w, len(v.Value)) {
		s.failTyrant(r.Command)
	} else {
		s.out = tyrant.AppendSize(s.out, len(v.Value))
		s.sendBody(w, v.Value, "")
	}
	v.Release()
}

func (s *session) tyrantAdd(w *worker) {
	r, c := &w.treq, s.tt.client
	var sum int32
	var double float64
	var err error
	if r.Command == tyrant.AddInt {
		sum, err = c.AddInt(r.Key, r.Num)
	} else {
		double, err = c.AddDouble(r.Key, r.Double.Float64())
	}
	s.holdWritten(w)
	switch {
	case err != nil:
		w.tally[incrMisses]++
		s.failTyrant(r.Command)
		return
	case r.Command == tyrant.AddInt:
		s.out = tyrant.AppendInt(s.out, sum)
	default:
		s.out = tyrant.AppendDouble(s.out, double)
	}
	w.tally[incrHits]++
}

// countPut, countDelete and countGet count one key.
func (w *worker) countPut(err error) {
	switch {
	case err == nil:
		w.tally[itemsStored]++
		return
	case errors.Is(err, store.ErrTooLarge):
		w.tally[storeTooLarge]++
	case errors.Is(err, store.ErrNoMemory):
		w.tally[storeNoMemory]++
	}
	w.tally[tyrantPutMiss]++
}

func (w *worker) countDelete(err error) {
	if err == nil {
		w.tally[deleteHits]++
	} else if errors.Is(err, store.ErrNotFound) {
		w.tally[deleteMisses]++
	}
}

func (w *worker) countGet(err error) {
	w.tally[cmdGet]++
	if err == nil {
		w.tally[getHits]++
	} else {
		w.tally[getMisses]++
	}
}

// failTyrant answers that a command did nothing. Lists fail with a status that the original never sends, and its clients do
// not look at: they see an empty list, and others can tell.
func (s *session) failTyrant(c tyrant.Command) {
	switch c {
	case tyrant.Repl:
		s.closing = true // who follows waits for an id, not for a status
	case tyrant.RNum, tyrant.Size:
		s.out = tyrant.AppendCount(s.out, 0)
	case tyrant.Stat:
		s.out = tyrant.AppendValue(s.out, nil)
	default:
		s.out = append(s.out, tyrantRefusal(c)...)
	}
}

// tyrantRefusal is the reply to a command that has failed; none to what has no reply.
func tyrantRefusal(c tyrant.Command) string {
	switch c {
	case tyrant.PutNR:
		return ""
	case tyrant.MGet, tyrant.FwmKeys, tyrant.Misc:
		return "\x01\x00\x00\x00\x00"
	}
	return "\x01"
}

// later has the rest of the command run in a goroutine, for it may take long. job gets a client that it alone uses, and returns
// the reply. Until then it holds size bytes of the request.
func (s *session) later(w *worker, size int, job func(ctx context.Context, c *cabinet.Client) []byte) {
	c, srv, command, client := s.tt.client, w.srv, w.treq.Command, s.peer.name()
	began, key := nanos(), bytes.Clone(w.treq.Key[:min(len(w.treq.Key), observe.MaxKey)])
	srv.pending.Add(int64(size))
	s.slow = func(ctx context.Context) func(*session, *worker) {
		defer srv.pending.Add(-int64(size))
		c.Scratch = new(cabinet.Scratch)
		var reply []byte
		srv.inTurn(ctx, func(ctx context.Context) {
			if !srv.sendsAway() { // or its client has given it up
				reply = job(ctx, c)
			}
		})
		srv.noteAside(tyrantClass(command), began, client, key, size+len(reply))
		return func(s *session, w *worker) {
			c.Scratch = &w.tt
			s.replyTyrant(w, command, reply)
			s.answeredTyrant(tyrantRefusal(command))
		}
	}
}

// replyTyrant answers a command with a whole reply. nil says that it has failed; so has what there is no room for.
func (s *session) replyTyrant(w *worker, command tyrant.Command, reply []byte) {
	s.holdWritten(w)
	if reply == nil || len(reply) > smallBuffer && w.srv.crowded(int64(s.unsent())) {
		s.failTyrant(command)
		return
	}
	if len(s.out) == 0 {
		s.out = reply // it may be large
		return
	}
	s.out = append(s.out, reply...)
}
