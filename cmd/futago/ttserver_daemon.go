package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

const (
	// daemonMark is the environment variable that tells a process that it is the daemon.
	daemonMark = "TTSERVER_DAEMON"
	// reportDescriptor is where the daemon has the pipe to the process that has started it.
	reportDescriptor = 3
	// readyMark ends the report of a daemon that serves.
	readyMark = "\x00"
)

// startDaemon runs this command line again in a session of its own and in the root folder, and returns when that process serves, or
// has not come so far. A process of Go has several threads, and so cannot go on as its own child.
func (o *ttserver) startDaemon(stderr io.Writer, args []string) error {
	for _, p := range o.relativeByRoot {
		fmt.Fprintf(stderr, "ttserver: warning: %s: a daemon takes it from the folder /\n", p)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe to the daemon: %w", err)
	}
	defer r.Close()
	defer w.Close()
	c := &exec.Cmd{Path: program, Args: append([]string{"futago", "ttserver"}, args...), Dir: "/"}
	c.Env = append(os.Environ(), daemonMark+"=1")
	c.ExtraFiles = []*os.File{w}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if o.log == "" {
		fmt.Fprintln(stderr, "ttserver: warning: a daemon without -log does not log")
	} else {
		// What the language itself reports goes there, too.
		log, err := appendTo(filepath.Join("/", o.log))
		if err != nil {
			return err
		}
		defer log.Close()
		c.Stderr = log
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	w.Close()
	report, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read what the daemon reports: %w", err)
	}
	if text, ok := bytes.CutSuffix(report, []byte(readyMark)); ok {
		stderr.Write(text)
		return nil
	}
	c.Wait()
	stderr.Write(report)
	return fmt.Errorf("the daemon has not started: %s", c.ProcessState)
}

// daemonReport is the pipe of a daemon to the process that has started it; nil in that process.
func daemonReport() *os.File {
	if os.Getenv(daemonMark) == "" {
		return nil
	}
	syscall.CloseOnExec(reportDescriptor)
	return os.NewFile(reportDescriptor, "report")
}

// tellReady tells that the daemon serves. Nothing can be reported any more.
func tellReady(report *os.File) {
	io.WriteString(report, readyMark)
	report.Close()
}
