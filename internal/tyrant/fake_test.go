package tyrant

import (
	"bytes"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// fake is a server with a map for a database, and an update log that has an entry for each key.
type fake struct {
	mu      sync.Mutex
	records map[string]string
	cursor  []string
	log     [][]byte // stream entries
}

// listen serves at a free port of loopback, or at a socket in a folder of its own, and returns the address.
func (f *fake) listen(t *testing.T, network string) string {
	t.Helper()
	target := "127.0.0.1:0"
	if network == "unix" {
		target = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, target)
	if err != nil {
		t.Fatal(err)
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer nc.Close()
				f.serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		sessions.Wait()
	})
	if network == "unix" {
		return "unix:" + target
	}
	return l.Addr().String()
}

func (f *fake) serve(nc net.Conn) {
	var d Decoder
	var r Request
	var in []byte
	piece := make([]byte, 1000)
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
				nc.Write(out)
				return
			}
			out = f.answer(out, &r)
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
	}
}

func (f *fake) answer(out []byte, r *Request) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := string(r.Key)
	old, exists := f.records[key]
	switch r.Command {
	case Put:
		f.records[key] = string(r.Value)
		return AppendStatus(out, true)
	case PutNR:
		f.records[key] = string(r.Value)
		return out
	case PutKeep:
		if !exists {
			f.records[key] = string(r.Value)
		}
		return AppendStatus(out, !exists)
	case PutCat:
		f.records[key] = old + string(r.Value)
		return AppendStatus(out, true)
	case Out:
		delete(f.records, key)
		return AppendStatus(out, exists)
	case Get:
		if !exists {
			return AppendStatus(out, false)
		}
		return AppendValue(out, []byte(old))
	case VSiz:
		if !exists {
			return AppendStatus(out, false)
		}
		return AppendSize(out, len(old))
	case MGet:
		out, at := BeginList(out)
		n := 0
		for _, k := range r.Args {
			if v, ok := f.records[string(k)]; ok {
				out = AppendRecord(out, k, []byte(v))
				n++
			}
		}
		EndList(out, at, true, n)
		return out
	case FwmKeys:
		out, at := BeginList(out)
		n := 0
		for _, k := range slices.Sorted(maps.Keys(f.records)) {
			if bytes.HasPrefix([]byte(k), r.Key) && (r.Max < 0 || n < int(r.Max)) {
				out = AppendElement(out, []byte(k))
				n++
			}
		}
		EndList(out, at, true, n)
		return out
	case IterInit:
		f.cursor = slices.Sorted(maps.Keys(f.records))
		return AppendStatus(out, true)
	case IterNext:
		if len(f.cursor) == 0 {
			return AppendStatus(out, false)
		}
		next := f.cursor[0]
		f.cursor = f.cursor[1:]
		return AppendValue(out, []byte(next))
	case Vanish:
		clear(f.records)
		return AppendStatus(out, true)
	case RNum:
		return AppendCount(out, uint64(len(f.records)))
	case Repl:
		out = AppendKeepAlive(AppendSID(out, 7))
		for _, e := range f.log {
			out = append(out, e...)
		}
		return AppendKeepAlive(out)
	}
	return AppendStatus(out, false)
}

// scripted is a client of a server that expects these bytes and answers with those, and then hangs up.
func scripted(t *testing.T, c ClientConfig, request, reply []byte) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	var server sync.WaitGroup
	server.Go(func() {
		defer theirs.Close()
		got := make([]byte, len(request))
		if _, err := io.ReadFull(theirs, got); err != nil {
			return // the test is over
		}
		if !bytes.Equal(got, request) {
			t.Errorf("the client has sent %x, want %x", got, request)
		}
		theirs.Write(reply)
	})
	cl := NewClient(ours, c)
	t.Cleanup(func() {
		cl.Close()
		server.Wait()
	})
	return cl
}
