package server

import (
	"bytes"
	"net"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/users"
)

// feedStep is the output after which a feed pauses, so that it leaves before more is made. Bytes.
const feedStep = 1 << 20

// session is one conversation in memcached's text or binary protocol, in Tokyo Tyrant's, or in plain HTTP: bytes in, replies out.
//
// sent <= marks[0].pos <= ... <= len(out)
type session struct {
	peer  *peer
	user  *users.User // nil: must authenticate, where users are known at all
	proto verdict
	dec   memcache.Decoder
	bin   memcache.BinaryDecoder
	tt    *tyrantSession // nil in the other protocols
	out   []byte         // replies; the first sent bytes have left
	sent  int
	gone  int // bytes that have left in the present feed
	marks []mark
	fed   int  // marks that were there when the current feed began
	open  bool // the last mark belongs to a command that is executed now, or to a get that has paused

	keys   []byte      // of a get that paused: the keys still to answer, each with a space behind it
	keysOp memcache.Op // its command
	touch  int64       // its exptime

	ahead *ahead // what was done of the next requests; nil: nothing

	dump *dump // a list of keys that has paused; nil: there is none

	broken string // the line that ends the present get before its end; "": none does

	takeover func(c net.Conn) // takes the connection over, once all replies have left; nil: nobody does

	slow slow // to be run by the carrier before anything else is executed; nil: nothing
	away bool // slow runs in a goroutine

	blocked bool // the client did not take all that was sent to it last
	need    int  // size of the pending request as far as known, else 0
	more    bool // the last feed paused before the end of its input: feed again
	leaving bool // net/http takes the connection over, with the input that is left, once all replies have left
	closing bool // nothing more is to be executed; close once the replies have left

	sasl permit.SASL
}

// speak decides the protocol of the conversation.
func (s *session) speak(proto verdict, srv *Server) {
	s.proto = proto
	if proto == isTyrant {
		s.speakTyrant(srv)
	}
}

// unsent is the number of bytes that have not left.
func (s *session) unsent() int { return len(s.out) - s.sent }

// made grows by what is appended, whether or not it has left; for comparisons within a feed.
func (s *session) made() int { return len(s.out) + s.gone }

// owes reports whether there is, or may be, something to send: a write without a reply can still fail and get one.
func (s *session) owes() bool {
	n := len(s.marks)
	return s.unsent() > 0 || n > 0 && s.marks[n-1].fallible
}

// advance records that n bytes of sendable have left.
func (s *session) advance(n int) {
	s.sent += n
	if s.sent == len(s.out) {
		s.moveMarks(s.sent)
		s.out, s.sent = s.out[:0], 0
		return
	}
	// Output that never drains completely must not grow at its front for ever.
	if s.sent > 64<<10 && s.sent > len(s.out)/2 {
		rest := s.out[s.sent:]
		if len(rest) <= feedStep {
			rest = s.out[:copy(s.out, rest)]
		} // else moving it would take long
		s.out = rest
		s.moveMarks(s.sent)
		s.sent = 0
	}
}

// full reports whether a feed that began with start bytes of output has made enough.
func (s *session) full(w *worker, start int) bool {
	return s.made()-start >= feedStep || s.stuffed(w.srv)
}

// stuffed reports whether so much waits to leave that nothing more may be executed. Replies that wait for the gate may
// be many; a client that does not read, or wants a list of keys, is given no more than a step ahead, for making replies costs
// the others time.
func (s *session) stuffed(srv *Server) bool {
	unsent := int64(s.unsent())
	return unsent >= srv.cfg.MaxPending || (s.blocked || s.dump != nil) && unsent >= feedStep || len(s.marks) >= maxHeld
}

// feed executes the requests at the front of in and appends their replies to out. It returns the number of bytes
// consumed; the caller must give the others again, with more behind them, when more is set, or once slow has run. Nothing of in is kept.
func (s *session) feed(w *worker, in []byte) (n int) {
	n = s.feedAny(w, in)
	if s.ahead != nil {
		s.leaveAhead(w)
	}
	if w.limit > 0 {
		s.lap(w, nanos())
	}
	return n
}

// feedAny is feed in any protocol.
func (s *session) feedAny(w *worker, in []byte) (n int) {
	s.need, s.more = 0, false
	s.fed, s.gone = len(s.marks), 0
	start := s.made()
	switch s.proto {
	case isBinary:
		return s.feedBinary(w, in, start)
	case isTyrant:
		return s.feedTyrant(w, in, start)
	case isHTTP:
		return s.feedHTTP(w, in, start)
	}
	if len(s.keys) > 0 {
		whole := s.resumeGet(w, start)
		s.answered(false)
		if !whole {
			s.more = true
			return 0
		}
	}
	if s.dump != nil {
		s.dumpOn(w)
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
		size, need, err := s.decode(w, in[n:])
		n += size
		if err != nil {
			s.need = need
			return n
		}
		before := s.made()
		w.begins()
		goOn := true
		if l := s.early(w, in[n:]); l != nil {
			s.out, goOn = append(s.out, l.out...), !s.closing
		} else {
			goOn = s.execute(w, start)
		}
		s.answered(w.mreq.Op.IsMeta())
		s.ended(w, size+s.made()-before)
		if !goOn {
			s.more = s.more || len(s.keys) > 0
			return n
		}
	}
	return n
}

// decode reads a request into w.mreq.
func (s *session) decode(w *worker, in []byte) (n, need int, err error) {
	if s.locked(w) {
		return s.dec.DecodeAuth(in, &w.mreq)
	}
	return s.dec.Decode(in, &w.mreq)
}

// resumeGet goes on with a get that paused; false when it has paused again.
func (s *session) resumeGet(w *worker, start int) bool {
	rest := s.keys
	for len(rest) > 0 {
		if s.full(w, start) {
			s.keys = s.keys[:copy(s.keys, rest)]
			return false
		}
		i := bytes.IndexByte(rest, ' ')
		s.getOne(w, s.keysOp, rest[:i], s.touch)
		if s.endBroken() {
			s.keys = nil
			return true
		}
		rest = rest[i+1:]
	}
	s.keys = nil
	s.out = append(s.out, memcache.ReplyEnd...)
	return true
}

// pauseGet keeps the keys that are still to be answered.
func (s *session) pauseGet(r *memcache.Request) {
	s.keysOp, s.touch = r.Op, r.Exptime
	for key, ok := r.Keys.Next(); ok; key, ok = r.Keys.Next() {
		s.keys = append(append(s.keys, key...), ' ')
	}
}
