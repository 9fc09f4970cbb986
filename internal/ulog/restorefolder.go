package ulog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/futago/futago/internal/vfs"
)

// RestoreFolder restores to a folder of this machine, as NewFolder makes it.
func RestoreFolder(ctx context.Context, config RestoreConfig, to string) (done *Restored, err error) {
	err = NewFolder(to, func(fs vfs.FS) (bool, error) {
		config.To = fs
		if done, err = Restore(ctx, config); err != nil {
			return false, err
		}
		return done.Written, nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// NewFolder has fill write a folder of this machine, which must not exist or be empty. It is written beside the place and gets the
// name at the end: a folder that is half written must not be taken for a log. Nothing of it is left if fill fails, or returns
// false.
func NewFolder(to string, fill func(fs vfs.FS) (keep bool, err error)) (err error) {
	if entries, err := os.ReadDir(to); err == nil && len(entries) > 0 {
		return fmt.Errorf("folder %s is not empty: name a new one", to)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(filepath.Clean(to))
	temporary, err := os.MkdirTemp(parent, filepath.Base(to)+".unfinished-")
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		if err != nil || !keep {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	fs, err := vfs.OS(temporary)
	if err != nil {
		return err
	}
	if keep, err = fill(fs); err != nil || !keep {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) { // the empty one
		return err
	}
	if err := errors.Join(os.Chmod(temporary, 0o750), os.Rename(temporary, to)); err != nil {
		return err
	}
	d, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
