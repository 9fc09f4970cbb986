package memcache

import (
	"math"
	"testing"
)

func TestAppendReplies(t *testing.T) {
	dst := []byte("x")
	for _, c := range []struct{ got, want string }{
		{string(AppendValue(dst, []byte("k"), math.MaxUint32, 0)), "xVALUE k 4294967295 0\r\n"},
		{string(AppendValueCAS(dst, []byte("k"), 0, 12, math.MaxUint64)), "xVALUE k 0 12 18446744073709551615\r\n"},
		{string(AppendUint(dst, math.MaxUint64)), "x18446744073709551615\r\n"},
		{string(AppendStat(dst, "pid", "1")), "xSTAT pid 1\r\n"},
		{string(AppendVersion(dst, "1.2.3")), "xVERSION 1.2.3\r\n"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestAppendRepliesDoNotAllocate(t *testing.T) {
	key := []byte("k")
	buf := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(100, func() {
		b := AppendValue(buf, key, 1, 100)
		b = AppendValueCAS(b, key, 1, 100, 1<<63)
		AppendUint(b, 1<<63)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkAppendValue(b *testing.B) {
	key := []byte("user:1234567890")
	buf := make([]byte, 0, 200)
	b.ReportAllocs()
	for b.Loop() {
		AppendValue(buf, key, 0, 100)
	}
}
