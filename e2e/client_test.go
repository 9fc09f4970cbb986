//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago"
)

// clientNode is a server process that the client tests kill, stop and start again at the same address.
type clientNode struct {
	addr    string
	command func() *exec.Cmd
	cmd     *exec.Cmd
	exited  chan struct{}
}

// TestClientOnMemcached runs the client against pairs of memcached.
func TestClientOnMemcached(t *testing.T) {
	testClient(t, newClientMemcached)
}

// testClient is what a pair of any server must give to a client.
func testClient(t *testing.T, newNode func(*testing.T) *clientNode) {
	for name, test := range map[string]func(*testing.T, [2]*clientNode){
		"operations": testClientOperations,
		"kill":       testClientKill,
		"hang":       testClientHang,
	} {
		t.Run(name, func(t *testing.T) { test(t, [2]*clientNode{newNode(t), newNode(t)}) })
	}
}

func testClientOperations(t *testing.T, nodes [2]*clientNode) {
	c := newNodeClient(t, nodes, nil)
	ctx := t.Context()
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", what, err, want)
		}
	}
	check("ping", c.Ping(ctx), nil)
	check("flush", c.FlushAll(ctx, 0), nil)
	var keys []string
	for i := range 100 {
		key := fmt.Sprintf("operations-%d", i)
		keys = append(keys, key)
		value := bytes.Repeat([]byte{byte(i), '\r', '\n'}, i*100)
		check("append to nothing", c.Append(ctx, &futago.Item{Key: key, Value: value}), futago.ErrNotStored)
		check("add", c.Add(ctx, &futago.Item{Key: key, Value: value, Flags: uint32(i), Expiration: time.Hour}), nil)
		check("add again", c.Add(ctx, &futago.Item{Key: key}), futago.ErrNotStored)
		item, err := c.Gets(ctx, key)
		if err != nil || !bytes.Equal(item.Value, value) || item.Flags != uint32(i) || item.CAS == 0 {
			t.Fatalf("gets: got %+v and error %v", item, err)
		}
		check("touch", c.Touch(ctx, key, time.Hour), nil)
		check("replace", c.Replace(ctx, &futago.Item{Key: key, Value: []byte("b")}), nil)
		check("old cas", c.CompareAndSwap(ctx, item), futago.ErrCASConflict)
		item, err = c.GetAndTouch(ctx, key, time.Hour)
		check("gat", err, nil)
		check("cas", c.CompareAndSwap(ctx, item), nil)
		check("append", c.Append(ctx, &futago.Item{Key: key, Value: []byte("c")}), nil)
		check("prepend", c.Prepend(ctx, &futago.Item{Key: key, Value: []byte("a")}), nil)
		_, err = c.Increment(ctx, key, 1)
		check("incr of text", err, futago.ErrNotNumeric)
	}
	items, err := c.GetMulti(ctx, append(keys, "missing"))
	if err != nil || len(items) != len(keys) {
		t.Fatalf("get multi: got %d items and error %v, want %d", len(items), err, len(keys))
	}
	for key, item := range items {
		if string(item.Value) != "abc" {
			t.Errorf("key %s: got %q, want abc", key, item.Value)
		}
	}
	check("set", c.Set(ctx, &futago.Item{Key: "n", Value: []byte("18446744073709551615")}), nil)
	if n, err := c.Increment(ctx, "n", 3); n != 2 || err != nil {
		t.Errorf("incr: got %d and error %v", n, err)
	}
	if n, err := c.Decrement(ctx, "n", 9); n != 0 || err != nil {
		t.Errorf("decr: got %d and error %v", n, err)
	}
	check("set gone at once", c.Set(ctx, &futago.Item{Key: "n", Expiration: -1}), nil)
	_, err = c.Get(ctx, "n")
	check("get expired", err, futago.ErrCacheMiss)
	check("delete", c.Delete(ctx, keys[0]), nil)
	check("delete again", c.Delete(ctx, keys[0]), futago.ErrCacheMiss)
	stats, err := c.Stats(ctx, "")
	if err != nil || len(stats) != 2 || stats[nodes[0].addr]["pid"] == "" {
		t.Errorf("stats: got %v and error %v", stats, err)
	}
	versions, err := c.Version(ctx)
	if err != nil || len(versions) != 2 || versions[nodes[1].addr] == "" {
		t.Errorf("version: got %v and error %v", versions, err)
	}
}

// testClientKill kills one of two servers under load and starts it again. No get and no set fails.
func testClientKill(t *testing.T, nodes [2]*clientNode) {
	states := make(chan string, 1000)
	c := newNodeClient(t, nodes, states)
	load := startClientLoad(t, c)
	load.more(t, 1000)
	nodes[0].kill()
	await(t, states, "failed "+nodes[0].addr)
	load.more(t, 1000)
	nodes[0].start(t)
	await(t, states, "back "+nodes[0].addr)
	load.more(t, 1000)
	// And the other one, so that the first must have taken over.
	nodes[1].kill()
	await(t, states, "failed "+nodes[1].addr)
	load.more(t, 1000)
	load.stop(t)
}

// testClientHang stops one of two servers without closing anything, as an overloaded machine does. No get and no
// set fails, and none waits longer than the timeout and what a busy test machine adds.
func testClientHang(t *testing.T, nodes [2]*clientNode) {
	strain := startStrain(t)
	states := make(chan string, 1000)
	c := newNodeClient(t, nodes, states)
	load := startClientLoad(t, c)
	load.more(t, 1000)
	nodes[0].signal(t, syscall.SIGSTOP)
	await(t, states, "failed "+nodes[0].addr)
	load.more(t, 1000)
	nodes[0].signal(t, syscall.SIGCONT)
	await(t, states, "back "+nodes[0].addr)
	load.more(t, 1000)
	if longest := load.stop(t); longest > clientTimeout+time.Second+strain() {
		t.Errorf("the longest request took %v, the timeout is %v", longest, clientTimeout)
	}
}

// clientTimeout is short so that the tests are; it must be long enough for a busy test machine.
const clientTimeout = time.Second

// newNodeClient returns a client for both nodes that tells states, if not nil, of what it sees.
func newNodeClient(t *testing.T, nodes [2]*clientNode, states chan string) *futago.Client {
	t.Helper()
	cfg := futago.Config{}
	for _, n := range nodes {
		cfg.Servers = append(cfg.Servers, futago.Server{Addr: n.addr, Timeout: clientTimeout, RetryInterval: 200 * time.Millisecond})
	}
	if states != nil {
		cfg.OnFailure = func(addr string, err error) { states <- "failed " + addr }
		cfg.OnRecovery = func(addr string) { states <- "back " + addr }
	}
	c, err := futago.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func await(t *testing.T, states <-chan string, want string) {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case got := <-states:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("waited a minute for %q", want)
		}
	}
}

// clientLoad is goroutines that set and get until stopped.
type clientLoad struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	rounds  chan struct{}
	mu      sync.Mutex
	longest time.Duration
	errs    []error
}

func startClientLoad(t *testing.T, c *futago.Client) *clientLoad {
	ctx, cancel := context.WithCancel(t.Context())
	l := &clientLoad{cancel: cancel, rounds: make(chan struct{}, 1)}
	for g := range 8 {
		l.running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("load-%d-%d", g, i%200)
				value := fmt.Sprintf("value-%d-%d", g, i)
				begin := time.Now()
				// The requests themselves are not cancelled, so that each must succeed.
				err := c.Set(context.Background(), &futago.Item{Key: key, Value: []byte(value)})
				middle := time.Now()
				item, getErr := c.Get(context.Background(), key)
				end := time.Now()
				if getErr == nil && !strings.HasPrefix(string(item.Value), fmt.Sprintf("value-%d-", g)) {
					getErr = fmt.Errorf("got %q for %s", item.Value, key)
				}
				if errors.Is(getErr, futago.ErrCacheMiss) {
					getErr = nil // the set and the get lie on both sides of a failure or a return
				}
				l.mu.Lock()
				l.longest = max(l.longest, middle.Sub(begin), end.Sub(middle))
				if err := errors.Join(err, getErr); err != nil && len(l.errs) < 10 {
					l.errs = append(l.errs, err)
				}
				l.mu.Unlock()
				select {
				case l.rounds <- struct{}{}:
				default: // nobody counts now
				}
			}
		})
	}
	return l
}

// more waits for n further rounds.
func (l *clientLoad) more(t *testing.T, n int) {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for range n {
		select {
		case <-l.rounds:
		case <-timeout:
			t.Fatal("the load does not get on")
		}
	}
}

// stop ends the load, reports what failed, and returns how long the longest request took.
func (l *clientLoad) stop(t *testing.T) time.Duration {
	t.Helper()
	l.cancel()
	l.running.Wait()
	for _, err := range l.errs {
		t.Errorf("under load: %v", err)
	}
	return l.longest
}

func newClientMemcached(t *testing.T) *clientNode {
	t.Helper()
	program := findProgram(t, "memcached")
	addr := freeAddr(t, newHost())
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n := &clientNode{addr: addr, command: func() *exec.Cmd {
		args := []string{"-p", port, "-U", "0", "-l", host}
		if os.Getuid() == 0 {
			args = append(args, "-u", "root")
		}
		return exec.Command(program, args...)
	}}
	n.start(t)
	t.Cleanup(n.kill)
	return n
}

// start runs the process and waits until it takes connections.
func (n *clientNode) start(t *testing.T) {
	t.Helper()
	n.cmd = n.command()
	n.cmd.Stderr = os.Stderr
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	n.exited = exited
	cmd := n.cmd
	go func() { cmd.Wait(); close(exited) }()
	deadline := time.After(time.Minute)
	for {
		if nc, err := net.Dial("tcp", n.addr); err == nil {
			nc.Close()
			return
		}
		select {
		case <-exited:
			t.Fatalf("%s exited at its start", n.cmd.Path)
		case <-deadline:
			t.Fatalf("%s does not take connections at %s", n.cmd.Path, n.addr)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// kill ends the process the hard way and waits for its end.
func (n *clientNode) kill() {
	n.cmd.Process.Kill()
	<-n.exited
}

func (n *clientNode) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// findProgram finds a program that may be installed where an ordinary user's PATH does not look.
func findProgram(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed; this test needs it", name)
	return ""
}

// phpStore stores keys with PHP's Memcache class: each with its name as the value.
const phpStore = `<?php
$pool = new Memcache;
foreach (array_slice($argv, 2) as $server) {
	list($host, $port, $weight) = explode(":", $server);
	$pool->addServer($host, (int)$port, false, (int)$weight);
}
for ($i = 0; $i < (int)$argv[1]; $i++) {
	if (!$pool->set("php-$i", "php-$i")) {
		fwrite(STDERR, "cannot store php-$i\n");
		exit(1);
	}
}
`

// TestClientReadsWhatPHPStored lets the real extension spread keys over two servers and expects the client to find
// every one of them at the first place where it looks, with each strategy and hash.
func TestClientReadsWhatPHPStored(t *testing.T) {
	const keys = 300
	php := findProgram(t, "php")
	script := filepath.Join(t.TempDir(), "store.php")
	if err := os.WriteFile(script, []byte(phpStore), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := [2]*clientNode{newClientMemcached(t), newClientMemcached(t)}
	for _, strategy := range []futago.Strategy{futago.Consistent, futago.Standard} {
		for _, hash := range []futago.Hash{futago.CRC32, futago.FNV} {
			t.Run(fmt.Sprintf("%v/%v", strategy, hash), func(t *testing.T) {
				c, err := futago.New(futago.Config{
					Servers:  []futago.Server{{Addr: nodes[0].addr, Weight: 2}, {Addr: nodes[1].addr}},
					Strategy: strategy, Hash: hash, NoFailover: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if err := c.FlushAll(t.Context(), 0); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command(php, "-d", "memcache.hash_strategy="+strategy.String(), "-d", "memcache.hash_function="+hash.String(),
					script, strconv.Itoa(keys), nodes[0].addr+":2", nodes[1].addr+":1").CombinedOutput()
				if err != nil {
					t.Fatalf("store with PHP: %v\n%s", err, out)
				}
				checkFirstLook(t, c, keys)
			})
		}
	}
}

// checkFirstLook expects the client to find php-0, php-1, ... at the first place where it looks, and both servers used.
func checkFirstLook(t *testing.T, c *futago.Client, keys int) {
	t.Helper()
	used := make(map[string]int)
	for i := range keys {
		key := fmt.Sprintf("php-%d", i)
		if item, err := c.Get(t.Context(), key); err != nil || string(item.Value) != key {
			t.Errorf("get %s: got %+v and error %v", key, item, err)
		}
		addr, err := c.ServerFor(key)
		if err != nil {
			t.Fatal(err)
		}
		used[addr]++
	}
	if len(used) != 2 {
		t.Errorf("all keys lie on one server: %v", used)
	}
}

// phpMemcachedStore does it with the Memcached class. Its arguments: number of keys, JSON of options by name, servers.
const phpMemcachedStore = `<?php
$pool = new Memcached;
foreach (json_decode($argv[2], true) as $name => $value) {
	$pool->setOption(constant("Memcached::$name"), is_string($value) ? constant("Memcached::$value") : $value);
}
foreach (array_slice($argv, 3) as $server) {
	list($host, $port, $weight) = explode(":", $server);
	$pool->addServer($host, (int)$port, (int)$weight);
}
for ($i = 0; $i < (int)$argv[1]; $i++) {
	if (!$pool->set("php-$i", "php-$i")) {
		fwrite(STDERR, "cannot store php-$i: " . $pool->getResultMessage() . "\n");
		exit(1);
	}
}
`

// TestClientReadsWhatLibmemcachedStored is the same with PHP's other extension and its distributions.
func TestClientReadsWhatLibmemcachedStored(t *testing.T) {
	const keys = 200
	php := findProgram(t, "php")
	script := filepath.Join(t.TempDir(), "store.php")
	if err := os.WriteFile(script, []byte(phpMemcachedStore), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes := [2]*clientNode{newClientMemcached(t), newClientMemcached(t)}
	for _, tt := range []struct {
		options  string
		strategy futago.Strategy
		hash     futago.Hash
		weight   int
	}{
		{`{}`, futago.Modula, futago.DefaultHash, 2},
		{`{"OPT_HASH":"HASH_MURMUR"}`, futago.Modula, futago.Murmur, 1},
		{`{"OPT_HASH":"HASH_FNV1_64"}`, futago.Modula, futago.FNV1_64, 1},
		{`{"OPT_DISTRIBUTION":"DISTRIBUTION_CONSISTENT"}`, futago.Continuum, futago.DefaultHash, 1},
		{`{"OPT_DISTRIBUTION":"DISTRIBUTION_CONSISTENT"}`, futago.Continuum, futago.DefaultHash, 2},
		{`{"OPT_LIBKETAMA_COMPATIBLE":true}`, futago.Ketama, futago.DefaultHash, 2},
		{`{"OPT_LIBKETAMA_COMPATIBLE":true,"OPT_HASH":"HASH_DEFAULT"}`, futago.Ketama, futago.OneAtATime, 1},
	} {
		t.Run(fmt.Sprintf("%s/weight=%d", tt.options, tt.weight), func(t *testing.T) {
			c, err := futago.New(futago.Config{
				Servers:  []futago.Server{{Addr: nodes[0].addr, Weight: tt.weight}, {Addr: nodes[1].addr}},
				Strategy: tt.strategy, Hash: tt.hash, NoFailover: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.FlushAll(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(php, script, strconv.Itoa(keys), tt.options,
				fmt.Sprintf("%s:%d", nodes[0].addr, tt.weight), nodes[1].addr+":1").CombinedOutput()
			if err != nil {
				t.Fatalf("store with PHP: %v\n%s", err, out)
			}
			checkFirstLook(t, c, keys)
		})
	}
}
