package script

import (
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// formatNumber writes a number as Lua 5.1 does, with C's %.14g.
func formatNumber(n float64) string {
	switch {
	case math.IsInf(n, 1):
		return "inf"
	case math.IsInf(n, -1):
		return "-inf"
	case math.IsNaN(n):
		return "nan"
	}
	return strconv.FormatFloat(n, 'g', 14, 64)
}

// isZero says whether a string that Lua reads as 0 means it; lua.LVAsNumber gives 0 for what is no number.
func isZero(s string) bool {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		i, err := strconv.ParseInt(s, 0, 64)
		return err == nil && i == 0
	}
	return n == 0
}

// result turns the first value that a function returned into the reply: a string, a number as text, true as "true",
// a table by its first element. Everything else is a failure.
// Source: ttserver 1.1.41, results of ext.
func result(v lua.LValue) ([]byte, bool) {
	// A table may hold itself.
	for range 100 {
		switch x := v.(type) {
		case lua.LString:
			return []byte(x), true
		case lua.LNumber:
			return []byte(formatNumber(float64(x))), true
		case lua.LBool:
			return []byte("true"), bool(x)
		case *lua.LTable:
			v = x.RawGetInt(1)
		default:
			return nil, false
		}
	}
	return nil, false
}
