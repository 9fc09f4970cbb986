//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/futago/futago"
)

// request is what a port is asked to do.
type request struct {
	kind  kind
	key   string
	value string // as on the wire
	flags uint32
	ttl   time.Duration
	delta uint64
}

// reply is what came of it.
type reply struct {
	outcome outcome
	node    int8
	pending uint8
	found   bool // of get
	value   string
	flags   uint32
}

// errNotSent says that no node was asked.
var errNotSent = errors.New("no node was asked")

// port is how a worker reaches the pair: directConn speaks to one node, pooled is the Go client with its failover.
type port interface {
	do(r request) (reply, error)
	close()
}

// replyLimit is longer than a node that lives lets anybody wait.
const replyLimit = 1500 * time.Millisecond

// directConn is one connection, made anew when it was lost.
type directConn struct {
	n *node
	c net.Conn
	r *bufio.Reader
}

func (d *directConn) close() {
	if d.c != nil {
		d.c.Close()
		d.c = nil
	}
}

func (d *directConn) do(r request) (reply, error) {
	if d.c == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		c, err := d.n.dial(ctx)
		if err != nil {
			return reply{}, errNotSent
		}
		d.c, d.r = c, bufio.NewReaderSize(c, 16<<10)
	}
	got := reply{node: int8(d.n.index)}
	d.c.SetDeadline(time.Now().Add(replyLimit))
	_, err := io.WriteString(d.c, r.text())
	if err == nil {
		err = got.read(d.r, r)
	}
	if err != nil {
		d.close()
		got.outcome, got.pending = unknown, 1<<d.n.index
	}
	return got, nil
}

func (r *request) text() string {
	switch r.kind {
	case get:
		return "get " + r.key + "\r\n"
	case remove:
		return "delete " + r.key + "\r\n"
	case incr:
		return fmt.Sprintf("incr %s %d\r\n", r.key, r.delta)
	}
	return fmt.Sprintf("%s %s %d %d %d\r\n%s\r\n", r.kind, r.key, r.flags, int(r.ttl/time.Second), len(r.value), r.value)
}

// maxRead bounds what a node may say that a value has.
const maxRead = 1 << 20

func (got *reply) read(in *bufio.Reader, r request) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	line = strings.TrimRight(line, "\r\n")
	if rest, ok := strings.CutPrefix(line, "VALUE "+r.key+" "); ok && r.kind == get {
		var flags, size int
		if _, err := fmt.Sscanf(rest, "%d %d", &flags, &size); err != nil || size < 0 || size > maxRead {
			return fmt.Errorf("reply %.100q", line)
		}
		data := make([]byte, size+len("\r\nEND\r\n"))
		if _, err := io.ReadFull(in, data); err != nil {
			return err
		}
		value, ok := bytes.CutSuffix(data, []byte("\r\nEND\r\n"))
		if !ok {
			return fmt.Errorf("value of %s does not end where it must", r.key)
		}
		got.found, got.value, got.flags = true, string(value), uint32(flags)
		return nil
	}
	switch {
	case line == "END" && r.kind == get,
		line == "STORED" && (r.kind == set || r.kind == add),
		line == "DELETED" && r.kind == remove:
	case line == "NOT_STORED" && r.kind == add,
		line == "NOT_FOUND" && (r.kind == remove || r.kind == incr):
		got.outcome = refused
	case r.kind == incr && line != "" && strings.Trim(line, "0123456789") == "":
	case strings.HasPrefix(line, "SERVER_ERROR "):
		got.outcome = unknown // it is over, but nothing was promised
	default:
		return fmt.Errorf("reply %.100q to %s", line, r.kind)
	}
	return nil
}

// pooled is the Go client over both nodes. It notes which nodes were asked.
type pooled struct {
	nodes  [2]*node
	client *futago.Client
	key    atomic.Pointer[string] // of the request under way

	mu    sync.Mutex
	asked []int // by the request under way
}

func newPooled(nodes [2]*node) *pooled { return &pooled{nodes: nodes} }

func (p *pooled) open() error {
	cfg := futago.Config{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		for i, n := range p.nodes {
			if n.client == addr {
				c, err := n.dial(ctx)
				if err != nil {
					return nil, err
				}
				return &watchedConn{c, p, i}, nil
			}
		}
		return nil, fmt.Errorf("no node at %s", addr)
	}}
	for _, n := range p.nodes {
		cfg.Servers = append(cfg.Servers, futago.Server{Addr: n.client, Timeout: time.Second, RetryInterval: 200 * time.Millisecond})
	}
	var err error
	p.client, err = futago.New(cfg)
	return err
}

func (p *pooled) close() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
}

// watchedConn tells when a request of its worker leaves.
type watchedConn struct {
	net.Conn
	p    *pooled
	node int
}

func (c *watchedConn) Write(b []byte) (int, error) {
	if key := c.p.key.Load(); key != nil && bytes.Contains(b, []byte(*key)) {
		c.p.mu.Lock()
		c.p.asked = append(c.p.asked, c.node)
		c.p.mu.Unlock()
	}
	return c.Conn.Write(b)
}

// SyscallConn lets the client look whether an idle connection was closed.
func (c *watchedConn) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn()
}

func (p *pooled) do(r request) (reply, error) {
	if p.client == nil {
		if err := p.open(); err != nil {
			return reply{}, err
		}
	}
	p.mu.Lock()
	p.asked = p.asked[:0]
	p.mu.Unlock()
	p.key.Store(&r.key)
	got, err := p.call(r)
	p.key.Store(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) == 0 {
		return reply{}, errNotSent
	}
	last := len(p.asked) - 1
	got.node = int8(p.asked[last])
	without := p.asked[:last] // a reply
	switch {
	case err == nil:
	case errors.Is(err, futago.ErrCacheMiss) && r.kind == get:
	case errors.Is(err, futago.ErrCacheMiss), errors.Is(err, futago.ErrNotStored):
		got.outcome = refused
	default:
		got.outcome, without = unknown, p.asked
	}
	for _, n := range without {
		got.pending |= 1 << n
	}
	if got.outcome == refused && got.pending != 0 {
		got.outcome = unknown // the first node may have done it, and the second have seen that
	}
	return got, nil
}

func (p *pooled) call(r request) (got reply, err error) {
	ctx := context.Background()
	item := &futago.Item{Key: r.key, Value: []byte(r.value), Flags: r.flags, Expiration: r.ttl}
	switch r.kind {
	case get:
		if item, err = p.client.Get(ctx, r.key); err == nil {
			got.found, got.value, got.flags = true, string(item.Value), item.Flags
		}
	case set:
		err = p.client.Set(ctx, item)
	case add:
		err = p.client.Add(ctx, item)
	case remove:
		err = p.client.Delete(ctx, r.key)
	case incr:
		_, err = p.client.Increment(ctx, r.key, r.delta)
	}
	return got, err
}

// item is a record as one node shows it.
type item struct {
	value, flags, token string
}

// readAll returns the records of keys at one node, on a connection of its own. Absent ones are not in the map.
func (n *node) readAll(ctx context.Context, keys []*key, each func(k *key, it item, inv, ret time.Duration)) error {
	const group = 100
	c, err := n.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to node %s: %w", n.name, err)
	}
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	for len(keys) > 0 {
		some := keys[:min(group, len(keys))]
		keys = keys[len(some):]
		names := make([]string, len(some))
		for i, k := range some {
			names[i] = k.name
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		inv := n.clock.now()
		if _, err := io.WriteString(c, "gets "+strings.Join(names, " ")+"\r\n"); err != nil {
			return fmt.Errorf("read from node %s: %w", n.name, err)
		}
		items, err := readItems(in)
		if err != nil {
			return fmt.Errorf("read from node %s: %w", n.name, err)
		}
		ret := n.clock.now()
		for _, k := range some {
			each(k, items[k.name], inv, ret)
		}
	}
	return nil
}

func readItems(in *bufio.Reader) (map[string]item, error) {
	items := map[string]item{}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "END" {
			return items, nil
		}
		f := strings.Fields(line)
		if len(f) != 5 || f[0] != "VALUE" {
			return nil, fmt.Errorf("reply to gets: %.100q", line)
		}
		size, err := strconv.Atoi(f[3])
		if err != nil || size < 0 || size > maxRead {
			return nil, fmt.Errorf("reply to gets: %.100q", line)
		}
		data := make([]byte, size+2)
		if _, err := io.ReadFull(in, data); err != nil {
			return nil, err
		}
		items[f[1]] = item{string(data[:size]), f[2], f[4]}
	}
}
