package proxy

import (
	"encoding/binary"
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/permit"
	"github.com/futago/futago/internal/users"
)

const (
	binaryRequest = 0x80
	binaryReply   = 0x81
	binaryHeader  = 24

	// noopFrame is a complete request.
	noopFrame = "\x80\x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// Statuses that nodes do not send. Source: memcached's BinaryProtocolRevamped page.
const (
	statusUnsupported memcache.BinaryStatus = 0x83
	statusInternal    memcache.BinaryStatus = 0x84
	statusTemporary   memcache.BinaryStatus = 0x86
)

// decodeBinary makes a call of the frame at the front of b. false: it is not complete, or the connection ends.
func (c *client) decodeBinary(b []byte) bool {
	d, r := &c.binaryDecoder, &c.binaryRequest
	if n := min(d.Swallowing(), len(b)); n > 0 {
		d.Decode(b[:n], r)
		c.read += n
		return true
	}
	d.Locked = c.locked()
	n, need, err := d.Decode(b, r)
	if err != nil {
		c.read += n
		c.need = max(need, binaryHeader)
		return false
	}
	alone := r.Op == memcache.OpcodeFlush || isLogin(r.Op)
	if alone && r.Status == memcache.BinaryOK && len(c.calls) > 0 {
		c.stop = true // what came before must be done first; then the frame is decoded again
		return false
	}
	c.read += n
	c.need = 0
	switch {
	case r.Close || r.Status != memcache.BinaryOK:
		c.refuseFrame(r)
	case c.users != nil && !d.Locked && !permit.Binary(c.user, r):
		k := c.add()
		k.reply = memcache.AppendBinaryError(k.reply, r.Echo, permit.StatusDenied, permit.BinaryDenied)
	case passes(r.Op):
		c.frame(r, b[:n])
	default:
		c.ownBinary(r)
	}
	return !c.closing
}

// passes says whether a command is an upstream's matter.
func passes(op memcache.Opcode) bool {
	switch op {
	case memcache.OpcodeNoop, memcache.OpcodeVersion, memcache.OpcodeStat, memcache.OpcodeQuit,
		memcache.OpcodeSASLList, memcache.OpcodeSASLAuth, memcache.OpcodeSASLStep:
		return false
	}
	return true
}

// frame adds a call of a complete frame.
func (c *client) frame(r *memcache.BinaryRequest, whole []byte) {
	at := len(c.enc)
	c.enc = append(c.enc, whole[:binaryHeader]...)
	head := c.enc[at:len(c.enc):len(c.enc)]
	head[1] = byte(r.Op)                // the loud form
	head[5], head[6], head[7] = 0, 0, 0 // data type and virtual bucket have no meaning
	k := c.add()
	k.shape, k.head, k.body, k.key = shapeBinary, head, whole[binaryHeader:], r.Key
	k.echo, k.quiet, k.safe = r.Echo, r.Quiet, safeBinary(r)
	c.stop = r.Op == memcache.OpcodeFlush
}

// safeBinary says whether executing the command twice does no harm.
func safeBinary(r *memcache.BinaryRequest) bool {
	switch r.Op {
	case memcache.OpcodeSet, memcache.OpcodeReplace, memcache.OpcodeDelete:
		return r.CAS == 0
	case memcache.OpcodeAdd, memcache.OpcodeAppend, memcache.OpcodePrepend, memcache.OpcodeIncr, memcache.OpcodeDecr:
		return false
	}
	return true
}

// refuseFrame answers what is no valid command. It never reaches an upstream, which would close the shared connection.
func (c *client) refuseFrame(r *memcache.BinaryRequest) {
	if r.Drop && (c.users == nil || c.user.May(users.Write, r.Key)) {
		// A value too large must not leave the old one readable.
		at := len(c.enc)
		c.enc = appendFrame(c.enc, memcache.OpcodeDelete, string(r.Key), "")
		k := c.add()
		k.shape, k.head, k.key = shapeBinary, c.enc[at:len(c.enc):len(c.enc)], r.Key
		k.safe, k.mute = true, true
	}
	if r.Status != memcache.BinaryOK {
		k := c.add()
		k.reply = memcache.AppendBinaryError(k.reply, r.Echo, r.Status, "")
	}
	c.closing = r.Close
}

// ownBinary answers what is no matter of an upstream.
func (c *client) ownBinary(r *memcache.BinaryRequest) {
	c.closing = r.Op == memcache.OpcodeQuit
	if r.Quiet {
		return // quitq is the only one
	}
	k := c.add()
	switch r.Op {
	case memcache.OpcodeNoop, memcache.OpcodeQuit:
		k.reply = memcache.AppendBinaryDone(k.reply, r.Echo, 0)
	case memcache.OpcodeVersion:
		k.reply = memcache.AppendBinaryText(k.reply, r.Echo, "", c.p.clientVersion())
	case memcache.OpcodeStat:
		if !knownStats(string(r.Key)) {
			k.reply = memcache.AppendBinaryError(k.reply, r.Echo, memcache.BinaryNotFound, "")
			break
		}
		c.p.eachStat(string(r.Key), func(name, value string) { k.reply = memcache.AppendBinaryText(k.reply, r.Echo, name, value) })
		k.reply = memcache.AppendBinaryDone(k.reply, r.Echo, 0)
	default:
		k.reply = c.authenticate(k.reply, r)
	}
}

// status is that of the reply to a call that has failed.
func (c *call) status() memcache.BinaryStatus {
	switch {
	case c.sent && !c.safe:
		return statusInternal
	case errors.Is(c.err, errNoBinary):
		return statusUnsupported
	}
	return statusTemporary
}

// frameStatus is the status in a reply.
func frameStatus(reply []byte) memcache.BinaryStatus {
	return memcache.BinaryStatus(binary.BigEndian.Uint16(reply[6:]))
}

// hidden gives the reply to a binary request the opcode that the client sent, and says whether a quiet one has none: a get
// hides that there is no such key, the others hide success.
func (c *call) hidden() bool {
	if c.shape != shapeBinary || len(c.reply) < binaryHeader {
		return false
	}
	c.reply[1] = byte(c.echo.Opcode)
	if !c.quiet {
		return false
	}
	switch c.echo.Opcode {
	case memcache.OpcodeGetQ, memcache.OpcodeGetKQ, memcache.OpcodeGatQ, memcache.OpcodeGatKQ:
		return frameStatus(c.reply) == memcache.BinaryNotFound
	}
	return frameStatus(c.reply) == memcache.BinaryOK
}

// binaryFault is fault for a frame.
func (c *call) binaryFault() bool {
	return len(c.reply) > binaryHeader && frameStatus(c.reply) == memcache.BinaryOutOfMemory &&
		isFault(c.reply[binaryHeader:])
}
