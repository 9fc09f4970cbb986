//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago/internal/server/transcript"
)

// proxyTimeout is within what a request through the proxy is answered, where a test looks at that. Others have a patient one: of
// an increment at a node that has no processor for half of the time, the effect is unknown.
const proxyTimeout = time.Second

var promptProxy = "--timeout=" + proxyTimeout.String()

// proxyFront is `futago proxy` in front of nodes.
type proxyFront struct {
	*front
	admin string
}

func startProxy(t *testing.T, flags ...string) *proxyFront {
	t.Helper()
	host := newHost()
	addr, admin := freeAddr(t, host), freeAddr(t, host)
	args := append([]string{"proxy", "--listen=" + addr, "--admin-listen=" + admin, "--timeout=20s"}, flags...)
	p := startProxyAt(t, addr, admin, args...)
	eventually(t, "the proxy is ready", 10*time.Second, func() bool {
		code, _, err := httpGet(context.Background(), "http://"+admin+"/readyz")
		return err == nil && code == 200
	})
	return p
}

// startProxyAt returns a proxy that takes connections and requests for admins.
func startProxyAt(t *testing.T, addr, admin string, args ...string) *proxyFront {
	t.Helper()
	p := &proxyFront{startFront(t, "proxy", addr, futagoProgram, args...), admin}
	eventually(t, "the proxy answers admins", 10*time.Second, func() bool { return accepts(admin) })
	return p
}

func startPairProxy(t *testing.T, p [2]*node, flags ...string) *proxyFront {
	t.Helper()
	f := startProxy(t, append([]string{"--upstream=" + p[0].client + ",check=" + p[0].admin, "--upstream=" + p[1].client + ",check=" + p[1].admin}, flags...)...)
	f.waitUp(t, "both are up", func(up []bool) bool { return up[0] && up[1] })
	return f
}

// proxyStatus is the part of the proxy's status that tests look at.
type proxyStatus struct {
	Upstreams []struct {
		State     string
		Reason    string
		Requests  uint64
		Failovers uint64
		Unknown   uint64 `json:"unknown_effects"`
	}
}

func (f *proxyFront) status(t *testing.T) proxyStatus {
	t.Helper()
	var s proxyStatus
	_, body, err := httpGet(context.Background(), "http://"+f.admin+"/status")
	if err == nil {
		err = json.Unmarshal([]byte(body), &s)
	}
	if err != nil {
		t.Fatalf("status of the proxy: %v", err)
	}
	return s
}

func (f *proxyFront) waitUp(t *testing.T, what string, ok func(up []bool) bool) {
	t.Helper()
	eventually(t, what, 20*time.Second, func() bool {
		var up []bool
		for _, u := range f.status(t).Upstreams {
			up = append(up, u.State == "up")
		}
		return ok(up)
	})
}

// proxyLoad is clients without any failover of their own: each sets and reads keys of its own and counts.
type proxyLoad struct {
	running sync.WaitGroup
	ended   atomic.Bool
	done    atomic.Int64
	longest atomic.Int64 // nanoseconds of one request
	gap     atomic.Int64 // nanoseconds between two successes of one client
	unknown atomic.Int64 // increments whose effect is unknown
	mu      sync.Mutex
	wrong   []string
}

func (l *proxyLoad) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func raise(to *atomic.Int64, v int64) {
	for {
		old := to.Load()
		if v <= old || to.CompareAndSwap(old, v) {
			return
		}
	}
}

// startProxyLoad runs clients. No set, get or delete may fail, and none may see the past; an increment may have an effect
// that is unknown, and no other.
func startProxyLoad(t *testing.T, f *proxyFront, clients int) *proxyLoad {
	l := &proxyLoad{}
	for client := range clients {
		c, err := dial(f.addr)
		if err != nil {
			t.Fatal(err)
		}
		l.running.Go(func() {
			defer c.Close()
			key, count := fmt.Sprintf("load-%d", client), fmt.Sprintf("count-%d", client)
			least, most := 0, 0 // of the counter
			if got, err := c.do(setCommand(count, "0")); err != nil || got != "STORED" {
				l.complain("set: %q, %v", got, err)
				return
			}
			last := time.Now()
			ask := func(text string) (string, bool) {
				begin := time.Now()
				got, err := c.do(text)
				raise(&l.longest, int64(time.Since(begin)))
				if err != nil {
					l.complain("%.30q: %v", text, err)
				}
				return got, err == nil
			}
			for i := 0; !l.ended.Load(); i++ {
				value := fmt.Sprintf("%08d", i)
				got, ok := ask(setCommand(key, value))
				if !ok {
					return
				}
				if got != "STORED" {
					l.complain("set: %q", got)
				}
				if got, ok = ask("get " + key + "\r\n"); !ok {
					return
				}
				if got != "VALUE "+key+" 0 8" {
					l.complain("get: %q", got)
					if got != "END" {
						continue
					}
				} else {
					data, _ := c.line()
					end, err := c.line()
					if err != nil || data != value || end != "END" {
						l.complain("get: %q %q, %v, want %q", data, end, err, value)
					}
				}
				raise(&l.gap, int64(time.Since(last)))
				last = time.Now()
				if got, ok = ask("incr " + count + " 1\r\n"); !ok {
					return
				}
				most++
				var n int
				if strings.HasPrefix(got, "SERVER_ERROR effect unknown: ") {
					l.unknown.Add(1)
				} else if _, err := fmt.Sscan(got, &n); err != nil || n <= least || n > most {
					l.complain("incr: %q, want more than %d and at most %d", got, least, most)
				} else {
					least = n
				}
				l.done.Add(1)
			}
		})
	}
	t.Cleanup(func() {
		l.ended.Store(true)
		l.running.Wait()
	})
	return l
}

func (l *proxyLoad) more(t *testing.T, n int64) {
	t.Helper()
	want := l.done.Load() + n
	eventually(t, fmt.Sprintf("%d rounds of the clients", n), 30*time.Second, func() bool { return l.done.Load() >= want })
}

func (l *proxyLoad) stop(t *testing.T) {
	t.Helper()
	l.ended.Store(true)
	l.running.Wait()
	if len(l.wrong) > 0 {
		t.Errorf("%d wrong answers, such as: %s", len(l.wrong), l.wrong[0])
	}
	t.Logf("%d rounds, longest request %v, longest time to the next success %v, %d increments with unknown effect",
		l.done.Load(), time.Duration(l.longest.Load()), time.Duration(l.gap.Load()), l.unknown.Load())
}

// The primary is killed under the load of plain clients, and comes back: no read, set or delete fails or sees the past.
func TestProxyOverKilledNode(t *testing.T) {
	strain, p := startStrain(t), startPair(t)
	f := startPairProxy(t, p, promptProxy)
	const clients = 8
	l := startProxyLoad(t, f, clients)
	l.more(t, 1000)
	before := l.unknown.Load()
	l.gap.Store(0)
	p[0].kill9()
	l.more(t, 1000)
	t.Logf("first success at most %v after the kill", time.Duration(l.gap.Load()))
	if gap := time.Duration(l.gap.Load()); gap > proxyTimeout+strain() {
		t.Errorf("no success for %v after the kill", gap)
	}
	if n := l.unknown.Load() - before; n > clients {
		t.Errorf("%d increments with unknown effect, there were %d clients", n, clients)
	}
	p[0].start(t)
	l.more(t, 500)
	waitPair(t, p)
	f.waitUp(t, "the first node is used again", func(up []bool) bool { return up[0] })
	served := f.status(t).Upstreams[0].Requests
	l.more(t, 1000)
	if now := f.status(t).Upstreams[0].Requests; now == served {
		t.Error("the first node got no request after it was back")
	}
	l.stop(t)
}

// A frozen primary costs nobody more than the timeout, and is used again only when it has caught up. What it had received
// and not read before it froze it does not execute when it wakes.
func TestProxyOverFrozenNode(t *testing.T) {
	strain, p := startStrain(t), startPair(t, "--peer-timeout=1s", defaultAck)
	f := startPairProxy(t, p, promptProxy)
	l := startProxyLoad(t, f, 4)
	l.more(t, 500)
	p[0].freeze(t)
	frozen := time.Now()
	l.more(t, 1000)
	if longest := time.Duration(l.longest.Load()); longest > proxyTimeout+strain() {
		t.Errorf("a request took %v, the timeout is %v", longest, proxyTimeout)
	}
	eventually(t, "the freeze is longer than --peer-timeout", 10*time.Second, func() bool { return time.Since(frozen) > 1500*time.Millisecond })
	p[0].thaw(t)
	waitPair(t, p)
	f.waitUp(t, "the first node is used again", func(up []bool) bool { return up[0] })
	l.more(t, 500)
	l.stop(t)
}

// With the choice by key both nodes work, and a key is found wherever it was set.
func TestProxySpreadsKeys(t *testing.T) {
	p := startPair(t)
	f := startPairProxy(t, p, "--choice=consistent")
	c, err := dial(f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	keys := names("spread", 500)
	for _, key := range keys {
		c.set(t, key, "v")
	}
	items, err := c.read(keys)
	if err != nil || len(items) != len(keys) {
		t.Errorf("read %d of %d keys, error %v", len(items), len(keys), err)
	}
	for i, u := range f.status(t).Upstreams {
		if u.Requests < 100 {
			t.Errorf("node %d got %d requests", i, u.Requests)
		}
	}
	p[1].kill9()
	items, err = c.read(keys)
	if err != nil || len(items) != len(keys) {
		t.Errorf("without the second node: read %d of %d keys, error %v", len(items), len(keys), err)
	}
}

// SIGTERM lets the proxy end in order, with a client connected.
func TestProxyStops(t *testing.T) {
	n := startSingle(t)
	f := startProxy(t, "--upstream="+n.client)
	c, err := dial(f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.set(t, "k", "v")
	f.proc.signal(t, syscall.SIGTERM)
	if code := f.proc.waitExit(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if rest, err := io.ReadAll(c.r); len(rest) > 0 || err != nil && isTimeout(err) {
		t.Errorf("client: %q, %v", rest, err)
	}
}

// binaryScript is a client of libmemcached in its binary protocol, with quiet requests in getMulti and setMulti.
const binaryScript = `<?php
$m = new Memcached;
$m->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
[$host, $port] = explode(":", $argv[1]);
$m->addServer($host, (int)$port);
$items = [];
for ($i = 0; $i < 300; $i++) { $items["binary-$i"] = str_repeat("v$i", $i); }
$expect = function ($what, $got, $want) use ($m) {
	if ($got !== $want) { echo "$what: ", json_encode($got), " ", $m->getResultMessage(), "\n"; exit(1); }
};
$expect("setMulti", $m->setMulti($items), true);
$expect("getMulti", $m->getMulti(array_merge(array_keys($items), ["absent"])), $items);
$expect("add", $m->add("binary-1", "x"), false);
$expect("delete", $m->delete("binary-1"), true);
$expect("get", $m->get("binary-1"), false);
$expect("increment", $m->increment("binary-count", 1, 41), 41);
$expect("increment", $m->increment("binary-count", 1, 41), 42);
$got = $m->get("binary-2", null, Memcached::GET_EXTENDED);
$expect("cas", $m->cas($got["cas"], "binary-2", "new"), true);
$expect("cas", $m->cas($got["cas"], "binary-2", "newer"), false);
$m->setOption(Memcached::OPT_COMPRESSION, false);
$expect("append", $m->append("binary-2", "er"), true);
$expect("get", $m->get("binary-2"), "newer");
$expect("touch", $m->touch("binary-2", 100), true);
echo "ok\n";
`

// A real client of the binary protocol works through the proxy on a real memcached.
func TestProxyBinaryClient(t *testing.T) {
	f := startProxy(t, "--upstream="+startTranscriptMemcached(t))
	script := filepath.Join(t.TempDir(), "binary.php")
	if err := os.WriteFile(script, []byte(binaryScript), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), findProgram(t, "php"), script, f.addr).CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("php: %q, %v", out, err)
	}
}

// The conversations that hold for a node hold through the proxy as well, but for those about the server itself.
func TestTranscriptsThroughProxy(t *testing.T) {
	files, err := filepath.Glob("../internal/server/testdata/transcript/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find transcripts: %d files, %v", len(files), err)
	}
	n := startSingle(t, "--max-value=1048476")
	f := startProxy(t, "--upstream="+n.client, "--max-value=1048476")
	for _, file := range files {
		switch filepath.Base(file) {
		case "admin.txt", "binary_stats.txt", "manage.txt":
			continue // the proxy's statistics are its own, and nobody manages a node through it
		}
		t.Run(filepath.Base(file), func(t *testing.T) { transcript.Run(t, f.addr, file) })
	}
}
