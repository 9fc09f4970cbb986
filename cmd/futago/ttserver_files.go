package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// logFile is a file to which log lines are appended, and which can be moved away while it is.
type logFile struct {
	path string

	mu   sync.Mutex
	file *os.File
}

func openLogFile(path string) (*logFile, error) {
	f, err := appendTo(path)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, file: f}, nil
}

func appendTo(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(b)
}

// Reopen goes on in a new file of the same name. After an error the old one stays.
func (l *logFile) Reopen() error {
	f, err := appendTo(l.path)
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.file
	l.file = f
	l.mu.Unlock()
	return old.Close()
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

const (
	// maxPIDFile bounds a pid file in bytes.
	maxPIDFile = 100
	// endTimeout is how long a process may take to end when it is asked to, and killTimeout when it is not.
	endTimeout  = 10 * time.Second
	killTimeout = 5 * time.Second
	endPoll     = 20 * time.Millisecond
)

// takePIDFile writes this process's number to path. Where one stands already, that process is ended first if kill says so.
func takePIDFile(path string, kill bool) error {
	pid, err := readPIDFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case pid == os.Getpid():
		// A number of before that came to be ours, as in a container.
		if err := dropPIDFile(path); err != nil {
			return err
		}
	case !kill:
		return withHint(fmt.Errorf("the process %d may be already running", pid), "Stop it, start with -kl, or remove the pid file "+path+" if it has gone.")
	default:
		if err := endProcess(pid); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove pid file: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// dropPIDFile removes the pid file if it is this process's.
func dropPIDFile(path string) error {
	if pid, err := readPIDFile(path); err != nil || pid != os.Getpid() {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove pid file: %w", err)
	}
	return nil
}

// readPIDFile returns the number of a process, never one that stands for several.
func readPIDFile(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPIDFile))
	if err != nil {
		return 0, fmt.Errorf("read pid file: %w", err)
	}
	pid, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
	if err != nil || pid < 1 {
		return 0, fmt.Errorf("read pid file %s: %.20q is no number of a process; remove the file", path, text)
	}
	return int(pid), nil
}

// endProcess asks a process to end, makes it after a while, and returns when it has gone.
func endProcess(pid int) error {
	if pid == 1 {
		return errors.New("end process 1: it is the system's; remove the pid file")
	}
	for _, try := range []struct {
		signal syscall.Signal
		within time.Duration
	}{{syscall.SIGTERM, endTimeout}, {syscall.SIGKILL, killTimeout}} {
		err := syscall.Kill(pid, try.signal)
		for deadline := time.Now().Add(try.within); err == nil && time.Now().Before(deadline); time.Sleep(endPoll) {
			err = syscall.Kill(pid, 0)
		}
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("end process %d: %w", pid, err)
		}
	}
	return fmt.Errorf("end process %d: it does not end", pid)
}
