package bench

import (
	"encoding/binary"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/tyrant"
)

// binary prepares the parts for memcached's binary protocol, where all that depends on sizes stands before the key.
func (w *workload) binary(multiGet int) {
	const (
		bodySizeAt   = 8 // place of the four bytes in a header
		setExtras    = 8 // flags and expiry
		incrExtras   = 20
		incrDeltaEnd = 8
	)
	head := func(op memcache.Opcode, key, extras int) []byte {
		b := make([]byte, binaryHeader+extras)
		b[0], b[1] = binaryRequest, byte(op)
		binary.BigEndian.PutUint16(b[2:], uint16(key))
		b[4] = byte(extras)
		binary.BigEndian.PutUint32(b[bodySizeAt:], uint32(extras+key))
		return b
	}
	w.getHead = string(head(memcache.OpcodeGet, w.keySize, 0))
	if multiGet > 1 { // quiet: only what is found is answered, and at the end the no-op
		w.getHead = ""
		w.keyHead = string(head(memcache.OpcodeGetKQ, w.keySize, 0))
		w.getTail = string(head(memcache.OpcodeNoop, 0, 0))
	}
	w.setHead = string(head(memcache.OpcodeSet, w.keySize, setExtras))
	w.sizeAt, w.sizeBase = bodySizeAt, uint32(setExtras+w.keySize)
	incr := head(memcache.OpcodeIncr, w.keySize, incrExtras)
	incr[binaryHeader+incrDeltaEnd-1] = 1 // delta; a counter that is not there begins with 0, and does not expire
	w.incrHead = string(incr)
}

// tyrant prepares the parts for Tokyo Tyrant's binary protocol, where all that depends on sizes stands before the key.
func (w *workload) tyrant(multiGet int) {
	const (
		elementHead = 4 // the size of an element of a list
		valueSizeAt = 6 // place of the four bytes in a put
	)
	key := w.key(0)
	before := func(r tyrant.Request, rest int) string {
		request := tyrant.AppendRequest(nil, &r)
		return string(request[:len(request)-rest])
	}
	w.getHead = before(tyrant.Request{Command: tyrant.Get, Key: key}, len(key))
	if multiGet > 1 {
		w.getHead = before(tyrant.Request{Command: tyrant.MGet, Args: make([][]byte, multiGet)}, multiGet*elementHead)
		w.keyHead = string(tyrant.AppendElement(nil, key)[:elementHead])
	}
	w.setHead = before(tyrant.Request{Command: tyrant.Put, Key: key}, len(key))
	w.sizeAt = valueSizeAt
	w.incrHead = before(tyrant.Request{Command: tyrant.AddInt, Key: key, Num: 1}, len(key))
	w.zero = make([]byte, 4) // an integer as addint stores it
}
