//go:build unix

package script

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kinds of access.
const (
	accessRead    = unix.R_OK
	accessWrite   = unix.W_OK
	accessExecute = unix.X_OK
)

func accessible(path string, kind uint32) bool { return unix.Access(path, kind) == nil }

// systemStat gives what only the system knows of a file.
func systemStat(info fs.FileInfo, number func(name string, n float64)) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	number("dev", float64(st.Dev))
	number("ino", float64(st.Ino))
	number("mode", float64(st.Mode))
	number("nlink", float64(st.Nlink))
	number("uid", float64(st.Uid))
	number("gid", float64(st.Gid))
	number("rdev", float64(st.Rdev))
	number("blksize", float64(st.Blksize))
	number("blocks", float64(st.Blocks))
	statTimes(st, number)
}
