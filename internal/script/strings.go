package script

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openStrings replaces what would not be counted, would not end, or takes strings for UTF-8.
func (s *state) openStrings(t *lua.LTable) {
	t.RawSetString("dump", lua.LNil)
	s.set(t, "string.", stringFunctions)
	t.RawSetString("gfind", t.RawGetString("gmatch"))
}

var stringFunctions = map[string]builtin{
	"rep": func(c call) int {
		str, n := c.str(1), max(c.int64(2), 0)
		if n > 0 && int64(len(str)) > math.MaxInt32/n {
			c.stop(c.L, ErrMemory)
		}
		c.charge(c.L, len(str)*int(n)+32)
		return c.push(lua.LString(strings.Repeat(str, int(n))))
	},
	"reverse": func(c call) int {
		b := c.bytes(1)
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		return c.pushBytes(b)
	},
	"lower": func(c call) int { return c.mapBytes('A', 'Z', 'a'-'A') },
	"upper": func(c call) int { return c.mapBytes('a', 'z', 'a'-'A') },
	"char": func(c call) int {
		b := make([]byte, c.L.GetTop())
		for i := range b {
			n := c.number(i + 1)
			if n < 0 || n > 255 {
				c.L.RaiseError("bad argument #%d to 'char' (invalid value)", i+1)
			}
			b[i] = byte(n)
		}
		return c.pushBytes(b)
	},
	"find":   func(c call) int { return c.find(true) },
	"match":  func(c call) int { return c.find(false) },
	"gmatch": gmatch,
	"gsub":   gsub,
	"format": format,
}

// mapBytes flips a bit of the bytes between from and to.
func (c call) mapBytes(from, to, bit byte) int {
	b := c.bytes(1)
	for i, ch := range b {
		if from <= ch && ch <= to {
			b[i] = ch ^ bit
		}
	}
	return c.pushBytes(b)
}

// find is string.find, and string.match, which differ in what they return.
func (c call) find(positions bool) int {
	src, pat := c.str(1), c.str(2)
	init := c.integer(3, 1)
	if init < 0 {
		init = max(len(src)+init+1, 1)
	}
	init = max(init-1, 0)
	if init > len(src) {
		return c.pushNil()
	}
	if positions && (c.L.GetTop() >= 4 && c.L.ToBool(4) || !strings.ContainsAny(pat, "^$*+?.([%-")) {
		i := strings.Index(src[init:], pat)
		if i < 0 {
			return c.pushNil()
		}
		c.pushNumber(float64(init + i + 1))
		c.pushNumber(float64(init + i + len(pat)))
		return 2
	}
	m := &matcher{c: c, src: src, pat: pat}
	start, end, ok := m.find(init)
	switch {
	case !ok:
		return c.pushNil()
	case !positions:
		return m.pushCaptures(start, end, true)
	}
	c.pushNumber(float64(start + 1))
	c.pushNumber(float64(end))
	return 2 + m.pushCaptures(start, end, false)
}

func gmatch(c call) int {
	c.charge(c.L, closureCost)
	src, pat, next := c.str(1), c.str(2), 0
	return c.push(c.L.NewFunction(c.wrap(c.name, func(c call) int {
		if next > len(src) {
			return c.pushNil()
		}
		m := &matcher{c: c, src: src, pat: pat}
		start, end, ok := m.find(next)
		if !ok {
			next = len(src) + 1
			return c.pushNil()
		}
		if next = end; start == end {
			next++
		}
		return m.pushCaptures(start, end, true)
	})))
}

func gsub(c call) int {
	src, pat := c.str(1), c.str(2)
	most := c.integer(4, math.MaxInt)
	replace := c.L.Get(3)
	switch replace.Type() {
	case lua.LTString, lua.LTNumber:
		replace = lua.LString(c.text(replace))
	case lua.LTTable, lua.LTFunction:
	default:
		c.L.RaiseError("bad argument #3 to 'gsub' (string/function/table expected)")
	}
	m := &matcher{c: c, src: src, pat: pat}
	anchored := strings.HasPrefix(pat, "^")
	var out []byte
	add := func(s string) {
		c.charge(c.L, len(s))
		out = append(out, s...)
	}
	n, at := 0, 0
	for n < most {
		start, end, ok := m.find(at)
		if !ok {
			break
		}
		n++
		c.check(c.L)
		add(src[at:start])
		m.replace(replace, start, end, add)
		at = end
		if start == end {
			if at == len(src) {
				at++
				break
			}
			add(src[at : at+1])
			at++
		}
		if anchored {
			break
		}
	}
	if at < len(src) {
		add(src[at:])
	}
	c.pushString(string(out))
	c.pushNumber(float64(n))
	return 2
}

// replace adds what stands for the match from start to end.
func (m *matcher) replace(by lua.LValue, start, end int, add func(string)) {
	c := m.c
	var v lua.LValue
	switch by := by.(type) {
	case lua.LString:
		for i := 0; i < len(by); i++ {
			switch {
			case by[i] != '%':
				j := strings.IndexByte(string(by[i:]), '%')
				if j < 0 {
					j = len(by) - i
				}
				add(string(by[i : i+j]))
				i += j - 1
			case i+1 == len(by):
				c.L.RaiseError("%s", "invalid use of '%' in replacement string")
			default:
				i++
				switch {
				case by[i] == '0':
					add(m.src[start:end])
				case isDigit(by[i]):
					add(c.text(m.value(int(by[i]-'1'), start, end)))
				default:
					add(string(by[i : i+1]))
				}
			}
		}
		return
	case *lua.LTable:
		v = c.L.GetTable(by, m.value(0, start, end))
	case *lua.LFunction:
		c.L.Push(by)
		n := m.pushCaptures(start, end, true)
		c.L.Call(n, 1)
		v = c.L.Get(-1)
		c.L.Pop(1)
	}
	switch {
	case lua.LVIsFalse(v):
		add(m.src[start:end])
	case isText(v):
		add(c.text(v))
	default:
		c.L.RaiseError("invalid replacement value (a %s)", v.Type())
	}
}

// format is string.format: width and precision have two digits at most, as in Lua.
func format(c call) int {
	f := c.str(1)
	var out []byte
	add := func(s string) {
		c.charge(c.L, len(s))
		out = append(out, s...)
	}
	arg := 1
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			j := strings.IndexByte(f[i:], '%')
			if j < 0 {
				j = len(f) - i
			}
			add(f[i : i+j])
			i += j - 1
			continue
		}
		if i++; i < len(f) && f[i] == '%' {
			add("%")
			continue
		}
		start := i
		for i < len(f) && strings.IndexByte("-+ #0", f[i]) >= 0 {
			i++
		}
		i = digits(f, i)
		if i < len(f) && f[i] == '.' {
			i = digits(f, i+1)
		}
		spec := f[start:min(i, len(f))]
		if i >= len(f) || len(spec) > 10 {
			c.L.RaiseError("invalid format (width or precision too long, or no letter)")
		}
		arg++
		if arg > c.L.GetTop() {
			c.L.RaiseError("bad argument #%d to 'format' (no value)", arg)
		}
		add(c.formatOne(spec, f[i], arg))
	}
	return c.pushString(string(out))
}

// digits passes over at most two.
func digits(f string, i int) int {
	for n := 0; n < 2 && i < len(f) && isDigit(f[i]); n++ {
		i++
	}
	return i
}

func (c call) formatOne(spec string, letter byte, arg int) string {
	verb := "%" + spec + string(letter)
	switch letter {
	case 'c':
		return string([]byte{byte(c.int64(arg))})
	case 'd', 'i':
		return fmt.Sprintf("%"+spec+"d", c.int64(arg))
	case 'u':
		return fmt.Sprintf("%"+spec+"d", uint64(c.int64(arg)))
	case 'o', 'x', 'X':
		return fmt.Sprintf(verb, uint64(c.int64(arg)))
	case 'e', 'E', 'f', 'g', 'G':
		n := c.number(arg)
		if math.IsInf(n, 0) || math.IsNaN(n) {
			return formatNumber(n)
		}
		if letter|0x20 == 'g' && !strings.Contains(spec, ".") {
			verb = "%" + spec + ".6" + string(letter)
		}
		return fmt.Sprintf(verb, n)
	case 'q':
		return quoted(c.str(arg))
	case 's':
		s := c.display(arg)
		if len(s) >= 100 && !strings.Contains(spec, ".") {
			return s
		}
		return pad(spec, s)
	}
	c.L.RaiseError("invalid option '%%%c' to 'format'", letter)
	return ""
}

// pad gives %s its width and precision in bytes; Go's counts characters.
func pad(spec, s string) string {
	left := strings.HasPrefix(spec, "-")
	width, precision, cut := strings.Cut(strings.TrimLeft(spec, "-+ #0"), ".")
	if cut {
		n, _ := strconv.Atoi(precision)
		s = s[:min(n, len(s))]
	}
	n, _ := strconv.Atoi(width)
	blanks := strings.Repeat(" ", max(n-len(s), 0))
	if left {
		return s + blanks
	}
	return blanks + s
}

// quoted writes a string as Lua reads it back.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch s[i] {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(s[i])
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(s[i])
		}
	}
	b.WriteByte('"')
	return b.String()
}
