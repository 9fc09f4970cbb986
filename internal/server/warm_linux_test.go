package server

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/futago/futago/internal/store"
)

// turnstile is a store that holds a write of the key "wait" back, and notes what it was prepared for.
type turnstile struct {
	*store.Store
	held, open chan struct{}
	mu         sync.Mutex
	calls      []string
}

func (s *turnstile) Commit(req *store.Request, res *store.Result) error {
	if string(req.Key) == "wait" {
		s.held <- struct{}{}
		<-s.open
	}
	return s.Store.Commit(req, res)
}

func (s *turnstile) Warm(keys [][]byte) {
	s.Store.Warm(keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, string(bytes.Join(keys, []byte(" "))))
}

// TestWarmTogether has many connections send a request each while the loop is busy: it reads some of them before it executes any, and all are
// answered, also those that came in pieces, and whatever becomes of the others.
func TestWarmTogether(t *testing.T) {
	const clients = 2*mostWarm + 5
	st := &turnstile{Store: openStore(t, nil), held: make(chan struct{}), open: make(chan struct{})}
	s := startServer(t, st, func(c *Config) { c.Threads = 1 })
	all := make([]*client, clients)
	for i := range all {
		all[i] = dial(t, s)
		all[i].send("version\r\n")
		all[i].expect("VERSION " + s.cfg.Version + "\r\n")
	}
	gone, broken, piece := dial(t, s), dial(t, s), dial(t, s)
	piece.send("set piece 0 0 5\r\nva")
	first := dial(t, s)
	first.send("set wait 0 0 1\r\nx\r\n")
	<-st.held
	var keys []string
	for i, c := range all {
		keys = append(keys, fmt.Sprintf("k%d", i))
		c.send(fmt.Sprintf("set k%d 0 0 3\r\nv%02d\r\n", i, i))
	}
	gone.send("get gone\r\n")
	gone.Close()
	broken.send("\x00\x01\x02")
	piece.send("lue\r\n")
	close(st.open)
	first.expect("STORED\r\n")
	piece.expect("STORED\r\n")
	for i, c := range all {
		c.expect("STORED\r\n")
		c.send(fmt.Sprintf("get k%d\r\n", i))
		c.expect(fmt.Sprintf("VALUE k%d 0 3\r\nv%02d\r\nEND\r\n", i, i))
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, call := range st.calls {
		for key := range strings.FieldsSeq(call) {
			if i := slices.Index(keys, key); i >= 0 {
				keys = slices.Delete(keys, i, i+1)
			}
		}
	}
	if len(keys) > 1 { // one may have been alone in its group
		t.Errorf("the store was not prepared for %q, only for\n%s", keys, strings.Join(st.calls, "\n"))
	}
}
