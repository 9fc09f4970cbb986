//go:build e2e && linux

package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/rediscluster/clustertest"
	"github.com/futago/futago/internal/store"
)

// openCluster returns a store on a cluster.
func openCluster(t *testing.T, c *clustertest.Cluster) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Addrs, cfg.Timeout, cfg.Lease = c.Addrs(), 2*time.Second, 50*time.Millisecond
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// begun is a position of now.
func begun(t *testing.T, s *Store) string {
	t.Helper()
	var p string
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := s.Changes(t.Context(), "")
		if err == nil {
			p = c.Position()
			c.Close()
			return p
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// since are the changes that are told from a position up to now, and the position behind them.
func since(t *testing.T, s *Store, from string) (told []string, position string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := s.Changes(ctx, from)
	if err != nil {
		return nil, "", err
	}
	defer c.Close()
	for {
		next, err := c.Next()
		if next == nil {
			return told, c.Position(), err
		}
		name := "set "
		if next.Deleted {
			name = "delete "
		}
		if next.Flush {
			name = fmt.Sprint("flush ", time.UnixMilli(next.At).After(time.Now().Add(time.Minute)))
		}
		told = append(told, name+string(next.Key))
	}
}

func mustCommit(t *testing.T, s *Store, r store.Request) {
	t.Helper()
	if err := s.Commit(&r, new(store.Result)); err != nil {
		t.Fatalf("%v %q: %v", r.Op, r.Key, err)
	}
}

// TestChanges tells of everything that a store does, once, from any position on.
func TestChanges(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	s := openCluster(t, c)
	first := begun(t, s)
	if told, p, err := since(t, s, first); err != nil || len(told) > 0 || p != first {
		t.Errorf("nothing has happened: %q, %v", told, err)
	}
	for i := range 50 {
		mustCommit(t, s, store.Request{Op: store.Set, Key: fmt.Appendf(nil, "key %d", i), Value: []byte("v")})
	}
	middle := begun(t, s)
	mustCommit(t, s, store.Request{Op: store.Touch, Key: []byte("key 1"), Expires: fromUnix(time.Now().Add(time.Hour).UnixMilli())})
	mustCommit(t, s, store.Request{Op: store.Append, Key: []byte("key 2"), Value: []byte("!")})
	mustCommit(t, s, store.Request{Op: store.Delete, Key: []byte("key 3")})
	mustCommit(t, s, store.Request{Op: store.Set, Key: []byte("brief"), Value: []byte("v"), Expires: fromUnix(time.Now().Add(20 * time.Millisecond).UnixMilli())})
	told, p, err := since(t, s, middle)
	for _, want := range []string{"set key 1", "set key 2", "delete key 3", "set brief"} {
		if !slices.Contains(told, want) {
			t.Errorf("%q is not told, got %q, %v", want, told, err)
		}
	}
	all, _, err := since(t, s, first)
	// Its expiry may come between.
	expired := func(text string) bool { return text == "delete brief" }
	all, told = slices.DeleteFunc(all, expired), slices.DeleteFunc(told, expired)
	if err != nil || len(all) != 50+len(told) {
		t.Errorf("from the beginning %d changes are told, want %d, %v", len(all), 50+len(told), err)
	}
	if _, err := s.FlushAll(0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.FlushAll(fromUnix(time.Now().Add(time.Hour).UnixMilli())); err != nil {
		t.Fatal(err)
	}
	told, _, err = since(t, s, p)
	if n := slices.Index(told, "flush false"); err != nil || n < 0 || slices.Index(told, "flush true") < n {
		t.Errorf("flushes: got %q, %v", told, err)
	}
	// What it is not: changes of others beside our prefix.
	p = begun(t, s)
	if _, err := c.MasterOf(c.SlotOf("other")).Do("SET", "other", strings.Repeat("x", 1<<20)); err != nil {
		t.Fatal(err)
	}
	if told, next, err := since(t, s, p); err != nil || len(told) > 0 || next == p {
		t.Errorf("a key of somebody else: %q, %v, position %v", told, err, next == p)
	}
	for _, wrong := range []string{"x", p[1:], p + "AA"} {
		if _, err := s.Changes(t.Context(), wrong); !errors.Is(err, ErrPosition) {
			t.Errorf("position %.20q: %v", wrong, err)
		}
	}
}

// TestChangesGone claims nothing when a master was emptied, let go of its history, gave slots away, or was replaced.
func TestChangesGone(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{Replicas: 1, Args: []string{"--repl-backlog-size", "16kb"}})
	s := openCluster(t, c)
	slot := c.SlotOf("futago:k:key")
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"a master was emptied", func() { c.FlushAll() }},
		{"too much was written", func() {
			for range 4 {
				mustCommit(t, s, store.Request{Op: store.Set, Key: []byte("key"), Value: make([]byte, 32<<10)})
			}
		}},
		{"a slot moved", func() {
			from := c.MasterOf(slot)
			for _, to := range c.Masters() {
				if to.ID != from.ID {
					c.Reshard(to, slot)
					break
				}
			}
		}},
		{"a master was replaced", func() {
			c.MasterOf(slot).Kill()
			c.MasterOf(slot)
		}},
	} {
		p := begun(t, s)
		live, err := s.Changes(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		more := make(chan struct{}, 1)
		stop := live.OnMore(func() {
			select {
			case more <- struct{}{}:
			default:
			}
		})
		step.do()
		// Who follows all the time is told too, but for what it has read in time.
		for deadline := time.After(time.Minute); ; {
			_, err := live.Next()
			if err != nil {
				if !errors.Is(err, ErrGone) && step.name != "a master was replaced" {
					t.Errorf("%s: the follower got %v", step.name, err)
				}
				break
			}
			if step.name == "too much was written" {
				break
			}
			select {
			case <-more:
			case <-time.After(10 * time.Millisecond):
			case <-deadline:
				t.Fatalf("%s: the follower is told nothing", step.name)
			}
		}
		stop()
		live.Close()
		deadline := time.Now().Add(time.Minute)
		for {
			told, _, err := since(t, s, p)
			if errors.Is(err, ErrGone) {
				break
			}
			if err == nil || time.Now().After(deadline) {
				t.Errorf("%s: got %q, %v", step.name, told, err)
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		// It begins anew.
		p = begun(t, s)
		mustCommit(t, s, store.Request{Op: store.Set, Key: []byte("key"), Value: []byte(step.name)})
		if told, _, err := since(t, s, p); err != nil || !slices.Contains(told, "set key") {
			t.Errorf("after %s: got %q, %v", step.name, told, err)
		}
	}
}
