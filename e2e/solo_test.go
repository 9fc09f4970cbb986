//go:build e2e

package e2e

import (
	"io"
	"strings"
	"testing"
	"time"
)

// A frozen peer holds up writes for --ack-timeout once, and reads never. Then the node is solo, says so, and no write
// waits. When the peer goes on, solo ends and both nodes hold the same.
func TestFrozenPeerStallsNobody(t *testing.T) {
	const ackTimeout = 2 * time.Second // so long that a busy machine is not taken for a wait
	strain := startStrain(t)
	p := startPair(t, "--ack-timeout="+ackTimeout.String(), "--peer-timeout=5s")
	keys := names("key", 200)
	p[0].setAll(t, keys, "before")
	waitEqual(t, p, keys, 5*time.Second)

	p[1].freeze(t)
	reads := watchReads(t, p[0], keys[0])
	writer := p[0].dial(t)
	var first, longest time.Duration
	var begin time.Time // of being solo
	for i := 0; i == 0 || time.Since(begin) < time.Second; i++ {
		sent := time.Now()
		writer.set(t, keys[i%len(keys)], "while frozen")
		if took := time.Since(sent); i == 0 {
			first, begin = took, time.Now()
		} else {
			longest = max(longest, took)
		}
		if i == 0 {
			if s := p[0].mustStatus(t); !s.Acknowledgement.Solo || !strings.Contains(s.Acknowledgement.SoloReason, "did not confirm") {
				t.Errorf("after the first write: solo %v, reason %q", s.Acknowledgement.Solo, s.Acknowledgement.SoloReason)
			}
		}
	}
	slow := reads()
	margin := ackTimeout/2 + strain()
	if first < ackTimeout/2 || first > ackTimeout+margin {
		t.Errorf("the first write took %v, want about %v", first, ackTimeout)
	}
	if longest > margin {
		t.Errorf("a write of a solo node took %v, want less than %v", longest, margin)
	}
	if slow > margin {
		t.Errorf("a read took %v, want less than %v", slow, margin)
	}
	if !p[0].ready() {
		t.Error("a solo node is not ready")
	}

	p[1].thaw(t)
	waitPair(t, p)
	waitEqual(t, p, keys, 5*time.Second)
	if got := p[1].readAll(t, keys[:1])[keys[0]].value; got != "while frozen" {
		t.Errorf("the node that was frozen has %q", got)
	}
}

// watchReads reads a key again and again until the function it returns is called, which tells the longest time.
func watchReads(t *testing.T, n *node, key string) func() time.Duration {
	c := n.dial(t)
	stop, result := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		var longest time.Duration
		defer func() { result <- longest }()
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			sent := time.Now()
			if _, _, err := c.get(key); err != nil {
				t.Errorf("read while others work: %v", err)
				return
			}
			longest = max(longest, time.Since(sent))
		}
	}()
	return func() time.Duration { close(stop); return <-result }
}

// A node that was frozen for longer than its peer waits is not ready until it has caught up. Until then it serves nobody: it
// neither executes what clients sent meanwhile nor shows them what is old.
func TestThawedNodeIsNotReadyBeforeItCaughtUp(t *testing.T) {
	p := newPair(t, "--peer-timeout=1s")
	links := linkPair(t, p)
	startAll(t, p)
	p[0].setAll(t, []string{"key-0"}, "before")
	p[1].expectValues(t, map[string]string{"key-0": "before"})
	clients := []*conn{p[1].dial(t), p[1].dial(t), p[1].dial(t)}
	p[1].freeze(t)
	for i, text := range []string{"get key-0\r\n", setCommand("key-0", "late"), "incr key-0 1\r\n"} {
		if _, err := io.WriteString(clients[i], text); err != nil {
			t.Fatal(err)
		}
	}
	frozen := time.Now()
	// With both links cut the thawed node cannot catch up, so that its answer can be seen.
	for _, l := range links {
		l.cut()
	}
	p[0].setAll(t, names("key", 1000), "while frozen")
	// Longer than --peer-timeout, and than --catchup-timeout: what was no progress then must not count after it.
	eventually(t, "node A misses its peer", 10*time.Second, func() bool {
		s := p[0].mustStatus(t)
		return s.Acknowledgement.Solo && s.Peer.State == "connecting" && time.Since(frozen) > 1500*time.Millisecond
	})
	p[1].thaw(t)
	eventually(t, "the thawed node says that it is not ready", 5*time.Second, func() bool { return !p[1].ready() })
	if s := p[1].mustStatus(t); s.State != "catching-up" {
		t.Errorf("the thawed node is %q: %q", s.State, s.Reason)
	}
	for _, c := range clients {
		if got, err := c.line(); err == nil {
			t.Errorf("a request that was sent meanwhile is answered: %q", got)
		}
	}
	if c, err := dial(p[1].client); err == nil {
		if got, err := c.do("get key-0\r\n"); err == nil {
			t.Errorf("a new client is served: %q", got)
		}
		c.Close()
	}
	for _, l := range links {
		l.heal()
	}
	p[1].waitReady(t)
	want := map[string]string{}
	for _, key := range names("key", 1000) {
		want[key] = "while frozen"
	}
	p[1].expectValues(t, want)
	waitPair(t, p)
}
