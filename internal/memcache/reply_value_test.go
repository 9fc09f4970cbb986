package memcache

import (
	"bytes"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// TestReadValuesTakesMemoryAsBytesArrive lets a server announce a large value and send little of it.
func TestReadValuesTakesMemoryAsBytesArrive(t *testing.T) {
	const announced = 1 << 30
	in := "VALUE k 0 " + strconv.Itoa(announced) + "\r\n" + strings.Repeat("x", 100_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := NewReplyReader(strings.NewReader(in), announced).ReadValues(false, func(Value) error { return nil })
	runtime.ReadMemStats(&after)
	if err != io.ErrUnexpectedEOF {
		t.Errorf("got error %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 4<<20 {
		t.Errorf("took %d bytes for %d received", taken, len(in))
	}
}

func TestReadValuesLargeValue(t *testing.T) {
	for _, size := range []int{replyFirstRead - 1, replyFirstRead, replyFirstRead + 1, 5 * replyFirstRead, testMaxValue} {
		want := bytes.Repeat([]byte("0123456789abcdef\r\n"), size/18+1)[:size]
		in := AppendValue(nil, []byte("k"), 1, size)
		in = append(append(in, want...), "\r\nEND\r\n"...)
		var got []byte
		err := NewReplyReader(bytes.NewReader(in), testMaxValue).ReadValues(false, func(v Value) error {
			got = v.Data
			return nil
		})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("size %d: got %d bytes and error %v", size, len(got), err)
		}
	}
}

// FuzzReply feeds any bytes to every reader: no panic, errors of the documented kinds only, and what comes out is
// no larger than what went in.
func FuzzReply(f *testing.F) {
	for _, tt := range replyTests {
		f.Add([]byte(tt.in[:min(len(tt.in), 200)]))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, withCAS := range []bool{false, true} {
			var back []byte
			r := NewReplyReader(bytes.NewReader(in), testMaxValue)
			err := r.ReadValues(withCAS, func(v Value) error {
				if len(v.Data) > len(in) || len(v.Key) > len(in) {
					t.Errorf("%d and %d bytes out of %d", len(v.Key), len(v.Data), len(in))
				}
				if withCAS {
					back = AppendValueCAS(back, v.Key, v.Flags, len(v.Data), v.CAS)
				} else {
					back = AppendValue(back, v.Key, v.Flags, len(v.Data))
				}
				back = append(append(back, v.Data...), '\r', '\n')
				return nil
			})
			checkReplyError(t, err)
			if err != nil {
				continue
			}
			// What was accepted says the same when written again; only leading zeros may be lost.
			back = append(back, ReplyEnd...)
			first := readValues(NewReplyReader(bytes.NewReader(in), testMaxValue), withCAS)
			if again := readValues(NewReplyReader(bytes.NewReader(back), testMaxValue), withCAS); again != first {
				t.Errorf("%q became %q: got %s, want %s", in, back, again, first)
			}
		}
		_, err := NewReplyReader(bytes.NewReader(in), testMaxValue).ReadStatus()
		checkReplyError(t, err)
		_, _, err = NewReplyReader(bytes.NewReader(in), testMaxValue).ReadNumber()
		checkReplyError(t, err)
		_, err = NewReplyReader(bytes.NewReader(in), testMaxValue).ReadVersion()
		checkReplyError(t, err)
		err = NewReplyReader(bytes.NewReader(in), testMaxValue).ReadStats(func(string, string) {})
		checkReplyError(t, err)
	})
}

func checkReplyError(t *testing.T, err error) {
	t.Helper()
	switch err.(type) {
	case nil, *ErrorReply, *SyntaxError:
		return
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		t.Errorf("error of unknown kind: %T %v", err, err)
	}
}
