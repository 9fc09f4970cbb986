package memcache

import "strconv"

// The facts of the binary protocol are those of memcached 1.6.18's proto_bin.c, probed byte for byte, except where a comment
// says otherwise. All integers are big-endian. A packet is
//
//	 0  magic         1   0x80 request, 0x81 reply
//	 1  opcode        1
//	 2  key length    2
//	 4  extras length 1
//	 5  data type     1   ignored
//	 6  vbucket       2   ignored; the status of a reply
//	 8  body length   4   of extras, key and value together
//	12  opaque        4   a reply repeats that of its request
//	16  cas           8
//	24  extras, key, value
const (
	binaryHeader       = 24
	binaryMagicRequest = 0x80
	binaryMagicReply   = 0x81
)

// Opcode is the command of a binary packet.
type Opcode uint8

// The opcodes that are served. Those that end in Q are quiet: a write has no reply when it succeeds, a get when it finds
// nothing; every error is answered. 0x1b, verbosity, is documented and unknown to memcached, and so it is here.
const (
	OpcodeGet      Opcode = 0x00
	OpcodeSet      Opcode = 0x01
	OpcodeAdd      Opcode = 0x02
	OpcodeReplace  Opcode = 0x03
	OpcodeDelete   Opcode = 0x04
	OpcodeIncr     Opcode = 0x05
	OpcodeDecr     Opcode = 0x06
	OpcodeQuit     Opcode = 0x07
	OpcodeFlush    Opcode = 0x08
	OpcodeGetQ     Opcode = 0x09
	OpcodeNoop     Opcode = 0x0a
	OpcodeVersion  Opcode = 0x0b
	OpcodeGetK     Opcode = 0x0c
	OpcodeGetKQ    Opcode = 0x0d
	OpcodeAppend   Opcode = 0x0e
	OpcodePrepend  Opcode = 0x0f
	OpcodeStat     Opcode = 0x10
	OpcodeSetQ     Opcode = 0x11
	OpcodeAddQ     Opcode = 0x12
	OpcodeReplaceQ Opcode = 0x13
	OpcodeDeleteQ  Opcode = 0x14
	OpcodeIncrQ    Opcode = 0x15
	OpcodeDecrQ    Opcode = 0x16
	OpcodeQuitQ    Opcode = 0x17
	OpcodeFlushQ   Opcode = 0x18
	OpcodeAppendQ  Opcode = 0x19
	OpcodePrependQ Opcode = 0x1a
	OpcodeTouch    Opcode = 0x1c
	OpcodeGat      Opcode = 0x1d
	OpcodeGatQ     Opcode = 0x1e
	OpcodeSASLList Opcode = 0x20
	OpcodeSASLAuth Opcode = 0x21
	OpcodeSASLStep Opcode = 0x22
	OpcodeGatK     Opcode = 0x23
	OpcodeGatKQ    Opcode = 0x24
)

// presence says whether a part of a packet must be there.
type presence uint8

const (
	forbidden presence = iota
	optional
	required
)

// shape is what an opcode asks for and what its packet looks like.
type shape struct {
	name   string // "": the opcode is not served
	op     Opcode // the loud form
	extras uint8  // bytes; flush may also have none
	key    presence
	value  presence // never required: empty is a value
}

var shapes = [256]shape{
	OpcodeGet:      {"get", OpcodeGet, 0, required, forbidden},
	OpcodeGetQ:     {"getq", OpcodeGet, 0, required, forbidden},
	OpcodeGetK:     {"getk", OpcodeGetK, 0, required, forbidden},
	OpcodeGetKQ:    {"getkq", OpcodeGetK, 0, required, forbidden},
	OpcodeSet:      {"set", OpcodeSet, 8, required, optional},
	OpcodeSetQ:     {"setq", OpcodeSet, 8, required, optional},
	OpcodeAdd:      {"add", OpcodeAdd, 8, required, optional},
	OpcodeAddQ:     {"addq", OpcodeAdd, 8, required, optional},
	OpcodeReplace:  {"replace", OpcodeReplace, 8, required, optional},
	OpcodeReplaceQ: {"replaceq", OpcodeReplace, 8, required, optional},
	OpcodeAppend:   {"append", OpcodeAppend, 0, required, optional},
	OpcodeAppendQ:  {"appendq", OpcodeAppend, 0, required, optional},
	OpcodePrepend:  {"prepend", OpcodePrepend, 0, required, optional},
	OpcodePrependQ: {"prependq", OpcodePrepend, 0, required, optional},
	OpcodeDelete:   {"delete", OpcodeDelete, 0, required, forbidden},
	OpcodeDeleteQ:  {"deleteq", OpcodeDelete, 0, required, forbidden},
	OpcodeIncr:     {"incr", OpcodeIncr, 20, required, forbidden},
	OpcodeIncrQ:    {"incrq", OpcodeIncr, 20, required, forbidden},
	OpcodeDecr:     {"decr", OpcodeDecr, 20, required, forbidden},
	OpcodeDecrQ:    {"decrq", OpcodeDecr, 20, required, forbidden},
	OpcodeTouch:    {"touch", OpcodeTouch, 4, required, forbidden},
	OpcodeGat:      {"gat", OpcodeGat, 4, required, forbidden},
	OpcodeGatQ:     {"gatq", OpcodeGat, 4, required, forbidden},
	OpcodeGatK:     {"gatk", OpcodeGatK, 4, required, forbidden},
	OpcodeGatKQ:    {"gatkq", OpcodeGatK, 4, required, forbidden},
	OpcodeFlush:    {"flush", OpcodeFlush, 4, forbidden, forbidden},
	OpcodeFlushQ:   {"flushq", OpcodeFlush, 4, forbidden, forbidden},
	OpcodeQuit:     {"quit", OpcodeQuit, 0, forbidden, forbidden},
	OpcodeQuitQ:    {"quitq", OpcodeQuit, 0, forbidden, forbidden},
	OpcodeNoop:     {"noop", OpcodeNoop, 0, forbidden, forbidden},
	OpcodeVersion:  {"version", OpcodeVersion, 0, forbidden, forbidden},
	OpcodeStat:     {"stat", OpcodeStat, 0, optional, forbidden},
	OpcodeSASLList: {"sasllist", OpcodeSASLList, 0, forbidden, forbidden},
	OpcodeSASLAuth: {"saslauth", OpcodeSASLAuth, 0, required, optional},
	OpcodeSASLStep: {"saslstep", OpcodeSASLStep, 0, required, optional},
}

// String returns the name of an opcode that is served, and the number of another one.
func (o Opcode) String() string {
	if name := shapes[o].name; name != "" {
		return name
	}
	return "0x" + strconv.FormatUint(uint64(o), 16)
}

// BinaryStatus is the status of a binary reply.
type BinaryStatus uint16

// The statuses.
const (
	BinaryOK           BinaryStatus = 0x00
	BinaryNotFound     BinaryStatus = 0x01
	BinaryExists       BinaryStatus = 0x02
	BinaryTooLarge     BinaryStatus = 0x03
	BinaryInvalid      BinaryStatus = 0x04
	BinaryNotStored    BinaryStatus = 0x05
	BinaryNotNumeric   BinaryStatus = 0x06
	BinaryAuthError    BinaryStatus = 0x20
	BinaryAuthContinue BinaryStatus = 0x21 // SASL goes on
	BinaryUnknown      BinaryStatus = 0x81
	BinaryOutOfMemory  BinaryStatus = 0x82 // for all that the server cannot do now: memcached has no other
)

// Text is what stands in the body of an error reply, unless there is more to say.
func (s BinaryStatus) Text() string {
	switch s {
	case BinaryOK, BinaryAuthContinue:
		return ""
	case BinaryNotFound:
		return "Not found"
	case BinaryExists:
		return "Data exists for key."
	case BinaryTooLarge:
		return "Too large."
	case BinaryInvalid:
		return "Invalid arguments"
	case BinaryNotStored:
		return "Not stored."
	case BinaryNotNumeric:
		return "Non-numeric server-side value for incr or decr"
	case BinaryAuthError:
		return "Auth failure."
	case BinaryUnknown:
		return "Unknown command"
	}
	return "Out of memory"
}

// Echo is what every reply repeats of its request.
type Echo struct {
	Opcode Opcode
	Opaque uint32
}

// BinaryRequest is one decoded packet. It is reused from call to call: Decode overwrites all of it. Key and Value
// alias the bytes given to Decode and are valid until the caller drops or changes those bytes. Fields that the command
// does not have are zero.
type BinaryRequest struct {
	Echo
	// Op is the loud form of the opcode: OpcodeGet for OpcodeGetQ. One that is not served is its own.
	Op Opcode
	// Quiet says that Opcode is the quiet form.
	Quiet bool
	// Status is not BinaryOK for a packet that is no valid command: reply it, do what Close and Drop say, and nothing else.
	Status BinaryStatus
	// Close asks for the end of the connection after the reply and all earlier ones are sent. With BinaryOK it is a packet
	// that is none, and has no reply.
	Close bool
	// Drop asks for the deletion of Key: a set whose value is too large must not leave the old value readable.
	Drop bool
	// Key is 1..MaxKey bytes, any. It is the name of the list for OpcodeStat (empty: the general one) and the mechanism
	// for SASL.
	Key []byte
	// Value is the value to store, or the data of SASL.
	Value []byte
	// CAS, when not 0, is the unique that the record must have for a write.
	CAS   uint64
	Flags uint32
	// Exptime is 0..2^32-1, never negative. ExptimeToUnixMilli gives it a meaning. For OpcodeFlush it is the delay.
	Exptime int64
	// Delta and Initial belong to incr and decr: a missing key is created with Initial if Create is set.
	Delta, Initial uint64
	Create         bool
}
