package ulog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/futago/futago/internal/vfs"
)

// RestoreFolder restores to a folder of this machine, which must not exist or be empty. It writes to one beside it, which gets the
// name at the end: a folder that is half written must not be taken for a log. Nothing of it is left if that fails, or ctx ends.
func RestoreFolder(ctx context.Context, config RestoreConfig, to string) (done *Restored, err error) {
	if entries, err := os.ReadDir(to); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("folder %s is not empty: name a new one", to)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	parent := filepath.Dir(filepath.Clean(to))
	temporary, err := os.MkdirTemp(parent, filepath.Base(to)+".unfinished-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil || !done.Written {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	if config.To, err = vfs.OS(temporary); err != nil {
		return nil, err
	}
	if done, err = Restore(ctx, config); err != nil || !done.Written {
		return done, err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) { // the empty one
		return nil, err
	}
	if err := errors.Join(os.Chmod(temporary, 0o750), os.Rename(temporary, to)); err != nil {
		return nil, err
	}
	d, err := os.Open(parent)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return done, d.Sync()
}
