//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// foreignClient is a client that others wrote, in one of its modes. Its script uses all that the client has and
// checks every answer; it is given two addresses of one store, and demands that what it wrote at one address is there
// at the other.
type foreignClient struct {
	name    string
	command []string // of a file in testdata/clients, run there; the addresses come behind
}

// Debian's Python has the modules; another one may come first in the PATH.
const python = "/usr/bin/python3"

var foreignText = []foreignClient{
	{"php-memcache/ascii", []string{"php", "php_memcache.php", "ascii"}},
	{"php-memcached/text", []string{"php", "php_memcached.php", "text"}},
	{"pymemcache/plain", []string{python, "-B", "pymemcache_client.py", "plain"}},
	{"pymemcache/plain-noreply", []string{python, "-B", "pymemcache_client.py", "plain-noreply"}},
	{"pymemcache/pooled", []string{python, "-B", "pymemcache_client.py", "pooled"}},
	{"pymemcache/pooled-noreply", []string{python, "-B", "pymemcache_client.py", "pooled-noreply"}},
	{"pymemcache/hash", []string{python, "-B", "pymemcache_client.py", "hash"}},
	{"pymemcache/hash-noreply", []string{python, "-B", "pymemcache_client.py", "hash-noreply"}},
	{"python-memcached/plain", []string{python, "-B", "python_memcached.py", "plain"}},
	{"python-memcached/cas", []string{python, "-B", "python_memcached.py", "cas"}},
	{"Cache::Memcached/reply", []string{"perl", "perl_memcached.pl", "Cache::Memcached", "reply"}},
	{"Cache::Memcached/noreply", []string{"perl", "perl_memcached.pl", "Cache::Memcached", "noreply"}},
	{"Cache::Memcached::Fast/reply", []string{"perl", "perl_memcached.pl", "Cache::Memcached::Fast", "reply"}},
	{"Cache::Memcached::Fast/noreply", []string{"perl", "perl_memcached.pl", "Cache::Memcached::Fast", "noreply"}},
	{"libmemcached-tools/text", []string{"./libmemcached_tools.sh", "text"}},
	{"gomemcache", []string{"go", "run", "-C", "gomemcache", "."}},
	{"npm-memcached", []string{"node", "node/memcached.js"}},
}

// TestForeignClients lets every client use memcached, which proves its script, and then a pair.
func TestForeignClients(t *testing.T) {
	testForeignClients(t, foreignText)
}

// Two proxies in front of a pair are one store with two doors, too. STATS tells the scripts that neither counts records
// nor lists keys.
func TestForeignClientsThroughProxy(t *testing.T) {
	t.Setenv("STATS", "proxy")
	p := startPair(t)
	addrs := [2]string{startPairProxy(t, p).addr, startPairProxy(t, p).addr}
	runForeignClients(t, slices.Concat(foreignText, foreignBinary), addrs)
}

func testForeignClients(t *testing.T, clients []foreignClient) {
	t.Run("memcached", func(t *testing.T) {
		t.Parallel()
		runForeignClients(t, clients, startTwoDoorMemcached(t))
	})
	t.Run("pair", func(t *testing.T) {
		t.Parallel()
		p := startPair(t)
		runForeignClients(t, clients, [2]string{p[0].client, p[1].client})
	})
}

// runForeignClients runs one client after the other, because most of them flush the store.
func runForeignClients(t *testing.T, clients []foreignClient, addrs [2]string) {
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // Go compiles its client
			defer cancel()
			args := append(append([]string(nil), c.command[1:]...), addrs[:]...)
			cmd := exec.CommandContext(ctx, lookForeignProgram(t, c.command[0]), args...)
			cmd.Dir = "testdata/clients"
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
			out, err := cmd.CombinedOutput()
			// A script that ended early may have ended well.
			if err != nil || !strings.Contains(string(out), "end\n") {
				t.Errorf("%v: %v\n%s", c.command, err, out)
			}
		})
	}
}

// lookForeignProgram is findProgram, for the scripts of testdata/clients too.
func lookForeignProgram(t *testing.T, name string) string {
	t.Helper()
	if strings.HasPrefix(name, "./") {
		path, err := filepath.Abs(filepath.Join("testdata/clients", name))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	return findProgram(t, name)
}

// startTwoDoorMemcached runs a memcached that listens at two addresses: like a pair, it is one store with two doors.
func startTwoDoorMemcached(t *testing.T) [2]string {
	t.Helper()
	host := newHost()
	addrs := [2]string{freeAddr(t, host), freeAddr(t, host)}
	args := []string{"-U", "0", "-l", addrs[0] + "," + addrs[1]}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	p := startProcess(t, "memcached", newOutput(t, "memcached"), findProgram(t, "memcached"), args...)
	for _, addr := range addrs {
		eventually(t, "memcached listens at "+addr, 10*time.Second, func() bool {
			select {
			case <-p.exited:
				t.Fatal("memcached ended")
			default:
			}
			return accepts(addr)
		})
	}
	return addrs
}
