package memcache

import (
	"bytes"
	"testing"
)

// manageCases are lines of one request each.
var manageCases = []struct{ line, want string }{
	{"lru_crawler metadump all", "dump dump=1"},
	{"lru_crawler metadump hash", "dump dump=1"},
	{"lru_crawler metadump 1", "dump dump=1"},
	{"lru_crawler  metadump  5,,1 ", "dump dump=1"},
	{"lru_crawler mgdump all", "dump dump=2"},
	{"lru_crawler mgdump 2", `tune reply="EN\r\n"`},
	{"lru_crawler metadump 2,63", `tune reply="END\r\n"`},
	{"lru_crawler metadump 1,64", `error reply="BADCLASS invalid class id\r\n"`},
	{"lru_crawler metadump 1,0", `error reply="BADCLASS invalid class id\r\n"`},
	{"lru_crawler metadump 1,-1", `error reply="BADCLASS invalid class id\r\n"`},
	{"lru_crawler mgdump all,1", `error reply="BADCLASS invalid class id\r\n"`},
	{"lru_crawler metadump all noreply", errError},
	{"lru_crawler crawl noreply", `error reply="BADCLASS invalid class id\r\n"`},
	{"lru_crawler sleep 1000000", `tune reply="OK\r\n"`},
	{"lru_crawler sleep 99999999999999999999", errFormat},
	{"lru", errError},
	{"lru tune 99999999999999999999 1 1 1", errError},
	{"lru tune 9223372036854775807 9223372036854775807 1 1", `error reply="ERROR hot and warm pcts must not exceed 80\r\n"`},
	{"lru mode flat noreply", "tune noreply"},
	{"lru mode noreply", errNoreply},
	{"slabs reassign 63 0", `error reply="NOSPARE source class has no spare pages\r\n"`},
	{"slabs reassign 64 64", `error reply="SAME src and dst class are identical\r\n"`},
	{"slabs reassign 1 64", `error reply="BADCLASS invalid src or dst class id\r\n"`},
	{"slabs automove ratio", errError},
	{"slabs automove 3 noreply", errNoreply},
	{"extstore free_memchunks 1", errError},
	{"extstore item_size", errError},
	{"cache_memlimit 64", "cache_memlimit delta=64"},
	{"cache_memlimit 64 noreply", "cache_memlimit delta=64 noreply"},
	{"cache_memlimit -1", errError},
	{"cache_memlimit", errError},
	{"shutdown", "shutdown"},
	{"shutdown  now noreply ", `shutdown arg="now noreply"`},
	{"watch fetchers", `tune reply="CLIENT_ERROR watch commands not allowed\r\n"`},
	{"watch noreply", "tune noreply"},
}

func TestDecodeManagement(t *testing.T) {
	for _, c := range manageCases {
		checkDecode(t, Decoder{}, c.line+"\r\nversion\r\n", []string{c.want, "version"})
	}
}

func TestAppendDumpLines(t *testing.T) {
	long := make([]byte, MaxKeyLength)
	for i := range long {
		long[i] = 'k'
	}
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendItem(nil, []byte("a\x01b"), 5, 1700000000), "ITEM a\x01b [5 b; 1700000000 s]\r\n"},
		{AppendMetaDump(nil, &MetaDump{Key: []byte("aZ09-_.~ %:/\x00\xff"), Expires: -1, Accessed: 1700000000, CAS: 1<<64 - 1, Size: 70}),
			"key=aZ09-_.~%20%25%3A%2F%00%FF exp=-1 la=1700000000 cas=18446744073709551615 fetch=no cls=1 size=70\n"},
		{AppendMetaDump(nil, &MetaDump{Key: []byte("k"), Expires: 1700000060, Accessed: 1, CAS: 2, Fetched: true, Size: 3}),
			"key=k exp=1700000060 la=1 cas=2 fetch=yes cls=1 size=3\n"},
		{AppendMgDump(nil, []byte("k")), "mg k\r\n"},
		{AppendMgDump(nil, long), "mg " + string(long) + "\r\n"},
		{AppendMgDump(nil, []byte("a b\r\n")), "mg YSBiDQo= b\r\n"},
		{AppendMgDump(nil, append([]byte(" "), long[:186]...)), ""},
		{AppendMgDump(nil, append(long, 'k')), ""},
		{AppendPrefix(nil, "p", 1, 2, 3, 1<<64-1), "PREFIX p get 1 hit 2 set 3 del 18446744073709551615\r\n"},
		{AppendMemLimitTooSmall(nil, 8), "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"},
	} {
		if string(c.got) != c.want {
			t.Errorf("got  %q\nwant %q", c.got, c.want)
		}
	}
}

// The longest keys that mgdump lists are those that mg takes.
func TestMgDumpIsARequest(t *testing.T) {
	for size := range 300 {
		for _, first := range []byte{'k', ' ', '\n', 0xff} {
			key := bytes.Repeat([]byte{'k'}, size+1)
			key[0] = first
			line := AppendMgDump(nil, key)
			if len(line) == 0 {
				if size+1 <= 186 {
					t.Errorf("a key of %d bytes is left out", size+1)
				}
				continue
			}
			var d Decoder
			var r Request
			if n, _, err := d.Decode(line, &r); n != len(line) || err != nil || r.Op != OpMetaGet || !bytes.Equal(r.Key, key) {
				t.Fatalf("%q: got %s and %v, want mg of %q", line, describe(&r), err, key)
			}
		}
	}
}
