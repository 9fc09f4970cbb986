package bench

import (
	"fmt"

	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is an epoll instance. Event data is the index of the connection.
type poller struct {
	fd     int
	events [512]unix.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll instance: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { unix.Close(p.fd) }

// watch adds (EPOLL_CTL_ADD) or changes (EPOLL_CTL_MOD) a descriptor; writable asks for that event too.
func (p *poller) watch(op, fd, index int, writable bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(index)}
	if writable {
		ev.Events |= unix.EPOLLOUT
	}
	if err := unix.EpollCtl(p.fd, op, fd, &ev); err != nil {
		return fmt.Errorf("watch connection: %w", err)
	}
	return nil
}

// wait returns the events that are there, after at most timeout. It uses epoll_pwait2 (Linux 5.11),
// because paced load needs waits shorter than a millisecond.
func (p *poller) wait(timeout time.Duration) ([]unix.EpollEvent, error) {
	ts := unix.NsecToTimespec(int64(max(timeout, 0)))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events)),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return nil, fmt.Errorf("wait for events: %w", errno)
	}
	if errno == unix.EINTR {
		return nil, nil
	}
	return p.events[:n], nil
}
