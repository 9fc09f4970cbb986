package tyrant

import "strconv"

// A request is
//
//	0  magic    1   0xC8
//	1  command  1
//	2  head         the fields of the command, of fixed size
//	   parts        those whose sizes are in the head, in that order
//	   list         the elements whose count is in the head, each behind its size
const (
	magic       = 0xC8
	prefixSize  = 2
	elementHead = 4
)

// Command is what a request asks for.
type Command uint8

// The commands. All but PutNR are answered.
const (
	Put       Command = 0x10
	PutKeep   Command = 0x11
	PutCat    Command = 0x12
	PutShl    Command = 0x13
	PutNR     Command = 0x18
	Out       Command = 0x20
	Get       Command = 0x30
	MGet      Command = 0x31
	VSiz      Command = 0x38
	IterInit  Command = 0x50
	IterNext  Command = 0x51
	FwmKeys   Command = 0x58
	AddInt    Command = 0x60
	AddDouble Command = 0x61
	Ext       Command = 0x68
	Sync      Command = 0x70
	Optimize  Command = 0x71
	Vanish    Command = 0x72
	Copy      Command = 0x73
	Restore   Command = 0x74
	SetMst    Command = 0x78
	RNum      Command = 0x80
	Size      Command = 0x81
	Stat      Command = 0x88
	Misc      Command = 0x90
	Repl      Command = 0xA0
)

// The bits of Request.Options.
const (
	ExtLockRecord = 1 << 0 // ext: no other locked call for this key meanwhile
	ExtLockGlobal = 1 << 1 // ext: no other locked call at all; wins
	MiscNoLog     = 1 << 0 // misc: not into the update log
	CheckResults  = 1 << 0 // restore, setmst: a result that differs from the logged one is an error
)

// field is one number in the head of a request.
type field uint8

const (
	fieldNone field = iota
	// The sizes of the parts.
	fieldKey
	fieldValue
	fieldName
	fieldText
	// The number of elements.
	fieldList
	// What is a value itself.
	fieldWidth
	fieldNum
	fieldMax
	fieldPort
	fieldOptions
	fieldSID
	fieldTime
	fieldDouble
)

// size is in bytes.
func (f field) size() int {
	switch f {
	case fieldNone:
		return 0
	case fieldTime:
		return 8
	case fieldDouble:
		return 16
	}
	return 4
}

// shape is the head of a command's requests.
type shape struct {
	name   string // "": there is no such command
	fields [4]field
	head   int // bytes
}

func shapeOf(name string, fields ...field) shape {
	s := shape{name: name}
	copy(s.fields[:], fields)
	for _, f := range fields {
		s.head += f.size()
	}
	return s
}

var shapes = [256]shape{
	Put:       shapeOf("put", fieldKey, fieldValue),
	PutKeep:   shapeOf("putkeep", fieldKey, fieldValue),
	PutCat:    shapeOf("putcat", fieldKey, fieldValue),
	PutShl:    shapeOf("putshl", fieldKey, fieldValue, fieldWidth),
	PutNR:     shapeOf("putnr", fieldKey, fieldValue),
	Out:       shapeOf("out", fieldKey),
	Get:       shapeOf("get", fieldKey),
	MGet:      shapeOf("mget", fieldList),
	VSiz:      shapeOf("vsiz", fieldKey),
	IterInit:  shapeOf("iterinit"),
	IterNext:  shapeOf("iternext"),
	FwmKeys:   shapeOf("fwmkeys", fieldKey, fieldMax),
	AddInt:    shapeOf("addint", fieldKey, fieldNum),
	AddDouble: shapeOf("adddouble", fieldKey, fieldDouble),
	Ext:       shapeOf("ext", fieldName, fieldOptions, fieldKey, fieldValue),
	Sync:      shapeOf("sync"),
	Optimize:  shapeOf("optimize", fieldText),
	Vanish:    shapeOf("vanish"),
	Copy:      shapeOf("copy", fieldText),
	Restore:   shapeOf("restore", fieldText, fieldTime, fieldOptions),
	SetMst:    shapeOf("setmst", fieldText, fieldPort, fieldTime, fieldOptions),
	RNum:      shapeOf("rnum"),
	Size:      shapeOf("size"),
	Stat:      shapeOf("stat"),
	Misc:      shapeOf("misc", fieldName, fieldOptions, fieldList),
	Repl:      shapeOf("repl", fieldTime, fieldSID),
}

// String returns the original's name of a command, and the number of what is none.
func (c Command) String() string {
	if name := shapes[c].name; name != "" {
		return name
	}
	return "0x" + strconv.FormatUint(uint64(c), 16)
}
