package futago

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// writeChunk is how much of a request goes out under one deadline, in bytes. A large value may take longer than
// the timeout as long as every chunk of it makes its way.
const writeChunk = 256 << 10

// conn is one connection to a server. One request at a time owns it, or the pool of unused ones.
type conn struct {
	nc      net.Conn
	timeout time.Duration
	replies *memcache.ReplyReader
	// out is the memory in which requests are put together. Large values do not pass through it.
	out []byte
	// ctx is that of the request under way.
	ctx context.Context
	// reused is true when an earlier request used the connection, so that the server may have closed it meanwhile.
	reused bool
	// epoch is the server's when the request under way began.
	epoch int
}

func newConn(nc net.Conn, timeout time.Duration, maxValue int) *conn {
	c := &conn{nc: nc, timeout: timeout}
	c.replies = memcache.NewReplyReader(c, maxValue)
	return c
}

// arm gives the next read or write the whole timeout. The context is looked at after the deadline is set: an end
// that comes later sets a deadline of its own, one that came earlier is seen here.
func (c *conn) arm() error {
	if err := c.nc.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	return c.ctx.Err()
}

// Read is for the reply reader.
func (c *conn) Read(p []byte) (int, error) {
	if err := c.arm(); err != nil {
		return 0, err
	}
	return c.nc.Read(p)
}

// write sends line, and unless value is nil also value and CRLF.
func (c *conn) write(line, value []byte) error {
	const small = 4 << 10
	if value != nil && len(value) <= small {
		line = append(append(line, value...), '\r', '\n')
		value = nil
	}
	if cap(line) <= 16*small {
		c.out = line[:0]
	}
	if value == nil {
		return c.send(line)
	}
	// The command line and the first chunk leave together, so that a value costs no extra packet.
	parts := net.Buffers{line, value[:min(len(value), writeChunk)]}
	for value = value[len(parts[1]):]; ; value = value[len(parts[0]):] {
		if len(value) == 0 {
			parts = append(parts, []byte("\r\n"))
		}
		if err := c.send(parts...); err != nil || len(value) == 0 {
			return err
		}
		parts = net.Buffers{value[:min(len(value), writeChunk)]}
	}
}

// send writes all parts under one deadline.
func (c *conn) send(parts ...[]byte) error {
	if err := c.arm(); err != nil {
		return err
	}
	if len(parts) == 1 {
		_, err := c.nc.Write(parts[0])
		return err
	}
	buffers := net.Buffers(parts)
	_, err := buffers.WriteTo(c.nc)
	return err
}

// exchange runs one request. It returns clean as false when the context ended meanwhile: its end may have spoiled
// the deadline, so the connection must not be used again.
func (c *conn) exchange(ctx context.Context, run func(*conn) (answer, err error)) (clean bool, answer, err error) {
	c.ctx = ctx
	clean = true
	if ctx.Done() == nil {
		answer, err = run(c)
	} else {
		stop := context.AfterFunc(ctx, func() { c.nc.SetDeadline(time.Unix(1, 0)) })
		answer, err = run(c)
		clean = stop()
	}
	c.ctx = nil
	return clean && c.replies.Buffered() == 0, answer, err
}

// alive reports whether an unused connection is still open at the other end and silent.
func (c *conn) alive() bool { return silent(c.nc) }

func (c *conn) close() { c.nc.Close() }

// abort closes the connection under a request that is given up. The reset takes back what has not left yet, and a futago
// that stands still does not execute what it had not read, which may be repeated elsewhere.
func (c *conn) abort() {
	nc := c.nc
	if secured, ok := nc.(*tls.Conn); ok {
		nc = secured.NetConn()
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}
