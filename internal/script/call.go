package script

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// builtin is a function that scripts call. It returns the number of results that it pushed.
type builtin func(c call) int

// call is one call of a builtin. Its methods that read arguments raise the original's "NAME: invalid arguments".
type call struct {
	*state
	L    *lua.LState // the coroutine that calls
	name string
}

func (c call) invalid() {
	c.L.RaiseError("%s: invalid arguments", c.name)
}

// count checks the number of arguments; a negative most is no limit.
func (c call) count(least, most int) {
	if n := c.L.GetTop(); n < least || most >= 0 && n > most {
		c.invalid()
	}
}

// has says whether there is such an argument, and it is not nil.
func (c call) has(i int) bool {
	return i <= c.L.GetTop() && c.L.Get(i) != lua.LNil
}

// text is the value as string: a string, or a number as Lua writes it.
func (c call) text(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	}
	c.invalid()
	return ""
}

func (c call) str(i int) string   { return c.text(c.L.Get(i)) }
func (c call) bytes(i int) []byte { return []byte(c.str(i)) }

// numeric is the value as number: a number, or a string that reads as one.
func (c call) numeric(v lua.LValue) float64 {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		if n := lua.LVAsNumber(v); n != 0 || isZero(string(v)) {
			return float64(n)
		}
	}
	c.invalid()
	return 0
}

func (c call) number(i int) float64 { return c.numeric(c.L.Get(i)) }
func (c call) int64(i int) int64    { return toInt64(c.number(i)) }

// integer is the argument, or def if it is absent.
func (c call) integer(i, def int) int {
	if !c.has(i) {
		return def
	}
	return int(c.int64(i))
}

func (c call) table(i int) *lua.LTable {
	t, ok := c.L.Get(i).(*lua.LTable)
	if !ok {
		c.invalid()
	}
	return t
}

func (c call) function(i int) *lua.LFunction {
	f, ok := c.L.Get(i).(*lua.LFunction)
	if !ok {
		c.invalid()
	}
	return f
}

// flatten returns the arguments from the first one on, with the elements of arrays in the place of the arrays.
func (c call) flatten(first int) []lua.LValue {
	var values []lua.LValue
	for i := first; i <= c.L.GetTop(); i++ {
		if t, ok := c.L.Get(i).(*lua.LTable); ok {
			values = append(values, c.elements(t)...)
		} else {
			values = append(values, c.L.Get(i))
		}
	}
	return values
}

// elements returns those of an array up to its first hole.
func (c call) elements(t *lua.LTable) []lua.LValue {
	n := t.Len()
	c.charge(c.L, 16*n)
	values := make([]lua.LValue, 0, n)
	for i := 1; i <= n; i++ {
		v := t.RawGetInt(i)
		if v == lua.LNil {
			break
		}
		values = append(values, v)
	}
	return values
}

// invoke calls a function of the script for its first result.
func (c call) invoke(f *lua.LFunction, args ...lua.LValue) (lua.LValue, error) {
	if err := c.protect(c.L, f, 1, args...); err != nil {
		return lua.LNil, err
	}
	v := c.L.Get(-1)
	c.L.Pop(1)
	return v, nil
}

func (c call) push(v lua.LValue) int {
	c.L.Push(v)
	return 1
}

func (c call) pushNil() int             { return c.push(lua.LNil) }
func (c call) pushBool(b bool) int      { return c.push(lua.LBool(b)) }
func (c call) pushNumber(n float64) int { return c.push(lua.LNumber(n)) }
func (c call) pushBytes(b []byte) int   { return c.pushString(string(b)) }

// pushString counts the bytes: never use it for what was counted before.
func (c call) pushString(s string) int {
	c.charge(c.L, len(s)+32)
	return c.push(lua.LString(s))
}

// pushList pushes an array of strings.
func (c call) pushList(list [][]byte) int {
	size := tableCost + slotCost*len(list)
	for _, b := range list {
		size += len(b)
	}
	c.charge(c.L, size)
	t := c.L.CreateTable(len(list), 0)
	for _, b := range list {
		t.Append(lua.LString(b))
	}
	return c.push(t)
}

// pushValues pushes an array of values that were counted when they were made.
func (c call) pushValues(values []lua.LValue) int {
	c.charge(c.L, tableCost+slotCost*len(values))
	t := c.L.CreateTable(len(values), 0)
	for _, v := range values {
		t.Append(v)
	}
	return c.push(t)
}

// toInt64 cuts the fraction. What is out of range becomes the nearest, NaN 0.
func toInt64(n float64) int64 {
	switch {
	case n != n:
		return 0
	case n >= math.MaxInt64:
		return math.MaxInt64
	case n <= math.MinInt64:
		return math.MinInt64
	}
	return int64(n)
}
