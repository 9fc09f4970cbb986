package gateway

import (
	"strings"
	"testing"
	"time"
)

// fakeClock is time that moves only when told.
type fakeClock struct{ t time.Time }

func (c *fakeClock) now() time.Time          { return c.t }
func (c *fakeClock) advance(d time.Duration) { c.t = c.t.Add(d) }

func testBalancer(upstreams ...Upstream) (*balancer, *fakeClock) {
	clock := &fakeClock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return newBalancer(upstreams, clock.now), clock
}

func weighted(weight, maxFails int, failTimeout time.Duration) Upstream {
	return Upstream{Addr: "x:1", Weight: weight, MaxFails: maxFails, FailTimeout: failTimeout}
}

// order returns the letters of n picks, each of which succeeds.
func order(b *balancer, n int) string {
	var s strings.Builder
	for range n {
		k, ok := b.pick(0)
		if !ok {
			s.WriteByte('-')
			continue
		}
		b.succeed(k)
		s.WriteByte('A' + byte(k.peer))
	}
	return s.String()
}

func mustPick(t *testing.T, b *balancer, tried peerSet, want int) pick {
	t.Helper()
	k, ok := b.pick(tried)
	if !ok || k.peer != want {
		t.Fatalf("pick(tried %b) = peer %d, %v, want peer %d", tried, k.peer, ok, want)
	}
	return k
}

func TestPickOrder(t *testing.T) {
	tests := []struct {
		weights []int
		want    string
	}{
		{[]int{5, 1}, "AAABAAAAABAA"},
		{[]int{3, 2}, "ABABAABABA"},
		{[]int{1, 1}, "ABABAB"},
		{[]int{5, 1, 1}, "AABACAAAABACAA"},
		{[]int{1}, "AAAA"},
	}
	for _, test := range tests {
		var us []Upstream
		for _, w := range test.weights {
			us = append(us, weighted(w, 1, time.Second))
		}
		b, _ := testBalancer(us...)
		if got := order(b, len(test.want)); got != test.want {
			t.Errorf("weights %v: got order %s, want %s", test.weights, got, test.want)
		}
	}
}

// Each failure takes weight/max_fails off the effective weight; each pick gives 1 back.
func TestEffectiveWeightFallsAndClimbs(t *testing.T) {
	b, _ := testBalancer(weighted(5, 3, 30*time.Second), weighted(1, 3, 30*time.Second))
	var seen []int
	for range 3 {
		seen = append(seen, b.view()[0].effective)
		b.fail(mustPick(t, b, 1<<1, 0))
	}
	// 5 is picked with, 1 of 5/3 comes off; at the next pick 4 is in force and 1 comes back after it.
	if want := []int{5, 4, 4}; seen[0] != want[0] || seen[1] != want[1] || seen[2] != want[2] {
		t.Errorf("effective weight before each failing pick: got %v, want %v", seen, want)
	}
	if b.view()[0].state != statePenalty {
		t.Errorf("state after 3 failures: got %s, want penalty", b.view()[0].state)
	}
}

// Failures that arrive together, as those of concurrent requests do, show the bare fall 5, 4, 3, 2.
func TestEffectiveWeightFallsTogether(t *testing.T) {
	b, _ := testBalancer(weighted(5, 3, 30*time.Second), weighted(1, 3, 30*time.Second))
	picks := []pick{mustPick(t, b, 0, 0), mustPick(t, b, 0, 0), mustPick(t, b, 0, 0)}
	for i, k := range picks {
		if got, want := b.view()[0].effective, 5-i; got != want {
			t.Errorf("effective weight after %d failures: got %d, want %d", i, got, want)
		}
		b.fail(k)
	}
	if got := b.view()[0].effective; got != 2 {
		t.Errorf("effective weight after 3 failures: got %d, want 2", got)
	}
	b.fail(picks[0])
	b.fail(picks[0])
	b.fail(picks[0])
	if got := b.view()[0].effective; got != 0 {
		t.Errorf("effective weight after 6 failures: got %d, want floor 0", got)
	}
}

func TestProbeAfterFailTimeout(t *testing.T) {
	b, clock := testBalancer(weighted(5, 3, 30*time.Second), weighted(1, 3, 30*time.Second))
	for range 3 {
		b.fail(pick{peer: 0})
	}
	if got := order(b, 6); got != "BBBBBB" {
		t.Fatalf("order while A is out: got %s, want BBBBBB", got)
	}
	clock.advance(30 * time.Second)
	if got := order(b, 2); got != "BB" {
		t.Fatalf("order at exactly fail_timeout: got %s, want BB", got)
	}
	clock.advance(time.Millisecond)
	// Until the probe has an outcome, exactly one of many requests goes to A.
	probes := 0
	var probe pick
	for range 20 {
		if k, _ := b.pick(0); k.peer == 0 {
			probes++
			probe = k
		}
	}
	if probes != 1 {
		t.Fatalf("requests to A after fail_timeout: got %d, want 1", probes)
	}
	// One failure of the probe is enough for another fail_timeout.
	b.fail(probe)
	clock.advance(30 * time.Second)
	if got := order(b, 3); got != "BBB" {
		t.Fatalf("order after a failed probe: got %s, want BBB", got)
	}
	clock.advance(time.Millisecond)
	if back := b.succeed(mustPick(t, b, 1<<1, 0)); !back {
		t.Error("succeed of the probe: got back=false, want true")
	}
	if v := b.view()[0]; v.fails != 0 || v.state != stateUp {
		t.Errorf("after a good probe: got fails %d, state %s, want 0, up", v.fails, v.state)
	}
}

// Only a success in a window that began after the last failure clears the counter.
func TestCounterReset(t *testing.T) {
	const window = 2 * time.Second
	t.Run("successes in the window do not", func(t *testing.T) {
		b, clock := testBalancer(weighted(1, 3, window), weighted(1, 3, window))
		for range 3 {
			b.fail(mustPick(t, b, 1<<1, 0))
			clock.advance(100 * time.Millisecond)
			if b.view()[0].fails < 3 {
				b.succeed(mustPick(t, b, 1<<1, 0))
			}
		}
		if v := b.view()[0]; v.fails != 3 || v.state != statePenalty {
			t.Errorf("got fails %d, state %s, want 3, penalty", v.fails, v.state)
		}
	})
	t.Run("age alone does not", func(t *testing.T) {
		b, clock := testBalancer(weighted(1, 3, window), weighted(1, 3, window))
		for range 3 {
			clock.advance(2500 * time.Millisecond)
			b.fail(mustPick(t, b, 1<<1, 0))
		}
		if v := b.view()[0]; v.fails != 3 || v.state != statePenalty {
			t.Errorf("got fails %d, state %s, want 3, penalty", v.fails, v.state)
		}
	})
	t.Run("a success in a later window does", func(t *testing.T) {
		b, clock := testBalancer(weighted(1, 3, window), weighted(1, 3, window))
		b.fail(mustPick(t, b, 1<<1, 0))
		b.fail(mustPick(t, b, 1<<1, 0))
		clock.advance(window + time.Millisecond) // far below the second that nginx's clock needs
		b.succeed(mustPick(t, b, 1<<1, 0))
		if got := b.view()[0].fails; got != 0 {
			t.Errorf("fails: got %d, want 0", got)
		}
	})
}

func TestMaxFailsIgnored(t *testing.T) {
	t.Run("by a lone upstream", func(t *testing.T) {
		b, _ := testBalancer(weighted(1, 1, time.Hour))
		for range 5 {
			b.fail(mustPick(t, b, 0, 0))
		}
		if v := b.view()[0]; v.state != stateUp || v.fails != 0 {
			t.Errorf("got state %s, fails %d, want up, 0", v.state, v.fails)
		}
	})
	t.Run("when it is 0", func(t *testing.T) {
		b, _ := testBalancer(weighted(1, 0, time.Hour), weighted(1, 0, time.Hour))
		for range 5 {
			b.fail(pick{peer: 0})
		}
		if got := order(b, 4); got != "ABAB" {
			t.Errorf("order: got %s, want ABAB", got)
		}
	})
}

func TestTriedPeersAreNotPickedAgain(t *testing.T) {
	b, _ := testBalancer(weighted(5, 3, time.Hour), weighted(1, 3, time.Hour))
	k := mustPick(t, b, 0, 0)
	b.fail(k)
	tried := peerSet(0).with(k.peer)
	k = mustPick(t, b, tried, 1)
	b.fail(k)
	if k, ok := b.pick(tried.with(k.peer)); ok {
		t.Errorf("pick with all tried: got peer %d, want none", k.peer)
	}
}

func TestAllOutTriesLeastRecentlyFailed(t *testing.T) {
	b, clock := testBalancer(weighted(5, 1, time.Hour), weighted(1, 1, time.Hour), weighted(1, 1, time.Hour))
	for _, i := range []int{1, 2, 0} {
		clock.advance(time.Second)
		b.fail(pick{peer: i})
	}
	var tried peerSet
	for _, want := range []int{1, 2, 0} {
		clock.advance(time.Second)
		k := mustPick(t, b, tried, want)
		if !k.lastResort {
			t.Errorf("pick of peer %d: got an ordinary one, want a last resort", want)
		}
		b.fail(k)
		tried = tried.with(want)
	}
	if back := b.succeed(mustPick(t, b, 0, 1)); !back {
		t.Error("success of a last resort: got back=false, want true")
	}
	if got := order(b, 3); got != "BBB" {
		t.Errorf("order after B's success: got %s, want BBB", got)
	}
}

func TestChecksTakeOutAndBringBack(t *testing.T) {
	newPair := func() (*balancer, *fakeClock) {
		return testBalancer(weighted(1, 1, 30*time.Second), weighted(1, 1, 30*time.Second))
	}
	t.Run("two failures", func(t *testing.T) {
		b, clock := newPair()
		b.judge(0, verdictFailed, clock.t)
		if got := order(b, 4); got != "ABAB" {
			t.Errorf("order after one failed check: got %s, want ABAB", got)
		}
		if before, after := b.judge(0, verdictFailed, clock.t); before != stateUp || after != stateDead {
			t.Errorf("second failed check: got %s to %s, want up to dead", before, after)
		}
		if got := order(b, 4); got != "BBBB" {
			t.Errorf("order after two failed checks: got %s, want BBBB", got)
		}
		b.judge(0, verdictReady, clock.t)
		if got := order(b, 4); got != "ABAB" {
			t.Errorf("order after a good check: got %s, want ABAB", got)
		}
	})
	t.Run("failures not in a row", func(t *testing.T) {
		b, clock := newPair()
		for _, v := range []verdict{verdictFailed, verdictReady, verdictFailed} {
			b.judge(0, v, clock.t)
		}
		if got := order(b, 4); got != "ABAB" {
			t.Errorf("order: got %s, want ABAB", got)
		}
	})
	t.Run("not ready", func(t *testing.T) {
		b, clock := newPair()
		b.judge(0, verdictNotReady, clock.t)
		if got := order(b, 4); got != "BBBB" {
			t.Errorf("order: got %s, want BBBB", got)
		}
		// A single lost check does not make it serve again.
		b.judge(0, verdictFailed, clock.t)
		if got := order(b, 4); got != "BBBB" {
			t.Errorf("order after a failed check: got %s, want BBBB", got)
		}
	})
	t.Run("a penalty ends at a good check", func(t *testing.T) {
		b, clock := newPair()
		b.fail(pick{peer: 0})
		if before, after := b.judge(0, verdictReady, clock.t); before != statePenalty || after != stateUp {
			t.Errorf("good check: got %s to %s, want penalty to up", before, after)
		}
		if got := order(b, 4); strings.Count(got, "A") != 2 {
			t.Errorf("order: got %s, want two A", got)
		}
	})
	t.Run("a check that began before the failure ends no penalty", func(t *testing.T) {
		b, clock := newPair()
		began := clock.t
		clock.advance(time.Millisecond)
		b.fail(pick{peer: 0})
		if _, after := b.judge(0, verdictReady, began); after != statePenalty {
			t.Errorf("state: got %s, want penalty", after)
		}
	})
	t.Run("a time-out does not let requests probe a dead peer", func(t *testing.T) {
		b, clock := newPair()
		b.fail(pick{peer: 0})
		b.judge(0, verdictFailed, clock.t)
		b.judge(0, verdictFailed, clock.t)
		clock.advance(time.Minute)
		if got := order(b, 4); got != "BBBB" {
			t.Errorf("order: got %s, want BBBB", got)
		}
	})
}

// A check that says ready while requests fail would cost a client a time-out at every round.
func TestPardonIsNotRepeated(t *testing.T) {
	b, clock := testBalancer(weighted(1, 1, 10*time.Second), weighted(1, 1, 10*time.Second))
	b.fail(pick{peer: 0})
	if _, after := b.judge(0, verdictReady, clock.t); after != stateUp {
		t.Fatalf("first pardon: got %s, want up", after)
	}
	clock.advance(time.Second)
	b.fail(pick{peer: 0})
	if _, after := b.judge(0, verdictReady, clock.t); after != statePenalty {
		t.Fatalf("second pardon within fail_timeout: got %s, want penalty", after)
	}
	// Once a check has seen it down, ready means restarted.
	b.judge(0, verdictFailed, clock.t)
	if _, after := b.judge(0, verdictReady, clock.t); after != stateUp {
		t.Errorf("pardon after a failed check: got %s, want up", after)
	}
	b.fail(pick{peer: 0})
	clock.advance(9500 * time.Millisecond)
	if _, after := b.judge(0, verdictReady, clock.t); after != stateUp {
		t.Errorf("pardon a fail_timeout later: got %s, want up", after)
	}
}
