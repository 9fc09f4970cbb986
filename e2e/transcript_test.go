//go:build e2e

package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/futago/futago/internal/server/transcript"
)

// TestTranscriptsOnMemcached proves that the transcripts that our server is tested with say what memcached says.
func TestTranscriptsOnMemcached(t *testing.T) {
	files, err := filepath.Glob("../internal/server/testdata/transcript/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find transcripts: %d files, %v", len(files), err)
	}
	addr := startTranscriptMemcached(t)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { transcript.RunMemcached(t, addr, file) })
	}
}

// startTranscriptMemcached runs memcached on a free port of the loopback until the test ends. It is started again
// on another port when somebody takes the port between the search and the start.
func startTranscriptMemcached(t *testing.T) (addr string) {
	t.Helper()
	program := lookTranscriptProgram(t, "memcached")
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		args := []string{"-p", strconv.Itoa(port), "-U", "0", "-l", "127.0.0.1"}
		if os.Getuid() == 0 {
			args = append(args, "-u", "root")
		}
		cmd := exec.Command(program, args...)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() { cmd.Wait(); close(exited) }()
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if waitTranscriptPort(addr, exited) {
			t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); <-exited })
			return addr
		}
		cmd.Process.Kill()
		<-exited
	}
	t.Fatal("memcached does not start")
	return ""
}

// waitTranscriptPort reports whether addr takes connections before the process exits or 10 seconds are over.
func waitTranscriptPort(addr string, exited <-chan struct{}) bool {
	timeout := time.After(10 * time.Second)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return true
		}
		select {
		case <-exited:
			return false
		case <-timeout:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lookTranscriptProgram finds a program that may be installed where an ordinary user's PATH does not look.
func lookTranscriptProgram(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed; this test needs it", name)
	return ""
}
