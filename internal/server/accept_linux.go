package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// acceptor takes connections from one listener. After close it returns net.ErrClosed.
type acceptor interface {
	accept() (accepted, error)
	close()
}

// newAcceptor accepts bare descriptors if raw is set. The acceptor owns the listener.
func newAcceptor(ln net.Listener, raw bool) (acceptor, error) {
	sc, ok := ln.(syscall.Conn)
	if !raw || !ok {
		return netAcceptor{ln}, nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("listener: %w", err)
	}
	// A net.Listener does not let others wait on its descriptor; a file over a duplicate does.
	var fd int
	if e := rc.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		return nil, fmt.Errorf("duplicate a listener: %w", errors.Join(e, err))
	}
	f := os.NewFile(uintptr(fd), "listener")
	wait, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("listener: %w", err)
	}
	return fdAcceptor{RawConn: wait, file: f, ln: ln}, nil
}

// fdAcceptor accepts bare non-blocking descriptors; only waiting goes through the runtime.
type fdAcceptor struct {
	syscall.RawConn
	file *os.File
	ln   net.Listener
}

func (a fdAcceptor) close() {
	a.ln.Close()
	a.file.Close()
}

func (a fdAcceptor) accept() (c accepted, err error) {
	var sa unix.Sockaddr
	var failed error
	err = a.Read(func(fd uintptr) bool {
		for {
			c.fd, sa, failed = unix.Accept4(int(fd), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if failed == unix.EINTR || failed == unix.ECONNABORTED {
				continue
			}
			return failed != unix.EAGAIN
		}
	})
	if err != nil {
		return c, net.ErrClosed // the only error of Read itself
	}
	if failed != nil {
		return c, fmt.Errorf("accept: %w", failed)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		c.remote = "tcp:" + netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *unix.SockaddrInet6:
		c.remote = "tcp6:" + netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)).String()
	default:
		c.remote = "unix:"
		return c, nil
	}
	// Without these the connection works too, only worse; there is nobody to tell.
	_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	return c, nil
}

// refuse answers with one line and closes.
func (c accepted) refuse(line string) {
	if c.conn != nil {
		_, _ = c.conn.Write([]byte(line))
		c.conn.Close()
		return
	}
	_, _ = unix.Write(c.fd, []byte(line))
	_ = unix.Close(c.fd)
}
