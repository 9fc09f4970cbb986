package tyrant

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	logSuffix = ".ulog"
	logDigits = 8
	// logSlack is how much older than the wanted entries a file must begin, in microseconds: entries of several writers may
	// be out of order.
	logSlack = 30_000_000
	// logWindow is how much of a file is read at a time, in bytes; more for a larger entry.
	logWindow = 64 << 10
)

// LogReader reads the entries of a folder of files 00000001.ulog, 00000002.ulog and so on, from a time on. It follows a log that is
// being written. It is for one goroutine.
type LogReader struct {
	// Missing is the number of the file that is not there although older entries may be wanted, or 0. Reading begins behind it, as
	// the original does without a word.
	Missing int

	dir  string
	from int64

	file   *os.File // nil as long as there is none
	number int
	buf    []byte // what was read of the file
	at     int    // where the next entry begins in buf
	offset int64  // where it begins in the file
}

// OpenLog opens the log in dir for its entries whose time is at least from, in microseconds since 1970. A log may have no file yet.
//
// As in the original, reading begins with the newest file that begins 30 seconds before from, or with the oldest one behind which
// none is missing.
func OpenLog(dir string, from int64) (*LogReader, error) {
	l := &LogReader{dir: dir, from: max(from, 0)}
	if err := l.locate(); err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	return l, nil
}

// LogPosition is a place between two entries of a log. The zero value is that of a log without a file.
type LogPosition struct {
	File   int   `json:"file"`   // its number
	Offset int64 `json:"offset"` // in it, in bytes
}

// OpenLogAt opens the log in dir at a place where a LogReader was, for its entries whose time is at least from.
func OpenLogAt(dir string, at LogPosition, from int64) (*LogReader, error) {
	if at.File == 0 {
		return OpenLog(dir, from)
	}
	f, err := os.Open(logPath(dir, at.File))
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() < at.Offset {
		err = fmt.Errorf("%s has %d bytes, and was read up to %d: it is another one", f.Name(), info.Size(), at.Offset)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	return &LogReader{dir: dir, from: max(from, 0), file: f, number: at.File, offset: at.Offset}, nil
}

// Position is where the next entry begins.
func (l *LogReader) Position() LogPosition { return LogPosition{l.number, l.offset} }

// Left is how much of the log lies behind the position now, in bytes.
func (l *LogReader) Left() (int64, error) {
	left := -l.offset
	for n := max(l.number, 1); ; n++ {
		info, err := os.Stat(logPath(l.dir, n))
		if errors.Is(err, fs.ErrNotExist) {
			return max(left, 0), nil
		}
		if err != nil {
			return 0, err
		}
		left += info.Size()
	}
}

// Close closes the file.
func (l *LogReader) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// Next reads the next entry into e, whose payload is valid until the next call. At the end it returns io.EOF, and may be called again
// when more was written. Where the log cannot be read on it returns a *LogError: with ErrTorn it may be called again too.
func (l *LogReader) Next(e *Entry) error {
	if l.file == nil {
		if err := l.locate(); err != nil {
			return err
		}
		if l.file == nil {
			return io.EOF
		}
	}
	for {
		n, need, err := DecodeEntry(l.buf[l.at:], e, 0)
		switch {
		case err == nil:
			l.at += n
			l.offset += int64(n)
			if e.Time >= l.from {
				return nil
			}
		case errors.Is(err, ErrIncomplete):
			if err := l.more(need); err != nil {
				return err
			}
		default:
			return l.fail(err)
		}
	}
}

func (l *LogReader) fail(err error) error {
	return &LogError{File: l.file.Name(), Offset: l.offset, Err: err}
}

// more reads on, in this file or the next one. need is the size of the entry that is not here yet, or 0.
func (l *LogReader) more(need int) error {
	if read, err := l.fill(need); read || err != nil {
		return err
	}
	next, err := os.Open(logPath(l.dir, l.number+1))
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(l.buf) == l.at:
		return io.EOF
	case errors.Is(err, fs.ErrNotExist):
		return l.fail(tornOrNot(l.buf[l.at:]))
	case err != nil:
		return err
	}
	// The writer may have filled this file after we saw its end, before it made the next one.
	if read, err := l.fill(need); read || err != nil {
		next.Close()
		return err
	}
	if len(l.buf) > l.at {
		next.Close()
		return l.fail(fmt.Errorf("%w: the file ends within it, and is not the last one", ErrEntry))
	}
	l.file.Close()
	l.file, l.number = next, l.number+1
	l.buf, l.at, l.offset = l.buf[:0], 0, 0
	return nil
}

// fill reads more of the file, and tells whether there was more. It takes memory only for what the file has.
func (l *LogReader) fill(need int) (read bool, err error) {
	info, err := l.file.Stat()
	if err != nil {
		return false, err
	}
	l.buf = append(l.buf[:0], l.buf[l.at:]...)
	l.at = 0
	have := int64(len(l.buf))
	there := info.Size() - l.offset
	if there < int64(need) {
		need = 0
	}
	size := int(min(there, int64(max(need, logWindow))))
	if int64(size) <= have {
		return false, nil
	}
	if cap(l.buf) < size {
		l.buf = append(make([]byte, 0, size), l.buf...)
	}
	n, err := l.file.ReadAt(l.buf[have:size], l.offset+have)
	l.buf = l.buf[:int(have)+n]
	if err != nil && err != io.EOF {
		return false, err
	}
	return n > 0, nil
}

// tornOrNot says what the incomplete entry at the end of the last file is: ErrTorn, unless its size is not that of the request in it.
func tornOrNot(b []byte) error {
	if len(b) < entryHead+prefixSize {
		return ErrTorn
	}
	want := int(binary.BigEndian.Uint32(b[13:])) - 1 // without the result
	request := b[entryHead:]
	s := Command(request[1]).logged()
	if request[0] != magic || s == nil {
		return fmt.Errorf("%w: it has %w, and is not complete", ErrEntry, ErrPayload)
	}
	var r Request
	r.Command = Command(request[1])
	d := unlimited(DefaultMaxEntry)
	n, need, err := d.decode(s, request, &r)
	size := n
	if err != nil {
		size = need
	}
	if r.Close || r.TooLarge || size > 0 && size != want {
		return fmt.Errorf("%w: its size is not that of its request", ErrEntry)
	}
	return ErrTorn
}

// locate opens the file to begin with, if there is one.
func (l *LogReader) locate() error {
	last, err := lastLog(l.dir)
	if err != nil || last == 0 {
		return err
	}
	for n := last; n > 0; n-- {
		f, err := os.Open(logPath(l.dir, n))
		if n < last && errors.Is(err, fs.ErrNotExist) {
			l.Missing = n
			return nil
		}
		if err != nil {
			return err
		}
		if l.file != nil {
			l.file.Close()
		}
		l.file, l.number = f, n
		if begin, ok := firstTime(f); ok && begin <= l.from-logSlack {
			return nil
		}
	}
	return nil
}

// firstTime is the time of a file's first entry; ok is false when it has none.
func firstTime(f *os.File) (micros int64, ok bool) {
	b := make([]byte, entryHead)
	if n, _ := f.ReadAt(b, 0); n < len(b) {
		return 0, false
	}
	clear(b[13:]) // without its payload
	var e Entry
	_, _, err := DecodeEntry(b, &e, 0)
	return e.Time, err == nil
}

// lastLog is the highest number of a file in dir, 0 without one.
func lastLog(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	last := 0
	for _, e := range entries {
		last = max(last, logNumber(e.Name()))
	}
	return last, err
}

// logNumber is the number of a file, 0 for what is none.
func logNumber(name string) int {
	digits, ok := strings.CutSuffix(name, logSuffix)
	if !ok || len(digits) != logDigits || strings.Trim(digits, "0123456789") != "" {
		return 0
	}
	n, _ := strconv.Atoi(digits)
	return n
}

func logPath(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", logDigits, number, logSuffix))
}
