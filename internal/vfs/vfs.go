// Package vfs is the file system as the log needs it, and no more. OS is the real one, Memory keeps everything in
// anonymous memory. Tests of the log adapt a crashable one.
package vfs

import (
	"errors"
	"io"
)

// ErrCannotMap is returned by Map of a file system whose files have no memory of their own.
var ErrCannotMap = errors.New("file cannot be mapped")

// FS is a folder of flat files; names have no separators.
type FS interface {
	// Create makes a new empty file; one of that name must not exist.
	Create(name string) (File, error)
	// Open opens a file for reading and writing.
	Open(name string) (File, error)
	Rename(old, new string) error
	Remove(name string) error
	// List returns the names of all files, in no order.
	List() ([]string, error)
	// SyncDir makes creations, renames and removals durable.
	SyncDir() error
	// Lock takes the folder for this process, or says who holds it.
	Lock() (io.Closer, error)
	// Free is the space in bytes that is left for new data; it is large where there is no limit.
	Free() (int64, error)
	// Boot names the run of the machine: two equal values mean that no power was lost in between. Empty = unknown.
	Boot() string
}

// File is one file. WriteAt within what Allocate made never needs new space.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Allocate extends the empty file to size zero bytes and syncs it. The blocks are its own from then on. With written the zeros are
	// on the device as well: a later Sync then writes data alone, where it would also note which blocks hold some.
	Allocate(size int64, written bool) error
	// Sync makes the data durable. After an error the state of the data is unknown; it must not be called again.
	Sync() error
	Size() (int64, error)
	// Map returns the first size bytes as memory that follows later writes, or ErrCannotMap. It stays valid after Close, until Unmap.
	Map(size int64) ([]byte, error)
	Unmap(b []byte) error
}
