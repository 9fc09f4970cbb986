package gateway

import (
	"bufio"
	"errors"
	"net/http"
	"time"

	"github.com/futago/futago/internal/httphead"
)

// replyRoom is the length up to which the head of a reply can be plain.
const replyRoom = 4 << 10

// interimMax is how many replies of status 1xx may come before the one that counts, as with net/http.
const interimMax = 5

// upstreamConn is a connection to an upstream for one exchange after another.
type upstreamConn struct {
	pool  *pool
	conn  timedConn
	raw   rawExchange
	since time.Time // idle from then on

	in   [replyRoom]byte
	r, w int // in[r:w] was read and not used

	until time.Time // of Read
	left  int       // what Read may still read; negative: any number of bytes
}

var errLargeHeader = errors.New("header of a reply is too large")

// ask sends a request and reads the head of the reply. It is plain when web is nil; otherwise net/http has read it,
// because it is not.
func (c *upstreamConn) ask(request []byte, toHead bool, until time.Time, headMax int, plain *httphead.Reply) (web *webReply, err error) {
	c.r, c.w = 0, 0
	sent, n, err := c.raw.run(&c.conn, request, c.in[:], until)
	if err == nil && sent < len(request) {
		_, err = c.conn.write(request[sent:], until)
	}
	for {
		if n == 0 && err == nil {
			n, err = c.conn.read(c.in[c.w:], until)
		}
		if n == 0 {
			return nil, err
		}
		c.w += n
		n, err = 0, nil
		switch size, verdict := httphead.DecodeReply(c.in[:c.w], toHead, plain); {
		case size > headMax:
			return nil, errLargeHeader
		case verdict == httphead.Plain:
			c.r = size
			return nil, nil
		case verdict == httphead.Other, c.w == len(c.in):
			c.until, c.left = until, headMax
			return c.webReply(toHead)
		}
	}
}

// silent reports whether nothing came since the last request was sent.
func (c *upstreamConn) silent() bool { return c.w == 0 }

// webReply is a reply that net/http reads.
type webReply struct {
	*http.Response
	buffered *bufio.Reader // over the connection
}

func (c *upstreamConn) webReply(toHead bool) (*webReply, error) {
	reply := &webReply{buffered: bufio.NewReader(c)}
	request := &http.Request{Method: http.MethodGet}
	if toHead {
		request.Method = http.MethodHead
	}
	for range interimMax + 1 {
		var err error
		if reply.Response, err = http.ReadResponse(reply.buffered, request); err != nil {
			return nil, err
		}
		switch {
		case reply.StatusCode == http.StatusSwitchingProtocols:
			return nil, errUpgrade
		case reply.StatusCode >= 200:
			c.left = -1
			return reply, nil
		}
	}
	return nil, errors.New("too many replies of status 1xx")
}

// Read reads what came and was not used, then from the connection. It is for net/http, to read a reply.
func (c *upstreamConn) Read(p []byte) (n int, err error) {
	if c.left == 0 {
		return 0, errLargeHeader
	}
	if c.left > 0 {
		p = p[:min(len(p), c.left)]
	}
	if c.r < c.w {
		n = copy(p, c.in[c.r:c.w])
		c.r += n
	} else {
		n, err = c.conn.read(p, c.until)
	}
	if c.left > 0 {
		c.left -= n
	}
	return n, err
}

// ended reports whether everything that came belongs to the reply, so that another request may be sent.
func (r *webReply) ended(c *upstreamConn) bool {
	return !r.Close && r.buffered.Buffered() == 0 && c.r == c.w
}
