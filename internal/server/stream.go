package server

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/futago/futago/internal/store"
)

// drainGrace is how long a drain waits for bytes that a client may have sent already.
const drainGrace = 20 * time.Millisecond

// drainLoad is how long a drain goes on answering a client that does not stop sending.
const drainLoad = 200 * time.Millisecond

// streams are the connections of the goroutine carrier.
type streams struct {
	mu    sync.Mutex
	open  map[*stream]struct{}
	group sync.WaitGroup
}

// stream carries one session over a net.Conn with a goroutine of its own.
type stream struct {
	session
	net.Conn
	srv     *Server
	w       worker
	in      []byte
	counted int64

	mu       sync.Mutex // orders deadlines, and the change of Conn for TLS, against the drain
	draining bool
	drainEnd time.Time // of the patience with a client that goes on sending
}

// start serves c, of which first was read already, until it ends.
func (s *streams) start(srv *Server, c net.Conn, first []byte, p *peer) {
	st := &stream{session: session{peer: p}, Conn: c, srv: srv, w: newWorker(srv, srv.totals[0])}
	st.dec.MaxValue, st.bin.MaxValue = int(srv.cfg.MaxValue), int(srv.cfg.MaxValue)
	s.mu.Lock()
	if s.open == nil {
		s.open = map[*stream]struct{}{}
	}
	s.open[st] = struct{}{}
	s.mu.Unlock()
	st.in = append(make([]byte, 0, max(smallBuffer, len(first))), first...)
	if srv.lettingGo() {
		st.drain() // a loop may give a connection after all others were told
	}
	s.group.Go(func() {
		handed := st.run()
		s.mu.Lock()
		delete(s.open, st)
		s.mu.Unlock()
		srv.pending.Add(-st.counted)
		if !handed {
			st.Close()
			srv.closed(p)
		}
	})
}

// drain makes every connection end as soon as nothing more has arrived.
func (s *streams) drain() {
	s.each((*stream).drain)
}

func (st *stream) drain() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.draining, st.drainEnd = true, time.Now().Add(drainLoad)
	_ = st.SetReadDeadline(time.Now().Add(drainGrace))
}

func (s *streams) closeAll() {
	s.each(func(st *stream) {
		st.mu.Lock()
		defer st.mu.Unlock()
		_ = st.SetDeadline(time.Unix(1, 0))
	})
}

func (s *streams) each(f func(*stream)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open {
		f(st)
	}
}

func (s *streams) wait() { s.group.Wait() }

// run serves until the connection ends; true when net/http took it over.
func (st *stream) run() (handed bool) {
	if len(st.in) == 0 && !st.begin() {
		return false
	}
	verdict := sniff(st.in[0], st.peer.protocol, st.peer.tls)
	if verdict == isTLS {
		if !st.handshake() || !st.begin() {
			return false
		}
		verdict = sniff(st.in[0], st.peer.protocol, NoTLS)
	}
	st.speak(verdict, st.srv)
	switch verdict {
	case isMemcache, isBinary, isTyrant:
		st.converse()
	case isHTTP:
		st.leaving = !st.srv.plainHTTP
		if !st.leaving {
			st.converse()
		}
		if !st.leaving || st.SetDeadline(time.Time{}) != nil {
			return false
		}
		st.srv.handoff(st.Conn, bytes.Clone(st.in), st.peer)
		return true
	}
	return false
}

// begin reads the first bytes of a connection, or of what is inside TLS; false when none come.
func (st *stream) begin() bool {
	n, _ := st.fill(st.srv.limits.Load().FirstByteTimeout, firstByteTimeouts)
	return n > 0
}

// converse serves a session until the connection ends.
func (st *stream) converse() {
	w := &st.w
	var window time.Time // in which a half-sent request must make progress; zero = there is none
	arrived := 0
	for {
		if st.srv.sendsAway() {
			return
		}
		w.now = st.srv.store.Now()
		w.startLap()
		used := st.feed(w, st.in)
		st.in = st.in[:copy(st.in, st.in[used:])]
		w.flush()
		st.account()
		if !st.sendAll() {
			return
		}
		if st.takeover != nil {
			st.takeover(st.Conn)
			return
		}
		if st.closing || st.leaving {
			return
		}
		if job := st.slow; job != nil {
			st.slow = nil
			rest := job(st.srv.ctx)
			w.now = st.srv.store.Now()
			rest(&st.session, w)
			continue
		}
		if st.more {
			continue
		}
		if len(st.in) == 0 && st.isLate() {
			return // what was sent before the drain is answered
		}
		if cap(st.in) > keptBuffer && len(st.in) == 0 {
			st.in = make([]byte, 0, smallBuffer)
		}
		st.account()
		limit, why := st.srv.idle(st.proto), idleKicks
		if len(st.in) > 0 {
			if used > 0 || window.IsZero() || arrived >= minProgress {
				window, arrived = time.Now(), 0
			}
			limit, why = max(time.Until(window.Add(st.srv.limits.Load().RequestTimeout)), 1), requestTimeouts
		} else {
			window = time.Time{}
		}
		n, err := st.fill(limit, why)
		arrived += n
		if err != nil && n == 0 {
			return
		}
	}
}

// fill reads once, with room that doubles up to what the request needs.
func (st *stream) fill(limit time.Duration, why counter) (int, error) {
	for held := len(st.in) > 0; held && st.srv.overfull(st.counted); {
		select {
		case <-time.After(drainGrace):
		case <-st.srv.ctx.Done():
			return 0, net.ErrClosed
		}
	}
	if len(st.in) == cap(st.in) {
		size := 2 * cap(st.in)
		if st.need > len(st.in) {
			size = min(size, st.need)
		}
		st.in = append(make([]byte, 0, size), st.in...)
		st.account()
	}
	for {
		draining := st.arm(limit)
		if st.srv.suspended.Load() { // after the deadline is set: closeAll comes behind the flag
			return 0, net.ErrClosed
		}
		n, err := st.Read(st.in[len(st.in):cap(st.in)])
		st.in = st.in[:len(st.in)+n]
		st.w.tally[bytesRead] += uint64(n)
		st.w.tally.publish(st.w.totals)
		if n > 0 {
			st.peer.last.Store(st.srv.store.Now())
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || st.srv.ctx.Err() != nil {
			return n, err
		}
		if !draining && st.isDraining() {
			// The drain has cut the deadline. A request that has begun may still be finished.
			if len(st.in) == 0 {
				return n, err
			}
			continue
		}
		if !draining || len(st.in) > 0 {
			st.srv.totals[0].count(why)
		}
		return n, err
	}
}

// arm sets the deadline for the next read and reports whether the server drains.
func (st *stream) arm(limit time.Duration) (draining bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.draining && len(st.in) == 0:
		limit = drainGrace
	case limit == 0:
		_ = st.SetReadDeadline(time.Time{})
		return st.draining
	}
	_ = st.SetReadDeadline(time.Now().Add(limit))
	return st.draining
}

func (st *stream) isDraining() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.draining
}

// isLate reports whether the drain has lasted so long that an empty input holds nothing from before it.
func (st *stream) isLate() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.draining && time.Now().After(st.drainEnd)
}

// sendAll writes all replies, those behind a write after the gate has passed it.
func (st *stream) sendAll() bool {
	st.w.tally.publish(st.w.totals) // before the replies leave: who has one finds it counted
	for held := false; ; held = true {
		if st.decide(&st.w, held) != nil {
			return false
		}
		st.w.noteLate()
		if b := st.sendable(); len(b) > 0 {
			n, err := writePieces(st.srv.ctx, st.Conn, b, st.srv.limits.Load().RequestTimeout)
			st.w.totals.add(bytesWritten, n)
			if err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) && st.srv.ctx.Err() == nil {
					st.w.totals.count(requestTimeouts)
				}
				return false
			}
			st.advance(n)
		}
		if !st.owes() {
			break
		}
		st.w.totals.count(repliesHeld)
		if err := st.srv.store.Wait(st.srv.ctx, st.marks[0].seq); err != nil && !errors.Is(err, store.ErrUnconfirmed) {
			return false
		}
		st.w.lapped = nanos()
	}
	if cap(st.out) > keptBuffer {
		st.out = nil
	}
	return true
}

func (st *stream) account() {
	held := int64(st.kept())
	if cap(st.in) > smallBuffer {
		held = int64(cap(st.in))
	}
	if cap(st.out) > smallBuffer {
		held += int64(cap(st.out))
	}
	st.srv.pending.Add(held - st.counted)
	st.counted = held
}
