package record

import (
	"testing"

	"github.com/futago/futago/internal/hlc"
)

func TestImpossible(t *testing.T) {
	// Both nodes create a key; the one of node 2 is older and was counted. Where both are known the newest stamp is that of
	// node 1's creation, which is also the stamp of that creation alone.
	mine := Record{Kind: Value, Stamp: hlc.Make(9, 0, 1), Created: true, Value: []byte("5")}
	theirs := Record{Kind: Value, Stamp: hlc.Make(3, 0, 2), Created: true, Value: []byte("7")}
	counted, _ := Contribute(&theirs, Author{hlc.Make(4, 0, 2), 1}, true, 1, nil)
	both := Merge(&mine, &counted)
	if both.Stamp != mine.Stamp {
		t.Fatalf("merged stamp %v, want %v", both.Stamp, mine.Stamp)
	}
	if Impossible(&mine, &both) || Impossible(&both, &mine) {
		t.Fatalf("false alarm between %s and %s", show(&mine), show(&both))
	}
	copied := mine
	copied.Value = []byte("6")
	if !Impossible(&mine, &copied) {
		t.Fatalf("no alarm between %s and %s", show(&mine), show(&copied))
	}
	if m, n := Merge(&mine, &copied), Merge(&copied, &mine); !Equal(&m, &n) || string(m.Value) != "6" {
		t.Fatalf("greater bytes must win whichever way: got %s and %s", show(&m), show(&n))
	}
}

// Whatever is created after an expired record must be of a later generation than that record.
func TestCreationAfterExpiryIsLater(t *testing.T) {
	created := Record{Kind: Value, Stamp: hlc.Make(20, 0, 1), Replaced: hlc.Make(10, 0, 1), Created: true, Value: []byte("5")}
	counted, _ := Contribute(&created, Author{hlc.Make(21, 0, 1), 1}, true, 1, nil)
	for _, r := range []Record{created, counted, {Kind: Value, Stamp: hlc.Make(20, 0, 1)}} {
		for _, expires := range []uint64{1, 10, 11, 20, 30} {
			r.Expires = expires
			if next := (Gen{Stamp: r.GoneStamp(), Created: true}); next.Compare(r.Gen()) <= 0 {
				t.Errorf("%s: created after it is %v", show(&r), next)
			}
		}
	}
}
