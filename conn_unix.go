//go:build unix

package futago

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
)

// silent reports whether nothing waits to be read on an unused connection: neither an end nor bytes that no
// request asked for. It does not block. Without it, the first request after a restart of the server would find
// out, and an increment could not be told from a lost one.
func silent(nc net.Conn) bool {
	if secured, ok := nc.(*tls.Conn); ok {
		nc = secured.NetConn() // between requests nothing is on its way to us but the end
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}
