package memcache

import (
	"bytes"
	"strings"
	"testing"
)

func TestAppendRequests(t *testing.T) {
	tests := []struct {
		got  []byte
		want string
	}{
		{AppendGetRequest(nil, OpGet, "a"), "get a\r\n"},
		{AppendGetRequest(nil, OpGets, "a", "b", "c"), "gets a b c\r\n"},
		{AppendGatRequest(nil, OpGat, 30, "a"), "gat 30 a\r\n"},
		{AppendGatRequest(nil, OpGats, -1, "a", "b"), "gats -1 a b\r\n"},
		{AppendStoreRequest(nil, OpSet, "k", 0, 0, 3), "set k 0 0 3\r\n"},
		{AppendStoreRequest(nil, OpAdd, "k", 1<<32-1, 2592000, 0), "add k 4294967295 2592000 0\r\n"},
		{AppendStoreRequest(nil, OpReplace, "k", 1, -1, 1), "replace k 1 -1 1\r\n"},
		{AppendStoreRequest(nil, OpAppend, "k", 0, 0, 1), "append k 0 0 1\r\n"},
		{AppendStoreRequest(nil, OpPrepend, "k", 0, 0, 1), "prepend k 0 0 1\r\n"},
		{AppendCASRequest(nil, "k", 7, 1763900000, 2, 1<<64-1), "cas k 7 1763900000 2 18446744073709551615\r\n"},
		{AppendDeleteRequest(nil, "k"), "delete k\r\n"},
		{AppendCountRequest(nil, OpIncr, "k", 0), "incr k 0\r\n"},
		{AppendCountRequest(nil, OpDecr, "k", 1<<64-1), "decr k 18446744073709551615\r\n"},
		{AppendTouchRequest(nil, "k", 60), "touch k 60\r\n"},
		{AppendFlushRequest(nil, 0), "flush_all\r\n"},
		{AppendFlushRequest(nil, 10), "flush_all 10\r\n"},
		{AppendVersionRequest(nil), "version\r\n"},
		{AppendStatsRequest(nil, ""), "stats\r\n"},
		{AppendStatsRequest(nil, "cachedump 1 100"), "stats cachedump 1 100\r\n"},
		{AppendDeleteRequest([]byte("version\r\n"), "k"), "version\r\ndelete k\r\n"},
	}
	for _, tt := range tests {
		if string(tt.got) != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestValidKey(t *testing.T) {
	tests := []struct {
		key  string
		want bool
	}{
		{"a", true},
		{"", false},
		{strings.Repeat("k", MaxKeyLength), true},
		{strings.Repeat("k", MaxKeyLength+1), false},
		{"ключ", true},
		{"\x80\xff", true},
		{"a b", false},
		{"a\tb", false},
		{"a\r\nflush_all", false},
		{"a\nb", false},
		{"a\x00", false},
		{"\x1f", false},
		{"\x7f", false},
		{"!", true},
		{"~", true},
	}
	for _, tt := range tests {
		if got := ValidKey(tt.key); got != tt.want {
			t.Errorf("ValidKey(%q): got %v, want %v", tt.key, got, tt.want)
		}
	}
}

// FuzzRequest sends what a client can ask for to the server's decoder: it must read one request, with the same content.
func FuzzRequest(f *testing.F) {
	f.Add("k", "other", uint32(7), int64(60), uint64(9), []byte("value"))
	f.Add(strings.Repeat("k", MaxKeyLength), "ключ", uint32(1<<32-1), int64(-1), uint64(1<<64-1), []byte("\r\nEND\r\n"))
	f.Add("!", "~", uint32(0), int64(1<<31-1), uint64(0), []byte{})
	f.Add("noreply", "noreply", uint32(0), int64(0), uint64(1), []byte("noreply"))
	f.Fuzz(func(t *testing.T, key, other string, flags uint32, exptime int64, number uint64, value []byte) {
		if !ValidKey(key) || !ValidKey(other) || exptime != int64(int32(exptime)) {
			return
		}
		crlf := func(b []byte) []byte { return append(append(b, value...), '\r', '\n') }
		tests := []struct {
			op   Op
			line []byte
		}{
			{OpGet, AppendGetRequest(nil, OpGet, key, other)},
			{OpGats, AppendGatRequest(nil, OpGats, exptime, key, other)},
			{OpSet, crlf(AppendStoreRequest(nil, OpSet, key, flags, exptime, len(value)))},
			{OpPrepend, crlf(AppendStoreRequest(nil, OpPrepend, key, flags, exptime, len(value)))},
			{OpCAS, crlf(AppendCASRequest(nil, key, flags, exptime, len(value), number))},
			{OpDelete, AppendDeleteRequest(nil, key)},
			{OpIncr, AppendCountRequest(nil, OpIncr, key, number)},
			{OpTouch, AppendTouchRequest(nil, key, exptime)},
			{OpFlushAll, AppendFlushRequest(nil, exptime)},
			{OpVersion, AppendVersionRequest(nil)},
			{OpStats, AppendStatsRequest(nil, "items")},
		}
		for _, tt := range tests {
			var d Decoder
			var r Request
			n, _, err := d.Decode(tt.line, &r)
			if err != nil || n != len(tt.line) || r.Op != tt.op {
				t.Fatalf("%q: got %v with %d bytes and error %v", tt.line, r.Op, n, err)
			}
			switch tt.op {
			case OpGet, OpGats:
				first, _ := r.Keys.Next()
				second, _ := r.Keys.Next()
				_, more := r.Keys.Next()
				if string(first) != key || string(second) != other || more {
					t.Errorf("%q: got keys %q and %q, more: %v", tt.line, first, second, more)
				}
			case OpFlushAll, OpVersion, OpStats:
			default:
				if string(r.Key) != key {
					t.Errorf("%q: got key %q", tt.line, r.Key)
				}
			}
			data := tt.op == OpSet || tt.op == OpPrepend || tt.op == OpCAS
			if data && (!bytes.Equal(r.Value, value) || r.Flags != flags) {
				t.Errorf("%q: got value %q and flags %d", tt.line, r.Value, r.Flags)
			}
			if (data || tt.op == OpGats || tt.op == OpTouch || tt.op == OpFlushAll) && r.Exptime != exptime {
				t.Errorf("%q: got exptime %d", tt.line, r.Exptime)
			}
			if (tt.op == OpCAS && r.CAS != number) || (tt.op == OpIncr && r.Delta != number) {
				t.Errorf("%q: got CAS %d and delta %d, want %d", tt.line, r.CAS, r.Delta, number)
			}
			if r.Noreply {
				t.Errorf("%q: noreply", tt.line)
			}
		}
	})
}
