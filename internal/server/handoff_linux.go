package server

import (
	"fmt"
	"net"
	"os"
)

// handoffFD gives a descriptor, of which first was read already, to who takes it as a connection and keeps first. The
// descriptor belongs to the callee, also when there is an error.
func handoffFD(fd int, first []byte, p *peer, give func(c net.Conn, first []byte, p *peer)) error {
	f := os.NewFile(uintptr(fd), "client")
	c, err := net.FileConn(f) // a duplicate
	f.Close()
	if err != nil {
		return fmt.Errorf("duplicate a socket: %w", err)
	}
	give(c, first, p)
	return nil
}
