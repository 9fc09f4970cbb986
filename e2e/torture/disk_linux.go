//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// diskSize is the size of a node's disk where it has one of its own.
const diskSize = 256 << 20

// disk is where a node's data lies. All its methods run on the thread of the node's place.
type disk struct {
	place *place
	kind  diskKind
	dir   string // the mount point, or a folder
	image string // of ext4
	why   error  // why it is of no better kind
}

// diskKind says what can be done to a disk. Each can what the ones before it can.
type diskKind int

const (
	folder diskKind = iota // can be emptied
	tmpfs                  // can be full
	ext4                   // on a loop device: can be slow, and lose what was not synced
)

func (k diskKind) String() string {
	return [...]string{"a folder", "a tmpfs of 256 MiB", "ext4 of 256 MiB on a loop device"}[k]
}

// newDisk returns the best disk that can be had in dir.
func newDisk(p *place, dir string, isolated bool) (*disk, error) {
	d := &disk{place: p, dir: filepath.Join(dir, "disk"), image: filepath.Join(dir, "disk.img")}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	if !isolated {
		d.why = errors.New("no mount namespace")
		return d, nil
	}
	d.why = p.do(func() error {
		if err := makeImage(d.image); err != nil {
			return err
		}
		if err := d.boot(); err != nil {
			return err
		}
		if err := unix.Mount(d.bootFile(), bootID, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("stand in for %s: %w", bootID, err)
		}
		return d.mount()
	})
	if d.why == nil {
		d.kind = ext4
		return d, nil
	}
	err := p.do(func() error { return unix.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d", diskSize)) })
	if err == nil {
		d.kind = tmpfs
	} else {
		d.why = errors.Join(d.why, fmt.Errorf("mount tmpfs: %w", err))
	}
	return d, nil
}

func makeImage(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(diskSize); err != nil {
		return err
	}
	return command("mkfs.ext4", "-q", "-F", "-m", "0", path)
}

// bootID tells programs which run of the machine this is. A log trusts its end as long as that has not changed, so a power cut
// must change it.
const bootID = "/proc/sys/kernel/random/boot_id"

// bootFile stands in for bootID in the place of the node.
func (d *disk) bootFile() string { return d.image + ".boot" }

// boot begins another run of the node's machine.
func (d *disk) boot() error {
	const newUUID = "/proc/sys/kernel/random/uuid"
	id, err := os.ReadFile(newUUID)
	if err == nil {
		err = os.WriteFile(d.bootFile(), id, 0o600)
	}
	if err != nil {
		return fmt.Errorf("begin another run of the machine: %w", err)
	}
	return nil
}

func (d *disk) mount() error {
	return command("mount", "-t", "ext4", "-o", "loop", d.image, d.dir)
}

// command runs a program of the system, which may lie where an ordinary PATH does not look.
func command(name string, args ...string) error {
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if _, err := exec.LookPath(name); err == nil {
			break
		}
		if path := filepath.Join(dir, name); exists(path) {
			name = path
		}
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// data is the folder that the node is given.
func (d *disk) data() string { return filepath.Join(d.dir, "data") }

// wipe removes all that the node has. Its process must be gone.
func (d *disk) wipe() error {
	return d.place.do(func() error { return os.RemoveAll(d.data()) })
}

// Requests to the file system, of linux/fs.h and fs/ext4.
const (
	ioctlFreeze   = 0xC0045877 // FIFREEZE
	ioctlThaw     = 0xC0045878 // FITHAW
	ioctlShutdown = 0x8004587D // EXT4_IOC_SHUTDOWN
	// shutdownNoFlush loses whatever is not on the device yet, the journal's end included.
	shutdownNoFlush = 2
)

// freeze makes everybody wait who writes; thaw lets them go on.
func (d *disk) freeze() error { return d.ioctl(ioctlFreeze, 0) }
func (d *disk) thaw() error   { return d.ioctl(ioctlThaw, 0) }

// powerCut loses what was not synced, and begins another run of the machine. The node's process must be gone.
func (d *disk) powerCut() error {
	if err := d.ioctl(ioctlShutdown, shutdownNoFlush); err != nil {
		return err
	}
	return d.place.do(func() error {
		// The kernel may hold the mount for a moment after the process is gone.
		err := unix.Unmount(d.dir, 0)
		for range 200 {
			if !errors.Is(err, unix.EBUSY) {
				break
			}
			<-time.After(10 * time.Millisecond)
			err = unix.Unmount(d.dir, 0)
		}
		if err != nil {
			return fmt.Errorf("unmount after the power cut: %w", err)
		}
		if err := errors.Join(d.boot(), d.mount()); err != nil {
			return err
		}
		return d.removeBallast() // its removal may have been lost as well
	})
}

func (d *disk) ioctl(request uint, value int) error {
	return d.place.do(func() error {
		fd, err := unix.Open(d.dir, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", d.dir, err)
		}
		defer unix.Close(fd)
		if err := unix.IoctlSetPointerInt(fd, request, value); err != nil {
			return fmt.Errorf("ioctl %#x on the disk: %w", request, err)
		}
		return nil
	})
}

// fill takes space until only so many bytes are free. free gives it back.
func (d *disk) fill(leave int64) error {
	return d.place.do(func() error {
		f, err := os.Create(d.ballast())
		if err != nil {
			return fmt.Errorf("fill the disk: %w", err)
		}
		defer f.Close()
		piece := make([]byte, 1<<20)
		for {
			var st unix.Statfs_t
			if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
				return fmt.Errorf("fill the disk: %w", err)
			}
			n := int64(st.Bavail)*st.Bsize - leave
			if n <= 0 {
				return nil
			}
			if _, err := f.Write(piece[:min(n, int64(len(piece)))]); errors.Is(err, unix.ENOSPC) {
				return nil
			} else if err != nil {
				return fmt.Errorf("fill the disk: %w", err)
			}
		}
	})
}

func (d *disk) free() error { return d.place.do(d.removeBallast) }

func (d *disk) removeBallast() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("free the disk: %w", err)
	}
	return nil
}

func (d *disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// keep copies the node's data to a folder that outlives the process.
func (d *disk) keep(to string) error {
	return d.place.do(func() error { return os.CopyFS(to, os.DirFS(d.data())) })
}
