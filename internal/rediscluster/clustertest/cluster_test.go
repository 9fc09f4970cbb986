//go:build linux && e2e

package clustertest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomodule/redigo/redis"
)

// refusal returns the first word of a server's error, "" if err is another one.
func refusal(err error) string {
	if e, ok := errors.AsType[redis.Error](err); ok {
		word, _, _ := strings.Cut(string(e), " ")
		return word
	}
	return ""
}

func mustGet(t *testing.T, n *Node, key, want string) {
	t.Helper()
	if got, err := redis.String(n.Do("GET", key)); err != nil || got != want {
		t.Fatalf("get %q at %s: got %q, error %v, want %q", key, n.Addr, got, err, want)
	}
}

func TestStart(t *testing.T) {
	c := Start(t, Config{Masters: 3, Replicas: 2})
	nodes := c.Nodes()
	if len(nodes) != 9 || len(c.Addrs()) != 9 || len(c.Masters()) != 3 {
		t.Fatalf("got %d servers, %d addresses, %d masters, want 9, 9, 3", len(nodes), len(c.Addrs()), len(c.Masters()))
	}
	for i, n := range nodes {
		want := Master
		if i >= 3 {
			want = Replica
		}
		if got := n.Role(); got != want || c.Addrs()[i] != n.Addr {
			t.Errorf("server %d: got %s at %s want %s at %s", i, got, n.Addr, want, c.Addrs()[i])
		}
		if err := syscall.Kill(n.Pid(), 0); err != nil {
			t.Errorf("server %d: process %d: %v", i, n.Pid(), err)
		}
	}
	for slot, i := range map[int]int{0: 0, 5460: 0, 5461: 1, 10921: 1, 10922: 2, 16383: 2} {
		if got := c.MasterOf(slot); got != nodes[i] {
			t.Errorf("slot %d: got %s want %s", slot, got.Addr, nodes[i].Addr)
		}
	}
	if got := c.ReplicasOf(nodes[1]); !slices.Equal(got, []*Node{nodes[4], nodes[7]}) {
		t.Errorf("replicas of the second: got %v", got)
	}
	// From the documentation of Redis' cluster.
	if slot := c.SlotOf("foo"); slot != 12182 {
		t.Errorf("slot of foo: got %d want 12182", slot)
	}
	c.must(nodes[2], "SET", "foo", "bar")
	if _, err := nodes[0].Do("GET", "foo"); refusal(err) != "MOVED" || !strings.Contains(err.Error(), nodes[2].Addr) {
		t.Errorf("get at another server: got error %v, want MOVED to %s", err, nodes[2].Addr)
	}
	c.WaitReady()
	conn, err := nodes[5].Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Do("READONLY"); err != nil {
		t.Fatal(err)
	}
	if got, err := redis.String(conn.Do("GET", "foo")); got != "bar" {
		t.Errorf("get at a replica: got %q, error %v, want bar", got, err)
	}
	c.FlushAll()
	if n, err := redis.Int(nodes[2].Do("DBSIZE")); n != 0 || err != nil {
		t.Errorf("after FlushAll: %d keys, error %v", n, err)
	}
}

func TestKillRestart(t *testing.T) {
	c := Start(t, Config{Masters: 3, Replicas: 1})
	slot := c.SlotOf("foo")
	old := c.MasterOf(slot)
	c.must(old, "SET", "foo", "bar")
	c.WaitReady()
	old.Kill()
	if old.Role() != Away {
		t.Errorf("a killed server is %s", old.Role())
	}
	next := c.MasterOf(slot)
	if next != c.Nodes()[5] {
		t.Fatalf("the new master is %s, want the replica %s", next.Addr, c.Nodes()[5].Addr)
	}
	c.WaitReady()
	mustGet(t, next, "foo", "bar")
	pid := old.Pid()
	old.Restart()
	c.WaitReady()
	if old.Pid() == pid || old.Role() != Replica || !slices.Contains(c.ReplicasOf(next), old) {
		t.Errorf("after the restart: process %d, was %d, %s", old.Pid(), pid, old.Role())
	}
	old.Promote()
	c.WaitReady()
	mustGet(t, old, "foo", "bar")
}

func TestPauseContinue(t *testing.T) {
	c := Start(t, Config{Masters: 3, Replicas: 1})
	old := c.Nodes()[0]
	old.Pause()
	next := c.MasterOf(0)
	if next != c.Nodes()[3] || old.Role() != Away {
		t.Fatalf("the new master is %s, the old one %s", next.Addr, old.Role())
	}
	c.WaitReady()
	old.Continue()
	c.WaitReady()
	if old.Role() != Replica {
		t.Errorf("the old master is %s", old.Role())
	}
}

func TestMove(t *testing.T) {
	c := Start(t, Config{Masters: 2})
	slot := c.SlotOf("{x}")
	from := c.MasterOf(slot)
	to := c.Masters()[0]
	if to == from {
		to = c.Masters()[1]
	}
	for i := range 5 {
		c.must(from, "SET", fmt.Sprintf("{x}%d", i), i)
	}
	m := c.StartMove(slot, to)
	if left := m.Keys(2); left != 3 {
		t.Errorf("after two keys: %d left, want 3", left)
	}
	moved := 0
	for i := range 5 {
		if _, err := from.Do("GET", fmt.Sprintf("{x}%d", i)); refusal(err) == "ASK" && strings.Contains(err.Error(), to.Addr) {
			moved++
		} else if err != nil {
			t.Error(err)
		}
	}
	if moved != 2 {
		t.Errorf("ASK for %d keys, want 2", moved)
	}
	if left := m.Keys(100); left != 0 {
		t.Errorf("after all keys: %d left", left)
	}
	m.Finish()
	if c.MasterOf(slot) != to {
		t.Errorf("slot %d: kept by %s, want %s", slot, c.MasterOf(slot).Addr, to.Addr)
	}
	for i := range 5 {
		key := fmt.Sprintf("{x}%d", i)
		mustGet(t, to, key, strconv.Itoa(i))
		if _, err := from.Do("GET", key); refusal(err) != "MOVED" {
			t.Errorf("get at the old master: got error %v, want MOVED", err)
		}
	}
}

// TestReshardLive moves slots to and fro under a client that follows where it is sent: no increment is lost.
func TestReshardLive(t *testing.T) {
	c := Start(t, Config{Masters: 2, Password: "secret"})
	nodes := c.Nodes()
	slot := c.SlotOf("{x}n")
	incr := func(n *Node) error {
		_, err := n.Do("INCR", "{x}n")
		for tries := 0; tries < 100; tries++ {
			word := refusal(err)
			if word != "ASK" && word != "MOVED" {
				return err
			}
			to := nodes[0]
			if !strings.HasSuffix(err.Error(), " "+to.Addr) {
				to = nodes[1]
			}
			conn, dialErr := to.Dial()
			if dialErr != nil {
				return dialErr
			}
			if word == "ASK" {
				conn.Send("ASKING")
			}
			conn.Send("INCR", "{x}n")
			conn.Flush()
			if word == "ASK" {
				conn.Receive()
			}
			_, err = conn.Receive()
			conn.Close()
		}
		return err
	}
	stop, done := make(chan struct{}), make(chan error)
	count := 0
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := incr(nodes[count%2]); err != nil {
				done <- err
				return
			}
			count++
		}
	}()
	for range 5 {
		for _, to := range nodes {
			if c.MasterOf(slot) != to {
				c.Reshard(to, slot)
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	mustGet(t, c.MasterOf(slot), "{x}n", strconv.Itoa(count))
	if count == 0 {
		t.Error("no increment while slots moved")
	}
}

func TestDropSlots(t *testing.T) {
	for _, full := range []string{"yes", "no"} {
		t.Run("full coverage "+full, func(t *testing.T) {
			c := Start(t, Config{Masters: 3, Replicas: 1, Args: []string{"--cluster-require-full-coverage", full}})
			slot := c.SlotOf("foo")
			n, other := c.MasterOf(slot), c.MasterOf(0)
			c.must(n, "SET", "foo", "bar")
			c.DropSlots(slot-1, slot)
			if _, err := n.Do("GET", "foo"); refusal(err) != "CLUSTERDOWN" {
				t.Errorf("get of a key in no slot: got error %v, want CLUSTERDOWN", err)
			}
			want := ""
			if full == "yes" {
				want = "CLUSTERDOWN"
			}
			c.wait("the others refuse all service, or none", func() error {
				if _, err := other.Do("GET", "{06S}"); refusal(err) != want { // slot 0
					return fmt.Errorf("get of a key in another slot: got error %v, want %q", err, want)
				}
				return nil
			})
			c.AssignSlots(n, slot-1, slot)
			c.WaitReady()
			mustGet(t, n, "foo", "bar")
		})
	}
}

// TestEnds: no server outlives the test.
func TestEnds(t *testing.T) {
	var pids []int
	t.Run("cluster", func(t *testing.T) {
		c := Start(t, Config{Masters: 1, Replicas: 1})
		c.Nodes()[1].Pause()
		for _, n := range c.Nodes() {
			pids = append(pids, n.Pid())
		}
	})
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d: got error %v, want %v", pid, err, syscall.ESRCH)
		}
	}
}

// TestEndsAfterPanic: no server outlives the process of the test, even if that has no time to clean up.
func TestEndsAfterPanic(t *testing.T) {
	const inner = "CLUSTERTEST_PANIC"
	if os.Getenv(inner) != "" {
		c := Start(t, Config{Masters: 1, Replicas: 1})
		for _, n := range c.Nodes() {
			fmt.Println("pid", n.Pid())
		}
		done := make(chan struct{})
		go func() { panic("as a test's goroutine does") }()
		<-done
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestEndsAfterPanic$")
	cmd.Env = append(os.Environ(), inner+"=1")
	var text strings.Builder
	cmd.Stdout = &text
	if err := cmd.Run(); err == nil {
		t.Fatalf("the test that panics: got no error\n%s", &text)
	}
	var pids []int
	for lines := bufio.NewScanner(strings.NewReader(text.String())); lines.Scan(); {
		if number, found := strings.CutPrefix(lines.Text(), "pid "); found {
			pid, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	if len(pids) != 2 {
		t.Fatalf("the test that panics named %d processes, want 2:\n%s", len(pids), &text)
	}
	(&Cluster{t: t}).wait("the servers have ended", func() error {
		for _, pid := range pids {
			// Who adopted it may not have looked at its end yet.
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err == nil && !strings.Contains(string(stat), ") Z ") {
				return fmt.Errorf("process %d: %s", pid, stat)
			}
		}
		return nil
	})
}
