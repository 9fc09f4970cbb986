package tyrant

import (
	"errors"
	"fmt"
	"os"
)

// DefaultLogLimit is the size at which a file of a log is full, in bytes.
const DefaultLogLimit = 1 << 30

// LogWriter writes a log as LogReader reads it. It is the only one that may write to the folder, and for one goroutine.
type LogWriter struct {
	dir    string
	limit  int64
	file   *os.File
	number int
	size   int64
	buf    []byte
}

// OpenLogWriter goes on with the last file of the log in dir, which must exist, or begins the first one. A file of limit bytes (0 means
// DefaultLogLimit) or more is full. What a dead writer has left of an entry at the end is cut off: the original appends to it, after which
// nobody can read on. Damage before the end is a *LogError, and nothing is changed.
func OpenLogWriter(dir string, limit int64) (*LogWriter, error) {
	if limit <= 0 {
		limit = DefaultLogLimit
	}
	w := &LogWriter{dir: dir, limit: limit}
	if err := w.open(); err != nil {
		return nil, fmt.Errorf("open log %s to write: %w", dir, err)
	}
	return w, nil
}

func (w *LogWriter) open() error {
	last, err := lastLog(w.dir)
	if err != nil {
		return err
	}
	if last == 0 {
		return w.next()
	}
	f, err := os.OpenFile(logPath(w.dir, last), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	end, err := logEnd(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err != nil {
		f.Close()
		return err
	}
	w.file, w.number, w.size = f, last, end
	return w.rotate()
}

// logEnd is where the last whole entry of a file ends.
func logEnd(f *os.File) (int64, error) {
	l := &LogReader{file: f}
	for {
		var e Entry
		n, need, err := DecodeEntry(l.buf[l.at:], &e, 0)
		switch {
		case err == nil:
			l.at += n
			l.offset += int64(n)
		case errors.Is(err, ErrIncomplete):
			read, err := l.fill(need)
			if err != nil {
				return 0, err
			}
			if read {
				continue
			}
			if rest := l.buf[l.at:]; len(rest) > 0 {
				if err := tornOrNot(rest); err != ErrTorn {
					return 0, l.fail(err)
				}
			}
			return l.offset, nil
		default:
			return 0, l.fail(err)
		}
	}
}

// Append writes an entry, handing it to the operating system in one piece. After an error the end of the log is unknown, and the
// writer must be opened anew.
func (w *LogWriter) Append(e *Entry) error {
	w.buf = AppendEntry(w.buf[:0], e)
	if _, err := w.file.WriteAt(w.buf, w.size); err != nil {
		return fmt.Errorf("append to log: %w", err)
	}
	w.size += int64(len(w.buf))
	return w.rotate()
}

// Close syncs and closes the last file.
func (w *LogWriter) Close() error {
	return errors.Join(w.file.Sync(), w.file.Close())
}

// rotate begins the next file if this one is full.
func (w *LogWriter) rotate() error {
	if w.size < w.limit {
		return nil
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("close a full file of the log: %w", err)
	}
	return w.next()
}

func (w *LogWriter) next() error {
	w.number++
	f, err := os.OpenFile(logPath(w.dir, w.number), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("begin a file of the log: %w", err)
	}
	w.file, w.size = f, 0
	return nil
}
