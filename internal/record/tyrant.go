package record

import (
	"encoding/binary"
	"math"
)

// The arithmetic of Tokyo Tyrant works on fixed-width numbers. A value of the right size that nothing was added to yet
// keeps its generation, so that both nodes may begin to add to it at once; one that was added to in another domain begins
// a generation of its own, as a write of that number would.

// int32 is the number that clients see in domain Int32: sums beyond 32 bits wrap.
func (c *CounterState) int32() int32 {
	sum := binary.LittleEndian.Uint32(c.Base)
	for i := range c.N() {
		sum += uint32(c.At(i).Sum)
	}
	return int32(sum)
}

// Added is what the newest write in the record added to a number of domain Int32; ok is false if that is not what it did.
func (r *Record) Added() (delta int32, ok bool) {
	if r.Kind != Counter {
		return 0, false
	}
	c := r.state()
	for i := range c.N() {
		if k := c.At(i); c.Domain == Int32 && k.Stamp == r.Stamp {
			return int32(k.Sum >> 32), true
		}
	}
	return 0, false
}

// float64 is the number that clients see in domain Float64. The order of the sums makes it the same on every node.
func (c *CounterState) float64() float64 {
	sum := math.Float64frombits(binary.LittleEndian.Uint64(c.Base))
	for i := range c.N() {
		sum += math.Float64frombits(uint64(c.At(i).Sum))
	}
	if math.IsNaN(sum) {
		return math.NaN() // of the many, always the same
	}
	return sum
}

// Int32 returns the value of the record as addint reads it; ok is false when it does not have 4 bytes.
func (r *Record) Int32() (v int32, ok bool) {
	var buf [24]byte
	b := r.Bytes(buf[:0])
	if len(b) != Int32.width() {
		return 0, false
	}
	return int32(binary.LittleEndian.Uint32(b)), true
}

// Float64 returns the value of the record as adddouble reads it; ok is false when it does not have 8 bytes.
func (r *Record) Float64() (v float64, ok bool) {
	var buf [24]byte
	b := r.Bytes(buf[:0])
	if len(b) != Float64.width() {
		return 0, false
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), true
}

// NewNumber is the zero of a domain other than Decimal as the value of a key where nothing is, created by the write with
// that record's stamp. What is added to it on two nodes at once all counts.
func NewNumber(r Record, d Domain) Record {
	r.Kind, r.Created = Value, true
	r.Value = make([]byte, d.width())
	return r
}

// ContributeInt32 is Contribute for addint. The value of cur must have 4 bytes.
func ContributeInt32(cur *Record, by Author, delta int32, buf []byte) (Record, int32) {
	c, out := enter(cur, by, Int32)
	mine, k := c.own(by)
	k.Sum = int64(delta)<<32 | int64(uint32(k.Sum)+uint32(delta)) // the sum, and what the newest write in it added
	out.Value = c.with(buf[:0], mine, k)
	c = out.state()
	return out, c.int32()
}

// ContributeFloat64 is Contribute for adddouble. The value of cur must have 8 bytes.
func ContributeFloat64(cur *Record, by Author, delta float64, buf []byte) (Record, float64) {
	c, out := enter(cur, by, Float64)
	mine, k := c.own(by)
	k.Sum = int64(math.Float64bits(math.Float64frombits(uint64(k.Sum)) + delta))
	out.Value = c.with(buf[:0], mine, k)
	c = out.state()
	return out, c.float64()
}

// enter returns cur as a counter of the domain, and the record that the author makes of it, still without its value.
func enter(cur *Record, by Author, d Domain) (c CounterState, out Record) {
	c, out = cur.state(), *cur
	out.Stamp, out.Replaced, out.Kind = by.Stamp, cur.Stamp, Counter
	if c.Domain != d && c.N() > 0 {
		c = c.restart(by.Stamp)
		out.Created, out.Unique = false, 0
	}
	c.Domain = d
	return c, out
}

// own returns the index of the author's contribution, -1 when there is none, and what it is, with the author's stamp.
func (c *CounterState) own(by Author) (i int, k Contrib) {
	k = Contrib{Epoch: by.Epoch}
	if i = c.find(by); i >= 0 {
		k = c.At(i)
	}
	k.Stamp = by.Stamp
	return i, k
}

// Touched reports that the newest write in a counter changed nothing but what is beside the value.
func (r *Record) Touched() bool {
	if r.Kind != Counter {
		return false
	}
	c := r.state()
	if c.BaseStamp == r.Stamp {
		return false
	}
	for i := range c.N() {
		if c.At(i).Stamp == r.Stamp {
			return false
		}
	}
	return true
}
