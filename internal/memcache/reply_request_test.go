package memcache

import (
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
