package node

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// call calls a function of the node's script as a client of Tokyo Tyrant does.
func call(t *testing.T, r *running, name, key, value string) (string, error) {
	t.Helper()
	nc, err := net.Dial("tcp", r.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := tyrant.NewClient(nc, tyrant.ClientConfig{Timeout: 10 * time.Second})
	reply, err := c.Ext(name, tyrant.ExtLockRecord, []byte(key), []byte(value))
	return string(reply), err
}

// Clients call functions of the script; what they write is at the peer when they are answered. The script is read again, unless it
// is broken, and periodic functions run by themselves.
func TestScript(t *testing.T) {
	file := filepath.Join(t.TempDir(), "functions.lua")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`
		function count(key, value) return _addint(key, value) end
		function all() local n = 0; _foreach(function(k, v) n = n + 1; return true end); return n end
		function keys(prefix) return table.concat(_fwmkeys(prefix, 10), ",") end
		function first() _iterinit(); return _iternext() end
		function misc(key) return _misc("get", key)[1] end
		function tick() _adddouble("ticks", 1) end`)
	ca, cb := pairConfigs(t)
	ca.Script, ca.ScriptPeriodic = file, []string{"tick=20ms"}
	a, b := start(t, ca), start(t, cb)
	a.waitReady(t)
	b.waitReady(t)
	for _, step := range []struct{ name, key, value, want string }{
		{"count", "n", "5", "5"}, {"count", "n", "-2", "3"}, {"keys", "n", "", "n"}, {"misc", "n", "", "\x03\x00\x00\x00"},
	} {
		if got, err := call(t, a, step.name, step.key, step.value); err != nil || got != step.want {
			t.Errorf("%s: got %q, %v, want %q", step.name, got, err, step.want)
		}
		var v store.View
		if !b.store.Acquire([]byte("n"), &v) {
			t.Fatalf("%s: the peer does not have it", step.name)
		}
		v.Release()
	}
	if got, err := call(t, a, "first", "", ""); err != nil || got != "n" && got != "ticks" {
		t.Errorf("first: %q, %v", got, err)
	}
	eventually(t, "the periodic function runs, and its writes are at the peer", func() bool {
		var v store.View
		if !b.store.Acquire([]byte("ticks"), &v) {
			return false
		}
		defer v.Release()
		return len(v.Value) == 8
	})
	if got, err := call(t, a, "all", "", ""); err != nil || got != "2" {
		t.Errorf("all: %q, %v", got, err)
	}
	for _, name := range []string{"nosuch", "_put"} {
		if got, err := call(t, a, name, "k", "v"); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if got, err := call(t, b, "all", "", ""); err == nil {
		t.Errorf("a node without a script answers %q", got)
	}
	write("function count(")
	a.Reload()
	if got, err := call(t, a, "count", "n", "1"); err != nil || got != "4" {
		t.Errorf("after a broken script: %q, %v", got, err)
	}
	write(`function tick() end function count() return "new" end`)
	a.Reload()
	if got, err := call(t, a, "count", "", ""); err != nil || got != "new" {
		t.Errorf("after a new script: %q, %v", got, err)
	}
}

// Scripts that wait for a lock, be it their own or that of a call, leave their turn to the one who gives it back.
func TestScriptsWait(t *testing.T) {
	c := testConfig(t, 1)
	c.ScriptTimeout = time.Minute
	c.Script = `@
		function take() _lock("l"); return 1 end
		function give() return _unlock("l") end`
	n := start(t, c)
	n.waitReady(t)
	if _, err := call(t, n, "take", "k", ""); err != nil {
		t.Fatal(err)
	}
	const waiters = 5
	var all sync.WaitGroup
	for i := range waiters {
		all.Go(func() {
			key := "k" // the others wait for the one that has its lock
			if i < 3 {
				key = fmt.Sprint(i)
			}
			if _, err := call(t, n, "take", key, ""); err != nil {
				t.Error(err)
			}
		})
	}
	for range waiters + 1 {
		eventually(t, "the lock is given back", func() bool { _, err := call(t, n, "give", "giver", ""); return err == nil })
	}
	all.Wait()
}

// A node whose script does not load ends, and says why.
func TestBrokenScript(t *testing.T) {
	c := testConfig(t, 1)
	c.Script = "@function ("
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "script of the configuration") {
		t.Errorf("got %v", err)
	}
}

func TestScriptConfig(t *testing.T) {
	for text, change := range map[string]func(*Config){
		"script-periodic": func(c *Config) { c.ScriptPeriodic = []string{"a=1s"} },
		"NAME=DURATION":   func(c *Config) { c.Script, c.ScriptPeriodic = "x", []string{"a"} },
		"script-timeout":  func(c *Config) { c.ScriptTimeout = 0 },
		"script-memory":   func(c *Config) { c.ScriptMemory = 1 },
		"nosuch":          func(c *Config) { c.Mask = "put,nosuch" },
	} {
		c := testConfig(t, 1)
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
