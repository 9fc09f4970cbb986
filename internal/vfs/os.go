//go:build unix

package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// OS returns the folder dir of the operating system, made when it is missing.
func OS(dir string) (FS, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	return osFS{dir}, nil
}

type osFS struct{ dir string }

func (f osFS) path(name string) string { return filepath.Join(f.dir, name) }

func (f osFS) Create(name string) (File, error) {
	h, err := os.OpenFile(f.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err
	}
	return osFile{h}, nil
}

func (f osFS) Open(name string) (File, error) {
	h, err := os.OpenFile(f.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{h}, nil
}

func (f osFS) Rename(old, new string) error { return os.Rename(f.path(old), f.path(new)) }
func (f osFS) Remove(name string) error     { return os.Remove(f.path(name)) }

func (f osFS) List() ([]string, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (f osFS) SyncDir() error {
	d, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (f osFS) Lock() (io.Closer, error) {
	h, err := os.OpenFile(f.path("LOCK"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(h.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid, _ := io.ReadAll(io.LimitReader(h, 32))
		h.Close()
		return nil, fmt.Errorf("data folder %s is in use by process %s: stop it, or name another folder with --data", f.dir, strings.TrimSpace(string(pid)))
	}
	if err := h.Truncate(0); err != nil {
		h.Close()
		return nil, err
	}
	if _, err := fmt.Fprintf(h, "%d\n", os.Getpid()); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (f osFS) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(f.dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

func (f osFS) Boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

type osFile struct{ *os.File }

// writeStep is how much is written at once. The page cache keeps what one write brought as one folio, of up to
// 2 MiB. What looks for pages that nobody needs treats a folio as one: a single record that is read keeps it in memory, and
// on machines that are watched for idle memory each look at one page costs the mappings of all of its folio. With 64 KiB
// writing takes as long as with more, with 16 KiB half as long again.
const writeStep = 64 << 10

// WriteAt writes in steps.
func (f osFile) WriteAt(b []byte, off int64) (n int, err error) {
	for {
		m, err := f.File.WriteAt(b[n:min(n+writeStep, len(b))], off+int64(n))
		if n += m; err != nil || n == len(b) {
			return n, err
		}
	}
}

// Allocate leaves no hole: later writes would allocate, and a full disk would then show in the middle of acknowledged data.
func (f osFile) Allocate(size int64, written bool) error {
	err := errors.ErrUnsupported
	if !written {
		err = reserve(f.File, size)
	}
	if errors.Is(err, errors.ErrUnsupported) { // wanted, or the only way that the file system knows
		err = f.fill(size)
	}
	if err != nil {
		return err
	}
	return f.File.Sync()
}

// fill writes zeros.
func (f osFile) fill(size int64) error {
	zeros := make([]byte, min(size, writeStep))
	for at := int64(0); at < size; {
		n, err := f.WriteAt(zeros[:min(size-at, int64(len(zeros)))], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

func (f osFile) Sync() error { return dataSync(f.File) }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Map(size int64) ([]byte, error) {
	return unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
}

func (f osFile) Unmap(b []byte) error { return unix.Munmap(b) }

// ReadOnly returns the existing folder dir of which nothing is changed and no lock is taken: beside a process that uses it,
// or on a medium that cannot be written. What would change something returns an error that wraps os.ErrPermission.
func ReadOnly(dir string) (FS, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("open data folder %s: it is a file", dir)
	}
	return readOnlyFS{osFS{dir}}, nil
}

type readOnlyFS struct{ osFS }

func (f readOnlyFS) Open(name string) (File, error) {
	h, err := os.Open(f.path(name))
	if err != nil {
		return nil, err
	}
	return osFile{h}, nil
}

func refuse(op, name string) error {
	return &os.PathError{Op: op, Path: name, Err: os.ErrPermission}
}

func (f readOnlyFS) Create(name string) (File, error) { return nil, refuse("create", f.path(name)) }
func (f readOnlyFS) Rename(old, _ string) error       { return refuse("rename", f.path(old)) }
func (f readOnlyFS) Remove(name string) error         { return refuse("remove", f.path(name)) }
func (f readOnlyFS) Lock() (io.Closer, error)         { return nil, refuse("lock", f.dir) }

// Holder returns the id of the process that uses the data folder dir, as it wrote it, and whether there is one. It only
// asks: the folder may be taken or left right after.
func Holder(dir string) (pid string, used bool) {
	h, err := os.Open(osFS{dir}.path("LOCK"))
	if err != nil {
		return "", false
	}
	defer h.Close()
	if unix.Flock(int(h.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return "", false
	}
	b, _ := io.ReadAll(io.LimitReader(h, 32))
	return strings.TrimSpace(string(b)), true
}
