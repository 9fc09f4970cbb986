package record

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"github.com/futago/futago/internal/hlc"
)

func by(at int64, node int) Author { return Author{hlc.Make(at, 0, node), uint64(node)} }

func zero(d Domain, at int64, node int) Record {
	return NewNumber(Record{Stamp: hlc.Make(at, 0, node), Key: []byte("k")}, d)
}

func TestInt32IsFourBytesThatWrap(t *testing.T) {
	r := zero(Int32, 1, 1)
	for _, step := range []struct{ add, want int32 }{
		{5, 5}, {0, 5}, {-7, -2}, {math.MaxInt32, math.MaxInt32 - 2}, {3, math.MinInt32}, {math.MinInt32, 0}, {1, 1},
	} {
		next, got := ContributeInt32(&r, by(2, 1), step.add, nil)
		stored, ok := next.Int32()
		if got != step.want || stored != step.want || !ok {
			t.Fatalf("%d more: reply %d, stored %d %v, want %d", step.add, got, stored, ok, step.want)
		}
		if want := binary.LittleEndian.AppendUint32(nil, uint32(step.want)); !bytes.Equal(next.AppendVisible(nil), want) {
			t.Fatalf("%d more reads % x, want % x", step.add, next.AppendVisible(nil), want)
		}
		if added, ok := next.Added(); added != step.add || !ok {
			t.Fatalf("%d more: it says that %d was added, %v", step.add, added, ok)
		}
		r = next.Clone()
	}
	text := Record{Kind: Value, Stamp: hlc.Make(1, 0, 1), Value: []byte("1234")}
	if next, got := ContributeInt32(&text, by(2, 1), 1, nil); got != 0x34333232 || string(next.AppendVisible(nil)) != "2234" {
		t.Fatalf("any 4 bytes are a number: got %#x, %q", got, next.AppendVisible(nil))
	}
}

// What two nodes create and add to at once all counts, in each of both domains.
func TestNumbersCreatedAtOnceUnite(t *testing.T) {
	a, b := zero(Int32, 1, 1), zero(Int32, 2, 2)
	a, _ = ContributeInt32(&a, by(1, 1), 5, nil)
	b, _ = ContributeInt32(&b, by(2, 2), 7, nil)
	b, _ = ContributeInt32(&b, by(3, 2), 1, nil)
	m := Merge(&a, &b)
	if got, _ := m.Int32(); got != 13 {
		t.Errorf("5, 7 and 1 give %d", got)
	}
	c, d := zero(Float64, 1, 1), zero(Float64, 2, 2)
	c, _ = ContributeFloat64(&c, by(1, 1), 0.5, nil)
	d, _ = ContributeFloat64(&d, by(2, 2), -2, nil)
	m = Merge(&c, &d)
	if got, _ := m.Float64(); got != -1.5 {
		t.Errorf("0.5 and -2 give %v", got)
	}
	// A put that did not know of them wins, as it does over increments.
	put := Record{Kind: Value, Key: []byte("k"), Stamp: hlc.Make(1, 0, 3), Value: []byte("x")}
	if m = Merge(&m, &put); string(m.Value) != "x" {
		t.Errorf("a put lost to a creation: %s", show(&m))
	}
}

// Both nodes may begin to add to one stored value at once.
func TestAddingToOneValueOnBothSides(t *testing.T) {
	put := Record{Kind: Value, Stamp: hlc.Make(1, 0, 1), Value: []byte{1, 0, 0, 0}, Type: []byte("x/y"), Flags: 3}
	a, _ := ContributeInt32(&put, by(2, 1), 10, nil)
	b, _ := ContributeInt32(&put, by(3, 2), 20, nil)
	m := Merge(&a, &b)
	if got, _ := m.Int32(); got != 31 || m.Flags != 3 || string(m.Type) != "x/y" {
		t.Errorf("1, 10 and 20 give %s", show(&m))
	}
}

// Arithmetic of another kind on a number that was added to is a write of its own, in every direction.
func TestDomainsMeet(t *testing.T) {
	r := Record{Kind: Value, Stamp: hlc.Make(1, 0, 1), Value: []byte("1233")}
	r, _ = Contribute(&r, by(2, 1), true, 1, nil) // decimal 1234
	r, got := ContributeInt32(&r, by(3, 1), 1, nil)
	if got != 0x34333232 || r.Gen() != (Gen{Stamp: hlc.Make(3, 0, 1), Domain: Int32}) {
		t.Fatalf("addint on a counter of text: %#x, %s", got, show(&r))
	}
	r, number := Contribute(&r, by(4, 1), true, 1, nil) // "2234" as text
	if number != 2235 || string(r.AppendVisible(nil)) != "2235" || r.Gen() != (Gen{Stamp: hlc.Make(4, 0, 1)}) {
		t.Fatalf("incr on 4 bytes that are text: %d, %s", number, show(&r))
	}
	if _, err := Decode(r.Append(nil)); err != nil {
		t.Fatal(err)
	}
}

// A double to which only zeros were added reads as it was stored, by every way to read it.
func TestNothingAddedToADouble(t *testing.T) {
	r := Record{Kind: Value, Stamp: hlc.Make(1, 0, 1), Value: []byte("12345678")}
	r, _ = ContributeFloat64(&r, by(2, 1), 0, nil)
	if n, ok := r.Number(); n != 12345678 || !ok || string(r.AppendVisible(nil)) != "12345678" || string(r.Bytes(nil)) != "12345678" {
		t.Errorf("it reads %d, %v, %q", n, ok, r.AppendVisible(nil))
	}
	r, number := Contribute(&r, by(3, 1), true, 1, nil)
	if number != 12345679 {
		t.Errorf("one more is %d", number)
	}
	z := zero(Float64, 1, 1)
	z, _ = ContributeFloat64(&z, by(1, 1), 0, nil)
	if _, ok := z.Number(); ok || len(z.AppendVisible(nil)) != 8 {
		t.Errorf("a zero reads %q", z.AppendVisible(nil))
	}
}

func TestFloat64Edges(t *testing.T) {
	r := zero(Float64, 1, 1)
	r, _ = ContributeFloat64(&r, by(2, 1), 0.1, nil)
	r, sum := ContributeFloat64(&r, by(3, 1), 0.2, nil)
	if point1 := 0.1; sum != point1+0.2 {
		t.Errorf("0.1 and 0.2 give %v", sum)
	}
	inf, _ := ContributeFloat64(&r, by(4, 1), math.Inf(1), nil)
	other, _ := ContributeFloat64(&r, by(5, 2), math.Inf(-1), nil)
	m, n := Merge(&inf, &other), Merge(&other, &inf)
	if v, ok := m.Float64(); !math.IsNaN(v) || !ok || !bytes.Equal(m.AppendVisible(nil), n.AppendVisible(nil)) {
		t.Errorf("both infinities give % x and % x", m.AppendVisible(nil), n.AppendVisible(nil))
	}
}

// A counter whose base cannot be a number of its domain is refused.
func TestDecodeChecksTheWidthOfTheDomain(t *testing.T) {
	a := zero(Int32, 1, 1)
	r, _ := ContributeInt32(&a, by(2, 1), 1, nil)
	if _, err := Decode(r.Append(nil)); err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(v []byte) []byte{
		func(v []byte) []byte { return append(v, 0) },
		func(v []byte) []byte { v[18] = byte(Float64); return v },
		func(v []byte) []byte { v[18] = 3; return v },
	} {
		bad := r.Clone()
		bad.Value = spoil(bad.Value)
		if got, err := Decode(bad.Append(nil)); err == nil {
			t.Errorf("decoded: %s", show(&got))
		}
	}
}
