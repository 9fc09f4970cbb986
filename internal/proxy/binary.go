package proxy

import (
	"encoding/binary"
	"errors"
)

// The binary protocol of memcached. Source: its BinaryProtocolRevamped page and memcached 1.6.18.
const (
	binaryRequest = 0x80
	binaryReply   = 0x81
	binaryHeader  = 24

	// noopFrame is a complete request.
	noopFrame = "\x80\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

const (
	opcodeNoop      = 0x0a
	opcodeVersion   = 0x0b
	opcodeStat      = 0x10
	opcodeQuit      = 0x07
	opcodeQuitQ     = 0x17
	opcodeVerbosity = 0x1b
)

const (
	statusNotFound  = 0x0001
	statusTooLarge  = 0x0003
	statusInvalid   = 0x0004
	statusUnknown   = 0x0081
	statusNoMemory  = 0x0082
	statusUnsupport = 0x0083
	statusInternal  = 0x0084
	statusTemporary = 0x0086
)

// opcode describes a request that goes to an upstream. A frame that does not fit is refused here: upstreams close the
// connection on one.
type opcode struct {
	loud byte // the same command with a reply always; itself if it is that
	// miss: a quiet one hides that there is no such key; the others hide success.
	miss bool
	// extras is the only length allowed; flush may do without.
	extras int
	key    bool // there must be a key; else there must be none
	value  bool // there may be a value
	// safe: executing it twice does no harm, without a CAS unique.
	safe bool
}

var opcodes = [256]opcode{
	0x00: {loud: 0x00, key: true, safe: true},                         // get
	0x09: {loud: 0x00, key: true, safe: true, miss: true},             // getq
	0x0c: {loud: 0x0c, key: true, safe: true},                         // getk
	0x0d: {loud: 0x0c, key: true, safe: true, miss: true},             // getkq
	0x01: {loud: 0x01, extras: 8, key: true, value: true, safe: true}, // set
	0x11: {loud: 0x01, extras: 8, key: true, value: true, safe: true},
	0x02: {loud: 0x02, extras: 8, key: true, value: true}, // add
	0x12: {loud: 0x02, extras: 8, key: true, value: true},
	0x03: {loud: 0x03, extras: 8, key: true, value: true, safe: true}, // replace
	0x13: {loud: 0x03, extras: 8, key: true, value: true, safe: true},
	0x04: {loud: 0x04, key: true, safe: true}, // delete
	0x14: {loud: 0x04, key: true, safe: true},
	0x05: {loud: 0x05, extras: 20, key: true}, // increment
	0x15: {loud: 0x05, extras: 20, key: true},
	0x06: {loud: 0x06, extras: 20, key: true}, // decrement
	0x16: {loud: 0x06, extras: 20, key: true},
	0x08: {loud: 0x08, extras: 4, safe: true}, // flush
	0x18: {loud: 0x08, extras: 4, safe: true},
	0x0e: {loud: 0x0e, key: true, value: true}, // append
	0x19: {loud: 0x0e, key: true, value: true},
	0x0f: {loud: 0x0f, key: true, value: true}, // prepend
	0x1a: {loud: 0x0f, key: true, value: true},
	0x1c: {loud: 0x1c, extras: 4, key: true, safe: true},             // touch
	0x1d: {loud: 0x1d, extras: 4, key: true, safe: true},             // gat
	0x1e: {loud: 0x1d, extras: 4, key: true, safe: true, miss: true}, // gatq
	0x23: {loud: 0x23, extras: 4, key: true, safe: true},             // gatk
	0x24: {loud: 0x23, extras: 4, key: true, safe: true, miss: true}, // gatkq
}

const opcodeFlush = 0x08

// fits says whether the lengths of a frame are those of the command.
func (o opcode) fits(extras, key, value int) bool {
	return (extras == o.extras || o.loud == opcodeFlush && extras == 0) && (key > 0) == o.key && key <= keyMax && (value == 0 || o.value)
}

// decodeBinary makes a call of the frame at the front of b. false: it is not complete, or the connection ends.
func (c *client) decodeBinary(b []byte) bool {
	if len(b) < binaryHeader {
		c.need = binaryHeader
		return false
	}
	if b[0] != binaryRequest {
		c.closing = true // memcached hangs up, too
		return false
	}
	code, opaque := b[1], [4]byte(b[12:16])
	key, extras, body := int(binary.BigEndian.Uint16(b[2:])), int(b[4]), int(binary.BigEndian.Uint32(b[8:]))
	o := opcodes[code]
	known := o.extras > 0 || o.key
	refuse := func(status uint16, reason string) {
		k := c.add()
		k.shape, k.reply = shapeLocal, appendBinaryError(k.reply, code, opaque, status, reason)
	}
	switch {
	case key+extras > body, known && !o.fits(extras, key, body-key-extras):
		refuse(statusInvalid, "Invalid arguments")
		c.closing = true
		return false
	case known && body-key-extras > c.p.cfg.MaxValue:
		refuse(statusTooLarge, "Too large")
		c.skip(binaryHeader, body)
		return true
	case !known && !ownOpcode(code):
		refuse(statusUnknown, "Unknown command")
		c.skip(binaryHeader, body)
		return true
	case !known && (body > keyMax || body > 0 && code != opcodeStat && code != opcodeVerbosity):
		refuse(statusInvalid, "Invalid arguments")
		c.closing = true
		return false
	}
	size := binaryHeader + body
	if len(b) < size {
		c.need = size
		return false
	}
	c.need = 0
	if !known {
		c.read += size
		return c.ownBinary(code, opaque, b[binaryHeader:size])
	}
	if o.loud == opcodeFlush && len(c.calls) > 0 {
		c.stop = true
		return false
	}
	c.read += size
	at := len(c.enc)
	c.enc = append(c.enc, b[:binaryHeader]...)
	head := c.enc[at:len(c.enc):len(c.enc)]
	head[1] = o.loud
	head[5], head[6], head[7] = 0, 0, 0 // data type and virtual bucket have no meaning
	k := c.add()
	k.shape, k.head, k.body = shapeBinary, head, b[binaryHeader:size]
	k.code, k.quiet, k.opaque = code, code != o.loud, opaque
	k.safe = o.safe && (binary.BigEndian.Uint64(b[16:]) == 0 || !o.writes())
	if key > 0 {
		k.key = b[binaryHeader+extras : binaryHeader+extras+key]
	}
	c.stop = o.loud == opcodeFlush
	return true
}

// writes says whether a CAS unique is a condition of the command.
func (o opcode) writes() bool { return o.loud >= 0x01 && o.loud <= 0x06 || o.value }

// skip drops the header of a refused frame and its body as it comes.
func (c *client) skip(header, body int) {
	c.read += header
	c.need, c.swallow = 0, body
}

func ownOpcode(code byte) bool {
	switch code {
	case opcodeNoop, opcodeVersion, opcodeStat, opcodeQuit, opcodeQuitQ, opcodeVerbosity:
		return true
	}
	return false
}

// ownBinary answers what is no matter of an upstream. false: the connection ends.
func (c *client) ownBinary(code byte, opaque [4]byte, arg []byte) bool {
	if code == opcodeQuitQ {
		c.closing = true
		return false
	}
	k := c.add()
	switch code {
	case opcodeVersion:
		k.reply = appendBinary(k.reply, code, opaque, 0, "", c.p.clientVersion())
	case opcodeStat:
		if !knownStats(string(arg)) {
			k.reply = appendBinaryError(k.reply, code, opaque, statusNotFound, "Not found")
			break
		}
		c.p.eachStat(string(arg), func(name, value string) { k.reply = appendBinary(k.reply, code, opaque, 0, name, value) })
		k.reply = appendBinary(k.reply, code, opaque, 0, "", "")
	default:
		k.reply = appendBinary(k.reply, code, opaque, 0, "", "")
	}
	c.closing = code == opcodeQuit
	return !c.closing
}

// appendBinary appends a reply without extras and CAS unique.
func appendBinary(dst []byte, code byte, opaque [4]byte, status uint16, key, value string) []byte {
	dst = append(dst, binaryReply, code, byte(len(key)>>8), byte(len(key)), 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, status)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(key)+len(value)))
	dst = append(append(dst, opaque[:]...), 0, 0, 0, 0, 0, 0, 0, 0)
	return append(append(dst, key...), value...)
}

func appendBinaryError(dst []byte, code byte, opaque [4]byte, status uint16, reason string) []byte {
	return appendBinary(dst, code, opaque, status, "", reason)
}

// status is that of the reply to a call that has failed.
func (c *call) status() uint16 {
	switch {
	case c.sent && !c.safe:
		return statusInternal
	case errors.Is(c.err, errNoBinary):
		return statusUnsupport
	}
	return statusTemporary
}

// hidden gives the reply to a binary request the opcode that the client sent, and says whether a quiet one has none.
func (c *call) hidden() bool {
	if c.shape != shapeBinary || len(c.reply) < binaryHeader {
		return false
	}
	c.reply[1] = c.code
	if !c.quiet {
		return false
	}
	status := binary.BigEndian.Uint16(c.reply[6:])
	if opcodes[c.code].miss {
		return status == statusNotFound
	}
	return status == 0
}
