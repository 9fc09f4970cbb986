//go:build !linux

package main

import (
	"os"
	"syscall"
)

// childAttributes on this system cannot make a child end with its parent.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// openKeys on this system reads no keys.
func openKeys(*os.File) (keys <-chan byte, restore func()) { return nil, func() {} }

// terminate asks a process to end.
func terminate(p *os.Process) { p.Signal(os.Interrupt) }
