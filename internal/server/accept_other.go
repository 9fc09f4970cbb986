//go:build !linux

package server

import "net"

// acceptor takes connections from one listener.
type acceptor = netAcceptor

func newAcceptor(ln net.Listener, _ bool) (acceptor, error) { return netAcceptor{ln}, nil }

// refuse answers with one line and closes.
func (c accepted) refuse(line string) {
	_, _ = c.conn.Write([]byte(line))
	c.conn.Close()
}
