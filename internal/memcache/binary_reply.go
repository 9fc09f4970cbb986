package memcache

import "encoding/binary"

// AppendBinary appends the header of a reply. The caller appends extras, key and value, of the given sizes in bytes.
func AppendBinary(dst []byte, e Echo, status BinaryStatus, extras, key, value int, cas uint64) []byte {
	dst = append(dst, binaryMagicReply, byte(e.Opcode), byte(key>>8), byte(key), byte(extras), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(status))
	dst = binary.BigEndian.AppendUint32(dst, uint32(extras+key+value))
	dst = binary.BigEndian.AppendUint32(dst, e.Opaque)
	return binary.BigEndian.AppendUint64(dst, cas)
}

// AppendBinaryDone appends the reply to a write, cas being the unique that it left, or 0.
func AppendBinaryDone(dst []byte, e Echo, cas uint64) []byte {
	return AppendBinary(dst, e, BinaryOK, 0, 0, 0, cas)
}

// AppendBinaryError appends the reply of an error; an empty text means that of the status.
func AppendBinaryError(dst []byte, e Echo, status BinaryStatus, text string) []byte {
	if text == "" {
		text = status.Text()
	}
	return append(AppendBinary(dst, e, status, 0, 0, len(text), 0), text...)
}

// AppendBinaryMiss appends the reply to a getk or gatk that finds nothing: it has the key instead of a text.
func AppendBinaryMiss(dst []byte, e Echo, key []byte) []byte {
	return append(AppendBinary(dst, e, BinaryNotFound, 0, len(key), 0, 0), key...)
}

// AppendBinaryValue appends the reply to a get, gat or touch up to its value of size bytes, which the caller appends.
func AppendBinaryValue(dst []byte, e Echo, flags uint32, key []byte, size int, cas uint64) []byte {
	dst = AppendBinary(dst, e, BinaryOK, 4, len(key), size, cas)
	return append(binary.BigEndian.AppendUint32(dst, flags), key...)
}

// AppendBinaryNumber appends the reply to an incr or decr.
func AppendBinaryNumber(dst []byte, e Echo, v, cas uint64) []byte {
	return binary.BigEndian.AppendUint64(AppendBinary(dst, e, BinaryOK, 0, 0, 8, cas), v)
}

// AppendBinaryText appends a reply that is a key, a text or both: of version, of SASL, and each of the replies to stat.
func AppendBinaryText(dst []byte, e Echo, key, text string) []byte {
	dst = AppendBinary(dst, e, BinaryOK, 0, len(key), len(text), 0)
	return append(append(dst, key...), text...)
}
