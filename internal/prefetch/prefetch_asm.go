//go:build amd64 || arm64

package prefetch

import "unsafe"

// Line asks for the cache line at p, and waits for nothing. Where p points to nothing it does nothing.
//
//go:noescape
func Line(p unsafe.Pointer)
