package server

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/futago/futago/internal/tyrant"
)

const (
	readBuffer   = 256 << 10
	leastRead    = 64 << 10 // of it for a connection
	mostReadOn   = 1 << 20  // bytes of a large value that are read at once
	roundOutput  = 4 << 20  // output after which a round is settled early, bytes
	tickMillis   = 1000     // between looks at the timeouts
	stallMillis  = 20       // between looks at connections that wait for memory of others
	firstByFDLen = 256
)

// loop serves its connections from one thread. A round is: wait, read and execute what is ready, hand the writes to the
// store, send the replies that may leave. Some connections are read before any of them is executed, so that the store can prepare for all.
type loop struct {
	poller
	srv *Server
	w   worker

	rbuf    []byte
	used    int // of rbuf
	taken   []taken
	buffers buffers
	byFD    []*conn
	count   int // of connections
	feeding *conn
	parts   parts   // for sendNow
	touched []*conn // of this round: to send and to watch anew
	held    []*conn // with replies that wait for the gate
	resume  []*conn // with input left that waits for room
	stalled []*conn // that may not read until others hold less
	dead    []*conn
	fresh   bool  // connections were adopted in this round
	output  int   // bytes made in this round
	ticked  int64 // ms
	rounds  atomic.Uint64

	// waiting is set before the loop sleeps with held replies; who clears it must wake the loop.
	waiting atomic.Bool
	done    chan struct{}

	inMu  sync.Mutex
	inbox []*conn
	back  []returned // from slow
	over  bool       // no connection is taken any more
}

// taken is what was read from a connection and is still to be executed.
type taken struct {
	c       *conn
	data    []byte
	private bool // data is c.in
}

// leaveRoom lets something else run while every loop is busy, even if there is a processor for each loop only: the system then shares them.
// Without, a loop waits up to 10 ms for whatever else enters a system call that blocks, such as a sync.
func leaveRoom(loops int) {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) <= loops {
		runtime.GOMAXPROCS(loops + 1)
	}
}

func (s *Server) makeLoops() error {
	leaveRoom(s.threads())
	for range s.threads() {
		l := &loop{srv: s, done: make(chan struct{}), byFD: make([]*conn, firstByFDLen)}
		if err := l.open(); err != nil {
			s.closeLoops()
			return err
		}
		t := new(totals)
		s.totals = append(s.totals, t)
		l.w = newWorker(s, t)
		l.w.buffers, l.w.sender = &l.buffers, l
		s.loops = append(s.loops, l)
	}
	return nil
}

// closeLoops frees loops that never ran.
func (s *Server) closeLoops() {
	for _, l := range s.loops {
		l.close()
	}
}

// adopt hands a new connection to the loop.
func (l *loop) adopt(fd int, p *peer) {
	c := &conn{session: session{peer: p}, fd: fd}
	c.dec.MaxValue, c.bin.MaxValue = int(l.srv.cfg.MaxValue), int(l.srv.cfg.MaxValue)
	l.inMu.Lock()
	over := l.over
	if !over {
		l.inbox = append(l.inbox, c)
	}
	l.inMu.Unlock()
	if over {
		_ = unix.Close(fd)
		l.srv.closed(p)
		return
	}
	l.wake()
}

func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.rbuf = make([]byte, readBuffer)
	l.w.now = l.srv.store.Now()
	cancel := l.srv.store.OnPass(func() {
		if l.waiting.Load() && l.waiting.CompareAndSwap(true, false) {
			l.wake()
		}
	})
	defer func() {
		cancel()
		l.closeAll()
		l.close()
		close(l.done)
	}()
	for l.srv.ctx.Err() == nil {
		events, err := l.wait(l.timeout())
		if err != nil {
			l.srv.logger.Error("network loop stops", "err", err)
			return
		}
		l.rounds.Add(1)
		before := l.w.now
		l.w.now = l.srv.store.Now()
		if l.isSuspended(before) {
			l.sendAllAway()
			if l.srv.draining.Load() {
				return
			}
			continue
		}
		l.round(events)
		if l.w.now-l.ticked >= tickMillis {
			l.ticked = l.w.now
			l.tick()
		}
		// A full list of events, or a connection that was not watched yet, may hide requests that have arrived.
		hidden := len(events) == len(l.events) || l.fresh
		l.fresh = false
		if l.srv.lettingGo() && !hidden && l.drained() && l.srv.draining.Load() {
			return
		}
	}
}

// timeout is how long the loop may sleep, in milliseconds.
func (l *loop) timeout() int {
	if len(l.resume) == 0 {
		if len(l.stalled) > 0 || l.srv.lettingGo() {
			return stallMillis
		}
		return tickMillis
	}
	for _, c := range l.resume {
		if !l.srv.overfull(c.counted) {
			return 0
		}
	}
	return stallMillis
}

func (l *loop) round(events []unix.EpollEvent) {
	began := l.w.startLap()
	if len(l.resume) > 0 {
		l.resumeAll()
	}
	if len(l.stalled) > 0 {
		l.unstall()
	}
	for i := range events {
		ev := &events[i]
		if int(ev.Fd) == l.wakefd {
			l.woken()
			l.takeInbox()
			continue
		}
		if c := l.byFD[ev.Fd]; c != nil && !c.dead {
			l.ready(c, ev.Events)
		}
		if len(l.taken) == mostWarm || len(l.rbuf)-l.used < leastRead {
			l.executeTaken()
		}
	}
	l.executeTaken()
	l.settle()
	l.w.roundOver(began)
}

// takeInbox begins to watch new connections.
func (l *loop) takeInbox() {
	l.inMu.Lock()
	fresh, back := l.inbox, l.back
	l.inbox, l.back = nil, nil
	l.inMu.Unlock()
	l.fresh = l.fresh || len(fresh) > 0
	for _, c := range fresh {
		for c.fd >= len(l.byFD) {
			l.byFD = append(l.byFD, make([]*conn, len(l.byFD))...)
		}
		c.last, c.events = l.w.now, unix.EPOLLIN
		l.byFD[c.fd] = c
		l.count++
		if err := l.control(unix.EPOLL_CTL_ADD, c.fd, c.events); err != nil {
			l.srv.logger.Warn("watch a connection", "err", err)
			l.kill(c)
		}
	}
	l.comeBack(back)
}

// ready serves one descriptor that epoll named.
func (l *loop) ready(c *conn, events uint32) {
	if events&unix.EPOLLERR != 0 || events&unix.EPOLLHUP != 0 && c.events&unix.EPOLLIN == 0 {
		// Both directions are gone, and nobody would read what still waits. Requests that arrived before a reset are still
		// there to be read, but their client has given them up, and may have made them elsewhere: a node that stood still
		// must not execute them now, with a newer stamp.
		l.kill(c)
		return
	}
	if events&unix.EPOLLOUT != 0 {
		l.touch(c)
	}
	if events&^unix.EPOLLOUT != 0 && c.events&unix.EPOLLIN != 0 {
		l.read(c)
	}
}

func (l *loop) read(c *conn) {
	private := len(c.in) > 0
	room := l.rbuf[l.used:]
	if private {
		room = c.readRoom(l)
	}
	n, errno := readFD(c.fd, room)
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		l.kill(c)
		return
	case n == 0:
		c.eof = true
		l.touch(c)
		return
	}
	data := room[:n]
	if private {
		c.in = c.in[:len(c.in)+n]
		n += l.readOn(c, n)
		data = c.in
	} else {
		l.used += n
	}
	c.last = l.w.now
	c.peer.last.Store(l.w.now)
	c.arrived += n
	l.w.tally[bytesRead] += uint64(n)
	l.taken = append(l.taken, taken{c, data, private})
}

// readOn reads what has come meanwhile of a large value, of which n bytes were just read: the sender could go on when they were. It returns how
// many bytes that were.
func (l *loop) readOn(c *conn, n int) (more int) {
	for n >= leastRead/4 && len(c.in) < c.need && more < mostReadOn {
		var errno unix.Errno
		if n, errno = readFD(c.fd, c.readRoom(l)); errno != 0 {
			break // the next read meets it again
		}
		c.in = c.in[:len(c.in)+n]
		more += n
	}
	return more
}

// executeTaken executes what was read.
func (l *loop) executeTaken() {
	l.w.prepareAll(l.taken)
	for _, t := range l.taken {
		if t.c.dead || t.c.proto == undecided && !l.decide(t.c, t.data) {
			continue
		}
		l.execute(t.c, t.data, t.private)
		if l.output >= roundOutput {
			l.settleEarly()
		}
	}
	clear(l.taken)
	l.taken, l.used = l.taken[:0], 0
}

// prepareAll has the store prepare for what several connections have sent: requests that are alone, for the others follow each connection.
func (w *worker) prepareAll(all []taken) {
	if w.warmer == nil || len(all) < 2 {
		return
	}
	found := 0
	for i := range all {
		t := &all[i]
		if keys, n := t.c.glance(w.warm[found:found:found+1], t.data); n == len(t.data) {
			found += len(keys)
		}
	}
	w.prepare(w.warm[:found])
}

// decide looks at the first bytes; false means that they are not for this loop.
func (l *loop) decide(c *conn, data []byte) bool {
	c.speak(sniff(data[0], c.peer.protocol, c.peer.tls), l.srv)
	follows := c.proto == isTyrant && tyrant.BeginsRepl(data)
	switch {
	case c.proto == isMemcache, c.proto == isBinary, c.proto == isTyrant && !follows, c.proto == isHTTP && l.srv.plainHTTP:
		return true
	case c.proto == isHTTP:
		l.giveAway(c, data, l.srv.handoff)
	case c.proto == isTLS, follows:
		l.giveAway(c, data, l.srv.secure)
	default:
		l.kill(c)
	}
	return false
}

// execute feeds the session. private says that data is c.in.
func (l *loop) execute(c *conn, data []byte, private bool) {
	if cap(c.out) == 0 {
		c.out = l.buffers.take(0)
	}
	before := len(c.out)
	l.feeding = c
	n := c.feed(&l.w, data)
	if c.slow != nil {
		l.sendAway(c)
	}
	l.output += c.made() - before
	rest := data[n:]
	if c.closing {
		rest = nil
	}
	c.keep(l, rest, private)
	switch {
	case len(c.in) == 0 || c.more || c.away:
		c.since = 0
	case c.since == 0 || n > 0:
		c.since, c.arrived = l.w.now, 0
	}
	l.touch(c)
}

// resumeAll goes on with sessions that paused, as far as their output has left.
func (l *loop) resumeAll() {
	all := l.resume
	l.resume = nil
	for _, c := range all {
		c.resumes = false
		switch {
		case c.dead || !c.more:
		case l.srv.overfull(c.counted) && c.unsent() > 0:
			l.later(c)
		case !c.stuffed(l.srv):
			l.execute(c, c.in, true)
			if l.output >= roundOutput {
				l.settleEarly()
			}
		}
	}
	if l.resume == nil {
		l.resume = all[:0]
	}
}

// unstall lets connections read again that had to wait for the memory of others.
func (l *loop) unstall() {
	kept := l.stalled[:0]
	for _, c := range l.stalled {
		if !c.dead && l.srv.overfull(c.counted) {
			kept = append(kept, c)
			continue
		}
		c.stalled = false
		l.touch(c)
	}
	clear(l.stalled[len(kept):])
	l.stalled = kept
}

// later puts c on the list of sessions to go on with.
func (l *loop) later(c *conn) {
	if !c.resumes {
		c.resumes = true
		l.resume = append(l.resume, c)
	}
}

func (l *loop) touch(c *conn) {
	if !c.touched {
		c.touched = true
		l.touched = append(l.touched, c)
	}
}
