//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// place is where a node lives: threads with namespaces of their own, or just this process. What a child process or a
// socket belongs to is decided by the thread that makes it.
type place struct {
	work    chan func() // on a thread with both namespaces
	dialing chan func() // on another one with the same network, so that nobody waits for the disk
}

// newPlace returns a place, isolated if that is possible. why says why it is not.
func newPlace(isolate bool) (p *place, why error) {
	p = &place{work: make(chan func()), dialing: make(chan func())}
	netns, failed := make(chan int, 1), make(chan error, 1)
	go serveThread(p.work, func() error {
		if !isolate {
			netns <- -1
			return nil
		}
		if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		// Mounts made here must not appear outside.
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
		if err := interfaceUp("lo", nil); err != nil {
			return err
		}
		fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open the network namespace: %w", err)
		}
		netns <- fd
		return nil
	}, failed)
	if err := <-failed; err != nil {
		return nil, err
	}
	fd := <-netns
	go serveThread(p.dialing, func() error {
		if fd < 0 {
			return nil
		}
		defer unix.Close(fd)
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return nil
	}, failed)
	if err := <-failed; err != nil {
		return nil, err
	}
	return p, nil
}

// serveThread runs functions on one thread for as long as the process lives. The thread is never given back: it has
// namespaces that nothing else must meet, and children die with the thread that made them.
func serveThread(work chan func(), prepare func() error, prepared chan error) {
	runtime.LockOSThread()
	err := prepare()
	prepared <- err
	if err != nil {
		return // ends the thread
	}
	for f := range work {
		f()
	}
}

// do runs f with the files, mounts and network of the place.
func (p *place) do(f func() error) error { return on(p.work, f) }

func on(work chan func(), f func() error) error {
	done := make(chan error, 1)
	work <- func() { done <- f() }
	return <-done
}

// dial connects to an address of the place's loopback network.
func (p *place) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var c net.Conn
	err := on(p.dialing, func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// interfaceUp starts a network interface of the calling thread's namespace, with an address and the netmask /30 unless
// addr is nil.
func interfaceUp(name string, addr net.IP) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start interface %s: %w", name, err)
	}
	defer unix.Close(fd)
	set := func(request uint, fill func(*unix.Ifreq) error) {
		var ifr *unix.Ifreq
		if err == nil {
			ifr, err = unix.NewIfreq(name)
		}
		if err == nil {
			err = fill(ifr)
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, request, ifr)
		}
	}
	if addr != nil {
		set(unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr.To4()) })
		set(unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(net.IPv4(255, 255, 255, 252).To4()) })
	}
	set(unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil })
	if err != nil {
		return fmt.Errorf("start interface %s: %w", name, err)
	}
	return nil
}

// openTun makes a network interface of the place whose packets come out of the file, and go into it.
func (p *place) openTun(name string, addr net.IP) (f *os.File, err error) {
	err = p.do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		ifr, err := unix.NewIfreq(name)
		if err == nil {
			ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		}
		if err == nil {
			err = interfaceUp(name, addr)
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("make interface %s: %w", name, err)
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	return f, err
}
