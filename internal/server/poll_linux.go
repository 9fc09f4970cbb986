package server

import (
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readFD reads from a socket without entering the scheduler: it is non-blocking, so the call is short. recvfrom takes a
// shorter way through the kernel than read.
func readFD(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// writeFD writes to a socket without entering the scheduler.
func writeFD(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// parts are what one writeParts takes.
type parts struct {
	list [3]unix.Iovec
	head unix.Msghdr
}

// writeParts is writeFD of three pieces, none of which is kept.
func writeParts(fd int, p *parts, first, second []byte, third string) (int, unix.Errno) {
	p.list[0].Base, p.list[1].Base, p.list[2].Base = unsafe.SliceData(first), unsafe.SliceData(second), unsafe.StringData(third)
	p.list[0].SetLen(len(first))
	p.list[1].SetLen(len(second))
	p.list[2].SetLen(len(third))
	p.head.Iov = &p.list[0]
	p.head.SetIovlen(len(p.list))
	defer clear(p.list[:])
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&p.head)), unix.MSG_NOSIGNAL, 0, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// poller is an epoll with an eventfd that wakes it.
type poller struct {
	epfd   int
	events [256]unix.EpollEvent

	mu     sync.Mutex
	wakefd int // -1 once closed, so that a late wake cannot hit a stranger's descriptor
}

func (p *poller) open() error {
	var err error
	if p.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("create epoll: %w", err)
	}
	if p.wakefd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		_ = unix.Close(p.epfd)
		return fmt.Errorf("create eventfd: %w", err)
	}
	if err = p.control(unix.EPOLL_CTL_ADD, p.wakefd, unix.EPOLLIN); err != nil {
		p.close()
		return fmt.Errorf("watch eventfd: %w", err)
	}
	return nil
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakefd >= 0 {
		_ = unix.Close(p.wakefd)
		_ = unix.Close(p.epfd)
		p.wakefd = -1
	}
}

func (p *poller) control(op, fd int, events uint32) error {
	return unix.EpollCtl(p.epfd, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// wait returns the descriptors that are ready. It blocks for millis at most; 0 does not enter the scheduler.
func (p *poller) wait(millis int) ([]unix.EpollEvent, error) {
	if millis == 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
		if errno == unix.EINTR {
			return nil, nil
		} else if errno != 0 {
			return nil, fmt.Errorf("epoll_wait: %w", errno)
		}
		return p.events[:n], nil
	}
	n, err := unix.EpollWait(p.epfd, p.events[:], millis)
	if err == unix.EINTR {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("epoll_wait: %w", err)
	}
	return p.events[:n], nil
}

// wake makes the current or next wait return. Any goroutine may call it, also after close.
func (p *poller) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wakefd >= 0 {
		one := [8]byte{1}
		_, _ = unix.Write(p.wakefd, one[:])
	}
}

// woken takes back what wake wrote.
func (p *poller) woken() {
	var b [8]byte
	_, _ = unix.Read(p.wakefd, b[:])
}
