package tyrant

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const second = 1_000_000

// entryAt is the entry of a put at a time.
func entryAt(micros int64) *Entry {
	r := Request{Command: Put, Key: fmt.Append(nil, micros), Value: v}
	return &Entry{Time: micros, SID: 1, MID: 2, Payload: AppendPayload(nil, &r, true)}
}

// writeLog makes the files of a log, each with entries of these times.
func writeLog(t testing.TB, files map[int][]int64) string {
	t.Helper()
	dir := t.TempDir()
	for number, times := range files {
		var b []byte
		for _, micros := range times {
			b = AppendEntry(b, entryAt(micros))
		}
		if err := os.WriteFile(logPath(dir, number), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func openLog(t testing.TB, dir string, from int64) *LogReader {
	t.Helper()
	l, err := OpenLog(dir, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// rest reads on until Next returns an error.
func rest(l *LogReader) (times []int64, err error) {
	for {
		var e Entry
		if err := l.Next(&e); err != nil {
			return times, err
		}
		if want := entryAt(e.Time); e.SID != want.SID || e.MID != want.MID || !bytes.Equal(e.Payload, want.Payload) {
			return times, fmt.Errorf("read %+v, want %+v", e, want)
		}
		times = append(times, e.Time)
	}
}

func TestLogReader(t *testing.T) {
	files := map[int][]int64{
		1: {10 * second, 20 * second},
		2: {100 * second, 110 * second, 105 * second},
		3: {200 * second},
		4: nil,
	}
	all := []int64{10 * second, 20 * second, 100 * second, 110 * second, 105 * second, 200 * second}
	tests := []struct {
		name    string
		without int // this file is not there
		from    int64
		want    []int64
		missing int
	}{
		{"from the beginning", 0, 0, all, 0},
		{"from before the beginning", 0, -5, all, 0},
		{"from an entry", 0, 100 * second, all[2:], 0},
		{"from behind an entry", 0, 100*second + 1, all[3:], 0},
		{"from the last entry", 0, 200 * second, all[5:], 0},
		{"from the future", 0, 300 * second, nil, 0},
		{"without the oldest", 1, 0, all[2:], 1},
		{"without the oldest, which may have nothing", 1, 129 * second, all[5:], 1},
		{"without the oldest, which has nothing", 1, 130 * second, all[5:], 0},
		{"with a gap", 2, 0, all[5:], 2},
		{"without the newest", 4, 0, all, 0},
	}
	for _, tt := range tests {
		dir := writeLog(t, files)
		if tt.without != 0 {
			if err := os.Remove(logPath(dir, tt.without)); err != nil {
				t.Fatal(err)
			}
		}
		l := openLog(t, dir, tt.from)
		got, err := rest(l)
		if !slices.Equal(got, tt.want) || err != io.EOF || l.Missing != tt.missing {
			t.Errorf("%s: got %v, %v, missing %d, want %v, EOF, missing %d", tt.name, got, err, l.Missing, tt.want, tt.missing)
		}
	}
}

// Reading begins with the newest file that begins 30 seconds before: what an older one has is not looked for.
func TestLogReaderBeginsThirtySecondsBefore(t *testing.T) {
	dir := writeLog(t, map[int][]int64{1: {1 * second, 999 * second}, 2: {100 * second}})
	for from, want := range map[int64][]int64{130*second - 1: {999 * second}, 130 * second: nil} {
		got, err := rest(openLog(t, dir, from))
		if !slices.Equal(got, want) || err != io.EOF {
			t.Errorf("from %d: got %v, %v, want %v, EOF", from, got, err, want)
		}
	}
}

func TestLogReaderFollows(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, 0)
	if got, err := rest(l); got != nil || err != io.EOF {
		t.Fatalf("read an empty folder: %v, %v, want EOF", got, err)
	}
	size := int64(len(AppendEntry(nil, entryAt(1000))))
	w, err := OpenLogWriter(dir, 2*size)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(1000); at < 1010; at++ {
		if err := w.Append(entryAt(at)); err != nil {
			t.Fatal(err)
		}
		if got, err := rest(l); !slices.Equal(got, []int64{at}) || err != io.EOF {
			t.Fatalf("read on: got %v, %v, want %d, EOF", got, err, at)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The last file is made as soon as the one before it is full.
	if last, err := lastLog(dir); last != 6 || err != nil || l.number != 6 {
		t.Errorf("got %d files, %v, and the reader in %d, want 6", last, err, l.number)
	}
}

// An entry whose writer is still at it, or has died, is told apart from damage, and read when it is complete.
func TestLogReaderTorn(t *testing.T) {
	whole := AppendEntry(nil, entryAt(2))
	for cut := 1; cut < len(whole); cut++ {
		dir := writeLog(t, map[int][]int64{1: {1}})
		path := logPath(dir, 1)
		first := fileSize(t, path)
		appendFile(t, path, whole[:cut])
		l := openLog(t, dir, 0)
		got, err := rest(l)
		var where *LogError
		if !slices.Equal(got, []int64{1}) || !errors.Is(err, ErrTorn) || !errors.As(err, &where) || where.File != path || where.Offset != first {
			t.Fatalf("cut at %d: got %v, %v, want the first entry and ErrTorn at %d", cut, got, err, first)
		}
		if _, err := rest(l); !errors.Is(err, ErrTorn) {
			t.Fatalf("cut at %d: got %v at the second attempt, want ErrTorn", cut, err)
		}
		appendFile(t, path, whole[cut:])
		if got, err := rest(l); !slices.Equal(got, []int64{2}) || err != io.EOF {
			t.Fatalf("completed: got %v, %v, want the second entry and EOF", got, err)
		}
	}
}

// The writer cuts off what its predecessor has left of an entry, and then all can be read.
func TestLogWriterCutsTornEntry(t *testing.T) {
	whole := AppendEntry(nil, entryAt(2))
	for cut := 0; cut < len(whole); cut++ {
		dir := writeLog(t, map[int][]int64{1: {1}})
		appendFile(t, logPath(dir, 1), whole[:cut])
		w, err := OpenLogWriter(dir, 0)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if err := errors.Join(w.Append(entryAt(3)), w.Close()); err != nil {
			t.Fatal(err)
		}
		if got, err := rest(openLog(t, dir, 0)); !slices.Equal(got, []int64{1, 3}) || err != io.EOF {
			t.Fatalf("cut at %d: got %v, %v, want 1 and 3", cut, got, err)
		}
	}
}

func TestLogDamage(t *testing.T) {
	size := len(AppendEntry(nil, entryAt(1)))
	tests := []struct {
		name    string
		damage  func(b []byte) []byte
		want    []int64
		offset  int
		refused bool // by the writer too
	}{
		{"another magic", func(b []byte) []byte { b[size] = 0; return b }, []int64{1}, size, true},
		{"too small a size", func(b []byte) []byte { b[size+16]--; return b }, nil, 0, true},
		{"too large a size", func(b []byte) []byte { b[size+16]++; return b }, nil, 0, true},
		{"a much too large size", func(b []byte) []byte { b[size+14]++; return b }, []int64{1}, size, true},
		{"the largest size", func(b []byte) []byte { copy(b[size+13:], "\xff\xff\xff\xff"); return b }, []int64{1}, size, true},
		{"a large size and no request", func(b []byte) []byte { b[size+14]++; b[size+17]++; return b }, []int64{1}, size, true},
		{"a large size and a request that is not logged", func(b []byte) []byte { b[size+14]++; b[size+18] = byte(Get); return b }, []int64{1}, size, true},
		{"cut, and not the last", func(b []byte) []byte { return b[:len(b)-1] }, []int64{1, 2}, 2 * size, false},
	}
	for _, tt := range tests {
		for _, last := range []bool{true, false} {
			if last && !tt.refused {
				continue
			}
			files := map[int][]int64{1: {1, 2, 3}}
			if !last {
				files[2] = []int64{4}
			}
			dir := writeLog(t, files)
			path := logPath(dir, 1)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = tt.damage(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readAll(openLog(t, dir, 0))
			var where *LogError
			if !errors.Is(err, ErrEntry) || errors.Is(err, ErrTorn) || !errors.As(err, &where) || where.File != path {
				t.Errorf("%s: got %v, %v, want damage in the first file", tt.name, got, err)
				continue
			}
			if tt.want != nil && (!slices.Equal(got, tt.want) || where.Offset != int64(tt.offset)) {
				t.Errorf("%s: got %v, %v, want %v and damage at %d", tt.name, got, err, tt.want, tt.offset)
			}
			if !last {
				continue
			}
			if _, err := OpenLogWriter(dir, 0); !errors.Is(err, ErrEntry) {
				t.Errorf("%s: open to write: got %v, want damage", tt.name, err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
				t.Errorf("%s: the writer has changed the file, %v", tt.name, err)
			}
		}
	}
}

// readAll is rest without a look at the entries.
func readAll(l *LogReader) (times []int64, err error) {
	for {
		var e Entry
		if err := l.Next(&e); err != nil {
			return times, err
		}
		times = append(times, e.Time)
	}
}

// An entry larger than the window is read as a whole, and what is behind it.
func TestLogReaderLargeEntry(t *testing.T) {
	dir := t.TempDir()
	w, err := OpenLogWriter(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Command: Put, Key: k, Value: bytes.Repeat(v, logWindow)}
	large := &Entry{Time: 2, Payload: AppendPayload(nil, &r, true)}
	if err := errors.Join(w.Append(entryAt(1)), w.Append(large), w.Append(entryAt(3)), w.Close()); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, dir, 0)
	var first, second, third Entry
	if err := l.Next(&first); err != nil || first.Time != 1 {
		t.Fatalf("first: %+v, %v", first, err)
	}
	if err := l.Next(&second); err != nil || !bytes.Equal(second.Payload, large.Payload) {
		t.Fatalf("large: %d bytes, %v", len(second.Payload), err)
	}
	if err := l.Next(&third); err != nil || third.Time != 3 {
		t.Fatalf("third: %+v, %v", third, err)
	}
	if err := l.Next(&third); err != io.EOF {
		t.Fatalf("end: %v", err)
	}
	// Of a torn one only what is there.
	path := logPath(dir, 1)
	if err := os.Truncate(path, fileSize(t, path)-int64(len(AppendEntry(nil, entryAt(3))))-1); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, dir, 0)
	if times, err := readAll(l); !slices.Equal(times, []int64{1}) || !errors.Is(err, ErrTorn) || cap(l.buf) > 2*logWindow {
		t.Errorf("torn: %v, %v, with %d bytes of memory", times, err, cap(l.buf))
	}
}

func TestLogNumber(t *testing.T) {
	for name, want := range map[string]int{
		"00000001.ulog": 1, "99999999.ulog": 99999999, "00000000.ulog": 0, "0000001.ulog": 0, "000000001.ulog": 0, "0000000a.ulog": 0,
		"+0000001.ulog": 0, "00000001.ulo": 0, "00000001": 0, "": 0,
	} {
		if got := logNumber(name); got != want {
			t.Errorf("logNumber(%q): got %d, want %d", name, got, want)
		}
	}
	if got, want := logPath("d", 42), filepath.Join("d", "00000042.ulog"); got != want {
		t.Errorf("logPath: got %s, want %s", got, want)
	}
}

func TestLogErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	if _, err := OpenLog(dir, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open a folder that is not there: %v", err)
	}
	if _, err := OpenLogWriter(dir, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("write to a folder that is not there: %v", err)
	}
}

func FuzzLogReader(f *testing.F) {
	one := AppendEntry(nil, entryAt(1))
	f.Add(slices.Concat(one, one), one)
	f.Add(one, one[:len(one)-1])
	f.Add(one[:20], one)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		for i, b := range [][]byte{first, second} {
			if err := os.WriteFile(logPath(dir, i+1), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l := openLog(t, dir, 0)
		times, err := readAll(l)
		if len(times) > (len(first)+len(second))/entryHead || cap(l.buf) > 2*logWindow+len(first)+len(second) {
			t.Fatalf("%d entries, with %d bytes of memory", len(times), cap(l.buf))
		}
		if err == io.EOF {
			if l.number != 2 || l.offset != int64(len(second)) {
				t.Fatalf("the end is at %d of file %d", l.offset, l.number)
			}
			return
		}
		if !errors.Is(err, ErrTorn) && !errors.Is(err, ErrEntry) {
			t.Fatalf("read: %v", err)
		}
		// A torn log is readable again after a writer has gone on with it.
		if !errors.Is(err, ErrTorn) {
			return
		}
		w, err := OpenLogWriter(dir, 0)
		if err != nil {
			t.Fatalf("go on with a torn log: %v", err)
		}
		if err := errors.Join(w.Append(entryAt(9)), w.Close()); err != nil {
			t.Fatal(err)
		}
		if all, err := readAll(openLog(t, dir, 0)); len(all) != len(times)+1 || err != io.EOF {
			t.Fatalf("read what was gone on with: %d entries, %v, want %d", len(all), err, len(times)+1)
		}
	})
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func appendFile(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestLogPosition stops behind every entry and goes on there with another reader.
func TestLogPosition(t *testing.T) {
	want := []int64{1, 2, 3, 4, 5}
	dir := writeLog(t, map[int][]int64{1: {1, 2}, 2: nil, 3: {3, 4}, 4: {5}})
	var all int64
	for n := range want {
		l := openLog(t, dir, 0)
		for range n {
			var e Entry
			if err := l.Next(&e); err != nil {
				t.Fatal(err)
			}
		}
		left, err := l.Left()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			all = left
		}
		if size := int64(len(AppendEntry(nil, entryAt(1)))); left != all-int64(n)*size || all != 5*size {
			t.Errorf("%d bytes are left behind %d of %d", left, n, all)
		}
		again, err := OpenLogAt(dir, l.Position(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if times, err := rest(again); err != io.EOF || !slices.Equal(times, want[n:]) {
			t.Errorf("from %+v: got %v, %v, want %v", l.Position(), times, err, want[n:])
		}
	}
	for _, at := range []LogPosition{{File: 9}, {File: 1, Offset: 1 << 20}} {
		if l, err := OpenLogAt(dir, at, 0); err == nil {
			l.Close()
			t.Errorf("a log is open at %+v", at)
		}
	}
}
