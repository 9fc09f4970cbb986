package tyrant

import "encoding/binary"

// Glance finds the keys of the requests at the front of in without checking anything, for what is only a hint: it appends them to keys as
// far as its capacity goes, and returns them with the size of the requests they are of.
func Glance(keys [][]byte, in []byte) (found [][]byte, n int) {
	for len(keys) < cap(keys) && len(in)-n >= prefixSize && in[n] == magic {
		c := Command(in[n+1])
		shape := &shapes[c]
		rest := in[n+prefixSize:]
		if c == MGet {
			return glanceList(keys, in, n)
		}
		if shape.fields[0] != fieldKey || len(rest) < shape.head {
			break
		}
		size := int64(shape.head) + int64(binary.BigEndian.Uint32(rest))
		if size > int64(len(rest)) {
			break
		}
		keys = append(keys, rest[shape.head:size])
		if shape.fields[1] == fieldValue {
			size += int64(binary.BigEndian.Uint32(rest[4:]))
		}
		if size > int64(len(rest)) {
			break
		}
		n += prefixSize + int(size)
	}
	return keys, n
}

// glanceList appends the keys of the mget that begins at n. It is the last request of a glance.
func glanceList(keys [][]byte, in []byte, n int) (found [][]byte, end int) {
	at := n + prefixSize + shapes[MGet].head
	if at > len(in) {
		return keys, n
	}
	left := binary.BigEndian.Uint32(in[n+prefixSize:])
	for ; left > 0 && len(keys) < cap(keys) && at+elementHead <= len(in); left-- {
		size := int64(binary.BigEndian.Uint32(in[at:]))
		if at += elementHead; size > int64(len(in)-at) {
			break
		}
		keys = append(keys, in[at:at+int(size)])
		at += int(size)
	}
	return keys, at
}
