package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	// ErrServerClosed says that the server ended a connection with requests under way.
	ErrServerClosed = errors.New("server closed the connection")
	errUnasked      = errors.New("server sent more replies than it was sent requests")
)

// errAgain says that a socket has nothing to read now.
var errAgain error = againError{}

// againError is temporary in the sense of net.Error: crypto/tls goes on after it.
type againError struct{}

func (againError) Error() string   { return "nothing to read now" }
func (againError) Timeout() bool   { return true }
func (againError) Temporary() bool { return true }

// conn is one connection of a load thread, which alone uses it.
type conn struct {
	fd   int
	tls  *tls.Conn // reads and writes by means of a carrier; nil without TLS
	scan scanner

	out     []byte // what the socket did not take; out[:written] is gone
	written int
	waiting bool // for EPOLLOUT

	// times is a ring of the start times of the requests under way, oldest at first.
	times   []int64
	first   int
	pending int  // <= len(times)
	idle    bool // in the loop's list of connections with room in their pipelines
}

func (c *conn) close() {
	if c.tls != nil {
		c.tls.CloseWrite() // a farewell; nothing is lost when it does not arrive
	}
	unix.Close(c.fd)
}

// push notes that a request is to be written, which was due or sent at ns.
func (c *conn) push(request []byte, ns int64) {
	c.scan.sent(request)
	c.times[(c.first+c.pending)%len(c.times)] = ns
	c.pending++
}

// pop forgets the oldest request under way and returns its time.
func (c *conn) pop() int64 {
	ns := c.times[c.first]
	if c.first++; c.first == len(c.times) {
		c.first = 0
	}
	c.pending--
	return ns
}

// send writes b, or keeps what the socket does not take, and asks for the event that says when to go on. The connection is watched as
// number i. b is not kept.
func (c *conn) send(b []byte, p *poller, i int) (err error) {
	if c.tls != nil {
		_, err = c.tls.Write(b)
	} else {
		err = c.writeSocket(b)
	}
	if err != nil {
		return err
	}
	return c.await(p, i)
}

// flush writes what was kept.
func (c *conn) flush(p *poller, i int) error {
	for c.written < len(c.out) {
		n, errno := sysWrite(c.fd, c.out[c.written:])
		switch errno {
		case 0:
			c.written += n
		case unix.EAGAIN:
			// Move the rest to the front: paced load may add to it for ever.
			c.out = c.out[:copy(c.out, c.out[c.written:])]
			c.written = 0
			return c.await(p, i)
		case unix.EINTR:
		default:
			return socketError("write", errno)
		}
	}
	c.out, c.written = c.out[:0], 0
	return c.await(p, i)
}

// await watches for EPOLLOUT while something is kept.
func (c *conn) await(p *poller, i int) error {
	if blocked := len(c.out) > 0; blocked != c.waiting {
		c.waiting = blocked
		return p.watch(unix.EPOLL_CTL_MOD, c.fd, i, blocked)
	}
	return nil
}

// read returns errAgain when there is nothing to read now. With TLS it must be called until then: what has been read from the socket raises
// no event.
func (c *conn) read(b []byte) (n int, err error) {
	if c.tls != nil {
		n, err = c.tls.Read(b)
	} else {
		n, err = c.readSocket(b)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = ErrServerClosed
	}
	return n, err
}

// socketError is ErrServerClosed however the server did that: with bytes of ours unread it is a reset.
func socketError(what string, errno syscall.Errno) error {
	if errno == unix.ECONNRESET || errno == unix.EPIPE {
		return ErrServerClosed
	}
	return fmt.Errorf("%s: %w", what, errno)
}

func (c *conn) readSocket(b []byte) (int, error) {
	n, errno := sysRead(c.fd, b)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return 0, errAgain
	case errno != 0:
		return 0, socketError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// writeSocket writes b, and keeps what the socket does not take.
func (c *conn) writeSocket(b []byte) error {
	for len(c.out) == 0 && len(b) > 0 {
		n, errno := sysWrite(c.fd, b)
		switch errno {
		case 0:
			b = b[n:]
		case unix.EAGAIN:
			c.out = append(c.out, b...)
			return nil
		case unix.EINTR:
		default:
			return socketError("write", errno)
		}
	}
	c.out = append(c.out, b...)
	return nil
}

// sysRead and sysWrite are for non-blocking descriptors only: they do not tell the Go scheduler of
// the system call, which costs more than the call is worth when it cannot block.
func sysRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

func sysWrite(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}
