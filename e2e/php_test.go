//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// phpLoad uses a pool of both nodes until its input ends, and tells then what it saw. It prints a line now and then,
// so that the test knows how far it is. A value that was stored must be read back: of two nodes that are one store,
// failover must not change the answer.
const phpLoad = `<?php
error_reporting(0);
$pool = new Memcache;
foreach (array_slice($argv, 2) as $server) {
	list($host, $port) = explode(":", $server);
	// PHP's defaults are a timeout of one second and 15 seconds until a failed server is asked again.
	$argv[1] === "default" ? $pool->addServer($host, (int)$port) : $pool->addServer($host, (int)$port, true, 1, (float)$argv[1], 1);
}
stream_set_blocking(STDIN, false);
$calls = 0; $failed = []; $wrong = []; $longest = 0; $counted = 0;
function call($name, ...$args) {
	global $pool, $calls, $failed, $longest;
	$begin = microtime(true);
	$result = $pool->$name(...$args);
	$longest = max($longest, microtime(true) - $begin);
	$calls++;
	if ($result === false) { $failed[] = "$name " . $args[0]; }
	return $result;
}
call("set", "php-counter", 0);
for ($i = 1; ; $i++) {
	$key = "php-" . ($i % 200);
	call("set", $key, "value $i");
	$got = call("get", $key);
	if ($got !== "value $i") { $wrong[] = "$key: " . var_export($got, true); }
	if (call("increment", "php-counter") !== false) { $counted++; }
	if ($i % 50 == 0) {
		fwrite(STDOUT, "round $i\n");
		fread(STDIN, 1);
		if (feof(STDIN)) { break; }
	}
}
$counter = $pool->get("php-counter");
fwrite(STDOUT, json_encode(["calls" => $calls, "failed" => count($failed), "wrong" => count($wrong), "longest" => $longest,
	"counted" => $counted, "counter" => (int)$counter, "examples" => array_slice(array_merge($failed, $wrong), 0, 5)]) . "\n");
`

// phpMemcachedLoad is the same with the other extension. Its library gives up a server only after a call to it has
// failed, and takes it out of its ring at a full second, so each call may be repeated, as its users do; a call fails when no
// repetition within seconds succeeds, and what it took is judged by the longest call. Without a dead timeout the library
// puts the server back into its ring after the retry timeout and never asks it: its keys fail for good.
const phpMemcachedLoad = `<?php
error_reporting(0);
$pool = new Memcached;
$pool->setOptions([
	Memcached::OPT_DISTRIBUTION => Memcached::DISTRIBUTION_CONSISTENT, Memcached::OPT_LIBKETAMA_COMPATIBLE => true,
	Memcached::OPT_REMOVE_FAILED_SERVERS => true, Memcached::OPT_SERVER_FAILURE_LIMIT => 1, Memcached::OPT_RETRY_TIMEOUT => 1, Memcached::OPT_DEAD_TIMEOUT => 1,
	Memcached::OPT_CONNECT_TIMEOUT => 1000, Memcached::OPT_POLL_TIMEOUT => 1000,
	Memcached::OPT_SEND_TIMEOUT => 1000000, Memcached::OPT_RECV_TIMEOUT => 1000000, Memcached::OPT_TCP_NODELAY => true,
]);
foreach (array_slice($argv, 2) as $server) {
	list($host, $port) = explode(":", $server);
	$pool->addServer($host, (int)$port);
}
stream_set_blocking(STDIN, false);
$calls = 0; $failed = []; $wrong = []; $longest = 0; $counted = 0;
function call($name, ...$args) {
	global $pool, $calls, $failed, $longest;
	$begin = microtime(true);
	for ($try = 1; ; $try++) {
		$result = $pool->$name(...$args);
		if ($pool->getResultCode() === Memcached::RES_SUCCESS || microtime(true) - $begin > 5) { break; }
		if ($try > 5) { usleep(10000); }
	}
	$longest = max($longest, microtime(true) - $begin);
	$calls++;
	if ($pool->getResultCode() !== Memcached::RES_SUCCESS) { $failed[] = "$name " . $args[0] . ": " . $pool->getResultMessage(); }
	return $result;
}
call("set", "php-counter", 0);
for ($i = 1; ; $i++) {
	$key = "php-" . ($i % 200);
	call("set", $key, "value $i");
	$got = call("get", $key);
	if ($got !== "value $i") { $wrong[] = "$key: " . var_export($got, true); }
	if (call("increment", "php-counter") !== false) { $counted++; }
	if ($i % 50 == 0) {
		fwrite(STDOUT, "round $i\n");
		fread(STDIN, 1);
		if (feof(STDIN)) { break; }
	}
}
$counter = call("get", "php-counter");
fwrite(STDOUT, json_encode(["calls" => $calls, "failed" => count($failed), "wrong" => count($wrong), "longest" => $longest,
	"counted" => $counted, "counter" => (int)$counter, "examples" => array_slice(array_merge($failed, $wrong), 0, 5)]) . "\n");
`

// phpReport is what a load saw.
type phpReport struct {
	Calls, Failed, Wrong int
	Longest              float64 // seconds
	Counted, Counter     int
	Examples             []string
}

// phpProcess is a load that runs.
type phpProcess struct {
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	lines chan string
}

// startPHP runs a load on both nodes. timeout is that of addServer, "default" for PHP's own.
func startPHP(t *testing.T, load, timeout string, p [2]*node) *phpProcess {
	t.Helper()
	php := findProgram(t, "php")
	script := filepath.Join(t.TempDir(), "load.php")
	if err := os.WriteFile(script, []byte(load), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(php, script, timeout, p[0].client, p[1].client)
	cmd.Stderr = newOutput(t, "php")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	run := &phpProcess{cmd: cmd, stdin: stdin, lines: make(chan string)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(run.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			select {
			case run.lines <- s.Text():
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		cmd.Wait()
	})
	return run
}

// more waits for n further lines, of 150 calls each.
func (r *phpProcess) more(t *testing.T, n int) {
	t.Helper()
	limit := time.After(60 * time.Second)
	for range n {
		select {
		case line, ok := <-r.lines:
			if !ok || !strings.HasPrefix(line, "round ") {
				t.Fatalf("PHP ended or said %q", line)
			}
		case <-limit:
			t.Fatal("PHP does not get on")
		}
	}
}

// stop ends the load and returns its report.
func (r *phpProcess) stop(t *testing.T) phpReport {
	t.Helper()
	r.stdin.Close()
	var report phpReport
	limit := time.After(60 * time.Second)
	for {
		select {
		case line, ok := <-r.lines:
			if !ok {
				t.Fatal("PHP ended without a report")
			}
			if !strings.HasPrefix(line, "{") {
				continue
			}
			if err := json.Unmarshal([]byte(line), &report); err != nil {
				t.Fatalf("report %s: %v", line, err)
			}
			return report
		case <-limit:
			t.Fatal("PHP does not end")
		}
	}
}

// check demands that nothing failed and no call took longer than the limit.
func (r phpReport) check(t *testing.T, limit time.Duration) {
	t.Helper()
	t.Logf("%d calls, %d failed, %d wrong, longest %.3f s, counter %d after %d increments", r.Calls, r.Failed, r.Wrong, r.Longest, r.Counter, r.Counted)
	if r.Failed > 0 || r.Wrong > 0 || r.Calls == 0 {
		t.Errorf("%d of %d calls failed, %d read something else than was stored, such as: %q", r.Failed, r.Calls, r.Wrong, r.Examples)
	}
	if took := time.Duration(r.Longest * float64(time.Second)); took > limit {
		t.Errorf("the longest call took %v, want less than %v", took, limit)
	}
	// An increment may be repeated on the other node after its reply was lost, but none may be missing.
	if r.Counter < r.Counted {
		t.Errorf("the counter is %d after %d increments", r.Counter, r.Counted)
	}
}

// A node is killed and comes back, then the other one, under PHP's load. No call fails and no read is old. The loads
// ask a failed server again after a second, so that they use both again soon.
func TestPHPOverKilledNode(t *testing.T) {
	for name, load := range map[string]string{"memcache": phpLoad, "memcached": phpMemcachedLoad} {
		t.Run(name, func(t *testing.T) {
			strain, p := startStrain(t), startPair(t)
			run := startPHP(t, load, "1", p)
			for _, n := range p {
				run.more(t, 10)
				n.kill9()
				run.more(t, 20)
				n.start(t)
				waitPair(t, p)
				deadline := time.Now().Add(time.Minute)
				for run.more(t, 1); n.connections(t) == 0; run.more(t, 1) {
					if time.Now().After(deadline) {
						t.Fatalf("PHP does not come back to node %s", n.name)
					}
				}
			}
			run.stop(t).check(t, 1500*time.Millisecond+strain())
			waitEqual(t, p, append(names("php", 200), "php-counter"), 5*time.Second)
		})
	}
}

// A node freezes under PHP's load. No call fails, and none takes much longer than the timeout that PHP was given: the
// call that notices waits for it, and its repetition for the other node, which waits for the frozen one no longer
// than --ack-timeout.
func TestPHPOverFrozenNode(t *testing.T) {
	for timeout, limit := range map[string]time.Duration{"0.5": time.Second, "default": 1500 * time.Millisecond} {
		for i, name := range []string{"A", "B"} {
			t.Run(fmt.Sprintf("timeout=%s/%s", timeout, name), func(t *testing.T) {
				strain, p := startStrain(t), startPair(t, defaultAck)
				run := startPHP(t, phpLoad, timeout, p)
				run.more(t, 10)
				p[i].freeze(t)
				run.more(t, 30)
				run.stop(t).check(t, limit+strain())
				p[i].thaw(t)
				waitPair(t, p)
				waitEqual(t, p, append(names("php", 200), "php-counter"), 5*time.Second)
			})
		}
	}
}
