package migrate

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process uses a state file.
var ErrLocked = errors.New("it is in use")

// LockState keeps a state file for this process until unlock is called, or it ends. Lock before the file is read. Without a path there is
// nothing to lock. The lock is on a file beside it, which stays: the state itself is replaced whenever it is saved.
func LockState(path string) (unlock func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	explain := func(err error) error { return fmt.Errorf("read state %s: %w", path, err) }
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, explain(syscall.EISDIR)
	}
	file, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(err)
	}
	if err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(file, 32)) // a courtesy
		err = fmt.Errorf("%w by process %s", ErrLocked, strings.TrimSpace(string(pid)))
	}
	if err == nil {
		if err = file.Truncate(0); err == nil {
			_, err = fmt.Fprintf(file, "%d\n", os.Getpid())
		}
	}
	if err != nil {
		file.Close()
		return nil, explain(err)
	}
	return func() { file.Close() }, nil
}
