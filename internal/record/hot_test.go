package record

import (
	"testing"

	"github.com/futago/futago/internal/guard"
	"github.com/futago/futago/internal/hlc"
)

func BenchmarkHotRecord(b *testing.B) {
	key, value := []byte("user:1234567890"), make([]byte, 100)
	older := Record{Kind: Value, Stamp: hlc.Make(1000, 0, 1), Key: key, Value: value}
	newer := Record{Kind: Value, Stamp: hlc.Make(2000, 0, 2), Replaced: older.Stamp, Key: key, Value: value}
	number := Record{Kind: Value, Stamp: hlc.Make(1000, 0, 1), Key: key, Value: []byte("5")}
	here, _ := Contribute(&number, Author{Stamp: hlc.Make(2000, 0, 1), Epoch: 1}, true, 3, nil)
	there, _ := Contribute(&number, Author{Stamp: hlc.Make(3000, 0, 2), Epoch: 2}, true, 4, nil)

	buf := make([]byte, 0, 1000)
	b.Run("op=encode", func(b *testing.B) { guard.Measure(b, func() { newer.Append(buf) }) })
	encoded := newer.Append(nil)
	b.Run("op=decode", func(b *testing.B) {
		guard.Measure(b, func() {
			if _, err := Decode(encoded); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("op=merge/kind=value", func(b *testing.B) {
		guard.Measure(b, func() {
			if r := Merge(&older, &newer); r.Stamp != newer.Stamp {
				b.Fatal("the older one won")
			}
		})
	})
	b.Run("op=merge/kind=counter", func(b *testing.B) {
		guard.Measure(b, func() {
			if r := Merge(&here, &there); r.Kind != Counter {
				b.Fatal("not united")
			}
		})
	})
	b.Run("op=contribute", func(b *testing.B) {
		by := Author{Stamp: hlc.Make(4000, 0, 1), Epoch: 1}
		guard.Measure(b, func() { Contribute(&here, by, true, 1, buf) })
	})
}
