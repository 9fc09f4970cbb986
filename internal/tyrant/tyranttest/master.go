// Package tyranttest is a server of Tokyo Tyrant's binary protocol for tests, with an update log that others may follow: a
// hash database in memory, with one cursor for all connections, as the original has.
package tyranttest

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// SID is the id of every Master that has a log.
const SID = 7

// Master is one server. Its methods may be called at any time.
type Master struct {
	// Addr is where it listens.
	Addr string

	mu      sync.Mutex
	records map[string]string
	cursor  []string
	counts  map[tyrant.Command]int
	masked  bool
	dir     string
	log     *tyrant.LogWriter // nil: none
	now     int64             // of the last entry, microseconds

	listener net.Listener
	ended    chan struct{}
	serving  sync.WaitGroup
	conns    map[net.Conn]bool
}

// Listen starts a server at addr, a free port of loopback if that is empty. It logs to dir, unless that is empty too.
func Listen(addr, dir string) (*Master, error) {
	m := &Master{records: map[string]string{}, counts: map[tyrant.Command]int{}, ended: make(chan struct{}), conns: map[net.Conn]bool{}}
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	if dir != "" {
		if err := m.openLog(dir); err != nil {
			return nil, err
		}
	}
	var err error
	if m.listener, err = net.Listen("tcp", addr); err != nil {
		return nil, err
	}
	m.Addr = m.listener.Addr().String()
	m.serving.Go(m.accept)
	return m, nil
}

func (m *Master) openLog(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	m.dir = dir
	m.log, err = tyrant.OpenLogWriter(dir, 1<<20)
	return err
}

// Close ends the server and its connections.
func (m *Master) Close() {
	close(m.ended)
	m.listener.Close()
	m.HangUp()
	m.serving.Wait()
	if m.log != nil {
		m.log.Close()
	}
}

// HangUp closes all connections.
func (m *Master) HangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for nc := range m.conns {
		nc.Close()
	}
}

// Records returns a copy of what it holds.
func (m *Master) Records() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.records)
}

// Count is how often a command was called.
func (m *Master) Count(c tyrant.Command) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[c]
}

// Mask makes misc answer as a server whose mask forbids writing: success, and nothing is done.
func (m *Master) Mask() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.masked = true
}

// Do executes a request as a client's.
func (m *Master) Do(r tyrant.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer(nil, &r)
}

func (m *Master) accept() {
	for {
		nc, err := m.listener.Accept()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.conns[nc] = true
		m.mu.Unlock()
		m.serving.Go(func() {
			m.serve(nc)
			nc.Close()
			m.mu.Lock()
			delete(m.conns, nc)
			m.mu.Unlock()
		})
	}
}

func (m *Master) serve(nc net.Conn) {
	var d tyrant.Decoder
	var r tyrant.Request
	var in []byte
	piece := make([]byte, 64<<10)
	for {
		n, err := nc.Read(piece)
		if err != nil {
			return
		}
		in = append(in, piece[:n]...)
		var out []byte
		for {
			n, _, err := d.Decode(in, &r)
			in = in[n:]
			if err != nil {
				break
			}
			if r.Close {
				return
			}
			if r.Command == tyrant.Repl {
				m.stream(nc, r.Time, r.SID)
				return
			}
			m.mu.Lock()
			out = m.answer(out, &r)
			m.mu.Unlock()
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

// stream sends the log from a time on, with a keep-alive before each look for more.
func (m *Master) stream(nc net.Conn, from int64, sid uint32) {
	if m.log == nil {
		nc.Write(tyrant.AppendSID(nil, 0))
		return
	}
	l, err := tyrant.OpenLog(m.dir, from)
	if err != nil {
		return
	}
	defer l.Close()
	out := tyrant.AppendSID(nil, SID)
	for {
		out = tyrant.AppendKeepAlive(out)
		if _, err := nc.Write(out); err != nil {
			return
		}
		select {
		case <-m.ended:
			return
		case <-time.After(20 * time.Millisecond):
		}
		out = out[:0]
		for {
			var e tyrant.Entry
			if l.Next(&e) != nil {
				break
			}
			if uint32(e.SID) != sid && uint32(e.MID) != sid {
				out = tyrant.AppendStreamEntry(out, &e)
			}
		}
	}
}

// answer executes a request, logs it and appends its reply.
func (m *Master) answer(out []byte, r *tyrant.Request) []byte {
	m.counts[r.Command]++
	key, value := string(r.Key), string(r.Value)
	old, exists := m.records[key]
	switch r.Command {
	case tyrant.Put, tyrant.PutNR:
		m.records[key] = value
		m.write(r, true)
		if r.Command == tyrant.PutNR {
			return out
		}
		return tyrant.AppendStatus(out, true)
	case tyrant.PutKeep:
		if !exists {
			m.records[key] = value
		}
		return m.done(out, r, !exists)
	case tyrant.PutCat:
		m.records[key] = old + value
		return m.done(out, r, true)
	case tyrant.PutShl:
		if exists {
			value = old + value
			value = value[max(len(value)-int(r.Width), 0):]
		}
		m.records[key] = value
		return m.done(out, r, true)
	case tyrant.Out:
		delete(m.records, key)
		return m.done(out, r, exists)
	case tyrant.AddInt:
		return m.addInt(out, r, old, exists)
	case tyrant.AddDouble:
		return m.addDouble(out, r, old, exists)
	case tyrant.Vanish:
		clear(m.records)
		return m.done(out, r, true)
	case tyrant.Sync, tyrant.Optimize:
		return m.done(out, r, true)
	case tyrant.Get:
		if !exists {
			return tyrant.AppendStatus(out, false)
		}
		return tyrant.AppendValue(out, []byte(old))
	case tyrant.MGet:
		out, at := tyrant.BeginList(out)
		n := 0
		for _, k := range r.Args {
			if v, ok := m.records[string(k)]; ok {
				out = tyrant.AppendRecord(out, k, []byte(v))
				n++
			}
		}
		tyrant.EndList(out, at, true, n)
		return out
	case tyrant.IterInit:
		m.cursor = slices.Sorted(maps.Keys(m.records))
		return tyrant.AppendStatus(out, true)
	case tyrant.IterNext:
		if len(m.cursor) == 0 {
			return tyrant.AppendStatus(out, false)
		}
		next := m.cursor[0]
		m.cursor = m.cursor[1:]
		return tyrant.AppendValue(out, []byte(next))
	case tyrant.FwmKeys:
		return m.prefix(out, r)
	case tyrant.RNum:
		return tyrant.AppendCount(out, uint64(len(m.records)))
	case tyrant.Stat:
		return tyrant.AppendValue(out, m.stat())
	case tyrant.Misc:
		return m.misc(out, r)
	}
	return tyrant.AppendStatus(out, false)
}

func (m *Master) prefix(out []byte, r *tyrant.Request) []byte {
	out, at := tyrant.BeginList(out)
	n := 0
	for _, k := range slices.Sorted(maps.Keys(m.records)) {
		if strings.HasPrefix(k, string(r.Key)) && (r.Max < 0 || n < int(r.Max)) {
			out = tyrant.AppendElement(out, []byte(k))
			n++
		}
	}
	tyrant.EndList(out, at, true, n)
	return out
}

func (m *Master) addInt(out []byte, r *tyrant.Request, old string, exists bool) []byte {
	if exists && len(old) != 4 {
		return m.done(out, r, false)
	}
	sum := r.Num
	if exists {
		sum += int32(binary.LittleEndian.Uint32([]byte(old)))
	}
	m.records[string(r.Key)] = string(binary.LittleEndian.AppendUint32(nil, uint32(sum)))
	ok := sum != math.MinInt32
	if r.Num != 0 {
		m.write(r, ok)
	}
	if !ok {
		return tyrant.AppendStatus(out, false)
	}
	return tyrant.AppendInt(out, sum)
}

func (m *Master) addDouble(out []byte, r *tyrant.Request, old string, exists bool) []byte {
	if exists && len(old) != 8 {
		return m.done(out, r, false)
	}
	sum := r.Double.Float64()
	if exists {
		sum += math.Float64frombits(binary.LittleEndian.Uint64([]byte(old)))
	}
	m.records[string(r.Key)] = string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(sum)))
	ok := !math.IsNaN(sum)
	m.write(r, ok)
	if !ok {
		return tyrant.AppendStatus(out, false)
	}
	return tyrant.AppendDouble(out, sum)
}

func (m *Master) misc(out []byte, r *tyrant.Request) []byte {
	if m.masked {
		return tyrant.AppendList(out, true, 0)
	}
	if string(r.Name) == tyrant.MiscImport { // a node's
		return m.importItems(out, r.Args)
	}
	ok := false
	switch name, args := string(r.Name), r.Args; {
	case name == "put" && len(args) > 1:
		m.records[string(args[0])], ok = string(args[1]), true
	case name == "putcat" && len(args) > 1:
		m.records[string(args[0])] += string(args[1])
		ok = true
	case name == "putkeep" && len(args) > 1:
		if _, exists := m.records[string(args[0])]; !exists {
			m.records[string(args[0])], ok = string(args[1]), true
		}
	case name == "out" && len(args) > 0:
		_, ok = m.records[string(args[0])]
		delete(m.records, string(args[0]))
	case name == "putlist":
		for i := 0; i+1 < len(args); i += 2 {
			m.records[string(args[i])] = string(args[i+1])
		}
		ok = true
	case name == "outlist":
		for _, a := range args {
			delete(m.records, string(a))
		}
		ok = true
	case name == "vanish":
		clear(m.records)
		ok = true
	}
	if r.Options&tyrant.MiscNoLog == 0 {
		m.write(r, ok)
	}
	return tyrant.AppendList(out, ok, 0)
}

// maxValue is the size of the largest value that importItems says to take.
const maxValue = 64 << 20

// importItems stores records as a node does, but for what only a node has.
func (m *Master) importItems(out []byte, args [][]byte) []byte {
	if len(args) == 0 {
		return tyrant.AppendList(out, false, 0)
	}
	items, err := tyrant.DecodeItems(args[1:])
	if err != nil {
		return tyrant.AppendList(out, false, 0)
	}
	out = tyrant.AppendElement(tyrant.AppendList(out, true, 1+len(items)), []byte(strconv.Itoa(maxValue)))
	for _, i := range items {
		if tyrant.StoreMode(args[0]) == tyrant.StoreAll {
			m.records[string(i.Key)] = string(i.Value)
		}
		out = tyrant.AppendElement(out, []byte(tyrant.OutcomeStored))
	}
	return out
}

func (m *Master) done(out []byte, r *tyrant.Request, ok bool) []byte {
	m.write(r, ok)
	return tyrant.AppendStatus(out, ok)
}

// write logs a request. Times of entries grow.
func (m *Master) write(r *tyrant.Request, ok bool) {
	if m.log == nil {
		return
	}
	m.now = max(m.now+1, time.Now().UnixMicro())
	e := tyrant.Entry{Time: m.now, SID: SID, Payload: tyrant.AppendPayload(nil, r, ok)}
	if err := m.log.Append(&e); err != nil {
		panic(err)
	}
}

func (m *Master) stat() []byte {
	now, sid := max(m.now, time.Now().UnixMicro()), 0
	if m.log != nil {
		sid = SID
	}
	return fmt.Appendf(nil, "version\t1.1.41\ntime\t%d.%06d\nsid\t%d\ntype\ton-memory hash\nrnum\t%d\nbigend\t0\ncnt_iterinit\t%d\ncnt_iternext\t%d\n",
		now/1e6, now%1e6, sid, len(m.records), m.counts[tyrant.IterInit], m.counts[tyrant.IterNext])
}
