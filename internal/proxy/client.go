package proxy

import (
	"errors"
	"net"
	"time"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/users"
)

const (
	// clientBuffer is the input buffer of a client as long as its requests fit.
	clientBuffer = 16 << 10
	// roundCalls, roundKeys and roundBytes end a round: a client's calls, the keys of its gets, and the bytes of its requests but
	// for the last one. firstCalls are those of a new client, whose replies may be large.
	roundCalls = 256
	roundKeys  = 8192
	roundBytes = 64 << 10
	firstCalls = 16
	// replyKept is the largest reply buffer that a call keeps, callsKept how many calls a client keeps.
	replyKept = 4 << 10
	callsKept = 2 * roundCalls
	// drainPatience is how long a client may take, once the proxy drains, for a request that is on its way.
	drainPatience = 100 * time.Millisecond
	// writeTogether is up to which size replies are copied to leave together.
	writeTogether = 32 << 10
)

// client is one connection of a client. Its goroutine alone uses it; links write into its calls during a round.
type client struct {
	p     *Proxy
	nc    net.Conn
	slot  int // which link of each upstream it uses: one, so that its requests stay in order
	round round

	in       []byte // in[read:have] came and is not decoded; in[:read] belongs to the calls of the round
	read     int
	have     int
	need     int   // bytes that the pending request has in all, 0 if that is not known
	reserved int64 // of Config.MaxPending, for in
	timed    bool  // reading has a deadline

	started bool // the first byte has decided about binary
	binary  bool
	closing bool // nothing more is read
	decoder memcache.Decoder
	request memcache.Request

	users *users.Users // nil: everybody may do everything
	host  string       // where the client comes from, as users take it; "" without users
	user  *users.User  // nil: the client must authenticate, where there are users
	sasl  permit.SASL

	binaryDecoder memcache.BinaryDecoder
	binaryRequest memcache.BinaryRequest

	calls  []call
	keys   [][]byte // those of the round's calls
	enc    []byte   // the heads of the round's calls; that of the last one begins at headAt
	headAt int
	size   int         // of the round's requests
	stop   bool        // the round ends here: what comes next must not overtake
	rest   *pendingGet // of the last request of the round; nil: nothing
	broke  bool        // that was answered with an error already
	limit  int         // how many calls a round has: more while they are many, fewer while replies are large
	group  *group      // of the last try; nil before the first
	links  []*link     // of this try, by upstream of group
	out    []byte
}

func newClient(p *Proxy, nc net.Conn, number uint64) *client {
	c := &client{
		p: p, nc: nc, slot: int(number % uint64(p.cfg.Pool)), in: make([]byte, clientBuffer),
		decoder: memcache.Decoder{MaxValue: p.cfg.MaxValue}, binaryDecoder: memcache.BinaryDecoder{MaxValue: p.cfg.MaxValue}, limit: firstCalls,
	}
	c.round.wake = make(chan struct{}, 1)
	if c.users = p.guard.Users(); c.users != nil && nc != nil {
		c.host = p.hostOf(nc)
	}
	return c
}

// serve answers requests until the connection ends, or the proxy drains and none is begun.
func (c *client) serve() {
	defer c.trim(true)
	for {
		c.decode()
		if len(c.calls) > 0 {
			if !c.exchange() {
				return
			}
			c.endRound()
			continue
		}
		if c.closing || c.fill() != nil {
			return
		}
	}
}

// fill reads more, after it made room.
func (c *client) fill() error {
	if c.read > 0 {
		c.have = copy(c.in, c.in[c.read:c.have])
		c.read = 0
	}
	c.trim(false)
	if c.have == len(c.in) && !c.grow() {
		return errors.New("no memory")
	}
	if c.p.draining.Load() && c.have == 0 {
		return errStopped
	}
	limit := c.p.conf().IdleTimeout
	if c.have > 0 { // the rest of a request: others may wait for the memory that it takes
		limit = c.p.conf().WriteTimeout
	}
	if limit > 0 || c.timed {
		var end time.Time
		if c.timed = limit > 0; c.timed {
			end = time.Now().Add(limit)
		}
		c.nc.SetReadDeadline(end)
		if c.p.draining.Load() { // it may have set a deadline just before
			c.nc.SetReadDeadline(time.Now().Add(drainPatience))
		}
	}
	n, err := c.nc.Read(c.in[c.have:])
	c.have += n
	if n > 0 {
		return nil
	}
	return err
}

// grow makes the input buffer larger, as bytes come. If the memory for all clients is used up, the client is told so.
func (c *client) grow() bool {
	size := 2 * len(c.in)
	if c.need > len(c.in) {
		size = min(size, c.need)
	}
	if size > largeSize {
		c.p.holds.pass() // its requests would take the memory from each other
		if !c.p.reserve(int64(size) - c.reserved) {
			c.sendError("out of memory storing object")
			return false
		}
		c.reserved = int64(size)
	}
	in := make([]byte, size)
	copy(in, c.in[:c.have])
	c.in = in
	return true
}

// sendError tells the client why its connection is closed.
func (c *client) sendError(reason string) {
	c.nc.SetWriteDeadline(time.Now().Add(c.p.conf().WriteTimeout))
	if c.binary {
		c.nc.Write(memcache.AppendBinaryError(nil, memcache.Echo{}, memcache.BinaryOutOfMemory, reason))
		return
	}
	c.nc.Write([]byte("SERVER_ERROR " + reason + "\r\n"))
}

// trim gives back the memory that a large request took once it is over, with end all.
func (c *client) trim(end bool) {
	if end || len(c.in) > clientBuffer && c.have <= clientBuffer && c.need <= clientBuffer {
		if !end {
			in := make([]byte, clientBuffer)
			copy(in, c.in[:c.have])
			c.in = in
		}
		c.p.reserve(-c.reserved)
		c.reserved = 0
	}
}

// decode makes calls of complete requests, until the round is full.
func (c *client) decode() {
	if g := c.rest; g != nil {
		if c.rest = nil; !c.broke {
			c.get(*g)
		}
		c.broke = false
	}
	for !c.closing && !c.stop && len(c.calls) < c.limit && c.size < roundBytes {
		b := c.in[c.read:c.have]
		if len(b) == 0 || len(b) < c.need {
			return
		}
		if !c.started {
			c.started, c.binary = true, b[0] == binaryRequest
		}
		before, calls := c.read, len(c.calls)
		var more bool
		if c.binary {
			more = c.decodeBinary(b)
		} else {
			more = c.decodeText(b)
		}
		if len(c.calls) > calls { // what is only dropped does not fill a round
			c.size += c.read - before
		}
		if !more {
			return
		}
	}
}

// add returns a new call at the end of the round. Earlier ones may move.
func (c *client) add() *call {
	n := len(c.calls)
	if n == cap(c.calls) {
		c.calls = append(c.calls, call{})
	} else {
		c.calls = c.calls[:n+1]
	}
	next := &c.calls[n]
	reply := next.reply
	if cap(reply) > replyKept {
		reply = nil
	}
	*next = call{round: &c.round, reply: reply[:0]}
	return next
}

// say adds a reply of the proxy's own.
func (c *client) say(reply string) {
	next := c.add()
	next.reply = append(next.reply, reply...)
}

// endRound forgets what belonged to the round.
func (c *client) endRound() {
	c.calls, c.keys, c.enc, c.size, c.stop = c.calls[:0], c.keys[:0], c.enc[:0], 0, false
	if cap(c.calls) > callsKept {
		c.calls = nil
	}
	if cap(c.keys) > callsKept {
		c.keys = nil
	}
	if cap(c.enc) > spareMax {
		c.enc = nil
	}
}
