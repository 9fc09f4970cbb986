//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"
)

// startLimit is how long nodes take to be ready when they need not wait for each other: less than --catchup-timeout.
const startLimit = 8 * time.Second

// Nodes may start in any order.
func TestStartInAnyOrder(t *testing.T) {
	strain := startStrain(t)
	t.Run("both at once", func(t *testing.T) {
		p := newPair(t, "--catchup-timeout=30s")
		begin := time.Now()
		p[0].start(t)
		p[1].start(t)
		p[0].waitReady(t)
		p[1].waitReady(t)
		if took := time.Since(begin); took > startLimit+strain() {
			t.Errorf("both were ready after %v, want less than %v", took, startLimit)
		}
		waitPair(t, p)
	})
	for first, name := range []string{"A first", "B first"} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			early, late := p[first], p[1-first]
			begin := time.Now()
			early.start(t)
			early.waitReady(t)
			if took := time.Since(begin); took < time.Second || took > startLimit+strain() {
				t.Errorf("the node that started alone was ready after %v, want --catchup-timeout, 1 s", took)
			}
			early.setAll(t, []string{"key"}, "value")
			begin = time.Now()
			late.start(t)
			late.waitReady(t)
			if took := time.Since(begin); took > startLimit+strain() {
				t.Errorf("the second node was ready after %v, want less than %v", took, startLimit)
			}
			late.expectValues(t, map[string]string{"key": "value"})
			waitPair(t, p)
		})
	}
	t.Run("both again with data", func(t *testing.T) {
		p := startPair(t)
		p[0].setAll(t, names("key", 1000), "value")
		p[0].kill9()
		p[1].kill9()
		begin := time.Now()
		startAll(t, p)
		if took := time.Since(begin); took > startLimit+strain() {
			t.Errorf("both were ready after %v, want less than %v", took, startLimit)
		}
		waitEqual(t, p, names("key", 1000), 5*time.Second)
	})
}

// SIGTERM under load: exit code 0, no reply is cut in the middle, and the other node has all that was acknowledged.
func TestTerminateUnderLoad(t *testing.T) {
	strain, p := startStrain(t), startPair(t)
	for round := range 4 {
		leaving, staying := p[round%2], p[1-round%2]
		w := &writers{keys: map[string]string{}}
		startWriters(t, w, leaving.client, fmt.Sprintf("round-%d", round), 4)
		eventually(t, "the node is under load", 20*time.Second, func() bool { return w.acked.Load() > 3000 })
		begin := time.Now()
		leaving.terminate(t)
		if took := time.Since(begin); took > 5*time.Second+strain() {
			t.Errorf("stopping took %v", took)
		}
		w.running.Wait()
		w.check(t)
		staying.expectValues(t, w.keys)
		leaving.start(t)
		waitPair(t, p)
		leaving.expectValues(t, w.keys)
	}
}

// A request that had begun when the node was asked to stop is finished and answered, and gets to the peer.
func TestTerminateFinishesRequests(t *testing.T) {
	p := startPair(t)
	c, idle := p[0].dial(t), p[0].dial(t)
	idle.expect(t, "get nothing\r\n", "END")
	if _, err := io.WriteString(c, setCommand("early", "1")+"set late 0 0 10\r\n01234"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.line(); err != nil || got != "STORED" {
		t.Fatalf("set: got %q and error %v", got, err)
	}
	p[0].proc.signal(t, syscall.SIGTERM)
	eventually(t, "the node stops taking connections", 5*time.Second, func() bool { return !accepts(p[0].client) })
	if p[0].ready() {
		t.Error("a draining node says that it is ready")
	}
	if got, err := idle.line(); err != io.EOF {
		t.Errorf("idle connection: got %q and error %v, want its end", got, err)
	}
	if got, err := c.do("56789\r\n"); err != nil || got != "STORED" {
		t.Errorf("request that was half sent: got %q and error %v, want STORED", got, err)
	}
	if code := p[0].proc.waitExit(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	p[1].expectValues(t, map[string]string{"early": "1", "late": "0123456789"})
}

// A drain that a client holds up ends by itself, and at once at the second signal.
func TestTerminateTwice(t *testing.T) {
	hold := func(t *testing.T, n *node) {
		c := n.dial(t)
		c.expect(t, "get nothing\r\n", "END")
		if _, err := io.WriteString(c, setCommand("key", "1")+"set half 0 0 10\r\n01234"); err != nil {
			t.Fatal(err)
		}
		if got, err := c.line(); err != nil || got != "STORED" {
			t.Fatalf("set: got %q and error %v", got, err)
		}
		n.proc.signal(t, syscall.SIGTERM)
		eventually(t, "the node stops taking connections", 5*time.Second, func() bool { return !accepts(n.client) })
	}
	t.Run("second signal", func(t *testing.T) {
		strain, n := startStrain(t), startSingle(t)
		hold(t, n)
		begin := time.Now()
		n.proc.signal(t, syscall.SIGTERM)
		if code := n.proc.waitExit(t, 5*time.Second); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
		if took := time.Since(begin); took > 5*time.Second+strain() {
			t.Errorf("the second signal took %v", took)
		}
		n.start(t)
		n.waitReady(t)
		n.expectValues(t, map[string]string{"key": "1", "half": ""})
	})
	t.Run("drain timeout", func(t *testing.T) {
		n := startSingle(t)
		n.kill9()
		n.flags = append(n.flags, "--config="+configFile(t, `drain-timeout = "1s"`))
		n.start(t)
		n.waitReady(t)
		hold(t, n)
		if code := n.proc.waitExit(t, 5*time.Second); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	})
}

// SIGTERM during the start, while the node waits for its peer.
func TestTerminateWhileWaitingForThePeer(t *testing.T) {
	p := newPair(t, "--catchup-timeout=1m")
	p[0].start(t)
	eventually(t, "the node waits for its peer", 10*time.Second, func() bool {
		s, err := p[0].status()
		return err == nil && s.State == "catching-up"
	})
	if p[0].ready() || accepts(p[0].client) {
		t.Error("a node that waits for its peer takes clients")
	}
	p[0].terminate(t)
}
