//go:build unix

package gateway

import (
	"net"
	"syscall"
)

// readable reports whether a read would find something, be it the end.
func readable(c net.Conn) (is bool) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		var room [1]byte
		_, _, err := syscall.Recvfrom(int(fd), room[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		is = err != syscall.EAGAIN
	})
	return is || err != nil
}
