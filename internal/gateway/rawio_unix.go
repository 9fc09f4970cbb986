//go:build unix

package gateway

import (
	"io"
	"net"
	"syscall"
	"time"
)

// plainWorks says whether requests may be carried by plainConn.
const plainWorks = true

// rawExchange sends a request and waits for the first bytes of its reply by fewer system calls than net.Conn would: it
// looks whether the connection is open and quiet just before it sends, which shows the poller that nothing is there
// to read, and so need not look again before it waits.
type rawExchange struct {
	conn syscall.RawConn // nil: net.Conn does all
	step func(fd uintptr) bool

	request []byte
	in      []byte
	sent    int // bytes of request
	n       int // bytes of in
	err     error
}

func (x *rawExchange) init(c net.Conn) {
	if s, ok := c.(syscall.Conn); ok {
		x.conn, _ = s.SyscallConn()
	}
	x.step = x.next // once: each method value would be allocated
}

// run returns how much of request was sent and of the reply was read into in. sent is short, without an error, when the
// connection takes no more at present. errUnasked says that the connection was closed, or spoke, before anything was sent.
func (x *rawExchange) run(c *timedConn, request, in []byte, until time.Time) (sent, n int, err error) {
	if x.conn == nil {
		return 0, 0, nil
	}
	x.request, x.in, x.sent, x.n, x.err = request, in, 0, 0, nil
	err = c.waitRead(until, func() error { return x.conn.Read(x.step) })
	x.request, x.in = nil, nil
	if err == nil {
		err = x.err
	}
	return x.sent, x.n, err
}

// next does what can be done without waiting, and reports whether that is all.
func (x *rawExchange) next(fd uintptr) (done bool) {
	if x.sent == 0 {
		if _, err := retry(syscall.Read, fd, x.in); err != syscall.EAGAIN {
			x.err = errUnasked
			return true
		}
		n, err := retry(syscall.Write, fd, x.request)
		x.sent = max(n, 0)
		if err != nil && err != syscall.EAGAIN {
			x.err = err
		}
		return x.sent < len(x.request)
	}
	n, err := retry(syscall.Read, fd, x.in)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		x.err = err
	case n == 0:
		x.err = io.EOF
	default:
		x.n = n
	}
	return true
}

func retry(call func(int, []byte) (int, error), fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = call(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}

// ended reports whether the other side of a connection, which nobody reads at present, has closed it.
func ended(c net.Conn) (is bool) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var room [1]byte
		n, _, err := syscall.Recvfrom(int(fd), room[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		is = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return is || err != nil
}
