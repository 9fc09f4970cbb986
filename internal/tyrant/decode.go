package tyrant

import (
	"cmp"
	"encoding/binary"
)

// Defaults of Decoder. Keys are as long as a record's may be.
const (
	DefaultMaxKey     = 1<<16 - 1
	DefaultMaxValue   = 64 << 20
	DefaultMaxList    = maxList
	DefaultMaxRequest = 64 << 20
)

// Above these the original closes without a reply.
const (
	maxPart = 256 << 20 // bytes
	maxList = 1 << 20   // elements
	maxName = 1023      // bytes
)

// Decoder cuts the bytes of one connection into requests. A zero limit means its default. A request over a limit is
// swallowed as it arrives; of the others at fieldMax the parts that are within the limits, or MaxRequest, need to be held.
type Decoder struct {
	// MaxKey is the size of the largest key, prefix, path, host and parameters.
	MaxKey int
	// MaxValue is the size of the largest value, and of the largest argument of misc.
	MaxValue int
	// MaxList is the largest number of keys of mget and arguments of misc.
	MaxList int
	// MaxRequest is the size of the largest request with a list.
	MaxRequest int

	// What is still to come of a refused request: the rest of a part, and elements behind it.
	swallow  int64
	elements int

	// What was found of a pending list: the elements, and where the next one begins, counted from the start of the request.
	// It may lie behind the bytes that have arrived.
	found int
	next  int64
}

// head is what stands before the parts of a request.
type head struct {
	parts [3]struct {
		field field
		size  int
	}
	n    int   // parts
	size int64 // with the parts
	list bool
	// count is the number of elements.
	count int
	// refused says that a part or the list is over its limit.
	refused bool
}

// Decode reads one request. n is the number of bytes consumed, which the caller must drop; err is nil or ErrIncomplete, and need
// the size of the whole pending request, counted from byte n of b and checked against the limits, or 0 as long as it is not
// known. With ErrIncomplete r has no meaning, and the next call must begin with the same bytes from n on: a list is not looked through
// again. After a request with Close the caller must not decode further.
func (d *Decoder) Decode(b []byte, r *Request) (n, need int, err error) {
	r.reset()
	n, done := d.skip(b)
	b = b[n:]
	if !done {
		return n, 0, ErrIncomplete
	}
	if len(b) > 0 && b[0] != magic {
		r.Close = true
		return n + len(b), 0, nil
	}
	if len(b) < prefixSize {
		return n, 0, ErrIncomplete
	}
	r.Command = Command(b[1])
	s := &shapes[r.Command]
	if s.name == "" {
		r.Close = true
		return n + prefixSize, 0, nil
	}
	used, need, err := d.decode(s, b, r)
	return n + used, need, err
}

// BeginsRepl reports whether the first bytes of a connection are those of repl, after which it belongs to the update log.
func BeginsRepl(b []byte) bool { return len(b) >= prefixSize && b[0] == magic && Command(b[1]) == Repl }

// Swallowing says that the rest of a refused request is still to come.
func (d *Decoder) Swallowing() bool { return d.swallow > 0 || d.elements > 0 }

// skip drops what is here of a refused request, and tells whether that was the rest.
func (d *Decoder) skip(b []byte) (n int, done bool) {
	for {
		k := int(min(d.swallow, int64(len(b)-n)))
		n += k
		d.swallow -= int64(k)
		if d.swallow > 0 || d.elements == 0 {
			return n, d.swallow == 0
		}
		if len(b)-n < elementHead {
			return n, false
		}
		d.swallow = int64(binary.BigEndian.Uint32(b[n:]))
		d.elements--
		n += elementHead
	}
}

// decode is Decode for a request of a known shape, of which b has the command.
func (d *Decoder) decode(s *shape, b []byte, r *Request) (n, need int, err error) {
	size := prefixSize + s.head
	if len(b) < size {
		return 0, 0, ErrIncomplete
	}
	h := d.readHead(s, b, r)
	switch {
	case r.Close:
		return size, 0, nil
	case h.refused:
		d.swallow, d.elements = h.size-int64(size), h.count
		r.refuse()
		return size, 0, nil
	}
	whole := h.size
	if h.list {
		var refused bool
		if whole, refused = d.scan(b, &h, d.element(r.Command)); refused {
			n = int(d.next) + elementHead
			d.swallow = int64(binary.BigEndian.Uint32(b[d.next:]))
			d.elements = h.count - d.found - 1
			d.found, d.next = 0, 0
			r.refuse()
			return n, 0, nil
		}
	}
	if whole == 0 || int64(len(b)) < whole {
		return 0, int(whole), ErrIncomplete
	}
	d.found, d.next = 0, 0
	r.readBody(b[:whole:whole], size, &h)
	return int(whole), 0, nil
}

// readHead reads the numbers of a request into r and checks the sizes.
func (d *Decoder) readHead(s *shape, b []byte, r *Request) (h head) {
	at := prefixSize
	h.size = int64(prefixSize + s.head)
	for _, f := range s.fields {
		v := b[at:]
		switch at += f.size(); f {
		case fieldNone:
			return h
		case fieldKey, fieldValue, fieldName, fieldText:
			size := int64(binary.BigEndian.Uint32(v))
			limit, hard := d.limits(f)
			r.Close = r.Close || size > hard
			h.refused = h.refused || size > limit
			h.parts[h.n].field, h.parts[h.n].size = f, int(min(size, hard))
			h.n++
			h.size += size
		case fieldList:
			count := int64(binary.BigEndian.Uint32(v))
			limit := int64(cmp.Or(d.MaxList, DefaultMaxList))
			r.Close = r.Close || count > max(limit, maxList)
			h.refused = h.refused || count > limit || h.size+elementHead*count > d.maxRequest()
			h.list, h.count = true, int(min(count, max(limit, maxList)))
		case fieldWidth:
			r.Width = int32(binary.BigEndian.Uint32(v))
			r.Close = r.Close || r.Width < 0
		case fieldNum:
			r.Num = int32(binary.BigEndian.Uint32(v))
		case fieldMax:
			r.Max = int32(binary.BigEndian.Uint32(v))
		case fieldPort:
			r.Port = int32(binary.BigEndian.Uint32(v))
			r.Close = r.Close || r.Port < 0
		case fieldOptions:
			r.Options = binary.BigEndian.Uint32(v)
		case fieldSID:
			r.SID = binary.BigEndian.Uint32(v)
			r.Close = r.Close || int32(r.SID) < 1 || r.Time < 1
		case fieldTime:
			r.Time = int64(binary.BigEndian.Uint64(v))
		case fieldDouble:
			r.Double = decodeDouble(v)
		}
	}
	return h
}

// scan goes through the sizes of a list as far as they are here. whole is the size of the request, 0 if it is not known yet;
// refused says that the element at d.next is over a limit.
func (d *Decoder) scan(b []byte, h *head, limit int64) (whole int64, refused bool) {
	if d.next == 0 {
		d.next = h.size
	}
	for d.found < h.count {
		if int64(len(b)) < d.next+elementHead {
			return 0, false
		}
		size := int64(binary.BigEndian.Uint32(b[d.next:]))
		end := d.next + elementHead + size
		if size > limit || end+elementHead*int64(h.count-d.found-1) > d.maxRequest() {
			return 0, true
		}
		d.next = end
		d.found++
	}
	return d.next, false
}

// readBody cuts the parts and the elements of a whole request, at being where its head ends.
func (r *Request) readBody(b []byte, at int, h *head) {
	cut := func(size int) []byte {
		part := b[at : at+size : at+size]
		at += size
		return part
	}
	for _, p := range h.parts[:h.n] {
		*r.part(p.field) = cut(p.size)
	}
	if cap(r.Args) < h.count {
		r.Args = make([][]byte, 0, h.count)
	}
	for range h.count {
		size := binary.BigEndian.Uint32(cut(elementHead))
		r.Args = append(r.Args, cut(int(size)))
	}
}

// limits are the size of a part up to which it is taken, and the one up to which it is swallowed.
func (d *Decoder) limits(f field) (limit, hard int64) {
	switch f {
	case fieldName:
		return maxName, maxName
	case fieldValue:
		limit = int64(cmp.Or(d.MaxValue, DefaultMaxValue))
	default:
		limit = int64(cmp.Or(d.MaxKey, DefaultMaxKey))
	}
	return limit, max(limit, maxPart)
}

// element is the size of the largest element of a list. The original stops in the middle of a list at a larger one and takes the
// rest for requests; here the whole list is refused.
func (d *Decoder) element(c Command) int64 {
	f := fieldValue
	if c == MGet {
		f = fieldKey
	}
	limit, _ := d.limits(f)
	return limit
}

func (d *Decoder) maxRequest() int64 { return int64(cmp.Or(d.MaxRequest, DefaultMaxRequest)) }
