package mirror

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// master is a Tokyo Tyrant server as far as replication needs one: records, an update log with a clock of its own, get, stat and repl.
// As a slave it executes what it gets without asking, and leaves out of its stream what is from the follower.
type master struct {
	t   *testing.T
	ln  net.Listener
	sid uint16

	mu      sync.Mutex
	changed *sync.Cond
	records map[string]string
	log     []tyrant.Entry
	clock   int64
	ahead   int64 // by how much the clock is before the times of the log, as with a node
	sent    int   // entries
	mute    bool  // stat is not answered
	asked   int   // stat
	conns   map[net.Conn]bool
	closed  bool
}

func newMaster(t *testing.T, sid uint16) *master {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &master{t: t, ln: ln, sid: sid, records: map[string]string{}, clock: 1_000_000, conns: map[net.Conn]bool{}}
	m.changed = sync.NewCond(&m.mu)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns[c] = true
			m.mu.Unlock()
			group.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		m.mu.Lock()
		m.closed = true
		m.changed.Broadcast()
		m.mu.Unlock()
		m.hangUp()
		group.Wait()
	})
	return m
}

// hangUp cuts every connection.
func (m *master) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.conns {
		c.Close()
	}
	m.changed.Broadcast()
}

func (m *master) serve(c net.Conn) {
	defer func() {
		c.Close()
		m.mu.Lock()
		delete(m.conns, c)
		m.mu.Unlock()
	}()
	var d tyrant.Decoder
	var r tyrant.Request
	var in []byte
	buf := make([]byte, 4096)
	for {
		n, _, err := d.Decode(in, &r)
		in = in[n:]
		if err != nil {
			k, err := c.Read(buf)
			if err != nil {
				return
			}
			in = append(bytes.Clone(in), buf[:k]...)
			continue
		}
		var out []byte
		m.mu.Lock()
		switch r.Command {
		case tyrant.Get:
			if v, ok := m.records[string(r.Key)]; ok {
				out = tyrant.AppendValue(nil, []byte(v))
			} else {
				out = tyrant.AppendStatus(nil, false)
			}
		case tyrant.Stat:
			m.asked++
			if m.mute {
				break
			}
			now := m.clock + m.ahead
			stat := fmt.Appendf(nil, "version\t1.1.41\ntime\t%d.%06d\n", now/1e6, now%1e6)
			if m.ahead != 0 {
				stat = fmt.Appendf(stat, "%s\t%d\n", LogTimeStat, m.clock)
			}
			out = tyrant.AppendValue(nil, stat)
		case tyrant.Repl:
			m.mu.Unlock()
			m.stream(c, r.Time, uint16(r.SID))
			return
		default:
			m.t.Errorf("the follower sends %v", r.Command)
		}
		m.mu.Unlock()
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// stream sends the log.
func (m *master) stream(c net.Conn, from int64, sid uint16) {
	out := tyrant.AppendKeepAlive(tyrant.AppendSID(nil, m.sid))
	for i := 0; ; {
		if _, err := c.Write(out); err != nil {
			return
		}
		out = out[:0]
		m.mu.Lock()
		for i >= len(m.log) && !m.closed && m.conns[c] {
			m.changed.Wait()
			if m.closed {
				m.mu.Unlock()
				return
			}
		}
		for ; i < len(m.log); i++ {
			if e := m.log[i]; e.Time >= from && e.SID != sid && e.MID != sid {
				out = tyrant.AppendStreamEntry(out, &e)
				m.sent++
			}
		}
		m.mu.Unlock()
	}
}

// do executes a request and logs it, as an own one with a mid of 0.
func (m *master) do(r tyrant.Request, mid uint16) (ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := string(r.Key)
	old, there := m.records[k]
	ok = true
	switch r.Command {
	case tyrant.Put:
		m.records[k] = string(r.Value)
	case tyrant.PutKeep:
		if ok = !there; ok {
			m.records[k] = string(r.Value)
		}
	case tyrant.PutCat:
		m.records[k] = old + string(r.Value)
	case tyrant.PutShl:
		v := old + string(r.Value)
		if there {
			v = v[max(0, len(v)-int(r.Width)):]
		}
		m.records[k] = v
	case tyrant.Out:
		ok = there
		delete(m.records, k)
	case tyrant.AddInt:
		if !there {
			old = "\x00\x00\x00\x00"
		}
		if ok = len(old) == 4; ok {
			m.records[k] = string(binary.LittleEndian.AppendUint32(nil, binary.LittleEndian.Uint32([]byte(old))+uint32(r.Num)))
		}
	case tyrant.AddDouble:
		if !there {
			old = string(make([]byte, 8))
		}
		if ok = len(old) == 8; ok {
			sum := math.Float64frombits(binary.LittleEndian.Uint64([]byte(old))) + r.Double.Float64()
			m.records[k] = string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(sum)))
		}
	case tyrant.Vanish:
		clear(m.records)
	case tyrant.Misc:
		for i := 0; i+1 < len(r.Args) && string(r.Name) == "putlist"; i += 2 {
			m.records[string(r.Args[i])] = string(r.Args[i+1])
		}
	}
	m.clock += 10
	sid := m.sid
	if mid != 0 {
		sid = mid
	}
	m.log = append(m.log, tyrant.Entry{Time: m.clock, SID: sid, MID: mid, Payload: tyrant.AppendPayload(nil, &r, ok)})
	m.clock += 10
	m.changed.Broadcast()
	return ok
}

func (m *master) all() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	copied := map[string]string{}
	for k, v := range m.records {
		copied[k] = v
	}
	return copied
}

// follow makes the master a slave of what is served by serve, until the returned function is called, which tells the position.
func (m *master) follow(from int64, serve func(c net.Conn, from int64, sid uint32)) (position func() int64, stop func() int64) {
	mine, theirs := net.Pipe()
	served := make(chan struct{})
	c := tyrant.NewClient(mine, tyrant.ClientConfig{Timeout: 30 * time.Second})
	go func() {
		defer close(served)
		// The request is decoded by the session of a client elsewhere.
		request := make([]byte, 14)
		for n := 0; n < len(request); {
			k, err := theirs.Read(request[n:])
			if err != nil {
				return
			}
			n += k
		}
		serve(theirs, int64(binary.BigEndian.Uint64(request[2:])), binary.BigEndian.Uint32(request[10:]))
	}()
	stream, err := c.Repl(from, uint32(m.sid))
	if err != nil {
		m.t.Fatal(err)
	}
	at, ended := from-1, make(chan struct{})
	go func() {
		defer close(ended)
		var e tyrant.Entry
		var r tyrant.Request
		for stream.Next(&e) == nil {
			if e.Payload == nil {
				continue
			}
			if _, err := tyrant.DecodePayload(e.Payload, &r); err != nil {
				m.t.Errorf("entry %v: %v", e, err)
				return
			}
			m.do(r, e.SID)
			m.mu.Lock()
			at = e.Time
			m.mu.Unlock()
		}
	}()
	position = func() int64 {
		m.mu.Lock()
		defer m.mu.Unlock()
		return at
	}
	return position, func() int64 {
		c.Close()
		<-ended
		<-served
		return position()
	}
}
