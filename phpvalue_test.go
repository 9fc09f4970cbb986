package futago

import (
	"bytes"
	"compress/zlib"
	"math"
	"strings"
	"testing"
)

func deflate(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestEncodePHP(t *testing.T) {
	tests := []struct {
		v     any
		value string
		flags uint32
	}{
		{"text", "text", 0},
		{[]byte("text"), "text", 0},
		{true, "1", 256},
		{false, "0", 256},
		{-5, "-5", 768},
		{int64(math.MaxInt64), "9223372036854775807", 768},
		{0.5, "0.5", 1792},
		{0.1 + 0.2, "0.3", 1792},
		{1e-7, "1e-07", 1792},
		{math.Inf(1), "INF", 1792},
		{math.Inf(-1), "-INF", 1792},
		{math.NaN(), "NAN", 1792},
	}
	// 0.1+0.2 is exact arithmetic on constants; at run time it is not.
	x, y := 0.1, 0.2
	tests = append(tests, struct {
		v     any
		value string
		flags uint32
	}{x + y, "0.30000000000000004", 1792})
	for _, tt := range tests {
		value, flags, err := EncodePHP(tt.v)
		if string(value) != tt.value || flags != tt.flags || err != nil {
			t.Errorf("EncodePHP(%v): got %q, flags %d and error %v, want %q and %d", tt.v, value, flags, err, tt.value, tt.flags)
		}
	}
	for _, v := range []any{nil, uint(1), []string{"a"}} {
		if value, _, err := EncodePHP(v); err == nil {
			t.Errorf("EncodePHP(%v): got %q, want an error", v, value)
		}
	}
}

func TestDecodePHP(t *testing.T) {
	tests := []struct {
		value string
		flags uint32
		want  any // nil for an error
	}{
		{"text", 0, "text"},
		{"", 0, ""},
		{"1", 256, true},
		{"0", 256, false},
		{"", 256, false},
		{"-5", 768, int64(-5)},
		{"8 ", 768, int64(8)},
		{"9223372036854775808", 768, nil},
		{"x", 768, nil},
		// As extension 4.0.5.2 writes them.
		{"0.3", 1792, 0.3},
		{"1.0e-5", 1792, 1e-5},
		{"1.2345678901235e+17", 1792, 1.2345678901235e+17},
		{"INF", 1792, math.Inf(1)},
		{"x", 1792, nil},
		{"text", 0x500, "text"},      // unknown types are strings
		{"text", 0x80000000, "text"}, // bits that are free for users
		{`a:0:{}`, 1, nil},
		{"no stream", 2, nil},
		{string(deflate(t, []byte(strings.Repeat("a", 30000)))), 2, strings.Repeat("a", 30000)},
		{string(deflate(t, []byte("a"))[:5]), 2, nil},
	}
	for _, tt := range tests {
		got, err := DecodePHP(&Item{Key: "k", Value: []byte(tt.value), Flags: tt.flags})
		if got != tt.want || (err == nil) != (tt.want != nil) {
			t.Errorf("DecodePHP(%.30q, %#x): got %.30v and error %v, want %.30v", tt.value, tt.flags, got, err, tt.want)
		}
	}
}

// TestDecodePHPLimit: a small stream may hold any number of zeros.
func TestDecodePHPLimit(t *testing.T) {
	item := &Item{Value: deflate(t, make([]byte, 1000)), Flags: PHPCompressed}
	if got, err := decodePHP(item, 1000); err != nil || got != string(make([]byte, 1000)) {
		t.Errorf("at the limit: got %.30q and error %v", got, err)
	}
	if got, err := decodePHP(item, 999); err == nil {
		t.Errorf("over the limit: got %.30q, want an error", got)
	}
}

// FuzzDecodePHP: no panic, and what was encoded comes back.
func FuzzDecodePHP(f *testing.F) {
	f.Add([]byte("8 "), uint32(768))
	f.Add([]byte("1.0e-5"), uint32(1792))
	f.Add(deflate(f, []byte("1")), uint32(258))
	f.Fuzz(func(t *testing.T, value []byte, flags uint32) {
		got, err := DecodePHP(&Item{Value: value, Flags: flags})
		if err != nil {
			return
		}
		if n, ok := got.(float64); ok && math.IsNaN(n) {
			return // equals nothing
		}
		value, flags, err = EncodePHP(got)
		if err != nil {
			t.Fatalf("encode %v: %v", got, err)
		}
		if again, err := DecodePHP(&Item{Value: value, Flags: flags}); err != nil || again != got {
			t.Errorf("%v became %v with error %v", got, again, err)
		}
	})
}
