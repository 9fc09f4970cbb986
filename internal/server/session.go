package server

import (
	"bytes"

	"github.com/futago/futago/internal/memcache"
)

// feedStep is the output after which a feed pauses, so that it leaves before more is made. Bytes.
const feedStep = 1 << 20

// maxMarks bounds the list of held groups of replies; further writes wait together.
const maxMarks = 64

// session is one memcached conversation: bytes in, replies out.
//
// sent <= marks[0].pos <= ... <= len(out)
type session struct {
	dec   memcache.Decoder
	out   []byte // replies; the first sent bytes have left
	sent  int
	marks []mark
	fed   int // marks that were there when the current feed began

	keys   []byte      // of a get that paused: the keys still to answer, each with a space behind it
	keysOp memcache.Op // its command
	touch  int64       // its exptime

	starved bool // a value was refused: the connections together hold all they may

	need    int  // size of the pending request as far as known, else 0
	more    bool // the last feed paused before the end of its input: feed again
	closing bool // nothing more is to be executed; close once the replies have left
}

// mark says that the replies from pos of out on wait until the gate has passed seq.
type mark struct {
	pos int
	seq uint64
}

// unsent is the number of bytes that have not left.
func (s *session) unsent() int { return len(s.out) - s.sent }

// hold makes the replies from here on wait for seq.
func (s *session) hold(seq uint64) {
	n := len(s.marks)
	if n > s.fed || n >= maxMarks {
		s.marks[n-1].seq = seq
		return
	}
	s.marks = append(s.marks, mark{pos: len(s.out), seq: seq})
}

// sendable returns the bytes that may leave now; first drop the marks that have passed.
func (s *session) sendable() []byte {
	end := len(s.out)
	if len(s.marks) > 0 {
		end = s.marks[0].pos
	}
	return s.out[s.sent:end]
}

// passed drops the first mark.
func (s *session) passed() {
	s.marks = s.marks[:copy(s.marks, s.marks[1:])]
}

// advance records that n bytes of sendable have left.
func (s *session) advance(n int) {
	s.sent += n
	if s.sent == len(s.out) {
		for i := range s.marks {
			s.marks[i].pos = 0
		}
		s.out, s.sent = s.out[:0], 0
		return
	}
	// Output that never drains completely must not grow at its front for ever.
	if s.sent > 64<<10 && s.sent > len(s.out)/2 {
		s.out = s.out[:copy(s.out, s.out[s.sent:])]
		for i := range s.marks {
			s.marks[i].pos -= s.sent
		}
		s.sent = 0
	}
}

// full reports whether a feed that began with start bytes of output has made enough.
func (s *session) full(w *worker, start int) bool {
	return len(s.out)-start >= feedStep || int64(s.unsent()) >= w.srv.cfg.MaxPending
}

// feed executes the requests at the front of in and appends their replies to out. It returns the number of bytes
// consumed; the caller must give the others again, with more behind them or when more is set. Nothing of in is kept.
func (s *session) feed(w *worker, in []byte) (n int) {
	s.need, s.more = 0, false
	s.fed = len(s.marks)
	start := len(s.out)
	if len(s.keys) > 0 && !s.resumeGet(w, start) {
		s.more = true
		return 0
	}
	for n < len(in) {
		if s.full(w, start) {
			s.more = true
			return n
		}
		size, need, err := s.dec.Decode(in[n:], &w.mreq)
		n += size
		if err != nil {
			s.need = need
			return n
		}
		if !s.execute(w, start) {
			s.more = len(s.keys) > 0
			return n
		}
	}
	return n
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
		if s.endStarved() {
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
