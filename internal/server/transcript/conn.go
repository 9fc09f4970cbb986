package transcript

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
)

// conn is one connection of a section.
type conn struct {
	net.Conn
	r      *bufio.Reader
	closed bool // by the server, as expected
}

func dial(addr string, binary bool) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, ioTimeout)
	if err != nil {
		return nil, err
	}
	var r io.Reader = c
	if binary {
		r = &packetLines{r: bufio.NewReader(c)}
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(r, 64<<10)}, nil
}

// readLine reads one line, and further ones as long as they are the beginning of want: an expected text may contain
// line ends.
func (c *conn) readLine(want string) (string, error) {
	got := ""
	for {
		line, err := c.r.ReadString('\n')
		got += line
		if err != nil || len(got) >= len(want) || !strings.HasPrefix(want, got) {
			return got, err
		}
	}
}

// readWhole reads up to the next CRLF: an \n alone ends no line.
func (c *conn) readWhole() (string, error) {
	got := ""
	for {
		line, err := c.r.ReadString('\n')
		got += line
		if err != nil || strings.HasSuffix(got, "\r\n") {
			return got, err
		}
	}
}

// peekLine returns the next line without its CRLF and leaves it in the reader.
func (c *conn) peekLine() (string, error) {
	for n := 1; ; n++ {
		b, err := c.r.Peek(n)
		if err != nil {
			return "", fmt.Errorf("after %q: %w", b, err)
		}
		b, _ = c.r.Peek(c.r.Buffered())
		if line, _, ok := strings.Cut(string(b), "\r\n"); ok {
			return line, nil
		}
		n = len(b)
	}
}
