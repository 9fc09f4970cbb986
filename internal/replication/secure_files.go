package replication

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

const (
	// maxPEM bounds a certificate file, maxSecret a secret file, in bytes.
	maxPEM    = 1 << 20
	maxSecret = 4 << 10
	// minSecret is the least length of a shared secret, in bytes.
	minSecret = 16
)

// watched is what was made of some files, made anew when they have changed.
type watched[T any] struct {
	paths  []string
	load   func() (T, error)
	logger *slog.Logger

	mu    sync.Mutex
	value T
	state string // of the files of which value was made
	said  string // the last warning
}

// watch loads for the first time.
func watch[T any](logger *slog.Logger, load func() (T, error), paths ...string) (*watched[T], error) {
	w := &watched[T]{paths: paths, load: load, logger: logger}
	w.state = w.look()
	var err error
	w.value, err = load()
	return w, err
}

// get returns the present value. While the files are wrong it stays what it was, and that is logged once.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	state := w.look()
	if state == w.state {
		return w.value
	}
	value, err := w.load()
	if err != nil {
		if text := err.Error(); text != w.said {
			w.said = text
			w.logger.Warn("changed file of the peer link is not used, the content from before stays in force", "err", err)
		}
		return w.value
	}
	w.value, w.state, w.said = value, state, ""
	w.logger.Info("files of the peer link were read anew", "files", strings.Join(w.paths, " "))
	return value
}

// look returns a text that changes with the files.
func (w *watched[T]) look() string {
	var text strings.Builder
	for _, path := range w.paths {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintf(&text, "%v\n", err)
			continue
		}
		fmt.Fprintf(&text, "%d %d\n", info.ModTime().UnixNano(), info.Size())
	}
	return text.String()
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return b, nil
}

func loadSecret(path string, logger *slog.Logger) ([]byte, error) {
	b, err := readSmall(path, maxSecret)
	if err != nil {
		return nil, fmt.Errorf("read shared secret of the peer link: %w", err)
	}
	warnReadable(path, logger)
	if b = bytes.TrimSpace(b); len(b) < minSecret {
		return nil, fmt.Errorf("shared secret in %s has %d bytes, at least %d are needed: make one with openssl rand -hex 32", path, len(b), minSecret)
	}
	return b, nil
}

// warnReadable warns of a secret that others on this machine can read.
func warnReadable(path string, logger *slog.Logger) {
	info, err := os.Stat(path)
	if err != nil {
		return // whoever reads the file says more
	}
	if mode := info.Mode().Perm(); mode&0o044 != 0 {
		logger.Warn("file with a secret can be read by other users: chmod 600", "file", path, "mode", mode.String())
	}
}
