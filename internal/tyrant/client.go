package tyrant

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"time"

	"github.com/futago/futago/internal/addr"
)

// DefaultMaxReply is the size of the largest reply that a Client takes, in bytes.
const DefaultMaxReply = 512 << 20

const (
	// clientChunk is how much is written under one deadline, and by how much memory grows at least as a reply arrives, in bytes.
	clientChunk = 256 << 10
	// clientBuffer is the size of the buffers, in bytes: what putnr collects before it is sent.
	clientBuffer = 64 << 10
)

// ClientConfig is what a Client may be told. The zero value works.
type ClientConfig struct {
	// Timeout is the longest time without progress of a read or a write; 0 means for ever.
	Timeout time.Duration
	// MaxReply is the size of the largest reply, in bytes; 0 means DefaultMaxReply.
	MaxReply int
}

// Client is one connection to a server. It is for one goroutine; only Close may be called from another one. The
// bytes that its methods return are the caller's. Errors are of type *Error. After CodeSend or CodeRecv the connection is lost.
type Client struct {
	nc       net.Conn
	timeout  time.Duration
	maxReply int
	w        *bufio.Writer
	r        *bufio.Reader
	doing    Command // the last one that was sent
	out      []byte
	// lost is why the connection cannot be used any more.
	lost error
}

// Dial connects to host:port or unix:/path. ctx is only for that.
func Dial(ctx context.Context, address string, c ClientConfig) (*Client, error) {
	network, target, err := addr.Split(address)
	if err != nil {
		return nil, &Error{"dial", CodeInvalid, err}
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, target)
	if err != nil {
		code := CodeRefused
		if _, ok := errors.AsType[*net.DNSError](err); ok {
			code = CodeNoHost
		}
		return nil, &Error{"dial", code, err}
	}
	return NewClient(nc, c), nil
}

// NewClient makes a client of a connection, which becomes its own.
func NewClient(nc net.Conn, c ClientConfig) *Client {
	cl := &Client{nc: nc, timeout: c.Timeout, maxReply: cmp.Or(c.MaxReply, DefaultMaxReply)}
	cl.w = bufio.NewWriterSize(patient{cl}, clientBuffer)
	cl.r = bufio.NewReaderSize(patient{cl}, clientBuffer)
	return cl
}

// Close closes the connection. What PutNR has collected is lost, unless it was sent by Flush or a request with a reply.
func (c *Client) Close() error { return c.nc.Close() }

// patient gives every read and every part of a write the whole timeout.
type patient struct{ c *Client }

func (p patient) arm() error {
	if p.c.timeout == 0 {
		return nil
	}
	return p.c.nc.SetDeadline(time.Now().Add(p.c.timeout))
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.arm(); err != nil {
		return 0, err
	}
	return p.c.nc.Read(b)
}

func (p patient) Write(b []byte) (n int, err error) {
	for chunk := range slices.Chunk(b, clientChunk) {
		if err := p.arm(); err != nil {
			return n, err
		}
		k, err := p.c.nc.Write(chunk)
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// fail remembers that the connection is lost.
func (c *Client) fail(code Code, cause error) error {
	if cause == io.EOF {
		cause = io.ErrUnexpectedEOF
	}
	c.lost = cause
	return &Error{c.doing.String(), code, cause}
}

// put hands the request to the buffer.
func (c *Client) put(r Request) error {
	c.doing = r.Command
	err := c.lost
	if err == nil {
		err = sendable(&r)
	}
	if err != nil {
		return &Error{r.Command.String(), CodeInvalid, err}
	}
	c.out = AppendRequest(c.out[:0], &r)
	if _, err := c.w.Write(c.out); err != nil {
		return c.fail(CodeSend, err)
	}
	if cap(c.out) > clientChunk {
		c.out = nil
	}
	return nil
}

// ask sends a request, with all that was put before.
func (c *Client) ask(r Request) error {
	if err := c.put(r); err != nil {
		return err
	}
	return c.flush()
}

func (c *Client) flush() error {
	if err := c.w.Flush(); err != nil {
		return c.fail(CodeSend, err)
	}
	return nil
}

// sendable says why a request cannot be sent: a server closes the connection for most of it, without a word.
func sendable(r *Request) error {
	largest := max(len(r.Key), len(r.Value), len(r.Text))
	for _, a := range r.Args {
		largest = max(largest, len(a))
	}
	switch {
	case uint64(largest) > math.MaxUint32:
		return fmt.Errorf("a part of %d bytes, want at most %d", largest, uint32(math.MaxUint32))
	case len(r.Name) > maxName:
		return fmt.Errorf("a name of %d bytes, want at most %d", len(r.Name), maxName)
	case len(r.Args) > maxList:
		return fmt.Errorf("%d keys or arguments, want at most %d", len(r.Args), maxList)
	case r.Width < 0:
		return fmt.Errorf("width %d, want at least 0", r.Width)
	case r.Port < 0:
		return fmt.Errorf("port %d, want at least 0", r.Port)
	}
	return nil
}

// status sends a request and reads the status of its reply.
func (c *Client) status(r Request) error {
	if err := c.ask(r); err != nil {
		return err
	}
	ok, err := c.readStatus()
	if err == nil && !ok {
		err = c.refused()
	}
	return err
}

func (c *Client) refused() error {
	return &Error{c.doing.String(), c.doing.refusal(), nil}
}

func (c *Client) readStatus() (ok bool, err error) {
	b, err := c.r.ReadByte()
	if err != nil {
		return false, c.fail(CodeRecv, err)
	}
	return b == statusDone, nil
}

func (c *Client) readUint32() (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(c.r, b[:]); err != nil {
		return 0, c.fail(CodeRecv, err)
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

func (c *Client) readUint64() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(c.r, b[:]); err != nil {
		return 0, c.fail(CodeRecv, err)
	}
	return binary.BigEndian.Uint64(b[:]), nil
}

// readSized reads a size and that many bytes.
func (c *Client) readSized() ([]byte, error) {
	budget := c.maxReply
	return c.readElement(&budget)
}

// readElement is readSized for a part of a reply that may have budget more bytes as a whole.
func (c *Client) readElement(budget *int) ([]byte, error) {
	size, err := c.readUint32()
	if err == nil {
		err = c.spend(budget, int64(size))
	}
	if err != nil {
		return nil, err
	}
	return c.readBytes(nil, int(size))
}

// elementCost is what an element takes in memory besides its bytes.
const elementCost = 24

// spend takes from the budget of a reply, before any memory is taken.
func (c *Client) spend(budget *int, size int64) error {
	if size > int64(*budget) {
		return c.tooLarge()
	}
	*budget -= int(size)
	return nil
}

// readBytes appends size bytes to b, taking memory as they arrive.
func (c *Client) readBytes(b []byte, size int) ([]byte, error) {
	if b == nil {
		b = []byte{}
	}
	for size > 0 {
		n := min(size, max(len(b), clientChunk))
		b = slices.Grow(b, n)
		if _, err := io.ReadFull(c.r, b[len(b):len(b)+n]); err != nil {
			return nil, c.fail(CodeRecv, err)
		}
		b = b[:len(b)+n]
		size -= n
	}
	return b, nil
}

// readList reads the count of a reply to mget, fwmkeys or misc, which is there whatever the status says, and calls read for each element.
func (c *Client) readList(r Request, read func(budget *int) error) error {
	if err := c.ask(r); err != nil {
		return err
	}
	ok, err := c.readStatus()
	if err != nil {
		return err
	}
	count, err := c.readUint32()
	if err != nil {
		return err
	}
	budget := c.maxReply
	for range count {
		if err := c.spend(&budget, elementCost); err != nil {
			return err
		}
		if err := read(&budget); err != nil {
			return err
		}
	}
	if !ok {
		return c.refused()
	}
	return nil
}

// readElements is readList for elements of one part.
func (c *Client) readElements(r Request) ([][]byte, error) {
	var list [][]byte
	err := c.readList(r, func(budget *int) error {
		e, err := c.readElement(budget)
		list = append(list, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
