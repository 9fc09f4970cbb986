//go:build unix

package gateway

import "syscall"

// look reports what a read of a connection would find, without reading or waiting.
func (l *looker) look() sight {
	if l.raw == nil {
		return seesNothing
	}
	if err := l.raw.Control(l.peek); err != nil {
		return seesEnd
	}
	return l.seen
}

func (l *looker) peekFD(fd uintptr) {
	for {
		n, _, err := syscall.Recvfrom(int(fd), l.room[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			l.seen = seesNothing
		case err != nil || n == 0:
			l.seen = seesEnd
		default:
			l.seen = seesBytes
		}
		return
	}
}
