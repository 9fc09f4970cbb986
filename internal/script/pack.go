package script

import (
	"encoding/binary"
	"math"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

var packFunctions = map[string]builtin{"_pack": pack, "_unpack": unpack}

// packed is one item of a format: a letter and how many values it stands for.
type packed struct {
	letter byte
	count  int // -1 for all that are left
}

// packFormat reads letters, each with a count or * behind it. Other characters are passed over.
//
//	c C  1 byte            f F  4 bytes, float      n  2 bytes, big-endian
//	s S  2 bytes           d D  8 bytes, float      N  4 bytes, big-endian
//	i I  4 bytes           w W  7 bits a byte,      M  8 bytes, big-endian
//	l L  8 bytes                most significant first
//
// What is not big-endian is little-endian, as on the machines that the original is used on. Lower case is signed, but
// for n and w.
func packFormat(format string) []packed {
	var items []packed
	for i := 0; i < len(format); i++ {
		item := packed{format[i], 1}
		switch item.letter {
		case 'c', 'C', 's', 'S', 'i', 'I', 'l', 'L', 'f', 'F', 'd', 'D', 'n', 'N', 'M', 'w', 'W':
		default:
			continue
		}
		if i+1 < len(format) && format[i+1] == '*' {
			item.count = -1
			i++
		} else {
			j := i + 1
			for j < len(format) && isDigit(format[j]) {
				j++
			}
			if j > i+1 {
				n, err := strconv.Atoi(format[i+1 : j])
				if err != nil {
					n = math.MaxInt
				}
				item.count = n
			}
			i = j - 1
		}
		items = append(items, item)
	}
	return items
}

// pack writes the values, those in tables included. Values that are missing end it.
func pack(c call) int {
	c.count(1, -1)
	values := c.flatten(2)
	var out []byte
	for _, item := range packFormat(c.str(1)) {
		for n := 0; n != item.count && len(values) > 0; n++ {
			c.charge(c.L, 10)
			out = appendPacked(out, item.letter, c.numeric(values[0]))
			values = values[1:]
		}
	}
	return c.pushBytes(out)
}

func appendPacked(out []byte, letter byte, n float64) []byte {
	i := uint64(toInt64(n))
	if n >= math.MaxInt64 {
		i = toUint64(n)
	}
	little := binary.LittleEndian
	switch letter {
	case 'c', 'C':
		return append(out, byte(i))
	case 's', 'S':
		return little.AppendUint16(out, uint16(i))
	case 'i', 'I':
		return little.AppendUint32(out, uint32(i))
	case 'l', 'L':
		return little.AppendUint64(out, i)
	case 'f', 'F':
		return little.AppendUint32(out, math.Float32bits(float32(n)))
	case 'd', 'D':
		return little.AppendUint64(out, math.Float64bits(n))
	case 'n':
		return binary.BigEndian.AppendUint16(out, uint16(i))
	case 'N':
		return binary.BigEndian.AppendUint32(out, uint32(i))
	case 'M':
		return binary.BigEndian.AppendUint64(out, i)
	}
	return appendVarint(out, i)
}

func toUint64(n float64) uint64 {
	if n >= math.MaxUint64 {
		return math.MaxUint64
	}
	return uint64(n)
}

func appendVarint(out []byte, n uint64) []byte {
	shift := 63
	for shift > 0 && n>>shift == 0 {
		shift -= 7
	}
	for ; shift > 0; shift -= 7 {
		out = append(out, byte(n>>shift)|0x80)
	}
	return append(out, byte(n)&0x7f)
}

// unpack reads values until the format or the string ends.
func unpack(c call) int {
	c.count(2, 2)
	items, b := packFormat(c.str(1)), c.bytes(2)
	var values []lua.LValue
	for _, item := range items {
		for n := 0; n != item.count; n++ {
			v, size := unpackOne(item.letter, b)
			if size == 0 {
				return c.pushValues(values)
			}
			c.charge(c.L, slotCost)
			values = append(values, lua.LNumber(v))
			b = b[size:]
		}
	}
	return c.pushValues(values)
}

// unpackOne returns the size 0 if there are too few bytes.
func unpackOne(letter byte, b []byte) (n float64, size int) {
	switch letter {
	case 'c', 'C':
		size = 1
	case 's', 'S', 'n':
		size = 2
	case 'i', 'I', 'f', 'F', 'N':
		size = 4
	case 'l', 'L', 'd', 'D', 'M':
		size = 8
	default:
		return varint(b)
	}
	if len(b) < size {
		return 0, 0
	}
	little := binary.LittleEndian
	switch letter {
	case 'c':
		n = float64(int8(b[0]))
	case 'C':
		n = float64(b[0])
	case 's':
		n = float64(int16(little.Uint16(b)))
	case 'S':
		n = float64(little.Uint16(b))
	case 'i':
		n = float64(int32(little.Uint32(b)))
	case 'I':
		n = float64(little.Uint32(b))
	case 'l':
		n = float64(int64(little.Uint64(b)))
	case 'L':
		n = float64(little.Uint64(b))
	case 'f', 'F':
		n = float64(math.Float32frombits(little.Uint32(b)))
	case 'd', 'D':
		n = math.Float64frombits(little.Uint64(b))
	case 'n':
		n = float64(binary.BigEndian.Uint16(b))
	case 'N':
		n = float64(binary.BigEndian.Uint32(b))
	case 'M':
		n = float64(binary.BigEndian.Uint64(b))
	}
	return n, size
}

func varint(b []byte) (float64, int) {
	var n uint64
	for i, ch := range b {
		if i == 10 {
			return 0, 0
		}
		n = n<<7 | uint64(ch&0x7f)
		if ch&0x80 == 0 {
			return float64(n), i + 1
		}
	}
	return 0, 0
}
