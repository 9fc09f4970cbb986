//go:build unix && !linux

package vfs

import "os"

func dataSync(f *os.File) error { return f.Sync() }
