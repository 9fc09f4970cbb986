//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// tool runs a command of the program on the admin ports of nodes and returns its exit code and output.
func tool(t *testing.T, nodes []*node, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for _, n := range nodes {
		args = append(args, "--admin="+n.admin)
	}
	cmd := exec.Command(futagoProgram, args...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			t.Fatalf("run %q: %v", args, err)
		}
		code = exit.ExitCode()
	}
	return code, out.String(), errOut.String()
}

// expectTool runs a command that must end with the code and say all of the words.
func expectTool(t *testing.T, code int, words []string, nodes []*node, args ...string) {
	t.Helper()
	got, out, errOut := tool(t, nodes, args...)
	if got != code {
		t.Errorf("%q: exit code %d, want %d", args, got, code)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			t.Errorf("%q does not say %q", args, w)
		}
	}
	if t.Failed() {
		t.Logf("%q:\n%s%s", args, out, errOut)
	}
}

// Writes on both nodes, some of them to a few keys without a pause, are no difference.
func TestVerifyBusyPair(t *testing.T) {
	p := startPair(t)
	keys := names("many", 2000)
	p[0].setAll(t, keys, "value")
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i, n := range p {
		c := n.dial(t)
		load.Go(func() {
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				for _, command := range []string{
					setCommand("hot", strconv.Itoa(round)), setCommand(keys[(round*7+i)%len(keys)], "changed"), "incr counter 1\r\n",
				} {
					if _, err := c.do(command); err != nil {
						t.Errorf("load on node %s: %v", n.name, err)
						return
					}
				}
			}
		})
	}
	p[0].setAll(t, []string{"counter"}, "1")
	for _, more := range [][]string{{}, {"--full"}} {
		expectTool(t, 0, []string{"equal: 2,00"}, p[:], append([]string{"verify"}, more...)...)
	}
	close(stop)
	load.Wait()
	waitEqual(t, p, append(keys, "hot", "counter"), 5*time.Second)
	code, out, errOut := tool(t, p[:], "verify", "--json", "--full")
	var report struct {
		Equal           bool
		Records, Moving int
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 || !report.Equal || report.Records != 2002 || report.Moving != 0 {
		t.Errorf("verify at rest: exit code %d, error %v, %+v; %s", code, err, report, errOut)
	}
}

// A difference is told while the link is cut, and what became of it afterwards.
func TestVerifyConflictsOverCut(t *testing.T) {
	p := newPair(t)
	links := linkPair(t, p)
	startAll(t, p)
	p[0].setAll(t, []string{"before"}, "value")
	waitEqual(t, p, []string{"before"}, 5*time.Second)
	expectTool(t, 0, []string{"equal: 1 record in 4096 ranges"}, p[:], "verify")

	for _, l := range links {
		l.cut()
	}
	p[0].setAll(t, []string{"both"}, "first")
	p[1].setAll(t, []string{"both"}, "second")
	p[1].setAll(t, []string{"one"}, "value")
	expectTool(t, 3, []string{"differ: 2 keys", `"both"`, `"one"`, "nothing", "node 1 does not follow"}, p[:], "verify", "--settle=100ms")
	expectTool(t, 0, []string{"connecting"}, p[:1], "peer", "list")
	for _, l := range links {
		l.heal()
	}
	waitPair(t, p)
	waitEqual(t, p, []string{"before", "both", "one"}, 10*time.Second)
	expectTool(t, 0, []string{"equal: 3 records"}, p[:], "verify", "--full")
	expectTool(t, 0, []string{`"both"  value of 6 bytes by node 2`, "loser", "value of 5 bytes by node 1"}, p[:], "conflicts")
	expectTool(t, 0, []string{"nothing to do"}, p[:1], "clock")
	expectTool(t, 1, nil, p[:1], "clock", "admit")
}

// A node that is gone for good is removed; with its data it is refused, with an empty folder it joins again.
func TestForgetAndJoinAgain(t *testing.T) {
	p := startPair(t)
	third := newNode(t, "C", 3, "--catchup-timeout=1s")
	third.follow = p[1].peer
	third.start(t)
	third.waitReady(t)
	all := []*node{p[0], p[1], third}
	p[0].setAll(t, []string{"key"}, "value")
	eventually(t, "the first node follows the third, which names another one", 20*time.Second, func() bool {
		_, out, _ := tool(t, all[:1], "peer", "list")
		return strings.Count(out, "stream") == 4
	})
	expectTool(t, 0, []string{"equal: 1 record"}, all, "verify")
	expectTool(t, 1, nil, all[:1], "peer", "forget", "3", "--yes") // it is there

	third.kill9()
	eventually(t, "the third node is removed", 10*time.Second, func() bool { // once its link is seen to be closed
		code, _, _ := tool(t, all[:1], "peer", "forget", "3", "--yes")
		return code == 0
	})
	eventually(t, "the other node knows", 10*time.Second, func() bool {
		_, out, _ := tool(t, all[1:2], "peer", "list")
		return strings.Contains(out, "removed")
	})
	third.start(t)
	eventually(t, "the third node is refused", 10*time.Second, func() bool {
		_, out, _ := tool(t, all[2:], "peer", "list")
		return strings.Contains(out, "node 3 was removed from the mesh")
	})
	third.kill9()
	third.wipe(t)
	third.start(t)
	third.waitReady(t)
	eventually(t, "all follow each other again", 20*time.Second, func() bool {
		_, out, _ := tool(t, all, "peer", "list")
		return strings.Count(out, "stream") == 12
	})
	expectTool(t, 0, []string{"equal: 1 record"}, all, "verify", "--full")
}
