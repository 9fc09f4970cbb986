package futago

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/futago/futago/internal/memcache"
)

// fault is what a fake server does instead of answering.
type fault int

const (
	none    fault = iota
	hang          // reads, and says nothing
	hangUp        // closes the connection without executing the request
	lose          // executes the request and closes the connection without a reply
	cut           // executes the request and closes the connection in the middle of the reply
	garbage       // answers with what is no reply
	refuse        // answers with the error line of the fake
)

// fake is a small memcached in memory. It runs on real listeners (listen) and on pipes (fakeNet).
type fake struct {
	mu    sync.Mutex
	items map[string]Item
	cas   uint64
	// log is the requests that were executed, as "op key".
	log []string
	// fault applies to all requests but version, and with deaf to that, too.
	fault fault
	deaf  bool
	line  string
	conns map[net.Conn]bool
	// login is what a connection must authenticate with, "user password"; "" is nothing.
	login string
	// received is told of every request, if it is not nil.
	received chan memcache.Op
}

func newFake() *fake {
	return &fake{items: make(map[string]Item), conns: make(map[net.Conn]bool)}
}

// set chooses the fault; deaf extends it to version, with which clients probe.
func (f *fake) set(fault fault, deaf bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.deaf = fault, deaf
}

// has reports whether an item of this key is held.
func (f *fake) has(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.items[key]
	return ok
}

func (f *fake) value(key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(f.items[key].Value)
}

// executed returns the requests executed since the last call.
func (f *fake) executed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// kill closes all connections.
func (f *fake) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for nc := range f.conns {
		nc.Close()
	}
}

func (f *fake) serve(nc net.Conn) {
	f.mu.Lock()
	f.conns[nc] = true
	f.mu.Unlock()
	defer func() {
		nc.Close()
		f.mu.Lock()
		delete(f.conns, nc)
		f.mu.Unlock()
	}()
	var decoder memcache.Decoder
	var req memcache.Request
	var in []byte
	chunk := make([]byte, 64<<10)
	known := ""
	for {
		decode := decoder.Decode
		locked := known != f.required()
		if locked {
			decode = decoder.DecodeAuth
		}
		n, _, err := decode(in, &req)
		if err != nil {
			in = in[n:]
			if n, err = nc.Read(chunk); err != nil {
				return
			}
			in = append(in, chunk[:n]...)
			continue
		}
		if f.received != nil {
			f.received <- req.Op
		}
		var reply []byte
		more := true
		if locked {
			reply = f.authenticate(&req, &known)
		} else {
			reply, more = f.answer(&req)
		}
		if _, err := nc.Write(reply); err != nil || !more {
			return
		}
		in = in[n:]
	}
}

// required is what a connection must have authenticated with.
func (f *fake) required() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.login
}

// authenticate answers before a connection has authenticated.
func (f *fake) authenticate(req *memcache.Request, known *string) []byte {
	switch {
	case req.Op == memcache.OpError:
		return []byte(req.Reply)
	case string(req.Value) != f.required():
		return []byte(memcache.ReplyAuthFailure)
	}
	*known = string(req.Value)
	return []byte(memcache.ReplyStored)
}

// answer returns the reply, and false if the connection is to be closed after it.
func (f *fake) answer(req *memcache.Request) (reply []byte, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what := f.fault
	if req.Op == memcache.OpVersion && !f.deaf {
		what = none
	}
	switch what {
	case hang:
		return nil, true
	case hangUp:
		return nil, false
	case garbage:
		return []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), true
	case refuse:
		return []byte(f.line + "\r\n"), true
	}
	reply = f.execute(req)
	switch what {
	case lose:
		return nil, false
	case cut:
		return reply[:len(reply)/2], false
	}
	return reply, true
}

func (f *fake) execute(req *memcache.Request) []byte {
	key := string(req.Key)
	old, exists := f.items[key]
	store := func(value []byte, flags uint32) []byte {
		f.cas++
		f.items[key] = Item{Value: bytes.Clone(value), Flags: flags, CAS: f.cas}
		return []byte(memcache.ReplyStored)
	}
	if req.Op != memcache.OpVersion {
		f.log = append(f.log, req.Op.String()+" "+key)
	}
	switch req.Op {
	case memcache.OpGet, memcache.OpGets, memcache.OpGat, memcache.OpGats:
		var b []byte
		for k, ok := req.Keys.Next(); ok; k, ok = req.Keys.Next() {
			f.log = append(f.log, "key "+string(k))
			item, ok := f.items[string(k)]
			if !ok {
				continue
			}
			if req.Op == memcache.OpGets || req.Op == memcache.OpGats {
				b = memcache.AppendValueCAS(b, k, item.Flags, len(item.Value), item.CAS)
			} else {
				b = memcache.AppendValue(b, k, item.Flags, len(item.Value))
			}
			b = append(append(b, item.Value...), '\r', '\n')
		}
		return append(b, memcache.ReplyEnd...)
	case memcache.OpAdd, memcache.OpReplace, memcache.OpAppend, memcache.OpPrepend:
		if exists == (req.Op == memcache.OpAdd) {
			return []byte(memcache.ReplyNotStored)
		}
		switch req.Op {
		case memcache.OpAppend:
			return store(append(old.Value, req.Value...), old.Flags)
		case memcache.OpPrepend:
			return store(append(bytes.Clone(req.Value), old.Value...), old.Flags)
		}
		return store(req.Value, req.Flags)
	case memcache.OpSet:
		return store(req.Value, req.Flags)
	case memcache.OpCAS:
		if !exists {
			return []byte(memcache.ReplyNotFound)
		}
		if old.CAS != req.CAS {
			return []byte(memcache.ReplyExists)
		}
		return store(req.Value, req.Flags)
	case memcache.OpFlushAll:
		clear(f.items)
		return []byte(memcache.ReplyOK)
	case memcache.OpVersion:
		return memcache.AppendVersion(nil, "1.6.18-fake")
	case memcache.OpStats:
		return append(memcache.AppendStat(nil, "curr_items", strconv.Itoa(len(f.items))), memcache.ReplyEnd...)
	case memcache.OpError:
		return []byte(req.Reply)
	}
	if !exists {
		return []byte(memcache.ReplyNotFound)
	}
	switch req.Op {
	case memcache.OpDelete:
		delete(f.items, key)
		return []byte(memcache.ReplyDeleted)
	case memcache.OpTouch:
		return []byte(memcache.ReplyTouched)
	case memcache.OpIncr, memcache.OpDecr:
		v, err := strconv.ParseUint(string(old.Value), 10, 64)
		if err != nil {
			return []byte(memcache.ReplyNotNumeric)
		}
		switch {
		case req.Op == memcache.OpIncr:
			v += req.Delta
		case req.Delta > v:
			v = 0
		default:
			v -= req.Delta
		}
		store(strconv.AppendUint(nil, v, 10), old.Flags)
		return memcache.AppendUint(nil, v)
	}
	panic(fmt.Sprintf("fake server: no answer to %v", req.Op))
}

// listen runs f on a real listener until the test ends or stop is called, which also closes its connections.
func (f *fake) listen(t testing.TB, network, addr string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	stop = f.accept(l)
	t.Cleanup(stop)
	if network == "unix" {
		return "unix://" + addr, stop
	}
	return l.Addr().String(), stop
}

// tcp runs f on a free port of the loopback interface.
func (f *fake) tcp(t testing.TB) (addr string, stop func()) { return f.listen(t, "tcp", "127.0.0.1:0") }

// socketPath is a name for a unix socket that can be listened on again after a stop.
func socketPath(t testing.TB) string { return filepath.Join(t.TempDir(), "s") }

// fakeNet connects clients to fake servers through pipes, under any address. An address without a server refuses.
// Unlike sockets, pipes work with the virtual time of testing/synctest.
type fakeNet struct {
	mu      sync.Mutex
	servers map[string]*fake
	// silent are addresses where connecting takes for ever.
	silent map[string]bool
	dials  map[string]int
}

func newFakeNet() *fakeNet {
	return &fakeNet{servers: make(map[string]*fake), silent: make(map[string]bool), dials: make(map[string]int)}
}

// server returns the fake at addr, which it creates.
func (n *fakeNet) server(addr string) *fake {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.servers[addr] == nil {
		n.servers[addr] = newFake()
	}
	return n.servers[addr]
}

// refuse takes the server at addr away; connections that exist stay. The server is returned, for put.
func (n *fakeNet) refuse(addr string) *fake {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := n.servers[addr]
	delete(n.servers, addr)
	return f
}

func (n *fakeNet) put(addr string, f *fake) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[addr] = f
}

// dialed returns how often addr was dialed.
func (n *fakeNet) dialed(addr string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials[addr]
}

func (n *fakeNet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	n.dials[addr]++
	f, silent := n.servers[addr], n.silent[addr]
	n.mu.Unlock()
	if silent {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	go f.serve(theirs)
	return ours, nil
}

// open returns a client that is closed when the test ends.
func open(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// want checks an error against the one that it must be, nil included.
func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want %v", what, err, target)
	}
}
