package script

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// example is a host of a script in docs/scripts, and a way to call it with the record lock.
func example(t *testing.T, name string) (h *Host, call func(function, key, value string) string) {
	t.Helper()
	h = start(t, "", func(c *Config) {
		c.Source, c.PoolSize = filepath.Join("..", "..", "docs", "scripts", name), 2
	})
	return h, func(function, key, value string) string {
		t.Helper()
		reply, ok, err := h.Call(context.Background(), function, []byte(key), []byte(value), LockRecord)
		switch {
		case err != nil:
			t.Errorf("%s(%q, %q): %v", function, key, value, err)
			return "error"
		case !ok:
			return "nothing"
		}
		return string(reply)
	}
}

// step is a call and its reply, "nothing" for a failure.
type step struct{ function, key, value, want string }

func walk(t *testing.T, call func(function, key, value string) string, steps []step) {
	t.Helper()
	for _, s := range steps {
		if got := call(s.function, s.key, s.value); got != s.want {
			t.Errorf("%s(%q, %q): got %q, want %q", s.function, s.key, s.value, got, s.want)
		}
	}
}

func TestQueueExample(t *testing.T) {
	h, call := example(t, "queue.lua")
	walk(t, call, []step{
		{"pop", "q", "", "nothing"},
		{"push", "q", "a", "1"},
		{"push", "q", "b\x00", "2"},
		{"push", "other", "c", "1"},
		{"peek", "q", "", "a"},
		{"pop", "q", "", "a"},
		{"pop", "q", "", "b\x00"},
		{"pop", "q", "", "nothing"},
		{"push", "q", "d", "3"},
		{"pop", "q", "", "d"},
		{"pop", "other", "", "c"},
	})
	var mu sync.Mutex
	taken := map[string]int{}
	for i := range 100 {
		call("push", "q", string(rune('a'+i%26))+string(rune('0'+i/26)))
	}
	var takers sync.WaitGroup
	for range 4 {
		takers.Go(func() {
			for {
				reply, ok, err := h.Call(context.Background(), "pop", []byte("q"), nil, LockRecord)
				if err != nil {
					t.Errorf("pop: %v", err)
				}
				if !ok {
					return
				}
				mu.Lock()
				taken[string(reply)]++
				mu.Unlock()
			}
		})
	}
	takers.Wait()
	if len(taken) != 100 {
		t.Errorf("got %d different items, want 100", len(taken))
	}
	for item, n := range taken {
		if n != 1 {
			t.Errorf("item %q was taken %d times", item, n)
		}
	}
}

func TestLimiterExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, call := example(t, "limiter.lua")
		defer h.Close()
		walk(t, call, []step{
			{"allow", "a", "3/60", "2"}, {"allow", "a", "3/60", "1"}, {"allow", "a", "3/60", "0"},
			{"allow", "a", "3/60", "nothing"}, {"allow", "b", "3/60", "2"},
		})
		time.Sleep(21 * time.Second)
		walk(t, call, []step{{"allow", "a", "3/60", "0"}, {"allow", "a", "3/60", "nothing"}})
		time.Sleep(time.Hour)
		walk(t, call, []step{{"allow", "a", "3/60", "2"}})
		if _, _, err := h.Call(context.Background(), "allow", []byte("a"), []byte("often"), LockRecord); err == nil {
			t.Error("allow with a value of another form: no error")
		}
	})
}

func TestSessionExample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, call := example(t, "session.lua")
		defer h.Close()
		walk(t, call, []step{
			{"load_session", "s", "", "nothing"},
			{"save", "s", "data\x00", "true"},
			{"save", "unused", "data", "true"},
			{"save", "ended", "data", "true"},
			{"finish", "ended", "", "true"},
			{"finish", "ended", "", "nothing"},
		})
		time.Sleep(20 * time.Minute)
		walk(t, call, []step{{"load_session", "s", "", "data\x00"}, {"sweep", "", "", "0"}})
		time.Sleep(20 * time.Minute)
		walk(t, call, []step{
			{"load_session", "unused", "", "nothing"},
			{"sweep", "", "", "1"},
			{"load_session", "s", "", "data\x00"},
		})
	})
}

func TestTagsExample(t *testing.T) {
	_, call := example(t, "tags.lua")
	walk(t, call, []step{
		{"search", "red", "", "nothing"},
		{"tag", "apple", "Red round red", "true"},
		{"tag", "cherry", "red small", "true"},
		{"tag", "pea", "green round small", "true"},
		{"search", "red", "", "apple\ncherry"},
		{"search", "ROUND red", "", "apple"},
		{"search", "small round", "", "pea"},
		{"search", "red green", "", "nothing"},
		{"search", "", "", "nothing"},
		{"tag", "apple", "green", "true"},
		{"search", "red", "", "cherry"},
		{"search", "green", "", "apple\npea"},
		{"forget", "pea", "", "true"},
		{"forget", "pea", "", "nothing"},
		{"search", "green", "", "apple"},
	})
}
