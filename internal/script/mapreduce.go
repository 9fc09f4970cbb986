package script

import (
	"errors"
	"maps"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

var mapReduceFunctions = map[string]builtin{"_mapreduce": mapReduce}

// mapReduce gives every record, or those of the given keys, to a map function that emits pairs, and then each emitted
// key with its values to a reduce function, in the order of the keys. Everything emitted is held in memory and counts
// as made by the call; the original uses a file.
func mapReduce(c call) int {
	c.count(2, 3)
	mapper, reducer := c.function(1), c.function(2)
	emitted := map[string][]lua.LValue{}
	emit := c.L.NewFunction(c.wrap("emit", func(c call) int {
		c.count(2, 2)
		key, value := c.str(1), c.str(2)
		c.charge(c.L, slotCost+len(value))
		if emitted[key] == nil {
			c.charge(c.L, entryCost+len(key))
		}
		emitted[key] = append(emitted[key], lua.LString(value))
		return c.pushBool(true)
	}))
	ok := true
	feed := func(key, value []byte) (bool, error) {
		c.charge(c.L, len(key)+len(value)+slotCost)
		v, err := c.invoke(mapper, lua.LString(key), lua.LString(value), emit)
		ok = ok && err == nil && lua.LVAsBool(v)
		return ok, err
	}
	if c.has(3) {
		ok = c.eachOf(c.flatten(3), feed) && ok
	} else {
		ok = c.each(feed) && ok
	}
	if !ok {
		return c.pushBool(false)
	}
	c.charge(c.L, 16*len(emitted))
	for _, key := range slices.Sorted(maps.Keys(emitted)) {
		values := c.L.CreateTable(len(emitted[key]), 0)
		for _, v := range emitted[key] {
			values.Append(v)
		}
		c.charge(c.L, tableCost+slotCost*values.Len())
		v, err := c.invoke(reducer, lua.LString(key), values)
		if err != nil {
			panic(err)
		}
		if !lua.LVAsBool(v) {
			return c.pushBool(false)
		}
	}
	return c.pushBool(true)
}

// eachOf gives the records of some keys to f. A key without a record is passed over.
func (c call) eachOf(keys []lua.LValue, f func(key, value []byte) (bool, error)) bool {
	for _, k := range keys {
		c.check(c.L)
		key := []byte(c.text(k))
		value, err := c.h.db.Get(key)
		if errors.Is(err, ErrNoRecord) {
			continue
		}
		if c.failed(err) {
			return false
		}
		more, err := f(key, value)
		if err != nil {
			panic(err)
		}
		if !more {
			break
		}
	}
	return true
}
