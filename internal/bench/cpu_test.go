package bench

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func TestParseProcessStat(t *testing.T) {
	tests := []struct {
		line       string
		own, ended time.Duration
		ok         bool
	}{
		{"12 (memcached) S 1 12 12 0 -1 4194560 99 0 0 0 150 50 7 8 20 0 1 0 5 6", 2 * time.Second, 150 * time.Millisecond, true},
		{"12 (a b) c) R) S 1 12 12 0 -1 4194560 99 0 0 0 1 2 0 0", 30 * time.Millisecond, 0, true},
		{"12 (short) S 1 12 12 0 -1 4194560 99 0 0 0 150 50 7", 0, 0, false},
		{"12 (bad) S 1 12 12 0 -1 4194560 99 0 0 0 x 50 7 7", 0, 0, false},
		{"12 (bad) S 1 12 12 0 -1 4194560 99 0 0 0 1 50 7 x", 0, 0, false},
		{"", 0, 0, false},
	}
	for _, tt := range tests {
		own, ended, err := parseProcessStat([]byte(tt.line))
		if own != tt.own || ended != tt.ended || (err == nil) != tt.ok {
			t.Errorf("parseProcessStat(%q) = %v, %v, %v; want %v, %v, ok %t", tt.line, own, ended, err, tt.own, tt.ended, tt.ok)
		}
	}
}

func TestParseMachineStat(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
		ok   bool
	}{
		// user nice system idle iowait irq softirq steal guest guest_nice
		{"cpu  100 10 20 5000 600 1 2 3 50 5\ncpu0 1 1\n", 1360 * time.Millisecond, true},
		{"cpu0 100 10 20 5000 600 1 2 3\n", 0, false},
		{"cpu 100 10\n", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		got, err := parseMachineStat([]byte(tt.text))
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseMachineStat(%q) = %v, %v; want %v, ok %t", tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (memcached) S 1 12 12 0 -1 4194560 99 0 0 0 150 50 7 7"))
	f.Add([]byte("cpu  100 10 20 5000 600 1 2 3 50 5\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		own, ended, err := parseProcessStat(b)
		if err != nil && own+ended != 0 {
			t.Errorf("parse %q: got %v and %v with error %v, want 0", b, own, ended, err)
		}
		if d, err := parseMachineStat(b); err != nil && d != 0 {
			t.Errorf("parse %q: got %v with error %v, want 0", b, d, err)
		}
	})
}

// TestProcessCPU works until the kernel's figures show it.
func TestProcessCPU(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := ProcessCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	machineBefore, err := machineCPU()
	if err != nil {
		t.Fatal(err)
	}
	threadBefore := threadCPU()
	for threadCPU()-threadBefore < 30*time.Millisecond {
	}
	after, err := ProcessCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	machineAfter, err := machineCPU()
	if err != nil {
		t.Fatal(err)
	}
	if after-before < tick {
		t.Errorf("processor time of this process rose by %v while a thread used 30ms", after-before)
	}
	if machineAfter <= machineBefore {
		t.Errorf("processor time of the machine: %v before, %v after", machineBefore, machineAfter)
	}
	if _, err := ProcessCPU(1 << 30); err == nil {
		t.Error("ProcessCPU of a process that cannot exist: got no error")
	}
}

func TestChildCPU(t *testing.T) {
	// The shell's child works until the first line comes, the shell ends with the second.
	cmd := exec.Command("sh", "-c", "sh -c 'while :; do :; done' & read -r line; kill $!; wait; echo ended; read -r line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		if _, err := childCPU(cmd.Process.Pid); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("children of a process that has ended: got error %v, want %v", err, fs.ErrNotExist)
		}
	})
	var running time.Duration
	for running < 3*tick && t.Context().Err() == nil {
		if running, err = childCPU(cmd.Process.Pid); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(in, "end it\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if ended, err := childCPU(cmd.Process.Pid); err != nil || ended < running {
		t.Errorf("got %v, error %v after the child ended; want at least the %v before", ended, err, running)
	}
}
