package memcache

import "encoding/binary"

const (
	// maxBinaryBody is the largest body that is swallowed. Source: memcached 1.6.45; 1.6.18 swallows up to 4 GiB.
	maxBinaryBody = 1 << 30
	// maxSASLData is the size of the largest data of SASL: it must be bounded before anybody has proven who he is.
	maxSASLData = 4 << 10
	// exptimeNoCreate forbids incr and decr to create the key.
	exptimeNoCreate = 0xffffffff
)

// BinaryDecoder is Decoder for a connection whose first byte was 0x80. A zero limit means its default.
type BinaryDecoder struct {
	// MaxKey is the size of the largest key.
	MaxKey int
	// MaxValue is the size of the largest value. At most this, a header, extras and a key need to be held at a time: a
	// larger value is swallowed as it arrives.
	MaxValue int

	// Locked says that the client has not authenticated: all but version and SASL is refused by its header. It may change
	// between calls.
	Locked bool

	swallow int // bytes of a refused body still to come
}

// binaryLengths are the lengths in a header.
type binaryLengths struct {
	extras, key, body int
}

func (l binaryLengths) value() int { return l.body - l.extras - l.key }

// Decode is Decoder.Decode: n is the number of bytes consumed, err ErrIncomplete or nil, and need the size of the whole
// pending packet, counted from byte n of b and checked against the limits, or 0 before its header is there. After a request with Close and after
// OpcodeQuit the caller must not decode further.
func (d *BinaryDecoder) Decode(b []byte, r *BinaryRequest) (n, need int, err error) {
	if d.swallow > 0 {
		n = min(d.swallow, len(b))
		d.swallow -= n
		b = b[n:]
	}
	*r = BinaryRequest{}
	if len(b) > 0 && b[0] != binaryMagicRequest {
		r.Close = true
		return n + len(b), 0, nil
	}
	if len(b) < binaryHeader {
		return n, 0, ErrIncomplete
	}
	l := binaryLengths{
		extras: int(b[4]), key: int(binary.BigEndian.Uint16(b[2:])), body: int(binary.BigEndian.Uint32(b[8:])),
	}
	r.Opcode, r.Opaque = Opcode(b[1]), binary.BigEndian.Uint32(b[12:])
	c := &shapes[r.Opcode]
	if r.Op = r.Opcode; c.name != "" {
		r.Op, r.Quiet = c.op, c.op != r.Opcode
	}
	if d.Locked && !r.Op.early() {
		r.Status, r.Close = BinaryAuthError, true
		return n + binaryHeader, 0, nil
	}
	if r.Status, r.Close = d.check(c, l); r.Close {
		return n + binaryHeader, 0, nil
	}
	if r.Status == BinaryUnknown {
		// memcached counts key and extras twice, and so swallows what follows.
		d.swallow = l.body
		return n + binaryHeader, 0, nil
	}
	size := binaryHeader + l.body
	if l.value() > d.limit(c.op) {
		// The key must be here: the value that is there under it must go.
		size -= l.value()
		r.Status, r.Drop = BinaryTooLarge, c.op == OpcodeSet
	}
	if len(b) < size {
		return n, size, ErrIncomplete
	}
	if r.Status != BinaryOK {
		d.swallow = l.value()
	}
	r.CAS = binary.BigEndian.Uint64(b[16:])
	extras := b[binaryHeader : binaryHeader+l.extras]
	key := b[binaryHeader+l.extras:][:l.key:l.key]
	r.Key, r.Value = key, b[binaryHeader+l.extras+l.key:size:size]
	r.readExtras(extras)
	return n + size, 0, nil
}

// Swallowing is Decoder.Swallowing.
func (d *BinaryDecoder) Swallowing() int { return d.swallow }

// check finds what is wrong with a header; close says that the connection must end for it.
func (d *BinaryDecoder) check(c *shape, l binaryLengths) (status BinaryStatus, close bool) {
	maxKey := d.MaxKey
	if maxKey == 0 {
		maxKey = DefaultMaxKey
	}
	switch {
	case l.value() < 0:
		return BinaryUnknown, true
	case l.body > maxBinaryBody, l.key > maxKey:
		return BinaryInvalid, true
	case c.name == "":
		return BinaryUnknown, false
	case l.extras != int(c.extras) && !(c.op == OpcodeFlush && l.extras == 0),
		!c.key.fits(l.key), !c.value.fits(l.value()):
		return BinaryInvalid, true
	}
	return BinaryOK, false
}

func (p presence) fits(size int) bool {
	switch p {
	case forbidden:
		return size == 0
	case required:
		return size > 0
	}
	return true
}

// limit is the size of the largest value that is taken.
func (d *BinaryDecoder) limit(op Opcode) int {
	switch {
	case op == OpcodeSASLAuth || op == OpcodeSASLStep:
		return maxSASLData
	case d.MaxValue == 0:
		return DefaultMaxValue
	}
	return d.MaxValue
}

func (r *BinaryRequest) readExtras(b []byte) {
	switch len(b) {
	case 4:
		r.Exptime = int64(binary.BigEndian.Uint32(b))
	case 8:
		r.Flags, r.Exptime = binary.BigEndian.Uint32(b), int64(binary.BigEndian.Uint32(b[4:]))
	case 20:
		r.Delta, r.Initial = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		r.Exptime = int64(binary.BigEndian.Uint32(b[16:]))
		r.Create = r.Exptime != exptimeNoCreate
	}
}
