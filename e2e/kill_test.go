//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// writers store numbered keys as fast as they can until their node is gone, and note what was acknowledged.
type writers struct {
	running sync.WaitGroup
	acked   atomic.Int64
	ended   atomic.Bool // no further group
	mu      sync.Mutex
	keys    map[string]string // acknowledged, with their values
	refused []string
}

// startWriters runs clients that each keep a group of writes on the way. prefix makes the keys of each round differ.
func startWriters(t *testing.T, w *writers, addr, prefix string, clients int) {
	t.Helper()
	const group = 16
	for client := range clients {
		c, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		w.running.Go(func() {
			defer c.Close()
			mine := map[string]string{}
			defer func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				for k, v := range mine {
					w.keys[k] = v
				}
			}()
			for i := 0; !w.ended.Load(); i += group {
				var text strings.Builder
				for j := range group {
					text.WriteString(setCommand(fmt.Sprintf("%s-%d-%d", prefix, client, i+j), fmt.Sprintf("value %s %d", prefix, i+j)))
				}
				c.SetDeadline(time.Now().Add(replyLimit))
				if _, err := c.Write([]byte(text.String())); err != nil {
					return
				}
				for j := range group {
					got, err := c.line()
					if err != nil {
						return
					}
					if got != "STORED" {
						w.mu.Lock()
						w.refused = append(w.refused, got)
						w.mu.Unlock()
						return
					}
					mine[fmt.Sprintf("%s-%d-%d", prefix, client, i+j)] = fmt.Sprintf("value %s %d", prefix, i+j)
					w.acked.Add(1)
				}
			}
		})
	}
}

func (w *writers) check(t *testing.T) {
	t.Helper()
	if len(w.refused) > 0 {
		t.Errorf("%d clients were refused, such as: %q", len(w.refused), w.refused[0])
	}
}

// Killing a node under full load on both loses no write that either of them acknowledged: the survivor has it.
func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	p := startPair(t)
	for round := range 8 {
		victim, survivor := p[round%2], p[1-round%2]
		w, other := &writers{keys: map[string]string{}}, &writers{keys: map[string]string{}}
		startWriters(t, w, victim.client, fmt.Sprintf("victim-%d", round), 4)
		startWriters(t, other, survivor.client, fmt.Sprintf("survivor-%d", round), 2)
		eventually(t, "both nodes are under load", 20*time.Second, func() bool {
			return w.acked.Load() > 4000 && other.acked.Load() > 2000
		})
		victim.kill9()
		w.running.Wait()
		before := other.acked.Load()
		eventually(t, "the survivor goes on", 5*time.Second, func() bool { return other.acked.Load() > before+1000 })
		survivor.expectValues(t, w.keys)
		other.ended.Store(true)
		other.running.Wait()
		survivor.expectValues(t, other.keys)
		w.check(t)
		other.check(t)

		victim.start(t)
		waitPair(t, p)
		victim.expectValues(t, w.keys)
		victim.expectValues(t, other.keys)
		if t.Failed() {
			t.Fatalf("round %d of killing node %s", round, victim.name)
		}
	}
}

// Killing a single node under load loses nothing acknowledged, whatever the disk policy is: write(2) comes before the
// reply.
func TestKillSingleNodeLosesNothing(t *testing.T) {
	for _, policy := range []string{"never", "interval", "always"} {
		t.Run(policy, func(t *testing.T) {
			n := startSingle(t, "--fsync="+policy, "--segment-size=4MiB")
			all := map[string]string{}
			for round := range 8 {
				w := &writers{keys: map[string]string{}}
				startWriters(t, w, n.client, fmt.Sprintf("round-%d", round), 4)
				eventually(t, "the node is under load", 20*time.Second, func() bool { return w.acked.Load() > 2000 })
				n.kill9()
				w.running.Wait()
				w.check(t)
				for k, v := range w.keys {
					all[k] = v
				}
				n.start(t)
				n.waitReady(t)
				n.expectValues(t, w.keys)
			}
			n.expectValues(t, all)
		})
	}
}
