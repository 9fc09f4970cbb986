//go:build !unix

package script

import "io/fs"

// The kinds of access.
const (
	accessRead = iota
	accessWrite
	accessExecute
)

// accessible says no: there is no cheap question.
func accessible(string, uint32) bool { return false }

// systemStat knows nothing more.
func systemStat(fs.FileInfo, func(name string, n float64)) {}
