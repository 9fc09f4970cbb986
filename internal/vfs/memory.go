//go:build unix

package vfs

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Memory returns an empty file system in anonymous memory, outside the Go heap.
func Memory() FS { return &memFS{files: map[string]*memFile{}} }

type memFS struct {
	mu    sync.Mutex
	files map[string]*memFile
}

func (m *memFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, os.ErrExist)
	}
	f := &memFile{}
	m.files[name] = f
	return f, nil
}

func (m *memFS) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
	}
	return f, nil
}

func (m *memFS) Rename(old, new string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[old]
	if f == nil {
		return fmt.Errorf("rename %s: %w", old, os.ErrNotExist)
	}
	if replaced := m.files[new]; replaced != nil && replaced != f {
		replaced.release()
	}
	delete(m.files, old)
	m.files[new] = f
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return fmt.Errorf("remove %s: %w", name, os.ErrNotExist)
	}
	m.files[name].release()
	delete(m.files, name)
	return nil
}

func (m *memFS) List() ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := make([]string, 0, len(m.files))
	for name := range m.files {
		names = append(names, name)
	}
	return names, nil
}

func (m *memFS) SyncDir() error           { return nil }
func (m *memFS) Lock() (io.Closer, error) { return io.NopCloser(nil), nil }
func (m *memFS) Free() (int64, error)     { return math.MaxInt64, nil }
func (m *memFS) Boot() string             { return "" }

// memFile is one mapping; it lives as long as the file is listed or mapped.
type memFile struct {
	mu      sync.Mutex
	data    []byte
	mapped  int
	removed bool
}

func (f *memFile) Allocate(size int64, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.growLocked(size)
}

func (f *memFile) growLocked(size int64) error {
	if size <= int64(len(f.data)) {
		return nil
	}
	if f.mapped > 0 {
		return fmt.Errorf("grow a mapped file")
	}
	data, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("take %d bytes of memory: %w", size, err)
	}
	if f.data != nil {
		copy(data, f.data)
		unix.Munmap(f.data)
	}
	f.data = data
	return nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.mu.Lock()
	if err := f.growLocked(off + int64(len(b))); err != nil {
		f.mu.Unlock()
		return 0, err
	}
	data := f.data
	f.mu.Unlock()
	return copy(data[off:], b), nil
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.mu.Lock()
	data := f.data
	f.mu.Unlock()
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(b, data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Sync() error { return nil }

func (f *memFile) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *memFile) Close() error { return nil }

func (f *memFile) Map(size int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size > int64(len(f.data)) {
		return nil, fmt.Errorf("map %d bytes of %d", size, len(f.data))
	}
	f.mapped++
	return f.data[:size:size], nil
}

func (f *memFile) Unmap([]byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mapped--
	f.freeLocked()
	return nil
}

func (f *memFile) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.removed = true
	f.freeLocked()
}

func (f *memFile) freeLocked() {
	if f.removed && f.mapped == 0 && f.data != nil {
		unix.Munmap(f.data)
		f.data = nil
	}
}
