package ulog

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	pebble "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/futago/futago/internal/vfs"
)

// crashDisk adapts a file system whose unsynced data can be lost. Its files cannot be mapped.
type crashDisk struct {
	mem  *pebble.MemFS
	boot string
}

func newCrashDisk() *crashDisk { return &crashDisk{pebble.NewCrashableMem(), "boot 0"} }

// crash returns the disk as it is found after the power went: of what was not synced, percent is there.
func (d *crashDisk) crash(percent int, rng *rand.Rand) *crashDisk {
	return &crashDisk{d.mem.CrashClone(pebble.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), d.boot + "+"}
}

// kill returns the disk as the next process finds it: all that was written is there, the machine went on.
func (d *crashDisk) kill() *crashDisk {
	c := d.crash(100, rand.New(rand.NewPCG(1, 1)))
	c.boot = d.boot
	return c
}

func (d *crashDisk) Create(name string) (vfs.File, error) {
	if _, err := d.mem.Stat(name); err == nil {
		return nil, os.ErrExist
	}
	f, err := d.mem.Create(name, pebble.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return crashFile{f}, nil
}

func (d *crashDisk) Open(name string) (vfs.File, error) {
	if _, err := d.mem.Stat(name); err != nil { // OpenReadWrite would create it
		return nil, err
	}
	f, err := d.mem.OpenReadWrite(name, pebble.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return crashFile{f}, nil
}

func (d *crashDisk) Rename(old, new string) error { return d.mem.Rename(old, new) }
func (d *crashDisk) Remove(name string) error     { return d.mem.Remove(name) }
func (d *crashDisk) List() ([]string, error)      { return d.mem.List("") }
func (d *crashDisk) Lock() (io.Closer, error)     { return d.mem.Lock("LOCK") }
func (d *crashDisk) Free() (int64, error)         { return math.MaxInt64, nil }
func (d *crashDisk) Boot() string                 { return d.boot }

func (d *crashDisk) SyncDir() error {
	f, err := d.mem.OpenDir("")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

type crashFile struct{ pebble.File }

func (f crashFile) Allocate(size int64, _ bool) error {
	if _, err := f.WriteAt(make([]byte, size), 0); err != nil {
		return err
	}
	return f.Sync()
}

func (f crashFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f crashFile) Map(int64) ([]byte, error) { return nil, vfs.ErrCannotMap }
func (f crashFile) Unmap([]byte) error        { return nil }

// tapped passes every call on to FS, and tells before and after it.
type tapped struct {
	vfs.FS

	mu     sync.Mutex
	before func(op, name string) error // an error is what the call returns; errTorn: half of a write is done first
	after  func(op, name string)
}

var (
	errDisk = errors.New("input/output error")
	errTorn = errors.New("torn write")
)

// on replaces the funcs; nil does nothing.
func (d *tapped) on(before func(op, name string) error, after func(op, name string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before, d.after = before, after
}

func (d *tapped) call(op, name string, f func() error) error {
	d.mu.Lock()
	before, after := d.before, d.after
	d.mu.Unlock()
	if before != nil {
		if err := before(op, name); err != nil {
			return err
		}
	}
	err := f()
	if err == nil && after != nil {
		after(op, name)
	}
	return err
}

func (d *tapped) Create(name string) (f vfs.File, err error) {
	err = d.call("create", name, func() error { f, err = d.FS.Create(name); return err })
	if err != nil {
		return nil, err
	}
	return &tappedFile{f, d, name}, nil
}

func (d *tapped) Open(name string) (f vfs.File, err error) {
	err = d.call("open", name, func() error { f, err = d.FS.Open(name); return err })
	if err != nil {
		return nil, err
	}
	return &tappedFile{f, d, name}, nil
}

func (d *tapped) Rename(old, new string) error {
	return d.call("rename", new, func() error { return d.FS.Rename(old, new) })
}

func (d *tapped) Remove(name string) error {
	return d.call("remove", name, func() error { return d.FS.Remove(name) })
}

func (d *tapped) SyncDir() error { return d.call("syncdir", "", d.FS.SyncDir) }

type tappedFile struct {
	vfs.File
	d    *tapped
	name string
}

func (f *tappedFile) Allocate(size int64, written bool) error {
	return f.d.call("allocate", f.name, func() error { return f.File.Allocate(size, written) })
}

func (f *tappedFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.d.call("write", f.name, func() error { n, err = f.File.WriteAt(b, off); return err })
	if errors.Is(err, errTorn) {
		n, _ = f.File.WriteAt(b[:len(b)/2], off)
	}
	return n, err
}

func (f *tappedFile) Sync() error { return f.d.call("sync", f.name, f.File.Sync) }

// eachDisk runs f on every kind of file system.
func eachDisk(t *testing.T, f func(t *testing.T, fs vfs.FS)) {
	t.Run("os", func(t *testing.T) {
		fs, err := vfs.OS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f(t, fs)
	})
	t.Run("memory", func(t *testing.T) { f(t, vfs.Memory()) })
	t.Run("crash", func(t *testing.T) { f(t, newCrashDisk()) })
}

// fileBytes reads a whole file.
func fileBytes(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return b
}
