//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// unsent returns how many bytes of a connection the other end's system has not taken yet.
func unsent(t *testing.T, nc net.Conn) (n int) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err == nil {
		raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// connections is how many the node has.
func connections(t *testing.T, c *conn) (n int) {
	t.Helper()
	line, err := c.do("stats\r\n")
	for ; err == nil && line != "END"; line, err = c.line() {
		fmt.Sscanf(line, "STAT curr_connections %d", &n)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A single node that stood still executes what it had received, unless the client has given it up with a reset: then the client
// may have made it at the other node, and more since.
func TestFrozenNodeAfterReset(t *testing.T) {
	for name, want := range map[string]string{"reset": "old", "close": "new"} {
		t.Run(name, func(t *testing.T) {
			n := startSingle(t)
			other, c := n.dial(t), n.dial(t)
			other.set(t, "k", "old")
			c.expect(t, "delete absent\r\n", "NOT_FOUND")
			n.freeze(t)
			if _, err := io.WriteString(c, setCommand("k", "new")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the node's system has the request", 5*time.Second, func() bool { return unsent(t, c.Conn) == 0 })
			if name == "reset" {
				c.Conn.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
			n.thaw(t)
			eventually(t, "the node knows that the client is gone", 10*time.Second, func() bool { return connections(t, other) == 1 })
			other.expect(t, "get k\r\n", "VALUE k 0 3")
			if got, err := other.line(); err != nil || strings.TrimSpace(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
}
