package futago

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// The flags with which PHP's memcache extension (4.0.5.2) marks its values. The low byte says how the bytes are
// to be unpacked, the second one says of which type they are. Strings have no flags.
const (
	// PHPSerialized marks the output of serialize(): null, arrays and objects.
	PHPSerialized uint32 = 1 << 0
	// PHPCompressed marks a zlib stream.
	PHPCompressed uint32 = 1 << 1
	// PHPBool marks a bool, as 1 or 0.
	PHPBool uint32 = 0x100
	// PHPInt marks an int, as decimal digits.
	PHPInt uint32 = 0x300
	// PHPFloat marks a float, as decimal digits.
	PHPFloat uint32 = 0x700

	phpTypeMask uint32 = 0x0F00
)

// EncodePHP returns the bytes and flags for Item.Value and Item.Flags from which PHP's extension makes the value
// v: a string, []byte (a string in PHP), bool, int, int64 or float64. A float is written so that PHP reads exactly
// v; the extension itself writes 14 digits. The bytes of a []byte are not copied.
func EncodePHP(v any) (value []byte, flags uint32, err error) {
	switch v := v.(type) {
	case string:
		return []byte(v), 0, nil
	case []byte:
		return v, 0, nil
	case bool:
		if v {
			return []byte("1"), PHPBool, nil
		}
		return []byte("0"), PHPBool, nil
	case int:
		return strconv.AppendInt(nil, int64(v), 10), PHPInt, nil
	case int64:
		return strconv.AppendInt(nil, v, 10), PHPInt, nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			// INF, -INF and NAN, as PHP writes them.
			return bytes.ToUpper(bytes.TrimPrefix(strconv.AppendFloat(nil, v, 'g', -1, 64), []byte("+"))), PHPFloat, nil
		}
		return strconv.AppendFloat(nil, v, 'g', -1, 64), PHPFloat, nil
	}
	return nil, 0, fmt.Errorf("encode %T for PHP: type without a PHP counterpart", v)
}

// DecodePHP returns the value of an item that PHP's extension stored: a string, bool, int64 or float64. A value
// that unpacks to more than DefaultMaxValue bytes is an error, and so is a serialized one.
func DecodePHP(item *Item) (any, error) {
	value, err := decodePHP(item, DefaultMaxValue)
	if err != nil {
		return nil, fmt.Errorf("decode value of %.64q with flags %#x: %w", item.Key, item.Flags, err)
	}
	return value, nil
}

func decodePHP(item *Item, limit int) (any, error) {
	b := item.Value
	if item.Flags&PHPCompressed != 0 {
		z, err := zlib.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		if b, err = io.ReadAll(io.LimitReader(z, int64(limit)+1)); err != nil {
			return nil, err
		}
		if len(b) > limit {
			return nil, fmt.Errorf("more than %d bytes", limit)
		}
	}
	if item.Flags&PHPSerialized != 0 {
		return nil, errors.New("serialized by PHP")
	}
	switch item.Flags & phpTypeMask {
	case PHPBool:
		return len(b) > 0 && b[0] == '1', nil
	case PHPInt:
		// memcached pads a number that a decrement made shorter.
		return strconv.ParseInt(string(bytes.TrimRight(b, " ")), 10, 64)
	case PHPFloat:
		return strconv.ParseFloat(string(b), 64)
	}
	return string(b), nil
}
