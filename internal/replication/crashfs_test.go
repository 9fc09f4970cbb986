package replication

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/futago/futago/internal/vfs"
)

// crashFS is a file system in memory that knows what would be left after the death of the process or the loss of power.
type crashFS struct {
	boot string

	mu    sync.Mutex
	fail  int // the write or sync after so many others fails, a write in its middle; 0: none does
	files map[string]*crashFile
	dir   map[string]*crashFile // names that a loss of power leaves
}

// crashFile knows its content as the system has it and as the disk has it.
type crashFile struct {
	fs      *crashFS
	data    []byte
	durable []byte
	pending []crashWrite // since the last sync, oldest first
}

type crashWrite struct {
	off  int64
	data []byte
}

func newCrashFS() *crashFS {
	return &crashFS{boot: "first boot", files: map[string]*crashFile{}, dir: map[string]*crashFile{}}
}

// afterKill is what another process finds when this one died now: everything that was written.
func (c *crashFS) afterKill() *crashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := newCrashFS()
	next.boot = c.boot
	copies := map[*crashFile]*crashFile{}
	for _, set := range []map[string]*crashFile{c.files, c.dir} {
		for _, f := range set {
			if copies[f] == nil {
				copies[f] = &crashFile{fs: next, data: bytes.Clone(f.data), durable: bytes.Clone(f.durable), pending: f.pending[:len(f.pending):len(f.pending)]}
			}
		}
	}
	for name, f := range c.files {
		next.files[name] = copies[f]
	}
	for name, f := range c.dir {
		next.dir[name] = copies[f]
	}
	return next
}

// sector is the unit that a disk writes whole.
const sector = 512

// afterPowerLoss is what the machine finds after the loss of power: what was synced, and with a random source any part of
// the rest, in any order.
func (c *crashFS) afterPowerLoss(random *rand.Rand) *crashFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := newCrashFS()
	next.boot = c.boot + " and another"
	for name, f := range c.dir {
		data := bytes.Clone(f.durable)
		for _, w := range f.pending {
			if random == nil || random.IntN(3) == 0 {
				continue
			}
			for at := int64(0); at < int64(len(w.data)); {
				end := min(int64(len(w.data)), (w.off+at)/sector*sector+sector-w.off)
				if random.IntN(4) != 0 {
					data = writeInto(data, w.data[at:end], w.off+at)
				}
				at = end
			}
		}
		next.files[name] = &crashFile{fs: next, data: data, durable: bytes.Clone(data)}
	}
	next.dir = maps.Clone(next.files)
	return next
}

func writeInto(data, b []byte, off int64) []byte {
	if need := off + int64(len(b)); need > int64(len(data)) {
		data = append(data, make([]byte, need-int64(len(data)))...)
	}
	copy(data[off:], b)
	return data
}

func (c *crashFS) Create(name string) (vfs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[name] != nil {
		return nil, fmt.Errorf("create %s: %w", name, os.ErrExist)
	}
	f := &crashFile{fs: c}
	c.files[name] = f
	return f, nil
}

func (c *crashFS) Open(name string) (vfs.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[name]
	if f == nil {
		return nil, fmt.Errorf("open %s: %w", name, os.ErrNotExist)
	}
	return f, nil
}

func (c *crashFS) Rename(old, new string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.files[old]
	if f == nil {
		return fmt.Errorf("rename %s: %w", old, os.ErrNotExist)
	}
	delete(c.files, old)
	c.files[new] = f
	return nil
}

func (c *crashFS) Remove(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[name] == nil {
		return fmt.Errorf("remove %s: %w", name, os.ErrNotExist)
	}
	delete(c.files, name)
	return nil
}

func (c *crashFS) List() ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name := range c.files {
		names = append(names, name)
	}
	return names, nil
}

func (c *crashFS) SyncDir() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dir = maps.Clone(c.files)
	return nil
}

func (c *crashFS) Lock() (io.Closer, error) { return io.NopCloser(nil), nil }
func (c *crashFS) Free() (int64, error)     { return math.MaxInt64, nil }
func (c *crashFS) Boot() string             { return c.boot }

func (f *crashFile) Allocate(size int64, _ bool) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.data = writeInto(f.data, nil, size)
	f.durable = bytes.Clone(f.data)
	return nil
}

// errDisk is what a failing call returns.
var errDisk = errors.New("input/output error")

// failsLocked counts down to the call that fails.
func (c *crashFS) failsLocked() bool {
	if c.fail == 0 {
		return false
	}
	c.fail--
	return c.fail == 0
}

// failIn lets a later write or sync fail.
func (c *crashFS) failIn(calls int) {
	c.mu.Lock()
	c.fail = calls
	c.mu.Unlock()
}

func (f *crashFile) WriteAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.failsLocked() {
		n := len(b) / 2
		f.data = writeInto(f.data, b[:n], off)
		f.pending = append(f.pending, crashWrite{off, bytes.Clone(b[:n])})
		return n, errDisk
	}
	f.data = writeInto(f.data, b, off)
	f.pending = append(f.pending, crashWrite{off, bytes.Clone(b)})
	return len(b), nil
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := 0
	if off < int64(len(f.data)) {
		n = copy(b, f.data[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.fs.failsLocked() {
		return errDisk
	}
	for _, w := range f.pending {
		f.durable = writeInto(f.durable, w.data, w.off)
	}
	f.pending = nil
	return nil
}

func (f *crashFile) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *crashFile) Close() error              { return nil }
func (f *crashFile) Map(int64) ([]byte, error) { return nil, vfs.ErrCannotMap }
func (f *crashFile) Unmap([]byte) error        { return nil }
