package memcache

import (
	"math"
	"testing"
)

// The accepted and refused texts were tried on memcached 1.6.18.
func TestParseUint(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint64
		ok   bool
	}{
		{"0", 0, true}, {"7", 7, true}, {"007", 7, true}, {"+7", 7, true}, {"-0", 0, true},
		{"18446744073709551615", math.MaxUint64, true}, {"18446744073709551616", 0, false}, {"99999999999999999999", 0, false},
		{"184467440737095516150", 0, false},
		{"-1", 0, false}, {"-18446744073709551615", 1, true}, {"-9223372036854775808", 0, false}, {"-9223372036854775809", math.MaxInt64, true},
		{"\t7", 7, true}, {"7\t", 7, true}, {"7\vx", 7, true}, {"\r\n7", 7, true},
		{"", 0, false}, {"+", 0, false}, {"-", 0, false}, {"\t", 0, false}, {"+-7", 0, false}, {"+ 7", 0, false},
		{"7a", 0, false}, {"a7", 0, false}, {"0x7", 0, false}, {"1.5", 0, false}, {"1e3", 0, false}, {"7\x00", 0, false}, {"\xd9\xa7", 0, false},
	} {
		got, ok := parseUint([]byte(c.text))
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("parseUint(%q) = %d, %v; want %d, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

func TestParseInt(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"-1", -1, true}, {"+1", 1, true}, {"-007", -7, true}, {" 7 ", 7, true},
		{"9223372036854775807", math.MaxInt64, true}, {"9223372036854775808", 0, false}, {"18446744073709551616", 0, false},
		{"-9223372036854775808", math.MinInt64, true}, {"-9223372036854775809", 0, false}, {"-18446744073709551616", 0, false},
		{"", 0, false}, {"-", 0, false}, {"--1", 0, false}, {"1-", 0, false}, {"a", 0, false},
	} {
		got, ok := parseInt([]byte(c.text))
		if ok != c.ok || (ok && got != c.want) {
			t.Errorf("parseInt(%q) = %d, %v; want %d, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}
