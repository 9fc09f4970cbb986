package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dialTimeout bounds one try to connect, and its TLS handshake.
	dialTimeout = 5 * time.Second
	// dialPatience is how long a connection is tried for again while the server's queue is full.
	dialPatience = 30 * time.Second
	// dialers is how many connections of a thread are opened at once.
	dialers = 32
	// otherFiles is what a run opens beside its connections, those under way to be one twice included.
	otherFiles = 64 + maxThreads + 2*dialers
	// maxSources bounds the loopback addresses that connections come from, 127.0.0.1 and those behind it.
	maxSources = 200
)

// dialer opens connections. It is safe for concurrent use.
type dialer struct {
	config *Config
	depth  int // requests under way on a connection
	// source is what is added to 127.0.0.1 for the address that connections come from. It rises when the ports of one are used up.
	source atomic.Int32
}

// dial opens one connection and does not try again.
func dial(ctx context.Context, c *Config, depth int) (*conn, error) {
	return (&dialer{config: c, depth: depth}).try(ctx)
}

// dialAll opens n connections, many at once; the first one alone, because a server that is not there shows at that.
func (d *dialer) dialAll(ctx context.Context, n int) (conns []*conn, err error) {
	first, err := d.try(ctx)
	if err != nil {
		return nil, err
	}
	conns = make([]*conn, n)
	conns[0] = first
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(dialers, n-1) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := next.Add(1)
				if i >= int64(n) {
					return
				}
				c, err := d.dialPatiently(ctx)
				if err != nil {
					cancel(err)
					return
				}
				conns[i] = c
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		for _, c := range conns {
			if c != nil {
				c.close()
			}
		}
		return nil, err
	}
	return conns, nil
}

// dialPatiently opens a connection to a server that has taken others: one that does not now has its hands full.
func (d *dialer) dialPatiently(ctx context.Context) (*conn, error) {
	begin := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		c, err := d.try(ctx)
		if err == nil || !queueFull(err) || time.Since(begin) > dialPatience {
			return c, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// queueFull says whether a server may take the connection later: a full queue drops what is asked of it, resets, or
// at a Unix socket says so.
func queueFull(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ECONNRESET) || ok && timeout.Timeout()
}

// try connects, and makes a socket that the Go runtime's poller does not watch.
func (d *dialer) try(ctx context.Context) (*conn, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", d.config.Address, err)
	}
	return c, nil
}

func (d *dialer) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := d.connectFrom(ctx)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	var carrier *carrier
	var secure *tls.Conn
	if d.config.TLS != nil {
		carrier, secure, err = d.handshake(ctx, nc)
		if err != nil {
			return nil, err
		}
	}
	// A descriptor of our own for the same socket. Closing nc takes the runtime's away, and with it the
	// registration at the runtime's poller, which would otherwise wake a thread at every reply. (File would
	// register the second one, too.)
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	err = raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	c := &conn{fd: fd, tls: secure, scan: newScanner(d.config), times: make([]int64, d.depth)}
	if carrier != nil {
		carrier.conn = c
	}
	return c, nil
}

// connectFrom connects, at loopback from another address when the ports of one are used up.
func (d *dialer) connectFrom(ctx context.Context) (net.Conn, error) {
	network, address := d.config.network()
	for {
		source := d.source.Load()
		var nd net.Dialer
		if source > 0 {
			nd.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+source))}
			nd.Control = portAtConnect
		}
		nc, err := nd.DialContext(ctx, network, address)
		if err == nil || !errors.Is(err, unix.EADDRNOTAVAIL) {
			return nc, err
		}
		if !isLoopback4(address) || source == maxSources {
			return nil, fmt.Errorf("%w: all local ports are used: widen net.ipv4.ip_local_port_range, or load from several machines", err)
		}
		d.source.CompareAndSwap(source, source+1)
	}
}

// portAtConnect has the kernel choose the port when the destination is known, so that ports are shared with other destinations.
func portAtConnect(_, _ string, raw syscall.RawConn) error {
	var optErr error
	err := raw.Control(func(fd uintptr) {
		optErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	return errors.Join(err, optErr)
}

// isLoopback4 says whether HOST:PORT is in 127.0.0.0/8.
func isLoopback4(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Is4() && ip.IsLoopback()
}

// handshake begins TLS.
func (d *dialer) handshake(ctx context.Context, nc net.Conn) (*carrier, *tls.Conn, error) {
	config := d.config.TLS.Clone()
	config.DynamicRecordSizingDisabled = true // one write for each batch
	if config.ServerName == "" {
		config.ServerName = "localhost"
		if network, address := d.config.network(); network == "tcp" {
			config.ServerName, _, _ = net.SplitHostPort(address)
		}
	}
	carrier := &carrier{Conn: nc}
	secure := tls.Client(carrier, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, nil, fmt.Errorf("begin TLS: %w", err)
	}
	return carrier, secure, nil
}

// carrier is what crypto/tls takes for its connection: the network until the handshake is done, and from then on the socket of conn,
// which does not block.
type carrier struct {
	net.Conn
	conn *conn
}

func (c *carrier) Read(b []byte) (int, error) {
	if c.conn == nil {
		return c.Conn.Read(b)
	}
	return c.conn.readSocket(b)
}

// Write keeps what the socket does not take: after an error crypto/tls writes no more.
func (c *carrier) Write(b []byte) (int, error) {
	if c.conn == nil {
		return c.Conn.Write(b)
	}
	return len(b), c.conn.writeSocket(b)
}

// allowFiles raises the limit of open files to what so many connections need, as far as it is allowed.
func allowFiles(connections int) error {
	need := uint64(connections) + otherFiles
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur >= need {
		return nil
	}
	raised := unix.Rlimit{Cur: need, Max: max(need, limit.Max)} // above Max only with privileges
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err != nil {
		return fmt.Errorf("%d connections need %d open files, and %d are allowed: raise that with ulimit -n %d, in the same shell: %w",
			connections, need, limit.Max, need, err)
	}
	return nil
}
