//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A node that missed 100,000 writes comes back. From the moment that its client port opens it serves no old value. Of
// the original, 2,179 of the first 8,469 reads were old.
func TestCatchUpServesNothingOld(t *testing.T) {
	const count, rounds = 20000, 5
	p := startPair(t)
	keys := names("key", count)
	p[0].setAll(t, keys, "0")
	waitEqual(t, p, keys, 5*time.Second)
	p[1].kill9()
	for round := 1; round <= rounds; round++ {
		p[0].setAll(t, keys, strconv.Itoa(round))
	}
	p[1].start(t)
	var c *conn
	eventually(t, "the client port opens", 30*time.Second, func() (ok bool) {
		var err error
		c, err = dial(p[1].client)
		return err == nil
	})
	defer c.Close()
	old, reads := 0, 0
	for range 10 {
		some := make([]string, 1000)
		for i := range some {
			some[i] = keys[rand.IntN(count)]
		}
		got, err := c.read(some)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range some {
			reads++
			if got[key].value != strconv.Itoa(rounds) {
				old++
			}
		}
	}
	if old > 0 {
		t.Errorf("%d of %d reads were old, want 0", old, reads)
	}
	waitEqual(t, p, keys, 5*time.Second)
}

// The same while clients go on writing through the other node: what was acknowledged before a read began must be in
// the read, from the first moment that the returned node takes it.
func TestCatchUpUnderLoadServesNothingOld(t *testing.T) {
	const keys = 50
	p := startPair(t)
	all := names("live", keys)
	p[0].setAll(t, all, "0")
	p[1].kill9()
	var acked [keys]atomic.Int64
	stop, done := make(chan struct{}), make(chan struct{})
	writer := p[0].dial(t)
	go func() {
		defer close(done)
		for version := int64(1); ; version++ {
			for i, key := range all {
				got, err := writer.do(setCommand(key, strconv.FormatInt(version, 10)))
				if err != nil || got != "STORED" {
					t.Errorf("set: got %q and error %v", got, err)
					return
				}
				acked[i].Store(version)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	eventually(t, "some writes were missed", 10*time.Second, func() bool { return acked[keys-1].Load() > 100 })
	p[1].start(t)
	var c *conn
	eventually(t, "the client port opens", 30*time.Second, func() bool {
		var err error
		c, err = dial(p[1].client)
		return err == nil
	})
	old, example := 0, ""
	const reads = 20000
	for i := range reads {
		before := acked[i%keys].Load()
		value, _, err := c.get(all[i%keys])
		if err != nil {
			t.Fatal(err)
		}
		if version, err := strconv.ParseInt(value, 10, 64); err != nil || version < before {
			old++
			example = fmt.Sprintf("read %d got version %q, acknowledged was %d", i, value, before)
		}
	}
	c.Close()
	close(stop)
	<-done
	if old > 0 {
		t.Errorf("%d of %d reads were old, want 0; such as: %s", old, reads, example)
	}
	waitEqual(t, p, all, 5*time.Second)
}

// The nodes are never up together: each is written alone, and the one that was stopped first comes back last. Nothing
// newer is overwritten and no delete undone. The original lost 500 of 500 values and 500 of 500 deletes.
func TestCatchUpAfterTakingTurns(t *testing.T) {
	p := startPair(t, "--catchup-timeout=1s")
	kept, deleted := names("kept", 500), names("deleted", 500)
	both := append(append([]string{}, kept...), deleted...)
	p[0].setAll(t, both, "both")
	waitEqual(t, p, both, 5*time.Second)

	p[1].terminate(t)
	p[0].setAll(t, both, "from A alone")
	onlyA := names("only-a", 100)
	p[0].setAll(t, onlyA, "a")
	p[0].kill9()
	p[1].start(t)
	p[1].waitReady(t)
	if s := p[1].mustStatus(t); !s.Acknowledgement.Solo || !strings.Contains(s.Reason, "peer did not answer") {
		t.Errorf("a node that started alone says solo %v and reason %q", s.Acknowledgement.Solo, s.Reason)
	}
	p[1].setAll(t, kept, "newer, from B alone")
	p[1].deleteAll(t, deleted)
	p[0].start(t)
	waitPair(t, p)

	waitEqual(t, p, append(both, onlyA...), 10*time.Second)
	want := map[string]string{}
	for _, key := range kept {
		want[key] = "newer, from B alone"
	}
	for _, key := range deleted {
		want[key] = ""
	}
	for _, key := range onlyA {
		want[key] = "a"
	}
	for _, n := range p {
		n.expectValues(t, want)
	}
}

// A node whose disk was emptied gets everything back under its id, its own writes included; the original none of
// 1,000. Each of the two loses its disk in turn, so that the second copy comes from a restored one.
func TestCatchUpAfterDiskLoss(t *testing.T) {
	p := startPair(t)
	keys := [2][]string{names("through-a", 500), names("through-b", 500)}
	want := map[string]string{}
	for i, n := range p {
		n.setAll(t, keys[i], "first")
		n.setAll(t, keys[i], "value")
		n.deleteAll(t, keys[i][:50])
		n.setAll(t, []string{"counter"}, "5")
		for j, key := range keys[i] {
			want[key] = "value"
			if j < 50 {
				want[key] = ""
			}
		}
	}
	all := append(append([]string{"counter"}, keys[0]...), keys[1]...)
	waitEqual(t, p, all, 5*time.Second)
	want["counter"] = strconv.Itoa(5 + incrBoth(t, p, "counter"))
	waitEqual(t, p, all, 5*time.Second)
	for _, n := range p {
		n.kill9()
		n.wipe(t)
		n.start(t)
		waitPair(t, p)
		waitEqual(t, p, all, 5*time.Second)
		n.expectValues(t, want)
	}
	// Its stamps go on above those that it had before: its new writes win.
	for _, n := range p {
		n.setAll(t, all, "new from "+n.name)
		waitEqual(t, p, all, 5*time.Second)
		p[0].expectValues(t, map[string]string{"counter": "new from " + n.name, keys[0][0]: "new from " + n.name, keys[1][60]: "new from " + n.name})
	}
}

// A node that was away longer than the other keeps its log gets a full copy by itself. The original left out 3,950 of
// 5,000 records.
func TestCatchUpAfterLogIsGone(t *testing.T) {
	const count, rounds = 5000, 8
	p := startPair(t, "--log-retain=2MiB", "--segment-size=1MiB")
	keys, gone := names("key", count), names("gone", 500)
	p[0].setAll(t, append(append([]string{}, keys...), gone...), "old")
	waitEqual(t, p, keys, 5*time.Second)
	eventually(t, "node B has noted its position on disk", 10*time.Second, func() bool {
		s := p[0].mustStatus(t)
		// The last few entries are notes of A itself, which B passes without noting that.
		return len(s.Followers) == 1 && s.Followers[0].Durable+16 > s.Store.LastSeq
	})
	p[1].kill9()
	p[0].deleteAll(t, gone)
	want := map[string]string{}
	for _, key := range gone {
		want[key] = ""
	}
	for round := range rounds {
		value := strings.Repeat("x", 500) + strconv.Itoa(round)
		p[0].setAll(t, keys, value)
		for _, key := range keys {
			want[key] = value
		}
	}
	written := int64(count * rounds * 500)
	eventually(t, "the log is a third of what was written", 30*time.Second, func() bool {
		return p[0].mustStatus(t).Store.LogBytes < written/3
	})
	p[1].start(t)
	waitPair(t, p)
	p[1].expectValues(t, want)
	waitEqual(t, p, append(keys, gone...), 5*time.Second)
	if s := p[1].mustStatus(t); !s.hadEvent("log part is gone") {
		t.Errorf("node B tells of no copy because a part of the log is gone: the test did not reach its case")
	}
}
