package tyrant

import "encoding/binary"

// The status of a reply. After Failed nothing follows, except for the lists.
const (
	statusDone   = 0
	statusFailed = 1
)

// AppendStatus appends the reply that is only a status, and that of any other command but mget, fwmkeys, misc, stat, rnum and size
// that has failed.
func AppendStatus(dst []byte, ok bool) []byte {
	if ok {
		return append(dst, statusDone)
	}
	return append(dst, statusFailed)
}

// AppendSize appends the reply to vsiz, and that to get, ext, stat or iternext up to the bytes of this size, which the caller appends.
func AppendSize(dst []byte, size int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, statusDone), uint32(size))
}

// AppendValue appends the reply to get, ext, stat or iternext.
func AppendValue(dst, value []byte) []byte {
	return append(AppendSize(dst, len(value)), value...)
}

// AppendInt appends the reply to addint.
func AppendInt(dst []byte, sum int32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, statusDone), uint32(sum))
}

// AppendDouble appends the reply to adddouble.
func AppendDouble(dst []byte, sum float64) []byte {
	return appendDouble(append(dst, statusDone), DoubleOf(sum))
}

// AppendCount appends the reply to rnum or size.
func AppendCount(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, statusDone), n)
}

// AppendList appends the reply to mget, fwmkeys or misc up to its elements, which the caller appends: with AppendRecord for mget, with
// AppendElement for the others. A list with the status of a failure must have none.
func AppendList(dst []byte, ok bool, elements int) []byte {
	return binary.BigEndian.AppendUint32(AppendStatus(dst, ok), uint32(elements))
}

// BeginList is AppendList for elements that nobody has counted: the caller gives at to EndList when they are appended.
func BeginList(dst []byte) (list []byte, at int) {
	return AppendList(dst, true, 0), len(dst)
}

// EndList writes the status and the count of the list that begins at this place of b.
func EndList(b []byte, at int, ok bool, elements int) {
	AppendList(b[:at], ok, elements)
}

// AppendRecord appends an element of the reply to mget.
func AppendRecord(dst, key, value []byte) []byte {
	return append(AppendRecordHead(dst, key, len(value)), value...)
}

// AppendRecordHead is AppendRecord up to the value of this size, which the caller appends.
func AppendRecordHead(dst, key []byte, size int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(key)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	return append(dst, key...)
}

// AppendElement appends a key of the reply to fwmkeys, or an element of that to misc.
func AppendElement(dst, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}
