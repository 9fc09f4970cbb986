package bench

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseProcessStat(t *testing.T) {
	tests := []struct {
		line string
		want time.Duration
		ok   bool
	}{
		{"12 (memcached) S 1 12 12 0 -1 4194560 99 0 0 0 150 50 7 7 20 0 1 0 5 6", 2 * time.Second, true},
		{"12 (a b) c) R) S 1 12 12 0 -1 4194560 99 0 0 0 1 2 7 7", 30 * time.Millisecond, true},
		{"12 (short) S 1 12 12 0 -1 4194560 99 0 0 0 150", 0, false},
		{"12 (bad) S 1 12 12 0 -1 4194560 99 0 0 0 x 50 7", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		got, err := parseProcessStat([]byte(tt.line))
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseProcessStat(%q) = %v, %v; want %v, ok %t", tt.line, got, err, tt.want, tt.ok)
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
		for _, parse := range []func([]byte) (time.Duration, error){parseProcessStat, parseMachineStat} {
			if d, err := parse(b); err != nil && d != 0 {
				t.Errorf("parse %q: got %v with error %v, want 0", b, d, err)
			}
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
