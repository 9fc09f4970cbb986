package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// An allocated file reads as zeros and has its blocks, whether they were written or not.
func TestAllocate(t *testing.T) {
	dir := t.TempDir()
	fs, err := OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	for name, written := range map[string]bool{"written": true, "reserved": false} {
		f, err := fs.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Allocate(size, written); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := bytes.Repeat([]byte{1}, size+1)
		if n, err := f.ReadAt(got, 0); n != size || !errors.Is(err, io.EOF) || !bytes.Equal(got[:n], make([]byte, size)) {
			t.Errorf("%s: read %d bytes, %v, want %d zeros", name, n, err, size)
		}
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(dir, name), &st); err != nil || st.Blocks*512 < size {
			t.Errorf("%s: has %d bytes on the device, %v", name, st.Blocks*512, err)
		}
	}
}

// TestContract runs one suite over every file system.
func TestContract(t *testing.T) {
	dir, err := OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, fs := range map[string]FS{"os": dir, "memory": Memory()} {
		t.Run(name, func(t *testing.T) {
			f, err := fs.Create("a")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fs.Create("a"); !errors.Is(err, os.ErrExist) {
				t.Fatalf("second create: got %v, want exists", err)
			}
			if err := f.Allocate(8192, false); err != nil {
				t.Fatal(err)
			}
			m, err := f.Map(8192)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("hello"), 4094); err != nil {
				t.Fatal(err)
			}
			if got := m[4094:4099]; !bytes.Equal(got, []byte("hello")) {
				t.Fatalf("mapping shows %q after the write", got)
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := fs.Rename("a", "b"); err != nil {
				t.Fatal(err)
			}
			if _, err := fs.Open("a"); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("open of the old name: %v", err)
			}
			if err := fs.SyncDir(); err != nil {
				t.Fatal(err)
			}
			names, err := fs.List()
			if err != nil || !slices.Equal(names, []string{"b"}) {
				t.Fatalf("list: %v %v", names, err)
			}
			if err := fs.Remove("b"); err != nil {
				t.Fatal(err)
			}
			if m[4094] != 'h' {
				t.Fatal("a removed file lost its mapping")
			}
			if err := f.Unmap(m); err != nil {
				t.Fatal(err)
			}
			if free, err := fs.Free(); err != nil || free <= 0 {
				t.Fatalf("free: %d %v", free, err)
			}
		})
	}
}

func TestLockIsExclusive(t *testing.T) {
	fs, err := OS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first, err := fs.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Lock(); err == nil {
		t.Fatal("the folder was locked twice")
	}
	first.Close()
	second, err := fs.Lock()
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	second.Close()
}

// The log replaces its manifest all the time: what was replaced must not stay in memory.
func TestRenameReleasesWhatItReplaces(t *testing.T) {
	fs := Memory()
	var replaced []*memFile
	for range 3 {
		f, err := fs.Create("new")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("content"), 0); err != nil {
			t.Fatal(err)
		}
		if err := fs.Rename("new", "file"); err != nil {
			t.Fatal(err)
		}
		replaced = append(replaced, f.(*memFile))
	}
	for i, f := range replaced {
		if kept := f.data != nil; kept != (i == 2) {
			t.Errorf("file %d: memory is kept: %v", i, kept)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	rw, err := OS(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := rw.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("hello"), 0); err != nil {
		t.Fatal(err)
	}
	if pid, used := Holder(dir); used {
		t.Fatalf("folder is used by %q", pid)
	}
	lock, err := rw.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if pid, used := Holder(dir); !used || pid != fmt.Sprint(os.Getpid()) {
		t.Fatalf("folder is used by %q, %v", pid, used)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if pid, used := Holder(dir); used {
		t.Fatalf("folder is used by %q after it was left", pid)
	}

	ro, err := ReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	g, err := ro.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.ReadAt(b, 0); err != nil || string(b) != "hello" {
		t.Fatalf("got %q, %v", b, err)
	}
	if _, err := g.WriteAt(b, 0); err == nil {
		t.Fatal("a file was written")
	}
	_, created := ro.Create("b")
	_, locked := ro.Lock()
	for what, err := range map[string]error{"create": created, "lock": locked, "rename": ro.Rename("a", "b"), "remove": ro.Remove("a")} {
		if !errors.Is(err, os.ErrPermission) {
			t.Errorf("%s: got %v, want a refusal", what, err)
		}
	}
	if _, err := ReadOnly(dir + "/a"); err == nil {
		t.Error("a file was taken as a folder")
	}
	if _, err := ReadOnly(dir + "/missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}
