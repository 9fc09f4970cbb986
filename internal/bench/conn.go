package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	errServerClosed = errors.New("server closed the connection")
	errUnasked      = errors.New("server sent more replies than it was sent requests")
)

const dialTimeout = 5 * time.Second

// conn is one connection of a load thread, which alone uses it.
type conn struct {
	fd   int
	scan scanner

	out     []byte // requests not yet written; out[:written] is gone
	written int
	waiting bool // for EPOLLOUT

	// times is a ring of the start times of the requests under way, oldest at first.
	times   []int64
	first   int
	pending int // <= len(times)
}

// dial connects and makes a socket that the Go runtime's poller does not watch.
func dial(ctx context.Context, c *Config, depth int) (*conn, error) {
	network, address := c.network()
	dialer := net.Dialer{Timeout: dialTimeout}
	nc, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Address, err)
	}
	defer nc.Close()
	// A descriptor of our own for the same socket. Closing nc takes the runtime's away, and with it the
	// registration at the runtime's poller, which would otherwise wake a thread at every reply. (File would
	// register the second one, too.)
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Address, err)
	}
	var fd int
	var dupErr error
	err = raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, dupErr); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.Address, err)
	}
	return &conn{fd: fd, scan: newScanner(c), times: make([]int64, depth)}, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// push notes that out ends with a request from this place on, which was due or sent at ns.
func (c *conn) push(at int, ns int64) {
	c.scan.sent(c.out[at:])
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

// flush writes what the socket takes. blocked says that some is left until the socket is writable.
func (c *conn) flush() (blocked bool, err error) {
	for c.written < len(c.out) {
		n, errno := sysWrite(c.fd, c.out[c.written:])
		switch errno {
		case 0:
			c.written += n
		case unix.EAGAIN:
			// Move the rest to the front: paced load may add to it for ever.
			c.out = c.out[:copy(c.out, c.out[c.written:])]
			c.written = 0
			return true, nil
		case unix.EINTR:
		default:
			return false, fmt.Errorf("write: %w", errno)
		}
	}
	c.out, c.written = c.out[:0], 0
	return false, nil
}

// send writes what the connection, which is watched as number i, has to say, and asks for the event that says when to go on.
func (c *conn) send(p *poller, i int) error {
	blocked, err := c.flush()
	if err != nil {
		return err
	}
	if blocked != c.waiting {
		c.waiting = blocked
		return p.watch(unix.EPOLL_CTL_MOD, c.fd, i, blocked)
	}
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
