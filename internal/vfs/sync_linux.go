package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// dataSync leaves out times: a segment has its full size from the start.
func dataSync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// reserve gives the file its blocks, which read as zeros until they are written to. errors.ErrUnsupported: it cannot.
func reserve(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		if err == unix.EINTR {
			continue
		}
		return err // ENOSYS and EOPNOTSUPP are errors.ErrUnsupported
	}
}
