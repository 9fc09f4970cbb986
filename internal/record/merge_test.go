package record

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/futago/futago/internal/hlc"
	"pgregory.net/rapid"
)

// writes draws a history of one key as several nodes would write it, each knowing some of the others' states, and
// returns every state that ever was: what Merge must order.
func writes(t *rapid.T) []Record {
	states := []Record{}
	clock := int64(0)
	n := rapid.IntRange(1, 12).Draw(t, "writes")
	for range n {
		clock++
		node := rapid.IntRange(1, 3).Draw(t, "node")
		stamp := hlc.Make(clock, 0, node)
		by := Author{Stamp: stamp, Epoch: uint64(rapid.IntRange(1, 2).Draw(t, "epoch"))}
		var cur *Record
		if len(states) > 0 && rapid.Bool().Draw(t, "knows") {
			cur = &states[rapid.IntRange(0, len(states)-1).Draw(t, "state")]
		}
		value := []byte(rapid.SampledFrom([]string{"0", "5", "x", "1234", "12345678", "18446744073709551615"}).Draw(t, "value"))
		expires := uint64(rapid.IntRange(0, 2).Draw(t, "expires")) * 1000
		absent := cur == nil || cur.Kind == Tombstone
		op := rapid.IntRange(0, 7).Draw(t, "op")
		number, isInt, isFloat := false, false, false
		if cur != nil && !absent {
			_, number = cur.Number()
			_, isInt = cur.Int32()
			_, isFloat = cur.Float64()
		}
		created := Record{Stamp: stamp}
		if cur != nil {
			created.Replaced = cur.Stamp
		}
		switch {
		case op == 0:
			r := Record{Kind: Value, Stamp: stamp, Value: value, Expires: expires, Stale: rapid.Bool().Draw(t, "stale"), Relayed: rapid.Bool().Draw(t, "relayed")}
			if rapid.Bool().Draw(t, "has unique") {
				r.Unique = uint64(rapid.IntRange(1, 2).Draw(t, "unique"))
			}
			states = append(states, r)
		case op == 1 && absent:
			r := created
			r.Kind, r.Value, r.Created, r.Flags, r.Won = Value, value, true, uint32(node), rapid.Bool().Draw(t, "vivified")
			states = append(states, r)
		case op == 6 && (absent || isInt):
			if absent {
				zero := NewNumber(created, Int32)
				cur = &zero
			}
			r, _ := ContributeInt32(cur, by, int32(rapid.IntRange(-9, 9).Draw(t, "int")), nil)
			r.Relayed = rapid.Bool().Draw(t, "relayed")
			states = append(states, r)
		case op == 7 && (absent || isFloat):
			if absent {
				zero := NewNumber(created, Float64)
				cur = &zero
			}
			r, _ := ContributeFloat64(cur, by, rapid.Float64().Draw(t, "double"), nil)
			states = append(states, r)
		case op == 2 && !absent:
			states = append(states, Record{Kind: Tombstone, Stamp: stamp, Replaced: cur.Stamp, Evicted: rapid.Bool().Draw(t, "evicted")})
		case (op == 3 || op == 4) && number:
			r, _ := Contribute(cur, by, op == 3, uint64(rapid.IntRange(0, 9).Draw(t, "delta")), nil)
			states = append(states, r)
		case op == 5 && !absent:
			r := Renew(cur, stamp, expires, nil)
			r.Won = r.Won || rapid.Bool().Draw(t, "won")
			r.Relayed = rapid.Bool().Draw(t, "relayed")
			states = append(states, r)
		default:
			if len(states) > 1 {
				a := &states[rapid.IntRange(0, len(states)-1).Draw(t, "a")]
				b := &states[rapid.IntRange(0, len(states)-1).Draw(t, "b")]
				states = append(states, Merge(a, b))
			} else {
				states = append(states, Record{Kind: Value, Stamp: stamp, Value: value})
			}
		}
	}
	return states
}

func show(r *Record) string {
	return fmt.Sprintf("%v gen %v stamp %v value %q visible %q expires %d flags %d", r.Kind, r.Gen(), r.Stamp, r.Value, r.AppendVisible(nil), r.Expires, r.Flags)
}

// One (node, epoch) never contributes twice from two states that do not know of each other: a node reads its own writes.
// writes() may draw such histories, and the laws hold for them as well.
func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		states := writes(t)
		pick := func(label string) *Record {
			return &states[rapid.IntRange(0, len(states)-1).Draw(t, label)]
		}
		a, b, c := pick("x"), pick("y"), pick("z")
		aa := Merge(a, a)
		if !Equal(&aa, a) {
			t.Fatalf("not idempotent:\n%s\n%s", show(a), show(&aa))
		}
		ab, ba := Merge(a, b), Merge(b, a)
		if !Equal(&ab, &ba) {
			t.Fatalf("not commutative:\n%s\n%s\n->\n%s\n%s", show(a), show(b), show(&ab), show(&ba))
		}
		bc := Merge(b, c)
		left, right := Merge(&ab, c), Merge(a, &bc)
		if !Equal(&left, &right) || left.Token() != right.Token() {
			t.Fatalf("not associative:\na %s\nb %s\nc %s\n(ab)c %s\na(bc) %s", show(a), show(b), show(c), show(&left), show(&right))
		}
		if _, err := Decode(left.Append(nil)); err != nil {
			t.Fatalf("merged record does not decode: %v\n%s", err, show(&left))
		}
	})
}

// A rule that compares newest stamps instead of generations is not associative once a delete meets two halves of a
// counter: the scenario is kept.
func TestDeleteMeetsTwoHalvesOfACounter(t *testing.T) {
	base := Record{Kind: Value, Stamp: hlc.Make(1, 0, 1), Value: []byte("10")}
	half1, _ := Contribute(&base, Author{hlc.Make(2, 0, 1), 1}, true, 1, nil)
	half2, _ := Contribute(&base, Author{hlc.Make(9, 0, 2), 2}, true, 1, nil)
	del := Record{Kind: Tombstone, Stamp: hlc.Make(5, 0, 3), Replaced: half1.Stamp}
	for _, order := range [][3]*Record{{&half1, &half2, &del}, {&del, &half1, &half2}, {&half2, &del, &half1}} {
		m := Merge(order[0], order[1])
		m = Merge(&m, order[2])
		if m.Kind != Tombstone {
			t.Fatalf("the delete lost to %s", show(&m))
		}
	}
	both := Merge(&half1, &half2)
	if got := both.AppendVisible(nil); string(got) != "12" {
		t.Fatalf("two increments of 10 give %q", got)
	}
}

func TestArithmetic(t *testing.T) {
	start := func(text string) Record {
		return Record{Kind: Value, Stamp: hlc.Make(1, 0, 1), Value: []byte(text), Flags: 7, Expires: 9}
	}
	type step struct {
		up    bool
		delta uint64
		want  uint64
	}
	const maxU = 1<<64 - 1
	for _, c := range []struct {
		name  string
		from  string
		steps []step
		text  string
	}{
		{"plain", "10", []step{{true, 5, 15}, {false, 2, 13}}, "13"},
		{"floor", "3", []step{{false, 10, 0}, {true, 1, 1}}, "1"},
		{"wrap", "18446744073709551615", []step{{true, 1, 0}, {true, 7, 7}}, "7"},
		{"huge delta", "1", []step{{true, maxU, 0}}, "0"},
		{"huge decrement", "18446744073709551615", []step{{false, maxU, 0}}, "0"},
		{"sum leaves int64", "0", []step{{true, 1<<63 - 1, 1<<63 - 1}, {true, 1<<63 - 1, 1<<64 - 2}, {true, 1, maxU}, {true, 1, 0}}, "0"},
		{"blanks and plus", " +5 x", []step{{true, 1, 6}}, "6"},
	} {
		r := start(c.from)
		for i, s := range c.steps {
			next, got := Contribute(&r, Author{hlc.Make(int64(i+2), 0, 1), 1}, s.up, s.delta, nil)
			if v, ok := next.Number(); got != s.want || v != s.want || !ok {
				t.Fatalf("%s: step %d of %+v: reply %d, stored %d, want %d", c.name, i, c.steps, got, v, s.want)
			}
			if next.Flags != 7 || next.Expires != 9 {
				t.Fatalf("%s: flags %d expires %d changed", c.name, next.Flags, next.Expires)
			}
			r = next.Clone()
		}
		if got := r.AppendVisible(nil); string(got) != c.text {
			t.Fatalf("%s: reads %q, want %q", c.name, got, c.text)
		}
	}
}

// Contributions beside a base that is no number are kept and count once it is one again.
func TestContributionsBesideText(t *testing.T) {
	number := Record{Kind: Value, Stamp: hlc.Make(2, 0, 1), Value: []byte("5"), Created: true}
	text := Record{Kind: Value, Stamp: hlc.Make(3, 0, 2), Value: []byte("abc"), Created: true}
	later := Record{Kind: Value, Stamp: hlc.Make(4, 0, 3), Value: []byte("7"), Created: true}
	up, _ := Contribute(&number, Author{hlc.Make(9, 0, 1), 1}, true, 1, nil)
	m := Merge(&up, &text)
	if got := m.AppendVisible(nil); string(got) != "abc" {
		t.Fatalf("later base shows %q", got)
	}
	m = Merge(&m, &later)
	if got := m.AppendVisible(nil); string(got) != "8" {
		t.Fatalf("number base shows %q, want 7 and one increment", got)
	}
}

func TestParseNumber(t *testing.T) {
	for in, want := range map[string]int64{"5 ": 5, " 5": 5, "+5": 5, "007": 7, "5 x": 5, "5a": -1, "-5": -1, "1.5": -1, "": -1, " ": -1, "18446744073709551616": -1, "0": 0} {
		v, ok := ParseNumber([]byte(in))
		if ok != (want >= 0) || ok && v != uint64(want) {
			t.Errorf("%q: got %d %v, want %d", in, v, ok, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	plain := Record{Kind: Value, Stamp: 5, Key: []byte("k"), Value: []byte("v"), Type: []byte("text/plain")}
	f.Add(plain.Append(nil))
	counter, _ := Contribute(&Record{Kind: Value, Stamp: 5, Key: []byte("k"), Value: []byte("1")}, Author{hlc.Make(3, 0, 1), 1}, true, 1, nil)
	f.Add(counter.Append(nil))
	floor := NewFloor(8, 7)
	f.Add(floor.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		if got := r.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("encode(decode(x)) differs:\n%x\n%x", b, got)
		}
		r.Token()
		r.Gen()
		r.Stamps(func(hlc.Stamp) {})
		r.Number()
		m := Merge(&r, &r)
		if !Equal(&m, &r) {
			t.Fatalf("merge with itself changed %s", show(&r))
		}
	})
}

func TestDecodeTruncated(t *testing.T) {
	r := Record{Kind: Value, Stamp: 5, Key: []byte("key"), Type: []byte("t"), Value: nil}
	b := r.Append(nil)
	for n := range b {
		if _, err := Decode(b[:n]); err == nil {
			t.Fatalf("%d of %d bytes decode", n, len(b))
		}
	}
}
