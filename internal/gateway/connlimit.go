package gateway

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connLimit counts the connections of clients and turns away those above max.
type connLimit struct {
	max           atomic.Int64
	open, refused atomic.Int64
}

// tooMany is sent before anything was read: a client that is turned away learns why.
var tooMany = func(text string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(text), text)
}("503 service unavailable: too many clients\n")

// limitedListener accepts for a connLimit.
type limitedListener struct {
	listener net.Listener
	limit    *connLimit
}

// Accept returns the next connection within the limit.
func (l *limitedListener) Accept() (*countedConn, error) {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.limit.open.Add(1) <= l.limit.max.Load() {
			return &countedConn{Conn: conn, limit: l.limit}, nil
		}
		l.limit.open.Add(-1)
		l.limit.refused.Add(1)
		// A fresh socket takes these bytes without blocking; the deadline is for the case that it does not.
		conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		conn.Write(tooMany)
		conn.Close()
	}
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	limit  *connLimit
	closed sync.Once
}

// Close closes the connection.
func (c *countedConn) Close() error {
	c.closed.Do(func() { c.limit.open.Add(-1) })
	return c.Conn.Close()
}

// CloseWrite lets net/http end its half first, so that the last reply arrives before a reset can.
func (c *countedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
