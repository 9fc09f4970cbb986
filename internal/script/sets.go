package script

import lua "github.com/yuin/gopher-lua"

// setFunctions work on arrays of strings and numbers. A number equals the string that it is written as. Results have
// each element once, in the order of its first place.
var setFunctions = map[string]builtin{"_isect": intersect, "_union": union}

func intersect(c call) int {
	c.count(1, -1)
	order, first := c.members(c.table(1))
	for i := 2; i <= c.L.GetTop(); i++ {
		_, other := c.members(c.table(i))
		for key := range first {
			if _, ok := other[key]; !ok {
				delete(first, key)
			}
		}
	}
	var out []lua.LValue
	for _, key := range order {
		if v, ok := first[key]; ok {
			out = append(out, v)
		}
	}
	return c.pushValues(out)
}

func union(c call) int {
	c.count(1, -1)
	seen := map[string]bool{}
	var out []lua.LValue
	for i := 1; i <= c.L.GetTop(); i++ {
		order, members := c.members(c.table(i))
		for _, key := range order {
			if !seen[key] {
				seen[key] = true
				out = append(out, members[key])
			}
		}
	}
	return c.pushValues(out)
}

// members returns the elements of an array by their text, and the texts in order, each once.
func (c call) members(t *lua.LTable) (order []string, members map[string]lua.LValue) {
	c.check(c.L)
	values := c.elements(t)
	c.charge(c.L, entryCost*len(values))
	members = make(map[string]lua.LValue, len(values))
	for _, v := range values {
		key := c.text(v)
		if _, ok := members[key]; !ok {
			members[key] = v
			order = append(order, key)
		}
	}
	return order, members
}
