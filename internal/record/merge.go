package record

import (
	"bytes"
	"cmp"
)

// Merge unites two records of one key that may have been written without knowing of each other. It is the one way in
// for every foreign record. It is pure, commutative, associative and idempotent:
//
//   - the higher generation wins, whole;
//   - within one generation the contributions are united (of each node and epoch the newest), the base is that of the
//     later base stamp, expiry and flags are those of the newest stamp.
//
// The result may alias a and b.
func Merge(a, b *Record) Record {
	switch c := a.Gen().Compare(b.Gen()); {
	case c > 0:
		return *a
	case c < 0:
		return *b
	}
	if a.Kind != Counter && b.Kind != Counter {
		return *later(a, b)
	}
	if isNumberless(a) != isNumberless(b) { // one generation cannot hold a tombstone and a value: a damaged copy
		return *later(a, b)
	}
	return unite(a, b)
}

// isNumberless reports kinds that have no base and no contributions.
func isNumberless(r *Record) bool { return r.Kind != Counter && r.Kind != Value }

// Impossible reports two records that Merge can only order by their bytes: one generation and one stamp, but different
// content. Only a copied disk or a reused stamp makes such; it is an alarm.
func Impossible(a, b *Record) bool {
	if a.Gen().Compare(b.Gen()) != 0 || a.Stamp != b.Stamp || Equal(a, b) {
		return false
	}
	// A counter takes the stamp of the newest write in it, and may know older ones that the other lacks.
	return a.Kind != Counter && b.Kind != Counter
}

// later picks by stamp; equal stamps are ordered by content, so that both nodes pick the same.
func later(a, b *Record) *Record {
	if c := cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.Value, b.Value), bytes.Compare(a.Type, b.Type),
		cmp.Compare(a.Expires, b.Expires), cmp.Compare(a.Flags, b.Flags), cmp.Compare(a.Replaced, b.Replaced),
		cmp.Compare(a.bits(), b.bits()), cmp.Compare(a.Unique, b.Unique)); c < 0 {
		return b
	}
	return a
}

// unite merges two records of one generation of which at least one is a counter.
func unite(a, b *Record) Record {
	ca, cb := a.state(), b.state()
	newest, base, stored := header(a, b), ca, a
	if c := cmp.Or(cmp.Compare(ca.BaseStamp, cb.BaseStamp), bytes.Compare(ca.Base, cb.Base), bytes.Compare(a.Type, b.Type),
		cmp.Compare(a.Unique, b.Unique)); c < 0 {
		base, stored = cb, b
	}
	out := *newest
	out.Kind, out.Created, out.Type, out.Unique = Counter, a.Created, stored.Type, stored.Unique
	list := make([]byte, 0, len(ca.contribs)+len(cb.contribs))
	for i, j := 0, 0; i < ca.N() || j < cb.N(); {
		switch {
		case j >= cb.N():
			list, i = appendContrib(list, ca.At(i)), i+1
		case i >= ca.N():
			list, j = appendContrib(list, cb.At(j)), j+1
		default:
			x, y := ca.At(i), cb.At(j)
			c := compareContrib(x, y)
			if c < 0 || c == 0 && cmp.Or(cmp.Compare(x.Stamp, y.Stamp), cmp.Compare(x.Sum, y.Sum)) >= 0 {
				list = appendContrib(list, x)
			} else {
				list = appendContrib(list, y)
			}
			if c <= 0 {
				i++
			}
			if c >= 0 {
				j++
			}
		}
	}
	united := CounterState{Gen: ca.Gen, BaseStamp: base.BaseStamp, Domain: ca.Domain, Base: base.Base, contribs: list}
	out.Value = united.Append(nil)
	return out
}

// headerBits go with the newest write.
const headerBits = staleBit | wonBit | relayedBit

// header picks the record whose stamp, expiry, flags and replaced stamp the union takes.
func header(a, b *Record) *Record {
	if cmp.Or(cmp.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Expires, b.Expires), cmp.Compare(a.Flags, b.Flags), cmp.Compare(a.Replaced, b.Replaced),
		cmp.Compare(a.bits()&headerBits, b.bits()&headerBits)) < 0 {
		return b
	}
	return a
}
