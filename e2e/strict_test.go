//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	strictUnknown = "SERVER_ERROR effect unknown: no peer confirmed the write, ack=strict"
	strictRefused = "SERVER_ERROR not stored: no peer is connected, ack=strict"
)

// strictLoad writes numbered keys as fast as answers come, one write on the way for each client, and notes what came back.
type strictLoad struct {
	running sync.WaitGroup
	ended   atomic.Bool
	stored  atomic.Int64
	unknown atomic.Int64
	refused atomic.Int64

	mu       sync.Mutex
	keys     map[string]string // stored, with their values
	executed map[string]string // of unknown effect
	longest  time.Duration     // from sending a write to its answer
	failures []string
}

func startStrictLoad(t *testing.T, n *node, prefix string, clients int) *strictLoad {
	l := &strictLoad{keys: map[string]string{}, executed: map[string]string{}}
	for client := range clients {
		c := n.dial(t)
		l.running.Go(func() {
			for i := 0; !l.ended.Load(); i++ {
				key, value := fmt.Sprintf("%s-%d-%d", prefix, client, i), fmt.Sprintf("value %d", i)
				sent := time.Now()
				c.SetDeadline(sent.Add(replyLimit))
				_, err := io.WriteString(c, setCommand(key, value))
				var got string
				if err == nil {
					got, err = c.line()
				}
				took := time.Since(sent)
				l.mu.Lock()
				l.longest = max(l.longest, took)
				switch {
				case err != nil:
					l.failures = append(l.failures, err.Error())
				case got == "STORED":
					l.keys[key] = value
					l.stored.Add(1)
				case got == strictUnknown:
					l.executed[key] = value
					l.unknown.Add(1)
				case got == strictRefused:
					l.refused.Add(1)
				default:
					l.failures = append(l.failures, got)
				}
				l.mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	t.Cleanup(func() { l.ended.Store(true) })
	return l
}

// end stops the load, expects no other answers than those of strict, and returns the longest wait.
func (l *strictLoad) end(t *testing.T) time.Duration {
	t.Helper()
	l.ended.Store(true)
	l.running.Wait()
	if len(l.failures) > 0 {
		t.Errorf("%d failures, such as %q", len(l.failures), l.failures[0])
	}
	return l.longest
}

// strictTimeout is --ack-timeout, and strictMargin what a busy machine may add to it: less, so that a wait for a peer shows.
const (
	strictTimeout = time.Second
	strictMargin  = 800 * time.Millisecond
)

// strictFlags are for nodes that give up a silent peer some time after --ack-timeout.
var strictFlags = []string{"--ack=strict", "--ack-timeout=" + strictTimeout.String(), "--peer-timeout=2500ms"}

// With ack=strict every write is at the peer or answered by an error, within the timeout, whatever becomes of the peer;
// and writes go on by themselves when it is back.
func TestStrict(t *testing.T) {
	strain := startStrain(t)
	p := newPair(t, strictFlags...)
	startAll(t, p)
	eventually(t, "writes are accepted", 10*time.Second, func() bool { return p[0].accepts(t) })

	// A frozen peer: it is silent first, then its link is given up.
	const clients = 4
	l := startStrictLoad(t, p[0], "frozen", clients)
	eventually(t, "the nodes are under load", 20*time.Second, func() bool { return l.stored.Load() > 2000 })
	p[1].freeze(t)
	reads := watchReads(t, p[0], "frozen-0-0")
	frozen := l.stored.Load()
	eventually(t, "writes are of unknown effect, then refused", 20*time.Second, func() bool {
		return l.unknown.Load() >= clients && l.refused.Load() > 100
	})
	if got := l.stored.Load(); got > frozen+clients { // one answer of each may have been on the way
		t.Errorf("%d writes were stored while the peer stood still", got-frozen)
	}
	slow := reads()
	checkStrictHTTP(t, p[0], http.StatusServiceUnavailable, "none")
	if a := p[0].mustStatus(t).Acknowledgement; a.Solo || a.Refusal == "" {
		t.Errorf("status: %+v, want no solo and a refusal", a)
	}
	eventually(t, "the status counts what was answered", 5*time.Second, func() bool {
		return p[0].mustStatus(t).Acknowledgement.Unconfirmed == l.unknown.Load()
	})
	if !p[0].ready() {
		t.Error("a node that refuses writes is not ready")
	}
	p[1].thaw(t)
	before := l.stored.Load()
	eventually(t, "writes are stored again", 20*time.Second, func() bool { return l.stored.Load() > before+1000 })
	longest, margin := l.end(t), strictMargin+strain()
	if longest > strictTimeout*9/8+margin {
		t.Errorf("a write took %v, want %v at most", longest, strictTimeout)
	}
	if slow > margin {
		t.Errorf("a read took %v, want less than %v", slow, margin)
	}
	waitPair(t, p)
	p[1].expectValues(t, l.keys)
	p[1].expectValues(t, l.executed) // the peer gets them with the link

	// A killed peer: what waits fails at once, then writes are refused, until it is back.
	l = startStrictLoad(t, p[0], "killed", clients)
	eventually(t, "the nodes are under load", 20*time.Second, func() bool { return l.stored.Load() > 2000 })
	p[1].kill9()
	eventually(t, "writes are refused", 5*time.Second, func() bool { return l.refused.Load() > 100 })
	checkStrictHTTP(t, p[0], http.StatusServiceUnavailable, "none")
	p[1].start(t)
	before = l.stored.Load()
	eventually(t, "writes are stored again", 20*time.Second, func() bool { return l.stored.Load() > before+1000 })
	longest, margin = l.end(t), strictMargin+strain()
	if longest > strictTimeout*9/8+margin {
		t.Errorf("with a peer that was killed a write took %v, want %v at most", longest, strictTimeout)
	}
	checkStrictHTTP(t, p[0], http.StatusCreated, "")
	waitPair(t, p)

	// What was stored is at the peer, and survives the node that stored it.
	p[0].kill9()
	p[1].expectValues(t, l.keys)
}

// Of three nodes any one other is enough: a frozen one stops no write. When the other has gone as well, writes get errors
// until either is back.
func TestStrictMesh(t *testing.T) {
	strain := startStrain(t)
	p := newPair(t, strictFlags...)
	third := newNode(t, "C", 3, append([]string{"--catchup-timeout=1s"}, strictFlags...)...)
	third.follow = p[0].peer
	startAll(t, p)
	third.start(t)
	third.waitReady(t)
	eventually(t, "both others follow the first", 10*time.Second, func() bool {
		return p[0].accepts(t) && len(p[0].mustStatus(t).Followers) == 2
	})

	const clients = 4
	l := startStrictLoad(t, p[0], "mesh", clients)
	eventually(t, "the nodes are under load", 20*time.Second, func() bool { return l.stored.Load() > 2000 })
	p[1].freeze(t)
	eventually(t, "the frozen node is given up, and writes go on", 20*time.Second, func() bool {
		return len(p[0].mustStatus(t).Followers) == 1 && l.stored.Load() > 4000
	})
	if failed := l.unknown.Load() + l.refused.Load(); failed > 0 {
		t.Errorf("%d writes failed although one of the others works", failed)
	}
	third.kill9()
	eventually(t, "writes are refused", 5*time.Second, func() bool { return l.refused.Load() > 100 })
	p[1].thaw(t)
	before := l.stored.Load()
	eventually(t, "writes are stored again", 20*time.Second, func() bool { return l.stored.Load() > before+1000 })
	if longest, margin := l.end(t), strictMargin+strain(); longest > strictTimeout*9/8+margin {
		t.Errorf("a write took %v, want %v at most", longest, strictTimeout)
	}
	p[0].kill9()
	p[1].waitReady(t)
	p[1].expectValues(t, l.keys)
}

// accepts reports whether the node takes writes.
func (n *node) accepts(t *testing.T) bool { return n.mustStatus(t).Acknowledgement.Refusal == "" }

// checkStrictHTTP writes over HTTP.
func checkStrictHTTP(t *testing.T, n *node, status int, effect string) {
	t.Helper()
	for _, level := range []string{"", "strict", "local"} {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://"+n.client+"/over-http", strings.NewReader("v"))
		if err != nil {
			t.Fatal(err)
		}
		wantStatus, wantEffect, wantAcked := status, effect, ""
		if level != "" {
			req.Header.Set("Futago-Ack", level)
		}
		switch {
		case level == "local":
			wantStatus, wantEffect, wantAcked = http.StatusCreated, "", "local"
		case status == http.StatusCreated:
			wantAcked = "peer"
		}
		resp, err := adminClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		gotEffect, gotAcked := resp.Header.Get("Futago-Effect"), resp.Header.Get("Futago-Acked")
		if resp.StatusCode != wantStatus || gotEffect != wantEffect || gotAcked != wantAcked {
			t.Errorf("PUT with Futago-Ack %q: got %d, effect %q, acked %q, want %d, %q, %q",
				level, resp.StatusCode, gotEffect, gotAcked, wantStatus, wantEffect, wantAcked)
		}
	}
}
