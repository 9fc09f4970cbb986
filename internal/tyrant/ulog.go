package tyrant

import "encoding/binary"

// An entry of an update log is, in a file,
//
//	 0  magic    1   0xC9
//	 1  time     8   microseconds since 1970
//	 9  sid      2
//	11  mid      2
//	13  size     4   of the payload
//	17  payload      a logged request, and a byte for its result: 0 done, 1 failed
//
// and on the wire the same with a sid of 4 bytes and no mid. Between entries the wire has keep-alives of one byte.
const (
	entryMagic     = 0xC9
	keepAliveMagic = 0xCA
	entryHead      = 17
)

// DefaultMaxEntry is the size of the largest payload that is read from a file or a stream.
const DefaultMaxEntry = 512 << 20

// Entry is one entry of an update log.
type Entry struct {
	// Time is in microseconds since 1970, by the clock of the server whose log it is; never negative.
	Time int64
	// SID is the server where the operation was born.
	SID uint16
	// MID is the server from which the one whose log it is has it, or 0. The stream does not have it.
	MID uint16
	// Payload is for DecodePayload. It is nil for a keep-alive.
	Payload []byte
}

// AppendEntry appends an entry as it is in a file.
func AppendEntry(dst []byte, e *Entry) []byte {
	return appendEntry(dst, e, uint32(e.SID)<<16|uint32(e.MID))
}

// AppendStreamEntry appends an entry as a master sends it.
func AppendStreamEntry(dst []byte, e *Entry) []byte {
	return appendEntry(dst, e, uint32(e.SID))
}

// AppendKeepAlive appends what a master sends when there is nothing to send.
func AppendKeepAlive(dst []byte) []byte { return append(dst, keepAliveMagic) }

// AppendSID appends the answer to repl: the master's own server id, or 0 for a refusal.
func AppendSID(dst []byte, sid uint16) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(sid))
}

func appendEntry(dst []byte, e *Entry, ids uint32) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, entryMagic), uint64(e.Time))
	dst = binary.BigEndian.AppendUint32(dst, ids)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Payload)))
	return append(dst, e.Payload...)
}

// DecodeEntry reads an entry as it is in a file, its payload at most limit bytes (0 means DefaultMaxEntry) and aliasing b. n is
// the number of bytes consumed; err is nil, ErrIncomplete or ErrEntry; need is the size of an incomplete entry, or 0 as long
// as it is not known.
func DecodeEntry(b []byte, e *Entry, limit int) (n, need int, err error) {
	ids, n, need, err := decodeEntry(b, e, limit)
	e.SID, e.MID = uint16(ids>>16), uint16(ids)
	return n, need, err
}

// DecodeStreamEntry is DecodeEntry for what a master sends: entries and keep-alives.
func DecodeStreamEntry(b []byte, e *Entry, limit int) (n, need int, err error) {
	if len(b) > 0 && b[0] == keepAliveMagic {
		*e = Entry{}
		return 1, 0, nil
	}
	ids, n, need, err := decodeEntry(b, e, limit)
	if ids>>16 != 0 {
		return 0, 0, ErrEntry
	}
	e.SID = uint16(ids)
	return n, need, err
}

func decodeEntry(b []byte, e *Entry, limit int) (ids uint32, n, need int, err error) {
	*e = Entry{}
	if limit == 0 {
		limit = DefaultMaxEntry
	}
	if len(b) > 0 && b[0] != entryMagic {
		return 0, 0, 0, ErrEntry
	}
	if len(b) < entryHead {
		return 0, 0, 0, ErrIncomplete
	}
	micros := int64(binary.BigEndian.Uint64(b[1:]))
	size := int64(binary.BigEndian.Uint32(b[13:]))
	if micros < 0 || size > int64(limit) {
		return 0, 0, 0, ErrEntry
	}
	ids = binary.BigEndian.Uint32(b[9:])
	end := entryHead + int(size)
	if len(b) < end {
		return ids, 0, end, ErrIncomplete
	}
	e.Time = micros
	e.Payload = b[entryHead:end:end]
	return ids, end, 0, nil
}

// loggedMisc is misc in a log: without its options.
var loggedMisc = shapeOf("misc", fieldName, fieldList)

// logged is the shape of a command's requests in a log, nil if they are not logged.
func (c Command) logged() *shape {
	switch c {
	case Put, PutKeep, PutCat, PutShl, Out, AddInt, AddDouble, Sync, Optimize, Vanish:
		return &shapes[c]
	case Misc:
		return &loggedMisc
	}
	return nil
}

// AppendPayload appends what a log has of a request: one of the puts, out, addint, adddouble, sync, optimize, vanish or misc. A putnr
// becomes a put. ok is the result; what has failed is logged too.
func AppendPayload(dst []byte, r *Request, ok bool) []byte {
	c := r.Command
	if c == PutNR {
		c = Put
	}
	s := c.logged()
	if s == nil {
		panic("tyrant: log a request that is not logged: " + c.String())
	}
	return AppendStatus(appendShaped(dst, s, c, r), ok)
}

// DecodePayload reads the payload of an entry into r, which aliases it, and tells the result that was logged. The error is
// ErrPayload. What Decoder calls too large is not so here: the payload is there as a whole.
func DecodePayload(b []byte, r *Request) (ok bool, err error) {
	r.reset()
	if len(b) <= prefixSize || b[0] != magic || b[len(b)-1] > statusFailed {
		return false, ErrPayload
	}
	r.Command = Command(b[1])
	s := r.Command.logged()
	if s == nil {
		return false, ErrPayload
	}
	request := b[:len(b)-1]
	d := unlimited(len(b))
	n, _, err := d.decode(s, request, r)
	if err != nil || n != len(request) || r.Close || r.TooLarge {
		r.reset()
		return false, ErrPayload
	}
	return b[len(b)-1] == statusDone, nil
}

// unlimited decodes what is at most size bytes as a whole.
func unlimited(size int) Decoder {
	return Decoder{MaxKey: size, MaxValue: size, MaxList: size, MaxRequest: size}
}
