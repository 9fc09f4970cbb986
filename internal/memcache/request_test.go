package memcache

import "testing"

func TestOpString(t *testing.T) {
	if got := Op(0).String() + " " + OpFlushAll.String() + " " + Op(255).String(); got != "none flush_all none" {
		t.Errorf("names of operations: %s", got)
	}
}

func TestKeyListCopyWalksAlone(t *testing.T) {
	var d Decoder
	var r Request
	if _, _, err := d.Decode([]byte("get  a bb  a \r\n"), &r); err != nil {
		t.Fatal(err)
	}
	again := r.Keys
	for _, keys := range []*KeyList{&r.Keys, &again} {
		var got string
		for k, ok := keys.Next(); ok; k, ok = keys.Next() {
			got += string(k) + ","
		}
		if got != "a,bb,a," {
			t.Errorf("keys: got %s, want a,bb,a,", got)
		}
		if k, ok := keys.Next(); ok {
			t.Errorf("after the last key: got %q", k)
		}
	}
}
