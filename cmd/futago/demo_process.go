package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// demoProcess is one life of a node.
type demoProcess struct {
	pid     int
	started time.Time
	process *os.Process
	exited  chan struct{} // closed when the process has ended and state is set
	state   *os.ProcessState

	// The lock of the node guards these. asked says that the demo is ending this process; served, that the
	// node was ready once in this life.
	asked, served bool
}

// startDemoProcess runs program with its output appended to the file log. The process ends when this one does, however that ends.
func startDemoProcess(program string, args []string, log string) (*demoProcess, error) {
	p := &demoProcess{exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The system ties the death signal to the thread that started the child, so this thread stays
		// until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			started <- fmt.Errorf("open log: %w", err)
			return
		}
		defer output.Close()
		cmd := exec.Command(program, args...)
		cmd.Env = demoEnvironment(os.Environ())
		cmd.Stdout, cmd.Stderr = output, output
		cmd.SysProcAttr = childAttributes()
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("start %s: %w", program, err)
			return
		}
		p.pid, p.process, p.started = cmd.Process.Pid, cmd.Process, time.Now()
		started <- nil
		cmd.Wait() // the error is told by the state
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// running says whether the process has not ended.
func (p *demoProcess) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// ending says how the process ended. It must have ended.
func (p *demoProcess) ending() string {
	if status, ok := p.state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("was killed (signal %d)", int(status.Signal()))
	}
	return fmt.Sprintf("ended with exit code %d", p.state.ExitCode())
}

// demoEnvironment leaves out what would change the nodes' configuration, or make them speak to the
// service manager of this process.
func demoEnvironment(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, envPrefix) && !strings.HasPrefix(entry, "NOTIFY_SOCKET=") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// demoTailBytes is how much of a log an error shows at most.
const demoTailBytes = 2 << 10

// logTail is the last lines of a log file, or why there are none.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(0, info.Size()-demoTailBytes)
	b := make([]byte, info.Size()-from)
	n, _ := f.ReadAt(b, from) // a shorter read shows less
	text := string(b[:n])
	if from > 0 {
		if _, whole, ok := strings.Cut(text, "\n"); ok {
			text = whole
		}
	}
	return strings.TrimRight(text, "\n")
}
