package server

import (
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
)

const (
	// maxMarks bounds the list of held groups of replies; further writes wait together.
	maxMarks = 64
	// maxHeld bounds the writes of a strict session that wait for the gate; then it executes nothing before the first of
	// them is decided.
	maxHeld = 1024
)

// replyUnconfirmed takes the place of the reply to a write that failed after it was executed.
var replyUnconfirmed = faultLine(store.ErrUnconfirmed)

// faultLine is the reply for an error that is no outcome of the operation.
func faultLine(err error) string { return "SERVER_ERROR " + err.Error() + "\r\n" }

// mark says that the replies from pos of out on wait until the gate has decided on seq. Where a write may fail after it was
// executed, each has a mark of its own.
type mark struct {
	pos, end int
	seq      uint64
	fallible bool          // if the write fails an error takes the place of what stands from pos to end, be it nothing
	echo     memcache.Echo // for that error in memcached's binary protocol
	refusal  string        // that error in Tokyo Tyrant's
	failed   bool

	at      int64 // nanoseconds, about when the write was executed
	class   class // of its command
	key     [markedKey]byte
	keySize int // of the whole key
}

// hold makes the replies from here on wait for seq. Writes of one feed wait together.
func (s *session) hold(w *worker, seq uint64) {
	n := len(s.marks)
	if n > s.fed || n >= maxMarks {
		s.marks[n-1].seq = seq
		return
	}
	s.mark(w, seq)
}

// mark makes the replies from here on wait by themselves.
func (s *session) mark(w *worker, seq uint64) {
	s.marks = append(s.marks, mark{pos: len(s.out), end: len(s.out), seq: seq, at: w.lapped, class: s.class(w)})
	m, key := &s.marks[len(s.marks)-1], s.subject(w)
	m.keySize = len(key)
	copy(m.key[:], key)
}

// holdAlone is hold for a write that may fail: its command's reply begins here and ends with answered. A command that
// writes several times fails as a whole.
func (s *session) holdAlone(w *worker, seq uint64) {
	n, here := len(s.marks), len(s.out)
	if s.open || n > 0 && s.marks[n-1].pos == here && !s.marks[n-1].fallible { // the one before has no reply
		s.marks[n-1].seq = seq
	} else {
		s.mark(w, seq)
	}
	s.open = true
}

// answered ends the reply of a command, or what there is of it when a get has paused. quiet says that it may have no reply, and
// is answered all the same if it fails.
func (s *session) answered(quiet bool) {
	if s.open {
		m := &s.marks[len(s.marks)-1]
		m.end = len(s.out)
		m.fallible = quiet || m.end > m.pos
		s.open = len(s.keys) > 0
	}
}

// answeredBinary is answered in the binary protocol: also a command without a reply is answered if it fails.
func (s *session) answeredBinary(e memcache.Echo) {
	if s.open {
		m := &s.marks[len(s.marks)-1]
		m.end, m.fallible, m.echo = len(s.out), true, e
		s.open = false
	}
}

// sendable returns the bytes that may leave now; call decide before.
func (s *session) sendable() []byte {
	end := len(s.out)
	if len(s.marks) > 0 {
		end = s.marks[0].pos
	}
	return s.out[s.sent:end]
}

// decide drops the marks on which the gate has decided, after it has put errors in the place of the replies to writes that
// failed. An error means that no reply would be true. held says that the marks have waited.
func (s *session) decide(w *worker, held bool) error {
	st, n, failed := w.store, 0, false
	for ; n < len(s.marks); n++ {
		m := &s.marks[n]
		ok, err := st.Passed(m.seq)
		if m.failed = !ok && errors.Is(err, store.ErrUnconfirmed); m.failed {
			failed = true
		} else if err != nil {
			return err
		} else if !ok {
			break
		}
		if held {
			s.passedGate(w, m)
		}
	}
	if n == 0 {
		return nil
	}
	if failed {
		st.Unconfirmed(s.fail(n))
	}
	s.passed(n)
	return nil
}

// fail replaces the replies of those of the first n marks that failed, and returns how many these were. A get that has
// paused behind such a reply is over.
func (s *session) fail(n int) (replaced int) {
	if s.open && n == len(s.marks) && s.marks[n-1].failed {
		s.keys = nil
	}
	before, from := len(s.out), s.marks[0].pos
	held := append([]byte(nil), s.out[from:]...)
	s.out = s.out[:from]
	at := from
	for i := range s.marks[:n] {
		if m := &s.marks[i]; m.failed && m.fallible {
			s.out = s.appendUnconfirmed(append(s.out, held[at-from:m.pos-from]...), m)
			at = m.end
			replaced++
		}
	}
	s.out = append(s.out, held[at-from:]...)
	for i := range s.marks[n:] {
		s.marks[n+i].pos += len(s.out) - before
		s.marks[n+i].end += len(s.out) - before
	}
	return replaced
}

// answeredTyrant is answered in Tokyo Tyrant's protocol, for a command whose failure looks like this.
func (s *session) answeredTyrant(refusal string) {
	if s.open {
		m := &s.marks[len(s.marks)-1]
		m.end, m.fallible, m.refusal = len(s.out), refusal != "", refusal
		s.open = false
	}
}

func (s *session) appendUnconfirmed(out []byte, m *mark) []byte {
	switch s.proto {
	case isBinary:
		return memcache.AppendBinaryError(out, m.echo, memcache.BinaryOutOfMemory, store.ErrUnconfirmed.Error())
	case isTyrant:
		return append(out, m.refusal...)
	}
	return append(out, replyUnconfirmed...)
}

// passed drops the first n marks.
func (s *session) passed(n int) {
	s.marks = s.marks[:copy(s.marks, s.marks[n:])]
	if len(s.marks) == 0 {
		s.open = false
		if cap(s.marks) > maxMarks {
			s.marks = nil
		}
	}
}

// moveMarks follows out, of which the first n bytes are gone.
func (s *session) moveMarks(n int) {
	for i := range s.marks {
		s.marks[i].pos -= n
		s.marks[i].end -= n
	}
}
