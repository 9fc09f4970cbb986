package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strconv"

	"github.com/futago/futago/internal/hlc"
)

// Domain is the arithmetic that a counter obeys; a different one is a different generation.
type Domain uint8

const (
	Decimal Domain = iota // memcached's: text of an unsigned 64-bit number
	Int32                 // Tokyo Tyrant's addint: 4 bytes, little-endian, signed, wraps
	Float64               // Tokyo Tyrant's adddouble: 8 bytes, little-endian, IEEE 754
)

// width is the size of the numbers of a domain, bytes; 0: any.
func (d Domain) width() int { return [...]int{Decimal: 0, Int32: 4, Float64: 8}[d] }

// Contrib is what one node added to a counter since the counter's generation began.
type Contrib struct {
	Epoch uint64    // of the node's log: a node that lost its log begins a new contribution, it never replaces the old one
	Stamp hlc.Stamp // newest write in it; the node is the stamp's
	Sum   int64     // signed sum of all that the node added and subtracted; of Float64 the bits of that number, of Int32 its low half
}

// CounterState is the value of a record of kind Counter, read in place:
//
//	 0  generation stamp 8
//	 8  base stamp       8
//	16  contributions    2
//	18  domain           1
//	19  zero             5
//	24  contributions, 24 each: epoch 8, stamp 8, sum 8; ordered by (node, epoch)
//	..  base: the bytes that the counter started from
//
// Its visible value is base + all sums; a decimal one is clamped to 0..2^64-1. While a decimal base is no number the
// contributions are kept but count as nothing.
//
// A value whose expiry was changed is one without contributions: its base is what clients read.
type CounterState struct {
	Gen       hlc.Stamp
	BaseStamp hlc.Stamp // write that stored the base
	Domain    Domain
	Base      []byte
	contribs  []byte // encoded
}

const (
	counterHeader = 24
	contribSize   = 24
)

func counterGen(value []byte) hlc.Stamp { return hlc.Stamp(binary.LittleEndian.Uint64(value)) }

// DecodeCounter checks the value of a counter record and returns its parts, which alias b.
func DecodeCounter(b []byte) (CounterState, error) {
	var c CounterState
	if len(b) < counterHeader {
		return c, fmt.Errorf("%w: counter of %d bytes", ErrMalformed, len(b))
	}
	n := int(binary.LittleEndian.Uint16(b[16:]))
	if Domain(b[18]) > Float64 || b[19]|b[20]|b[21]|b[22]|b[23] != 0 {
		return c, fmt.Errorf("%w: unknown counter domain %d", ErrMalformed, b[18])
	}
	if len(b) < counterHeader+n*contribSize {
		return c, fmt.Errorf("%w: counter of %d bytes with %d contributions", ErrMalformed, len(b), n)
	}
	end := counterHeader + n*contribSize
	if w := Domain(b[18]).width(); w != 0 && len(b)-end != w {
		return c, fmt.Errorf("%w: counter of domain %d with a base of %d bytes", ErrMalformed, b[18], len(b)-end)
	}
	c = CounterState{
		Gen:       counterGen(b),
		BaseStamp: hlc.Stamp(binary.LittleEndian.Uint64(b[8:])),
		Domain:    Domain(b[18]),
		contribs:  b[counterHeader:end:end],
		Base:      b[end:],
	}
	for i := 1; i < n; i++ {
		if compareContrib(c.At(i-1), c.At(i)) >= 0 {
			return CounterState{}, fmt.Errorf("%w: counter contributions out of order", ErrMalformed)
		}
	}
	return c, nil
}

// N is the number of contributions.
func (c *CounterState) N() int { return len(c.contribs) / contribSize }

// At returns a contribution, 0 <= i < N.
func (c *CounterState) At(i int) Contrib {
	b := c.contribs[i*contribSize:]
	return Contrib{
		Epoch: binary.LittleEndian.Uint64(b),
		Stamp: hlc.Stamp(binary.LittleEndian.Uint64(b[8:])),
		Sum:   int64(binary.LittleEndian.Uint64(b[16:])),
	}
}

// compareContrib orders by whose contribution it is.
func compareContrib(a, b Contrib) int {
	if d := a.Stamp.Node() - b.Stamp.Node(); d != 0 {
		return d
	}
	switch {
	case a.Epoch < b.Epoch:
		return -1
	case a.Epoch > b.Epoch:
		return 1
	}
	return 0
}

func appendContrib(dst []byte, c Contrib) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, c.Epoch)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.Stamp))
	return binary.LittleEndian.AppendUint64(dst, uint64(c.Sum))
}

func (c *CounterState) appendHeader(dst []byte, n int) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.Gen))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.BaseStamp))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(n))
	return append(dst, byte(c.Domain), 0, 0, 0, 0, 0)
}

// Append appends the encoded state to dst.
func (c *CounterState) Append(dst []byte) []byte {
	dst = append(c.appendHeader(dst, c.N()), c.contribs...)
	return append(dst, c.Base...)
}

// sum128 is base + all sums as a 128-bit number; ok is false when the base is no number.
func (c *CounterState) sum128() (hi int64, lo uint64, ok bool) {
	lo, ok = ParseNumber(c.Base)
	if !ok {
		return 0, 0, false
	}
	for i := range c.N() {
		sum := c.At(i).Sum
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(sum), 0)
		hi += sum>>63 + int64(carry)
	}
	return hi, lo, true
}

// untouched reports whether no contribution changed the number: then clients see the base as it was stored.
func (c *CounterState) untouched() bool {
	for i := range c.N() {
		if c.At(i).Sum != 0 {
			return false
		}
	}
	return true
}

// AppendBytes appends what clients read: the number, or the base when it is none or nothing was added.
func (c *CounterState) AppendBytes(dst []byte) []byte {
	if c.untouched() {
		return append(dst, c.Base...)
	}
	switch c.Domain {
	case Int32:
		return binary.LittleEndian.AppendUint32(dst, uint32(c.int32()))
	case Float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(c.float64()))
	}
	if v, ok := c.Visible(); ok {
		return strconv.AppendUint(dst, v, 10)
	}
	return append(dst, c.Base...)
}

// Visible is what clients see as a decimal number, clamped to 0..2^64-1; ok is false when it is none.
func (c *CounterState) Visible() (v uint64, ok bool) {
	if c.Domain != Decimal {
		return ParseNumber(c.AppendBytes(make([]byte, 0, 8)))
	}
	hi, lo, ok := c.sum128()
	switch {
	case !ok:
		return 0, false
	case hi < 0:
		return 0, true
	case hi > 0:
		return math.MaxUint64, true
	}
	return lo, true
}

// ParseNumber applies memcached's rule for a stored value that counts as a number: blanks, an optional +, digits up to
// 2^64-1, then the end or a blank. Source: safe_strtoull of memcached 1.6, and probing of 1.6.18.
func ParseNumber(b []byte) (uint64, bool) {
	i := 0
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	if i < len(b) && b[i] == '+' {
		i++
	}
	start, v := i, uint64(0)
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		d := uint64(b[i] - '0')
		if v > (math.MaxUint64-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	if i == start || i < len(b) && !isSpace(b[i]) {
		return 0, false
	}
	return v, true
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// state returns the record in the general form that counters and created values share.
func (r *Record) state() CounterState {
	if r.Kind == Counter {
		c, err := DecodeCounter(r.Value)
		if err != nil {
			panic("record: counter in memory is malformed: " + err.Error())
		}
		return c
	}
	return CounterState{Gen: r.Gen().Stamp, BaseStamp: r.Stamp, Base: r.Value}
}

// Number returns the value of the record as a number by memcached's rule.
func (r *Record) Number() (uint64, bool) {
	switch r.Kind {
	case Value:
		return ParseNumber(r.Value)
	case Counter:
		c := r.state()
		return c.Visible()
	}
	return 0, false
}

// Bytes returns what clients read: in place, or in buf's memory where it has to be composed.
func (r *Record) Bytes(buf []byte) []byte {
	if r.Kind != Counter {
		return r.Value
	}
	c := r.state()
	if c.untouched() {
		return c.Base
	}
	return c.AppendBytes(buf[:0])
}

// AppendVisible appends the bytes that clients read.
func (r *Record) AppendVisible(dst []byte) []byte {
	if r.Kind == Counter {
		c := r.state()
		return c.AppendBytes(dst)
	}
	return append(dst, r.Value...)
}

// Author is who executes an arithmetic operation, and when.
type Author struct {
	Stamp hlc.Stamp // of the operation
	Epoch uint64    // of the author's log
}

// Contribute returns cur with by's contribution moved by delta (added when up, otherwise subtracted down to 0) and the
// number that clients see then. cur must be a number. The value of the result is built in buf's memory. The result
// keeps the generation of cur, flags and expiry; it begins one of its own when the number wraps or a sum would leave
// 64 bits.
func Contribute(cur *Record, by Author, up bool, delta uint64, buf []byte) (Record, uint64) {
	c := cur.state()
	out := *cur
	out.Stamp, out.Replaced, out.Kind = by.Stamp, cur.Stamp, Counter
	if c.Domain != Decimal {
		c = c.restart(by.Stamp)
		out.Created, out.Unique = false, 0
	}
	hi, visible, ok := c.sum128()
	if !ok {
		panic("record: arithmetic on a value that is no number")
	}
	if hi != 0 { // the raw sum left the range that clients see: what they see becomes the base
		visible, _ = c.Visible()
		c = CounterState{Gen: cur.Stamp, BaseStamp: cur.Stamp, Domain: c.Domain, Base: strconv.AppendUint(nil, visible, 10)}
		out.Created, out.Unique = true, 0
	}
	next, sum, fits := visible, int64(0), true
	mine := c.find(by)
	if mine >= 0 {
		sum = c.At(mine).Sum
	}
	if up {
		next = visible + delta
		fits = next >= visible && delta <= math.MaxInt64 && sum <= math.MaxInt64-int64(delta)
		sum += int64(delta)
	} else {
		delta = min(delta, visible)
		next = visible - delta
		fits = delta <= math.MaxInt64 && sum >= math.MinInt64+int64(delta)
		sum -= int64(delta)
	}
	if !fits {
		out.Kind, out.Created, out.Unique = Value, false, 0
		out.Value = strconv.AppendUint(buf[:0], next, 10)
		return out, next
	}
	out.Value = c.with(buf[:0], mine, Contrib{Epoch: by.Epoch, Stamp: by.Stamp, Sum: sum})
	return out, next
}

// restart is a generation of its own, begun by the write with this stamp with what clients see now.
func (c *CounterState) restart(stamp hlc.Stamp) CounterState {
	return CounterState{Gen: stamp, BaseStamp: stamp, Base: c.AppendBytes(nil)}
}

// Renew returns cur with another expiry, in the same generation: neither increments elsewhere nor a value that somebody
// stores there meanwhile are lost to it.
func Renew(cur *Record, stamp hlc.Stamp, expires uint64, buf []byte) Record {
	c := cur.state()
	out := *cur
	out.Stamp, out.Replaced, out.Kind, out.Expires = stamp, cur.Stamp, Counter, expires
	out.Value = c.Append(buf[:0])
	return out
}

// find returns the index of the author's contribution, -1 when there is none.
func (c *CounterState) find(by Author) int {
	for i := range c.N() {
		if compareContrib(c.At(i), Contrib{Epoch: by.Epoch, Stamp: by.Stamp}) == 0 {
			return i
		}
	}
	return -1
}

// with appends the encoded state to dst, with contribution i replaced by nc, or nc inserted when i < 0.
func (c *CounterState) with(dst []byte, i int, nc Contrib) []byte {
	at, behind := i, i+1
	if i < 0 {
		for at = 0; at < c.N() && compareContrib(c.At(at), nc) < 0; at++ {
		}
		behind = at
	}
	front, rest := c.contribs[:at*contribSize], c.contribs[behind*contribSize:]
	dst = c.appendHeader(dst, (len(front)+len(rest))/contribSize+1)
	dst = append(dst, front...)
	dst = appendContrib(dst, nc)
	dst = append(dst, rest...)
	return append(dst, c.Base...)
}

// counterToken is the token of the base, and mixes in all that was added to it since.
func counterToken(r *Record) uint64 {
	c := r.state()
	h := uint64(c.BaseStamp)
	if r.Unique != 0 {
		h = r.Unique
	}
	if c.N() == 0 {
		return h
	}
	h = mix(h, uint64(c.Gen))
	if r.Created || c.Domain != Decimal {
		h = mix(h, 1+uint64(c.Domain))
	}
	for i := range c.N() {
		k := c.At(i)
		h = mix(mix(mix(h, k.Epoch), uint64(k.Stamp)), uint64(k.Sum))
	}
	if h == 0 {
		return 1
	}
	return h
}

// Digest is a number for the whole state of the record but the bytes of its value, which the stamps name. Equal states of
// one key give equal digests on every node. keyHash stands for the key.
func (r *Record) Digest(keyHash uint64) uint64 {
	gen := r.Gen()
	h := mix(mix(mix(keyHash, r.Token()), uint64(r.Stamp)), uint64(gen.Stamp))
	return mix(mix(h, r.Expires), uint64(byte(r.Kind)|r.bits())<<32|uint64(r.Flags))
}

// mix folds v into h; the multiplier is the 64-bit golden ratio.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^v^0x9e3779b97f4a7c15, 0x9e3779b97f4a7c15|v<<1|1)
	return bits.RotateLeft64(h, 23) ^ hi ^ lo
}
