package replication

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdWindow is how far back a packed stream refers, and so what both ends keep of it.
	zstdWindow = 512 << 10
	// lingerBytes is how much of a refused peer is still read.
	lingerBytes = 64 << 10
)

// linkConn is a connection to a peer: TCP, maybe TLS in it, maybe zstd in that. Close closes at once, without a word: the
// protocol has its own goodbye, and a hung peer must not hold up who closes.
type linkConn struct {
	net.Conn // the meter
	wire     *meter
	tls      *tls.Conn // nil: none
	r        io.Reader
	w        io.Writer
	packer   *zstd.Encoder // nil: what is written is not packed
	unpacker *zstd.Decoder // nil: what is read is not packed
	binding  [bindingSize]byte
	secret   bool // both sides have proven that they know it
}

func newLinkConn(raw net.Conn) *linkConn {
	m := &meter{Conn: raw}
	return &linkConn{Conn: m, wire: m, r: m, w: m}
}

func (c *linkConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// Write sends all of b at once, packed or not: what is written has left.
func (c *linkConn) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if err == nil && c.packer != nil {
		err = c.packer.Flush()
	}
	return n, err
}

// String says how the link is protected and packed.
func (c *linkConn) String() string {
	var words []string
	if c.tls != nil {
		words = append(words, tls.VersionName(c.tls.ConnectionState().Version))
	} else {
		words = append(words, "plain TCP")
	}
	if c.secret {
		words = append(words, "shared secret")
	}
	if c.packer != nil || c.unpacker != nil {
		words = append(words, "zstd")
	}
	return strings.Join(words, ", ")
}

// secure puts TLS over the wire.
func (c *linkConn) secure(t *tls.Conn) error {
	if err := t.Handshake(); err != nil {
		return err
	}
	state := t.ConnectionState()
	material, err := state.ExportKeyingMaterial("EXPORTER-futago-peer", nil, bindingSize)
	if err != nil {
		return fmt.Errorf("bind to the TLS session: %w", err)
	}
	c.tls, c.r, c.w, c.binding = t, t, t, [bindingSize]byte(material)
	return nil
}

// pack compresses what is written from now on. The level is the fastest: the link must not be slower for it.
func (c *linkConn) pack() {
	w, err := zstd.NewWriter(c.w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false)) // frames have their own sums
	if err != nil {
		panic("replication: zstd options are wrong: " + err.Error())
	}
	c.packer, c.w = w, w
}

// unpack decompresses what is read from now on. A stream with a larger window is an error before memory is taken for it.
func (c *linkConn) unpack() error {
	r, err := zstd.NewReader(bufio.NewReaderSize(c.r, 64<<10), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(zstdWindow))
	if err != nil {
		return fmt.Errorf("unpack link: %w", err)
	}
	c.unpacker, c.r = r, r
	return nil
}

// refuse tells a follower why it is not served, and returns the same for this side.
func (c *linkConn) refuse(code refusal) error {
	c.Write((&answer{Code: code}).append(nil))
	c.linger()
	return &RefusedError{Reason: code.reason(roleSource)}
}

// glance returns begin and what else the other side sent already, a few bytes of it, for a message.
func (c *linkConn) glance(begin []byte) []byte {
	b := make([]byte, 16)
	n := copy(b, begin)
	c.wire.Conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	more, _ := c.Read(b[n:])
	return b[:n+more]
}

// linger lets the other side read what was written last: a close with unread bytes would take that away from it.
func (c *linkConn) linger() {
	if half, ok := c.wire.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	io.CopyN(io.Discard, c.wire, lingerBytes)
}

// meter counts the bytes on the wire, everything included. A deadline set by SetReadDeadline speaks of silence: it moves
// on whenever bytes come, since one Read above may need several here. One set by SetDeadline stands.
type meter struct {
	net.Conn
	head    []byte // read already, comes first
	silence atomic.Int64
	in, out atomic.Int64
}

func (m *meter) Read(b []byte) (int, error) {
	if len(m.head) > 0 {
		n := copy(b, m.head)
		m.head = m.head[n:]
		return n, nil
	}
	n, err := m.Conn.Read(b)
	if n > 0 {
		m.in.Add(int64(n))
		if d := m.silence.Load(); d > 0 {
			m.Conn.SetReadDeadline(time.Now().Add(time.Duration(d)))
		}
	}
	return n, err
}

func (m *meter) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	m.out.Add(int64(n))
	return n, err
}

func (m *meter) SetDeadline(t time.Time) error {
	m.silence.Store(0)
	return m.Conn.SetDeadline(t)
}

func (m *meter) SetReadDeadline(t time.Time) error {
	m.silence.Store(0)
	if !t.IsZero() {
		m.silence.Store(int64(time.Until(t)))
	}
	return m.Conn.SetReadDeadline(t)
}
