package gateway

import (
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/futago/futago/internal/httphead"
)

// headRoom is the length up to which the head of a request can be plain. It is less than what net/http's server takes at
// the least MaxHeaderBytes.
const headRoom = 4 << 10

// plainConn serves a client's connection as long as its requests are plain (package httphead). At the first one that is
// not, the connection goes to net/http with all that was not used, and stays there.
type plainConn struct {
	g      *Gateway
	client *countedConn
	conn   timedConn // over client
	state  atomic.Int32

	in   [headRoom]byte
	r, w int // in[r:w] was read and not used

	// Of the present request.
	req    httphead.Request // points into in
	head   []byte           // goes upstream
	ex     exchange
	broken bool // a write failed: the client may have a part of an answer

	// The reply of the last try.
	up    *upstreamConn // nil: none
	reply httphead.Reply
	web   *webReply // nil: reply is plain
}

// States of a plainConn.
const (
	connFresh  int32 = iota // no byte has come yet
	connBusy                // a request is there, or a part of one
	connIdle                // between requests
	connClosed              // by drain, while it was fresh or idle
)

func (g *Gateway) newPlainConn(conn *countedConn) *plainConn {
	c := &plainConn{g: g, client: conn, conn: timedConn{Conn: conn}}
	c.ex.remote, _, _ = net.SplitHostPort(conn.RemoteAddr().String())
	return c
}

// run serves the connection until it ends or is handed to net/http.
func (c *plainConn) run() {
	handed := false
	defer func() {
		if err := recover(); err != nil { // as in net/http: the others go on
			c.g.log.Error("request failed", "err", err, "stack", string(debug.Stack()))
			c.drop()
		}
		if !handed {
			c.client.Close()
		}
	}()
	until := time.Now().Add(c.g.cfg.ReadHeaderTimeout)
	for {
		switch c.next(until) {
		case httphead.Partial:
			return
		case httphead.Other:
			handed = true
			c.g.handToNet(c.client, c.in[c.r:c.w])
			return
		}
		if !c.serve() {
			return
		}
		until = time.Now().Add(c.g.cfg.IdleTimeout)
	}
}

// next reads the head of a request. Partial says that the connection ends without one. The first byte must come until
// the given time.
func (c *plainConn) next(until time.Time) httphead.Verdict {
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.state.CompareAndSwap(connBusy, connIdle) && c.g.draining.Load() {
			return httphead.Partial
		}
	} else {
		until = time.Now().Add(c.g.cfg.ReadHeaderTimeout)
	}
	for {
		if c.r < c.w {
			n, verdict := httphead.Decode(c.in[c.r:c.w], &c.req)
			if verdict == httphead.Plain {
				if !c.appendHead() {
					return httphead.Other
				}
				c.r += n
				return httphead.Plain
			}
			if verdict == httphead.Other || c.w-c.r == len(c.in) {
				return httphead.Other
			}
			if c.r > 0 {
				c.w = copy(c.in[:], c.in[c.r:c.w])
				c.r = 0
			}
		}
		n, err := c.conn.read(c.in[c.w:], until)
		if n == 0 && err != nil {
			return httphead.Partial
		}
		if c.state.Load() != connBusy {
			if !c.state.CompareAndSwap(connIdle, connBusy) && !c.state.CompareAndSwap(connFresh, connBusy) {
				return httphead.Partial // drained
			}
			until = time.Now().Add(c.g.cfg.ReadHeaderTimeout)
		}
		c.w += n
	}
}

// serve answers a request, and returns whether another one may follow.
func (c *plainConn) serve() (goOn bool) {
	ex := &c.ex
	*ex = exchange{start: time.Now(), remote: ex.remote, method: http.MethodGet, proto: "HTTP/1.1"}
	ex.tries = ex.room[:0]
	if c.req.Head {
		ex.method = http.MethodHead
	}
	// Nothing keeps it for longer than the request.
	ex.uri = unsafe.String(unsafe.SliceData(c.req.Target), len(c.req.Target))
	defer func() {
		ex.bytes = max(ex.bytes, 0)
		c.g.finish(ex)
	}()
	if _, ok := c.g.admit(c, ex, unsafe.String(unsafe.SliceData(c.req.Host), len(c.req.Host)), false); !ok {
		return c.goOn()
	}
	return c.g.forward(c, ex) && c.goOn()
}

func (c *plainConn) goOn() bool { return !c.broken && !c.g.draining.Load() }

// try implements carrier. A connection that the upstream has closed since its last use is replaced at once: that is
// nobody's failure.
func (c *plainConn) try(u *upstream, limit time.Duration) (status int, err error) {
	now := time.Now()
	until := now.Add(limit)
	up := u.conns.take(now)
	for {
		fresh := up == nil
		if fresh {
			if up, err = u.conns.dial(until); err != nil {
				break
			}
		}
		c.web, err = up.ask(c.head, c.req.Head, until, c.g.cfg.MaxHeaderBytes, &c.reply)
		if err == nil {
			c.up = up
			if c.web != nil {
				return c.web.StatusCode, nil
			}
			return c.reply.Status, nil
		}
		stale := !fresh && up.silent() && !isTimeout(err)
		u.conns.discard(up)
		if !stale {
			break
		}
		up = nil
	}
	if c.gone() {
		return 0, errClientGone
	}
	if isTimeout(err) {
		err = ErrUpstreamTimeout
	}
	return 0, err
}

// gone reports whether the client has closed its connection.
func (c *plainConn) gone() bool {
	return ended(c.client.Conn)
}

// text implements carrier.
func (c *plainConn) text(status int, line string) {
	c.ex.status = status
	b := appendStatusLine(c.head[:0], status)
	b = append(b, "Content-Type: "+textType+"\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(line)+1), 10)
	b = append(b, "\r\n"...)
	b = c.appendOwnLines(b, false)
	c.ex.bytes = -int64(len(b))
	if !c.req.Head {
		b = append(b, line...)
		b = append(b, '\n')
	}
	c.Write(b)
	c.head = b
}

// appendOwnLines ends the head of a reply with the lines that are the gateway's.
func (c *plainConn) appendOwnLines(b []byte, dated bool) []byte {
	if !dated {
		b = append(b, "Date: "...)
		b = time.Now().UTC().AppendFormat(b, http.TimeFormat)
		b = append(b, "\r\n"...)
	}
	if c.g.draining.Load() {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

func appendStatusLine(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	if text := http.StatusText(status); text != "" {
		b = append(b, text...)
	} else {
		b = append(b, "status code "...)
		b = strconv.AppendInt(b, int64(status), 10)
	}
	return append(b, "\r\n"...)
}

// Write sends to the client, and counts in the exchange, whose number of bytes begins below 0 by what the head has.
func (c *plainConn) Write(p []byte) (n int, err error) {
	n, err = c.conn.write(p, time.Now().Add(c.g.cfg.WriteTimeout))
	c.ex.bytes += int64(n)
	c.broken = c.broken || err != nil
	return n, err
}
