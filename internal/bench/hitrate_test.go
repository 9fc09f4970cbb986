package bench

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadHit(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("END\r\nVALUE key-1 0 3\r\nabc\r\nEND\r\nEND\r\nSERVER_ERROR\r\n"))
	for i, want := range []bool{false, true, false} {
		if got, err := readHit(in); got != want || err != nil {
			t.Fatalf("reply %d: got %v and error %v, want %v", i, got, err, want)
		}
	}
	if _, err := readHit(in); err == nil {
		t.Error("no error for an error line")
	}
	for k := range uint64(10_000) {
		if size := sizeOfKey(k); size < 100 || size > 1000 {
			t.Fatalf("value of key %d has %d bytes", k, size)
		}
	}
}
