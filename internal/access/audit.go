package access

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// Audit is the log of who did what at an operators' address, and to the node or all records at a client address: lines of the
// process's log that have audit=true, and JSON lines in a file of their own where there is one. It may be used by several goroutines at once.
type Audit struct {
	logger *slog.Logger
	file   *slog.Logger // nil: none

	path string
	mu   sync.Mutex
	out  *os.File
}

// OpenAudit appends to the file at path, "" is none.
func OpenAudit(path string, logger *slog.Logger) (*Audit, error) {
	a := &Audit{logger: logger, path: path}
	if path == "" {
		return a, nil
	}
	a.file = slog.New(slog.NewJSONHandler(writerFunc(a.write), nil))
	return a, a.Reopen()
}

// Reopen opens the file by its name again, after it was moved away. On an error the old one stays.
func (a *Audit) Reopen() error {
	if a.path == "" {
		return nil
	}
	f, err := os.OpenFile(a.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	a.mu.Lock()
	old := a.out
	a.out = f
	a.mu.Unlock()
	if old != nil {
		old.Close() // every line was written whole
	}
	return nil
}

// Close closes the file; later lines go to the log alone.
func (a *Audit) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.out == nil {
		return nil
	}
	err := a.out.Close()
	a.out = nil
	if err != nil {
		return fmt.Errorf("close audit log: %w", err)
	}
	return nil
}

// Note writes a line; args are pairs as slog takes them.
func (a *Audit) Note(level slog.Level, message string, args ...any) {
	args = append([]any{"audit", true}, args...)
	a.logger.Log(context.Background(), level, message, args...)
	if a.file != nil {
		a.file.Log(context.Background(), level, message, args...)
	}
}

// write gives the file a line. What cannot be written is told by the log, where the line is too.
func (a *Audit) write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.out == nil {
		return len(line), nil
	}
	n, err := a.out.Write(line)
	if err != nil {
		a.logger.Error("audit log cannot be written", "file", a.path, "err", err)
	}
	return n, err
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

var _ io.Writer = writerFunc(nil)
