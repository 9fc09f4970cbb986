//go:build unix && !linux

package vfs

import (
	"errors"
	"os"
)

func dataSync(f *os.File) error { return f.Sync() }

func reserve(*os.File, int64) error { return errors.ErrUnsupported }
