package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// linkBuffer is the read buffer of a link; a line of a reply must fit.
	linkBuffer = 64 << 10
	// spareMax is the largest output buffer that a link keeps.
	spareMax = 256 << 10
	// byteTime is the time that each byte which comes grants the calls of a link: it must carry 4 MB a second.
	byteTime = 250 * time.Nanosecond
)

// link is one connection to an upstream that the calls of many clients share. It is dialled by its own goroutine, which
// also reads the replies and alone ends calls; clients append to its output and write it.
type link struct {
	up       *upstream
	protocol protocol
	slot     *atomic.Pointer[link] // where up keeps it
	epoch    uint64                // of up when it was made
	ctx      context.Context       // of the dialling
	cancel   context.CancelFunc

	mu       sync.Mutex
	nc       net.Conn // nil while dialling
	open     bool     // the greeting is over
	dead     bool     // takes no more calls
	meta     bool     // the server knows meta commands
	err      error    // why it was ended from outside
	out      []byte   // to be written
	spare    []byte   // the other buffer
	flushing bool     // somebody writes
	pending  []*call  // from first on, in the order of their replies
	first    int
	popped   uint64 // calls answered
	taken    uint64 // calls, counted from the first ever, whose bytes were given to a write

	lastRead atomic.Int64 // when bytes came last
	came     atomic.Int64 // how many ever

	answered bool  // it gave any reply; of the reading goroutine
	scan     scan  // likewise
	now      int64 // likewise: when the bytes under scan came
}

// newLink starts to connect.
func newLink(u *upstream, p protocol, slot *atomic.Pointer[link], epoch uint64) *link {
	l := &link{up: u, protocol: p, slot: slot, epoch: epoch}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	u.proxy.links.Go(l.run)
	return l
}

// enqueue puts a call at the end of the line. false: the link is dead, and the call not taken.
func (l *link) enqueue(c *call) bool {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return false
	}
	if l.open && c.meta && !l.meta {
		l.mu.Unlock()
		c.refuseMeta()
		return true
	}
	c.came = l.came.Load()
	l.pending = append(l.pending, c)
	if l.open {
		l.out = c.appendTo(l.out)
	}
	l.mu.Unlock()
	return true
}

// refuseMeta answers a meta command in the name of a server that does not know it, and must not see its data.
func (c *call) refuseMeta() {
	c.reply, c.broke = append(c.reply, "ERROR\r\n"...), true
	c.round.finish()
}

// flush writes what is to be written, unless somebody else is doing that.
func (l *link) flush() {
	l.mu.Lock()
	if l.flushing || !l.open || l.dead || len(l.out) == 0 {
		l.mu.Unlock()
		return
	}
	l.flushing = true
	l.mu.Unlock()
	// Clients that are ready to run add their requests first, and all leave in one write.
	if l.up.proxy.active.Count() > 1 {
		runtime.Gosched()
	}
	for {
		l.mu.Lock()
		if len(l.out) == 0 || l.dead {
			l.flushing = false
			l.mu.Unlock()
			return
		}
		out := l.out
		l.out, l.spare = l.spare[:0], nil
		l.taken = l.popped + uint64(len(l.pending)-l.first)
		l.mu.Unlock()
		_, err := l.nc.Write(out)
		if cap(out) > spareMax {
			out = nil
		}
		l.mu.Lock()
		l.spare = out
		l.mu.Unlock()
		if err != nil {
			l.fail(err)
		}
	}
}

// fail ends the link from outside. Its goroutine does the rest.
func (l *link) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	nc := l.nc
	l.mu.Unlock()
	l.cancel()
	if nc != nil {
		abort(nc)
	}
}

// abort closes a connection with a reset: it takes back what has not left yet, and a node that stands still does not
// execute what it had not read, which may have been repeated elsewhere. With TLS there is no farewell that could block.
func abort(nc net.Conn) {
	if secured, ok := nc.(*tls.Conn); ok {
		nc = secured.NetConn()
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

// overdue returns what the link must be failed with because a call has waited too long. While large replies come the
// time that they take does not count: neither the node nor who waits behind them can help it.
func (l *link) overdue(now int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	came, silent := l.came.Load(), now-l.lastRead.Load()
	pause := 4 * int64(l.up.proxy.tick())
	for _, c := range l.pending[l.first:] {
		late := now - c.deadline
		carried := (came - c.came) * int64(byteTime)
		switch {
		case late <= 0:
		case silent > max(c.deadline-c.sentAt, pause), late > carried && silent >= pause:
			return errTimeout
		case late > carried:
			return errSlow
		}
	}
	return nil
}

// run is the link's goroutine.
func (l *link) run() {
	b := make([]byte, linkBuffer)
	dialled, err := l.connect(b)
	if err == nil {
		l.flush()
		err = l.read(b)
	}
	l.end(dialled, err)
}

// connect dials, greets, and hands the calls that came meanwhile to the output.
func (l *link) connect(b []byte) (dialled bool, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.up.proxy.conf().Timeout)
	defer cancel()
	nc, err := l.up.dial(ctx)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	l.nc = nc
	err = l.err
	l.mu.Unlock()
	if err != nil {
		return true, err
	}
	nc.SetDeadline(time.Now().Add(l.up.proxy.conf().Timeout))
	meta, err := l.up.greet(nc, l.protocol, b)
	if err != nil {
		return true, err
	}
	nc.SetDeadline(time.Time{})
	l.answered = true

	var refused []*call
	l.mu.Lock()
	l.open, l.meta = true, meta
	rest := l.pending[:0]
	for _, c := range l.pending {
		if c.meta && !meta {
			refused = append(refused, c)
			continue
		}
		rest = append(rest, c)
		l.out = c.appendTo(l.out)
	}
	clear(l.pending[len(rest):])
	l.pending = rest
	l.mu.Unlock()
	for _, c := range refused {
		c.refuseMeta()
	}
	return true, nil
}

// read takes replies until the connection ends.
func (l *link) read(b []byte) error {
	have := 0
	for {
		n, err := l.nc.Read(b[have:])
		have += n
		l.now = l.up.proxy.clock()
		l.came.Add(int64(n))
		l.lastRead.Store(l.now)
		used, bad := l.take(b[:have])
		if bad != nil {
			return bad
		}
		have = copy(b, b[used:have])
		if err != nil {
			return err
		}
	}
}

// front returns the call whose reply comes next, or nil.
func (l *link) front() *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == len(l.pending) {
		return nil
	}
	return l.pending[l.first]
}

// answer ends the call at the front.
func (l *link) answer(c *call) {
	l.answered = true
	l.mu.Lock()
	l.pending[l.first] = nil
	l.first++
	l.popped++
	switch {
	case l.first == len(l.pending):
		l.pending, l.first = l.pending[:0], 0
	case l.first >= 1024 && l.first > len(l.pending)/2:
		n := copy(l.pending, l.pending[l.first:])
		clear(l.pending[n:])
		l.pending, l.first = l.pending[:n], 0
	}
	l.mu.Unlock()
	l.up.observe(l.now - c.sentAt)
	c.round.finish()
}

// end closes the connection, tells the upstream, and ends all calls that are left.
func (l *link) end(dialled bool, err error) {
	l.slot.CompareAndSwap(l, nil) // who finds the link dead makes a new one
	l.mu.Lock()
	l.dead = true
	if l.err != nil {
		err = l.err
	}
	calls, taken := l.pending[l.first:], l.taken-min(l.taken, l.popped)
	opened := l.open
	l.mu.Unlock()
	l.cancel()
	if l.nc != nil {
		abort(l.nc)
	}
	stale := false
	if errors.Is(err, errLoggedOut) {
		taken = 0
	}
	switch {
	case errors.Is(err, errStopped), errors.Is(err, errSlow):
	case l.protocol == binaryProtocol && dialled && !opened && !errors.Is(err, errAuth):
		err = errNoBinary // or too slow to say so; the text protocol will show
	case l.answered && closedByPeer(err):
		// The server may have hung up on idle clients, or have been restarted; whether it is gone, a new connection shows.
		stale = true
	default:
		l.up.fail(l.epoch, err)
	}
	for i, c := range calls {
		l.up.failures.Add(1)
		c.err, c.sent = err, uint64(i) < taken
		if stale && c.stale&c.bit == 0 {
			c.stale |= c.bit
		} else {
			c.tried |= c.bit
		}
		c.round.finish()
	}
}

// closedByPeer says whether the connection ended without nonsense and without silence before it.
func closedByPeer(err error) bool {
	_, nonsense := errors.AsType[*replyError](err)
	netErr, ok := errors.AsType[net.Error](err)
	return !nonsense && !errors.Is(err, errTimeout) && !(ok && netErr.Timeout())
}
