//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk returns a folder on a file system of its own. Root is needed for that.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a small file system, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", disk, err)
		}
	})
	return disk
}

// With the disk nearly full a node refuses writes and says why; reads and deletes go on, also at its peer. When there
// is space again, so are writes.
func TestDiskNearlyFull(t *testing.T) {
	const diskSize, minFree = 64 << 20, 24 << 20
	disk := smallDisk(t, "64m")
	p := newPair(t, "--segment-size=1MiB", "--min-free=24MiB")
	p[0].data = filepath.Join(disk, "data")
	startAll(t, p)
	keys := names("key", 100)
	p[0].setAll(t, keys, "before")
	waitEqual(t, p, keys, 5*time.Second)

	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, diskSize-minFree), 0o600); err != nil {
		t.Fatal(err)
	}
	c := p[0].dial(t)
	eventually(t, "writes are refused", 20*time.Second, func() bool {
		got, err := c.do(setCommand("key-99", "before"))
		if err != nil || got != "STORED" && !strings.HasPrefix(got, "SERVER_ERROR ") {
			t.Fatalf("set with the disk nearly full: got %q and error %v", got, err)
		}
		return got != "STORED"
	})
	for _, command := range []string{setCommand("key-1", "v"), "incr number 1\r\n", "append key-1 0 0 1\r\nx\r\n", "touch key-1 100\r\n"} {
		if got, err := c.do(command); err != nil || !strings.HasPrefix(got, "SERVER_ERROR ") && got != "NOT_FOUND" {
			t.Errorf("%q with the disk nearly full: got %q and error %v", command, got, err)
		}
	}
	if s := p[0].mustStatus(t); s.Store.Refusal == "" {
		t.Error("the status does not say that writes are refused")
	}
	p[0].dial(t).expect(t, "PUT /key-2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nv", "HTTP/1.1 503 Service Unavailable")
	// Reads and deletes go on; the other node takes writes, and this one follows it.
	p[0].expectValues(t, map[string]string{"key-1": "before", "key-2": "before", "key-98": "before"})
	p[0].deleteAll(t, []string{"key-98"})
	p[1].setAll(t, []string{"key-97"}, "through the other")
	waitEqual(t, p, keys, 5*time.Second)
	p[0].expectValues(t, map[string]string{"key-97": "through the other", "key-98": ""})

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "writes are taken again", 20*time.Second, func() bool {
		got, err := c.do(setCommand("key-1", "after"))
		if err != nil {
			t.Fatal(err)
		}
		return got == "STORED"
	})
	if s := p[0].mustStatus(t); s.Store.Refusal != "" {
		t.Errorf("the status still says %q", s.Store.Refusal)
	}
	waitPair(t, p)
	waitEqual(t, p, keys, 5*time.Second)
}

// A disk that is full to the last byte under load loses nothing that was acknowledged.
func TestDiskFull(t *testing.T) {
	disk := smallDisk(t, "16m")
	n := newNode(t, "A", 1, "--segment-size=1MiB", "--min-free=0")
	n.data = filepath.Join(disk, "data")
	n.start(t)
	n.waitReady(t)
	want := map[string]string{}
	value := strings.Repeat("x", 10000)
	c := n.dial(t)
	refusal := ""
	for i := 0; refusal == "" && i < 10000; i++ {
		key := names("key", i+1)[i]
		got, err := c.do(setCommand(key, value))
		switch {
		case err != nil:
			refusal = err.Error()
		case got == "STORED":
			want[key] = value
		default:
			refusal = got
		}
	}
	t.Logf("%d values were stored, then: %s", len(want), refusal)
	if len(want) < 100 || refusal == "" {
		t.Fatalf("%d values were stored, then: %q", len(want), refusal)
	}
	n.expectValues(t, want)
	n.kill9()
	// Restarted on a disk with space, it has everything and goes on.
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatalf("enlarge the file system: %v", err)
	}
	n.start(t)
	n.waitReady(t)
	n.expectValues(t, want)
	n.setAll(t, []string{"key-0"}, "again")
}
