//go:build linux

package clustertest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/futago/futago/internal/rediscluster/servers"
)

// Role is what a server is in its cluster.
type Role string

const (
	Master  Role = "master"
	Replica Role = "replica"
	// Away is that of a server that was killed or stopped.
	Away Role = "away"
)

// Node is one server. Its address, its id and its folder stay the same over restarts.
type Node struct {
	servers.Server

	cluster *Cluster
	program string
	dir     string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed after the process was waited for
	killed bool
	paused bool
}

// start runs the process and returns at once.
func (n *Node) start() {
	t := n.cluster.t
	t.Helper()
	config := n.cluster.config
	args := append(n.Args(n.dir, config.NodeTimeout), "--enable-debug-command", "yes")
	output := &output{}
	cmd := exec.Command(n.program, append(args, config.Args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, output, output
	// A group of its own: an interrupt from the terminal reaches only the test.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait() // the end is all that matters
		close(exited)
	}()
	n.mu.Lock()
	n.cmd, n.exited, n.killed, n.paused = cmd, exited, false, false
	n.mu.Unlock()
	t.Cleanup(func() {
		cmd.Process.Kill() // an error means that it has ended
		<-exited
		if t.Failed() {
			t.Logf("output of %s %s, process %d:\n%s", program, n.Addr, cmd.Process.Pid, output)
		}
	})
}

func (n *Node) awaitAnswer() {
	n.cluster.t.Helper()
	n.cluster.wait("server "+n.Addr+" answers", func() error {
		_, err := n.Do("PING")
		return err
	})
}

// Pid is the number of its process, also after that has ended.
func (n *Node) Pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd.Process.Pid
}

// Role is what the server takes itself for.
func (n *Node) Role() Role {
	n.cluster.t.Helper()
	if !n.isRunning() {
		return Away
	}
	v, err := n.View()
	if err != nil {
		n.cluster.t.Fatal(err)
	}
	if v.Self().Master() {
		return Master
	}
	return Replica
}

// Kill ends the process without giving it a chance, and returns when it is gone. With the configuration of this package
// what it had in memory is lost.
func (n *Node) Kill() {
	n.mu.Lock()
	n.killed = true
	cmd, exited := n.cmd, n.exited
	n.mu.Unlock()
	cmd.Process.Kill() // an error means that it has ended
	<-exited
}

// Pause stops the process as an overloaded machine does; its connections stay. It returns when no thread of it moves.
func (n *Node) Pause() {
	n.cluster.t.Helper()
	n.mu.Lock()
	n.paused = true
	n.mu.Unlock()
	n.signal(syscall.SIGSTOP)
	n.cluster.wait("server "+n.Addr+" stands still", n.stopped)
}

// Continue undoes Pause.
func (n *Node) Continue() {
	n.cluster.t.Helper()
	n.signal(syscall.SIGCONT)
	n.mu.Lock()
	n.paused = false
	n.mu.Unlock()
}

// Restart starts the server again, killing it first if it runs, and returns when it answers; WaitReady says when it is part of
// the cluster again. A master that comes back before a replica has taken its place is an empty one, and its replicas
// empty themselves.
func (n *Node) Restart() {
	n.cluster.t.Helper()
	n.Kill()
	n.start()
	n.awaitAnswer()
}

// Promote makes a replica the master of its slots without loss, and waits until it is.
func (n *Node) Promote() {
	n.cluster.t.Helper()
	// A server gives up an attempt after five seconds.
	const attempt = 6 * time.Second
	var asked time.Time
	n.cluster.wait("replica "+n.Addr+" is a master", func() error {
		v, err := n.View()
		if err != nil {
			return err
		}
		if v.Self().Master() {
			return nil
		}
		if time.Since(asked) > attempt {
			if _, err := n.Do("CLUSTER", "FAILOVER"); err != nil {
				return err
			}
			asked = time.Now()
		}
		return fmt.Errorf("it follows %s", v.Self().Follows)
	})
}

func (n *Node) signal(s syscall.Signal) {
	n.cluster.t.Helper()
	n.mu.Lock()
	cmd := n.cmd
	n.mu.Unlock()
	if err := cmd.Process.Signal(s); err != nil {
		n.cluster.t.Fatalf("send %v to server %s: %v", s, n.Addr, err)
	}
}

// stopped returns nil when every thread of the process is stopped by a signal.
func (n *Node) stopped() error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", n.Pid()))
	if err != nil || len(threads) == 0 {
		return fmt.Errorf("look at the threads: %d, error %v", len(threads), err)
	}
	if i := slices.IndexFunc(threads, func(path string) bool {
		text, err := os.ReadFile(path)
		return err == nil && !strings.Contains(string(text), ") T ")
	}); i >= 0 {
		return fmt.Errorf("%s: the thread moves", threads[i])
	}
	return nil
}

func (n *Node) isRunning() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.killed && !n.paused
}

// ended says how the process ended without having been killed, "" if it did not.
func (n *Node) ended() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.exited:
		if !n.killed {
			return n.cmd.ProcessState.String()
		}
	default:
	}
	return ""
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
