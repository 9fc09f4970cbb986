package tyrant

import "encoding/binary"

// AppendRequest appends a request as a client sends it. Its Command must be one of the constants, and no part larger than
// 2^32-1 bytes.
func AppendRequest(dst []byte, r *Request) []byte {
	s := &shapes[r.Command]
	if s.name == "" {
		panic("tyrant: append a request of no command: " + r.Command.String())
	}
	return appendShaped(dst, s, r.Command, r)
}

// appendShaped appends the fields of r that s has, as a request of c.
func appendShaped(dst []byte, s *shape, c Command, r *Request) []byte {
	dst = append(dst, magic, byte(c))
	u32 := func(v uint32) { dst = binary.BigEndian.AppendUint32(dst, v) }
	list := false
	for _, f := range s.fields {
		switch f {
		case fieldKey, fieldValue, fieldName, fieldText:
			u32(uint32(len(*r.part(f))))
		case fieldList:
			list = true
			u32(uint32(len(r.Args)))
		case fieldWidth:
			u32(uint32(r.Width))
		case fieldNum:
			u32(uint32(r.Num))
		case fieldMax:
			u32(uint32(r.Max))
		case fieldPort:
			u32(uint32(r.Port))
		case fieldOptions:
			u32(r.Options)
		case fieldSID:
			u32(r.SID)
		case fieldTime:
			dst = binary.BigEndian.AppendUint64(dst, uint64(r.Time))
		case fieldDouble:
			dst = appendDouble(dst, r.Double)
		}
	}
	for _, f := range s.fields {
		if part := r.part(f); part != nil {
			dst = append(dst, *part...)
		}
	}
	if list {
		for _, a := range r.Args {
			dst = AppendElement(dst, a)
		}
	}
	return dst
}
