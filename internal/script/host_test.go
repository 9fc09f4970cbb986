package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a log that goroutines write.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// start makes a host with one state of a script, and may change its configuration. Machines that test have little time
// for each test, so the time limit is generous.
func start(t testing.TB, source string, change ...func(*Config)) *Host {
	t.Helper()
	config := DefaultConfig()
	config.Source = "@" + source
	config.Database = newMemory()
	config.PoolSize = 1
	config.Timeout = time.Minute
	config.SID = 7
	for _, f := range change {
		f(&config)
	}
	h, err := New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(h.Close)
	return h
}

func with(d *memory) func(*Config) { return func(c *Config) { c.Database = d } }

// try runs the body of a function f(key, value) once.
func try(t testing.TB, body string, change ...func(*Config)) (string, bool, error) {
	t.Helper()
	h := start(t, "function f(key, value) "+body+"\nend", change...)
	reply, ok, err := h.Call(context.Background(), "f", []byte("K"), []byte("V"), LockNone)
	return string(reply), ok, err
}

func TestResult(t *testing.T) {
	tests := []struct {
		body string
		want string
		ok   bool
	}{
		{`return "a\0b"`, "a\x00b", true},
		{`return ""`, "", true},
		{`return 1.5`, "1.5", true},
		{`return 12345678901`, "12345678901", true},
		{`return 1e20`, "1e+20", true},
		{`return 12345678901234567`, "1.2345678901235e+16", true},
		{`return 0.1 + 0.2`, "0.3", true},
		{`return 1/0`, "inf", true},
		{`return -1/0`, "-inf", true},
		{`return true`, "true", true},
		{`return {{"deep"}}`, "deep", true},
		{`return {1.25, 2}`, "1.25", true},
		{`return "first", "second"`, "first", true},
		{`return key .. value`, "KV", true},
		{`return nil`, "", false},
		{`return false`, "", false},
		{``, "", false},
		{`return {}`, "", false},
		{`return print`, "", false},
		{`local t = {} t[1] = t return t`, "", false},
	}
	for _, tt := range tests {
		got, ok, err := try(t, tt.body)
		if got != tt.want && tt.ok || ok != tt.ok || err != nil {
			t.Errorf("%s: got %q, %v, %v, want %q, %v", tt.body, got, ok, err, tt.want, tt.ok)
		}
	}
}

func TestCallErrors(t *testing.T) {
	h := start(t, `
		function fails() error("bad luck") end
		function raises() error({}) end
		function wrong() return nil .. "x" end
		function large() return ("x"):rep(2000) end
		function _hidden() return "no" end
		alias = _put
		number = 5
	`, func(c *Config) { c.MaxResult = 1000 })
	call := func(name string) error {
		_, ok, err := h.Call(context.Background(), name, []byte("k"), []byte("v"), LockNone)
		if ok && err != nil {
			t.Errorf("%s: ok with error %v", name, err)
		}
		return err
	}
	for _, name := range []string{"", "absent", "_hidden", "number", "print", "loadstring", "_put", "collectgarbage", "string"} {
		if err := call(name); !errors.Is(err, ErrNoFunction) {
			t.Errorf("%q: got error %v, want ErrNoFunction", name, err)
		}
	}
	if err := call("alias"); err != nil {
		t.Errorf("a library function that the script named: got error %v", err)
	}
	if err := call("large"); !errors.Is(err, ErrResult) {
		t.Errorf("large: got error %v, want ErrResult", err)
	}
	for name, want := range map[string]string{
		"fails":  "Lua error: script:2: bad luck",
		"raises": "Lua error: a table was raised",
		"wrong":  "Lua error: script:4: attempt to concatenate a nil value",
	} {
		var raised *Error
		if err := call(name); !errors.As(err, &raised) || err.Error() != want {
			t.Errorf("%s: got error %q, want %q", name, err, want)
		}
	}
	h.Close()
	if err := call("fails"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got error %v, want ErrClosed", err)
	}
}

func TestValidate(t *testing.T) {
	err := (&Config{Periodic: []Periodic{{"", 0}}}).Validate()
	for _, part := range []string{"source", "database", "pool size", "timeout", "memory", "result", "each 0s"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("empty configuration: got %v, want a problem of the %s", err, part)
		}
	}
	c := DefaultConfig()
	c.Source, c.Database = "@", newMemory()
	if err := c.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	tests := map[string]string{
		"@function":                            "compile script: Lua error",
		"@error('no')":                         "run script: Lua error: script:1: no",
		"@function _begin() x.y() end":         "run script: Lua error",
		"@\x1bLua":                             "compiled chunks are refused",
		"@" + strings.Repeat(" ", maxSource+1): "the limit is",
		"/nonexistent/script.lua":              "open script",
	}
	for source, want := range tests {
		c := DefaultConfig()
		c.Source, c.Database = source, newMemory()
		h, err := New(c)
		if err == nil {
			h.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New(%.40q): got error %v, want %q", source, err, want)
		}
	}
}

// TestStates: each state runs the script, _begin and _end run once.
func TestStates(t *testing.T) {
	d := newMemory()
	config := DefaultConfig()
	config.PoolSize, config.Database = 3, d
	config.Source = `@
		_putcat("loaded", _thid .. ",")
		function _begin() _putcat("begin", tostring(_thid)) end
		function _end() _putcat("end", tostring(_thid)) end
	`
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	for key, want := range map[string]string{"loaded": "1,2,3,", "begin": "1", "end": "1"} {
		if d.value(key) != want {
			t.Errorf("%s: got %q, want %q", key, d.value(key), want)
		}
	}
	h.Close() // harmless
}

// counter is a read-modify-write that gives others every chance to come between.
const counter = `function increment(key)
	local n = tonumber(_get(key) or "0")
	_sleep(0.001)
	_put(key, n + 1)
	return n + 1
end`

func TestLocksExclude(t *testing.T) {
	for name, mode := range map[string]LockMode{"record": LockRecord, "global": LockGlobal} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newMemory()
				h := start(t, counter, with(d), func(c *Config) { c.PoolSize = 8 })
				defer h.Close()
				var calls sync.WaitGroup
				for range 40 {
					calls.Go(func() {
						if _, ok, err := h.Call(context.Background(), "increment", []byte("n"), nil, mode); !ok || err != nil {
							t.Errorf("increment: %v, %v", ok, err)
						}
					})
				}
				calls.Wait()
				if d.value("n") != "40" {
					t.Errorf("40 increments: got %s", d.value("n"))
				}
			})
		})
	}
	// Without a lock the same calls do lose increments, so the test above can fail.
	synctest.Test(t, func(t *testing.T) {
		d := newMemory()
		h := start(t, counter, with(d), func(c *Config) { c.PoolSize = 8 })
		defer h.Close()
		var calls sync.WaitGroup
		for range 40 {
			calls.Go(func() { h.Call(context.Background(), "increment", []byte("n"), nil, LockNone) })
		}
		calls.Wait()
		if d.value("n") == "40" {
			t.Error("40 increments without a lock: none was lost")
		}
	})
}

// TestLockModes: a global lock waits for record locks and the other way round; each wait ends with its deadline.
func TestLockModes(t *testing.T) {
	l := newLocks(justWait)
	a, b := []byte("a"), []byte("b")
	for string(a) != string(b) && slot(l, a) == slot(l, b) {
		b = append(b, 'b')
	}
	tests := []struct {
		first, second       LockMode
		firstKey, secondKey []byte
		waits               bool
	}{
		{LockRecord, LockRecord, a, a, true},
		{LockRecord, LockRecord, a, b, false},
		{LockRecord, LockGlobal, a, b, true},
		{LockGlobal, LockRecord, a, b, true},
		{LockGlobal, LockGlobal, a, b, true},
		{LockGlobal, LockNone, a, a, false},
	}
	for _, tt := range tests {
		unlock, err := l.lock(context.Background(), tt.first, tt.firstKey)
		if err != nil {
			t.Fatal(err)
		}
		limit := time.Minute
		if tt.waits {
			limit = time.Millisecond
		}
		ctx, cancel := context.WithTimeoutCause(context.Background(), limit, ErrTimeout)
		again, err := l.lock(ctx, tt.second, tt.secondKey)
		cancel()
		if errors.Is(err, ErrTimeout) != tt.waits {
			t.Errorf("%v then %v: got error %v, want waiting %v", tt.first, tt.second, err, tt.waits)
		}
		if err == nil {
			again()
		}
		unlock()
		if unlock, err = l.lock(context.Background(), LockGlobal, nil); err != nil {
			t.Fatal(err)
		}
		unlock()
	}
}

func slot(l *locks, key []byte) any {
	for i := range l.slots {
		l.slots[i] = make(chan struct{}, 1)
	}
	unlock, _ := l.lock(context.Background(), LockRecord, key)
	defer unlock()
	for i := range l.slots {
		if len(l.slots[i]) == 1 {
			return i
		}
	}
	return nil
}

func TestNamedLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, `
			function take(k) return _lock(k) end
			function free(k) return _unlock(k) end
			function takeAndFail(k) _lock(k) error("no") end
		`, func(c *Config) { c.PoolSize, c.Timeout = 2, time.Second })
		defer h.Close()
		call := func(name string) (bool, error) {
			_, ok, err := h.Call(context.Background(), name, []byte("k"), nil, LockNone)
			return ok, err
		}
		if ok, err := call("free"); ok || err != nil {
			t.Errorf("unlock what is free: got %v, %v", ok, err)
		}
		call("take")
		if _, err := call("take"); !errors.Is(err, ErrTimeout) {
			t.Errorf("lock what is taken: got error %v, want ErrTimeout", err)
		}
		var second sync.WaitGroup
		second.Go(func() {
			if ok, err := call("take"); !ok || err != nil {
				t.Errorf("waiting for a lock that comes free: got %v, %v", ok, err)
			}
		})
		synctest.Wait()
		if ok, _ := call("free"); !ok {
			t.Error("another call cannot unlock")
		}
		second.Wait()
		call("free")
		call("takeAndFail")
		if ok, err := call("take"); !ok || err != nil {
			t.Errorf("the lock of a call that failed: got %v, %v, want it free", ok, err)
		}
	})
}

// TestPeriodic: on time, one at a time, in a state of its own; a failure is logged and does not end it.
func TestPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, log := newMemory(), &journal{}
		h := start(t, `
			n = 0
			function _tick(key, value)
				n = n + 1
				if key ~= "" or value ~= "" then error("arguments") end
				_put("n", n)
				_put("thread", _thid)
				if n == 2 then error("second time") end
				if n == 4 then _sleep(25) end
			end
		`, with(d), func(c *Config) {
			c.Periodic = []Periodic{{"_tick", 10 * time.Second}, {"missing", time.Hour}}
			c.Logger = log.logger()
		})
		defer h.Close()
		now := time.Now()
		until := func(d time.Duration) { time.Sleep(time.Until(now.Add(d))); synctest.Wait() }
		for _, step := range []struct {
			at   time.Duration
			want string
		}{{11 * time.Second, "1"}, {21 * time.Second, "2"}, {31 * time.Second, "3"}, {41 * time.Second, "4"}, {64 * time.Second, "4"}, {66 * time.Second, "5"}} {
			until(step.at)
			if got := d.value("n"); got != step.want {
				t.Errorf("after %v: got %s runs, want %s", step.at, got, step.want)
			}
		}
		if d.value("thread") != "2" {
			t.Errorf("got thread %s, want the one behind the pool", d.value("thread"))
		}
		until(61 * time.Minute)
		for _, want := range []string{"second time", "function=missing", ErrNoFunction.Error()} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("log %q has no %q", log, want)
			}
		}
	})
}

func TestReload(t *testing.T) {
	d := newMemory()
	path := filepath.Join(t.TempDir(), "script.lua")
	write := func(source string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("#!/usr/bin/lua\nfunction version() _stashput('kept', 'yes') return 'one' end function _end() _put('end', 'one') end")
	h := start(t, "", with(d), func(c *Config) { c.Source = path })
	call := func() string {
		reply, _, err := h.Call(context.Background(), "version", nil, nil, LockNone)
		if err != nil {
			t.Errorf("version: %v", err)
		}
		return string(reply)
	}
	if got := call(); got != "one" {
		t.Fatalf("got version %q", got)
	}
	for _, bad := range []string{"syntax error here", "error('at start')", "function _begin() error('begin') end"} {
		write(bad)
		if err := h.Reload(); err == nil {
			t.Errorf("Reload of %q: no error", bad)
		}
		if got := call(); got != "one" {
			t.Errorf("after a failed Reload: got version %q", got)
		}
	}
	if d.value("end") != "" {
		t.Error("_end ran although the script stays")
	}
	write("function _begin() _put('begin', 'two') end function version() return 'two' .. _stashget('kept') end")
	if err := h.Reload(); err != nil {
		t.Fatalf("Reload: %v", err)
	}
	if got := call(); got != "twoyes" {
		t.Errorf("after Reload: got version %q", got)
	}
	if d.value("end") != "one" || d.value("begin") != "two" {
		t.Errorf("got end %q, begin %q", d.value("end"), d.value("begin"))
	}
	h.Close()
	if err := h.Reload(); !errors.Is(err, ErrClosed) {
		t.Errorf("Reload after Close: got error %v", err)
	}
}

// TestReloadUnderLoad: no call fails, and each sees one version whole.
func TestReloadUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "script.lua")
	write := func(version int) {
		source := fmt.Sprintf("a = %d function check() local b = a for i = 1, 100 do b = b + (a - %d) end return b == a and b end", version, version)
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Error(err)
		}
	}
	write(1)
	h := start(t, "", func(c *Config) { c.Source, c.PoolSize = path, 4 })
	stop := make(chan struct{})
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			last := 0
			for {
				select {
				case <-stop:
					return
				default:
				}
				reply, ok, err := h.Call(context.Background(), "check", nil, nil, LockRecord)
				n, _ := strconv.Atoi(string(reply))
				if !ok || err != nil || n < last {
					t.Errorf("check: got %s after %d, %v, %v", reply, last, ok, err)
					return
				}
				last = n
			}
		})
	}
	for version := 2; version <= 30; version++ {
		write(version)
		if err := h.Reload(); err != nil {
			t.Errorf("Reload: %v", err)
		}
	}
	close(stop)
	callers.Wait()
	reply, _, _ := h.Call(context.Background(), "check", nil, nil, LockNone)
	if string(reply) != "30" {
		t.Errorf("at the end: got version %s", reply)
	}
}

// TestEval: a chunk runs in all states once, in order, in those made later too.
func TestEval(t *testing.T) {
	log := &journal{}
	h := start(t, `
		n = 0
		function run(code) return _eval(code) end
		function get() return n .. "/" .. _thid end
		function forever() while true do end end
		function hold() _lock("held") return get() end
	`, func(c *Config) { c.PoolSize, c.Timeout, c.Logger = 2, time.Second, log.logger() })
	call := func(name, key string) (string, bool, error) {
		reply, ok, err := h.Call(context.Background(), name, []byte(key), nil, LockNone)
		return string(reply), ok, err
	}
	for _, code := range []string{"_eval('n = n + 1')", "n = n * 10"} {
		if _, ok, err := call("run", code); !ok || err != nil {
			t.Fatalf("_eval: %v, %v", ok, err)
		}
	}
	for _, code := range []string{"n = ", "error('x')", strings.Repeat(" ", maxEvalSource+1), "\x1bLua"} {
		if _, ok, err := call("run", code); ok || err != nil {
			t.Errorf("_eval(%.20q): got %v, %v, want false", code, ok, err)
		}
	}
	seen := map[string]bool{}
	for range 4 {
		reply, _, err := call("get", "")
		if err != nil {
			t.Fatal(err)
		}
		seen[reply] = true
	}
	if !seen["10/1"] || !seen["10/2"] || len(seen) != 2 {
		t.Errorf("states after _eval: got %v, want 10 in both", seen)
	}
	if _, _, err := call("forever", ""); !errors.Is(err, ErrTimeout) {
		t.Errorf("forever: got error %v", err)
	}
	for range 2 {
		if reply, _, err := call("get", ""); !strings.HasPrefix(reply, "10/") || err != nil {
			t.Errorf("a new state: got %q, %v", reply, err)
		}
	}
}

// TestPanic: a panic in Go ends the call and the state, whatever the script catches, and nothing else.
func TestPanic(t *testing.T) {
	log := &journal{}
	d := &panicking{newMemory()}
	h := start(t, `
		n = 0
		function f(key) n = n + 1 pcall(_get, key) return n end
		function each() _foreach(function() error("inside") end) end
	`, func(c *Config) { c.Database, c.Logger = d, log.logger() })
	call := func(key string) (string, error) {
		reply, _, err := h.Call(context.Background(), "f", []byte(key), nil, LockGlobal)
		return string(reply), err
	}
	call("x")
	if got, _ := call("x"); got != "2" {
		t.Errorf("got %s, want 2", got)
	}
	if _, err := call("panic"); !errors.Is(err, ErrPanic) {
		t.Errorf("got error %v, want ErrPanic", err)
	}
	if got, err := call("x"); got != "1" || err != nil {
		t.Errorf("after the panic: got %s, %v, want a new state", got, err)
	}
	if !strings.Contains(log.String(), "memory_test") && !strings.Contains(log.String(), "host_test.go") {
		t.Errorf("log %q has no stack", log)
	}
}

type panicking struct{ *memory }

func (p *panicking) Get(key []byte) ([]byte, error) {
	if string(key) == "panic" {
		panic("no reason")
	}
	return p.memory.Get(key)
}

// TestContext: the caller's context ends a call, and its cause is told.
func TestContext(t *testing.T) {
	h := start(t, "function f() while true do end end function g() return 1 end", func(c *Config) { c.PoolSize = 1 })
	gone := errors.New("client is gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	var call sync.WaitGroup
	call.Go(func() {
		if _, _, err := h.Call(ctx, "f", nil, nil, LockNone); !errors.Is(err, gone) {
			t.Errorf("got error %v, want %v", err, gone)
		}
	})
	call.Go(func() { // waits for the state
		if _, _, err := h.Call(ctx, "f", nil, nil, LockNone); !errors.Is(err, gone) {
			t.Errorf("waiting: got error %v, want %v", err, gone)
		}
	})
	cancel(gone)
	call.Wait()
	if reply, _, err := h.Call(context.Background(), "g", nil, nil, LockNone); string(reply) != "1" || err != nil {
		t.Errorf("afterwards: got %q, %v", reply, err)
	}
}
