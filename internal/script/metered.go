package script

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// openMeters makes the functions that compiled chunks call, and the one under which this package calls chunks.
func (s *state) openMeters() {
	for i, f := range []builtin{concat, store, made} {
		s.meters[i] = s.L.NewFunction(s.wrap("meter", f))
	}
	s.guard = s.L.NewFunction(s.wrap("guard", guarded))
}

// concat joins its arguments as Lua's operator does: from the right, by __concat where one is neither string nor number.
func concat(c call) int {
	n := c.L.GetTop()
	right := c.L.Get(n)
	for i := n - 1; i >= 1; {
		left := c.L.Get(i)
		if !isText(left) || !isText(right) {
			right = c.concatMeta(left, right)
			i--
			continue
		}
		first := i
		for first > 1 && isText(c.L.Get(first-1)) {
			first--
		}
		parts := make([]string, 0, i-first+2)
		for ; first <= i; first++ {
			parts = append(parts, c.text(c.L.Get(first)))
		}
		i -= len(parts)
		right = c.join(append(parts, c.text(right)), "")
	}
	return c.push(right)
}

func isText(v lua.LValue) bool {
	return v.Type() == lua.LTString || v.Type() == lua.LTNumber
}

func (c call) concatMeta(left, right lua.LValue) lua.LValue {
	f := c.L.GetMetaField(left, "__concat")
	if f == lua.LNil {
		f = c.L.GetMetaField(right, "__concat")
	}
	if f == lua.LNil {
		wrong := left
		if isText(left) {
			wrong = right
		}
		c.L.RaiseError("attempt to concatenate a %s value", wrong.Type())
	}
	c.L.Push(f)
	c.L.Push(left)
	c.L.Push(right)
	c.L.Call(2, 1)
	v := c.L.Get(-1)
	c.L.Pop(1)
	return v
}

// join counts before it joins.
func (c call) join(parts []string, sep string) lua.LString {
	size := 32 + len(sep)*(len(parts)-1)
	for _, p := range parts {
		size += len(p)
	}
	c.charge(c.L, size)
	return lua.LString(strings.Join(parts, sep))
}

// store is t[k] = v.
func store(c call) int {
	key, value := c.L.Get(2), c.L.Get(3)
	if t, ok := c.L.Get(1).(*lua.LTable); ok && t.Metatable == lua.LNil {
		c.rawSet(t, key, value)
		return 0
	}
	c.storeMeta(c.L.Get(1), key, value)
	return 0
}

// storeMeta follows __newindex to the table or function that takes the value.
func (c call) storeMeta(object, key, value lua.LValue) {
	for range lua.MaxTableGetLoop {
		t, isTable := object.(*lua.LTable)
		if isTable && t.RawGet(key) != lua.LNil {
			c.rawSet(t, key, value)
			return
		}
		next := c.L.GetMetaField(object, "__newindex")
		switch {
		case next == lua.LNil && isTable:
			c.rawSet(t, key, value)
			return
		case next == lua.LNil:
			c.L.RaiseError("attempt to index a %s value (field '%s')", object.Type(), shortened(key))
		case next.Type() == lua.LTFunction:
			c.L.Push(next)
			c.L.Push(object)
			c.L.Push(key)
			c.L.Push(value)
			c.L.Call(3, 0)
			return
		}
		object = next
	}
	c.L.RaiseError("loop in settable")
}

func shortened(key lua.LValue) string {
	s := key.String()
	return s[:min(len(s), 64)]
}

// rawSet counts what the table grows by. An array grows up to the index that is set, with everything between.
func (c call) rawSet(t *lua.LTable, key, value lua.LValue) {
	if t.RawGet(key) == lua.LNil {
		switch k := key.(type) {
		case *lua.LNilType:
			c.L.RaiseError("table index is nil")
		case lua.LNumber:
			if math.IsNaN(float64(k)) {
				c.L.RaiseError("table index is NaN")
			}
			if k == lua.LNumber(int(k)) && k >= 1 && k < lua.LNumber(lua.MaxArrayIndex) {
				c.charge(c.L, slotCost*max(int(k)-t.Len(), 0))
			} else {
				c.charge(c.L, entryCost)
			}
		default:
			c.charge(c.L, entryCost)
		}
	}
	t.RawSet(key, value)
}

// made counts a table with n entries or a function, either made just now, and gives the table pairs of keys and values.
func made(c call) int {
	t, ok := c.L.Get(1).(*lua.LTable)
	if !ok {
		c.charge(c.L, closureCost)
		return c.push(c.L.Get(1))
	}
	c.charge(c.L, tableCost+slotCost*t.Len()+entryCost*int(c.L.Get(2).(lua.LNumber)))
	for i := 3; i < c.L.GetTop(); i += 2 {
		c.rawSet(t, c.L.Get(i), c.L.Get(i+1))
	}
	return c.push(t)
}
