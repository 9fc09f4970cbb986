package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes make a child end with this process, and keep Ctrl-C of the terminal from it: the parent
// decides when it ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}

// openKeys returns a channel of the keys pressed on the terminal f, without waiting for a line end and without
// showing them; nil when f is none, or belongs to another job. restore gives the terminal back; it may be called
// more than once. Ctrl-C and the other keys for signals work as ever.
func openKeys(f *os.File) (keys <-chan byte, restore func()) {
	if f == nil {
		return nil, func() {}
	}
	fd := int(f.Fd())
	old, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, func() {}
	}
	// A job in the background would be stopped for touching the terminal.
	if group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return nil, func() {}
	}
	single := *old
	single.Lflag &^= unix.ICANON | unix.ECHO
	single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &single); err != nil {
		return nil, func() {}
	}
	pressed := make(chan byte)
	go func() {
		// The reader ends with the terminal or with the process: a read of a terminal cannot be called off.
		defer close(pressed)
		key := make([]byte, 1)
		for {
			if n, err := f.Read(key); n == 0 || err != nil {
				return
			}
			pressed <- key[0]
		}
	}()
	return pressed, func() { unix.IoctlSetTermios(fd, unix.TCSETS, old) }
}

// terminate asks a process to end, also one that was stopped.
func terminate(p *os.Process) {
	p.Signal(syscall.SIGTERM)
	p.Signal(syscall.SIGCONT)
}
