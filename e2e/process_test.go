//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// process is a program that a test started. It dies with the test.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *output
	exited chan struct{} // closed after the process was waited for
}

// startProcess runs a program in a process group of its own and kills the group when the test ends. Its output is
// printed if the test fails.
func startProcess(t *testing.T, name string, out *output, program string, args ...string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(program, args...), output: out, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process and its children the hard way and returns when it is gone.
func (p *process) kill() {
	select {
	case <-p.exited: // its number may belong to another process by now
		return
	default:
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v to %s: %v", s, p.name, err)
	}
}

// stopped reports whether every thread of the process is stopped by a signal.
func (p *process) stopped(t *testing.T) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads of %s: %d, error %v", p.name, len(threads), err)
	}
	return !slices.ContainsFunc(threads, func(path string) bool {
		text, err := os.ReadFile(path)
		return err == nil && !strings.Contains(string(text), ") T ")
	})
}

// waitExit returns the exit code, and fails the test if the process does not end within the limit.
func (p *process) waitExit(t *testing.T, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(busy * limit):
		t.Fatalf("%s still runs after %v", p.name, busy*limit)
		return -1
	}
}

// output collects what processes print.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

// newOutput returns an output that is printed if the test fails.
func newOutput(t *testing.T, name string) *output {
	o := &output{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, o)
		}
	})
	return o
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// busy is how much longer a wait may take than its limit, which is for a quiet machine, before a test fails. What a test
// claims of times it measures itself.
const busy = 5

// eventually polls until ok is true, and fails the test after the limit.
func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	if !within(limit, ok) {
		t.Fatalf("waited %v for: %s", busy*limit, what)
	}
}

// within polls until ok is true, and reports whether it was before the limit.
func within(limit time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(busy * limit); ; <-time.After(5 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// startStrain begins to measure how busy the machine is, each processor by itself: one that the host of a virtual machine
// takes away holds up only who runs there. The function that it returns tells, at any time, what that may have added to
// one request: a request wakes four processes one after the other, each as late as the latest timer.
func startStrain(t *testing.T) func() time.Duration {
	t.Helper()
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatalf("ask which processors there are: %v", err)
	}
	var latest atomic.Int64
	for cpu, left := 0, allowed.Count(); left > 0; cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		left--
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread() // the thread must not end: it may be the parent of processes, which would end with it
			var one unix.CPUSet
			one.Set(cpu)
			unix.SchedSetaffinity(0, &one) // without it the measure is coarser, no more
			defer unix.SchedSetaffinity(0, &allowed)
			const every = 2 * time.Millisecond
			for wait := unix.NsecToTimespec(int64(every)); t.Context().Err() == nil; {
				begin := time.Now()
				unix.Nanosleep(&wait, nil)
				raise(&latest, int64(time.Since(begin)-every))
			}
		}()
	}
	return func() time.Duration { return 4 * time.Duration(latest.Load()) }
}

// hosts counts the loopback addresses that were given out.
var hosts atomic.Uint32

// newHost returns an address of the loopback network that no other server of this run uses. A port that was free
// there once stays free: clients are numbered at 127.0.0.1 and cannot take it while its owner is down.
func newHost() string {
	n := hosts.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()%128, n/250, 1+n%250)
}

// freeAddr returns an address on host with a port that nobody listens at.
func freeAddr(t *testing.T, host string) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, given := givenAddrs.LoadOrStore(l.Addr().String(), true); !given {
			return l.Addr().String()
		}
	}
}

// givenAddrs are those that freeAddr has returned: the system may name one twice, as it is free until its process listens there.
var givenAddrs sync.Map

// accepts reports whether somebody takes connections at addr.
func accepts(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// isTimeout reports whether err is the passing of a deadline.
func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}
