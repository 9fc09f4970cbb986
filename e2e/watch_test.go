//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watching is a running `futago watch` of a pair.
type watching struct {
	*process
	taken int // bytes of the output
	keys  map[string]string
	last  string // position of the last line
}

func startWatch(t *testing.T, p [2]*node, args ...string) *watching {
	t.Helper()
	args = append([]string{"watch", "--admin", p[0].admin, "--admin", p[1].admin}, args...)
	w := &watching{process: startProcess(t, "watch", newOutput(t, "watch"), futagoProgram, args...), keys: map[string]string{}}
	eventually(t, "the watch begins", 10*time.Second, func() bool { return strings.Contains(w.output.String(), "\n") })
	return w
}

// replay takes what was printed since as a program does that keeps a copy.
func (w *watching) replay(t *testing.T) map[string]string {
	t.Helper()
	for line := range strings.Lines(w.output.String()[w.taken:]) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		w.taken += len(line)
		if strings.HasPrefix(line, "futago: ") {
			continue
		}
		var c struct{ Op, Key, Value, Position string }
		if err := json.Unmarshal([]byte(line), &c); err != nil || c.Position == "" {
			t.Fatalf("watch printed %q, %v", line, err)
		}
		w.last = c.Position
		switch c.Op {
		case "set":
			w.keys[c.Key] = c.Value
		case "delete":
			delete(w.keys, c.Key)
		case "start":
		default:
			t.Fatalf("watch printed %q", line)
		}
	}
	return w.keys
}

// waitEqual waits until the copy is what the pair holds.
func (w *watching) waitEqual(t *testing.T, want map[string]string) {
	t.Helper()
	if !within(20*time.Second, func() bool { return maps.Equal(w.replay(t), want) }) {
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if got, ok := w.keys[key]; got != want[key] || !ok {
				t.Fatalf("%s is %q in the copy (there: %v), want %q; %d keys, want %d", key, got, ok, want[key], len(w.keys), len(want))
			}
		}
		t.Fatalf("the copy has %d keys, want %d", len(w.keys), len(want))
	}
}

// A watch of a pair goes on at the other node when its node is killed, there and back, under load on both: what it printed,
// replayed, is what the pair holds.
func TestWatchSurvivesKills(t *testing.T) {
	p := startPair(t)
	w := startWatch(t, p)
	want := map[string]string{}
	for round := range 4 {
		victim, survivor := p[round%2], p[1-round%2] // the watch is at the victim
		load, other := &writers{keys: map[string]string{}}, &writers{keys: map[string]string{}}
		startWriters(t, load, victim.client, fmt.Sprintf("victim-%d", round), 2)
		startWriters(t, other, survivor.client, fmt.Sprintf("survivor-%d", round), 2)
		eventually(t, "both nodes are under load", 20*time.Second, func() bool {
			return load.acked.Load() > 1000 && other.acked.Load() > 1000
		})
		victim.kill9()
		load.running.Wait()
		before := other.acked.Load()
		eventually(t, "the survivor goes on", 5*time.Second, func() bool { return other.acked.Load() > before+1000 })
		other.ended.Store(true)
		other.running.Wait()
		load.check(t)
		other.check(t)
		maps.Copy(want, load.keys)
		maps.Copy(want, other.keys)
		var doomed []string
		for key := range other.keys {
			if len(doomed) < 100 {
				doomed = append(doomed, key)
				delete(want, key)
			}
		}
		survivor.deleteAll(t, doomed)
		// What was not acknowledged may be there as well.
		eventually(t, "the copy has what was acknowledged", 20*time.Second, func() bool {
			got := w.replay(t)
			for key, value := range want {
				if got[key] != value {
					return false
				}
			}
			return !slices.ContainsFunc(doomed, func(key string) bool { _, ok := got[key]; return ok })
		})
		victim.start(t)
		waitPair(t, p)
		want = map[string]string{}
		keys := slices.Collect(maps.Keys(w.replay(t)))
		for key, item := range victim.readAll(t, keys) {
			want[key] = item.value
		}
		w.waitEqual(t, want)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	w.signal(t, syscall.SIGINT)
	if code := w.waitExit(t, 5*time.Second); code != 0 {
		t.Errorf("SIGINT ended the watch with exit code %d", code)
	}
	if n := strings.Count(w.output.String(), "futago: "); n < 4 {
		t.Errorf("the watch moved %d times, want 4:\n%s", n, w.output)
	}

	// Another one goes on where it ended, with what it asks for.
	p[0].dial(t).set(t, "tail-a", "1")
	p[1].dial(t).set(t, "other", "2")
	p[1].dial(t).set(t, "tail-b", "3")
	w.replay(t)
	next := startWatch(t, p, "--from", w.last, "tail-")
	next.waitEqual(t, map[string]string{"tail-a": "1", "tail-b": "3"})
}
