package script

import (
	"context"
	"errors"

	lua "github.com/yuin/gopher-lua"
)

// Database is what scripts work on. Its methods are called from many goroutines. It owns the bytes that it returns and
// must leave them alone; it must not keep those that it is given.
type Database interface {
	Put(key, value []byte) error
	// PutKeep returns ErrExists if the key has a record.
	PutKeep(key, value []byte) error
	PutCat(key, value []byte) error
	// Out, Get and VSiz return ErrNoRecord if the key has none.
	Out(key []byte) error
	Get(key []byte) ([]byte, error)
	VSiz(key []byte) (int, error)
	// IterInit and IterNext use the iterator that all clients share. IterNext returns ErrNoRecord at its end.
	IterInit() error
	IterNext() ([]byte, error)
	// FwmKeys returns, before ctx ends, at most max keys with the prefix, in their order if it has one.
	FwmKeys(ctx context.Context, prefix []byte, max int) ([][]byte, error)
	AddInt(key []byte, n int32) (int32, error)
	AddDouble(key []byte, n float64) (float64, error)
	Vanish() error
	RNum() uint64
	Size() uint64
	// Misc runs a function of the server by name, no longer than until ctx ends; noLog asks that it leave no trace in the update log.
	Misc(ctx context.Context, name string, args [][]byte, noLog bool) ([][]byte, error)
	// Each gives every record to f until f returns false. f may call the other methods, so Each must hold no lock that
	// they need.
	Each(f func(key, value []byte) bool) error
}

// databaseFunctions are the functions on records.
var databaseFunctions = map[string]builtin{
	"_put":       func(c call) int { return c.store(c.h.db.Put) },
	"_putkeep":   func(c call) int { return c.store(c.h.db.PutKeep) },
	"_putcat":    func(c call) int { return c.store(c.h.db.PutCat) },
	"_out":       outRecord,
	"_get":       getRecord,
	"_vsiz":      vsizRecord,
	"_iterinit":  iterInit,
	"_iternext":  iterNext,
	"_fwmkeys":   fwmKeys,
	"_addint":    addInt,
	"_adddouble": addDouble,
	"_vanish":    vanish,
	"_rnum":      func(c call) int { c.count(0, 0); return c.pushNumber(float64(c.h.db.RNum())) },
	"_size":      func(c call) int { c.count(0, 0); return c.pushNumber(float64(c.h.db.Size())) },
	"_misc":      misc,
	"_foreach":   forEach,
}

// failed says whether the database could not do it. What is no answer but trouble is logged, once for each call.
func (c call) failed(err error) bool {
	if err == nil {
		return false
	}
	c.check(c.L)
	if !errors.Is(err, ErrNoRecord) && !errors.Is(err, ErrExists) && !c.troubled {
		c.troubled = true
		c.h.log.Warn("script cannot use the database", "function", c.name, "err", err)
	}
	return true
}

func (c call) store(put func(key, value []byte) error) int {
	c.count(2, 2)
	return c.pushBool(!c.failed(put(c.bytes(1), c.bytes(2))))
}

func outRecord(c call) int {
	c.count(1, 1)
	return c.pushBool(!c.failed(c.h.db.Out(c.bytes(1))))
}

func getRecord(c call) int {
	c.count(1, 1)
	value, err := c.h.db.Get(c.bytes(1))
	if c.failed(err) {
		return c.pushNil()
	}
	return c.pushBytes(value)
}

func vsizRecord(c call) int {
	c.count(1, 1)
	size, err := c.h.db.VSiz(c.bytes(1))
	if c.failed(err) {
		size = -1
	}
	return c.pushNumber(float64(size))
}

func iterInit(c call) int {
	c.count(0, 0)
	return c.pushBool(!c.failed(c.h.db.IterInit()))
}

func iterNext(c call) int {
	c.count(0, 0)
	key, err := c.h.db.IterNext()
	if c.failed(err) {
		return c.pushNil()
	}
	return c.pushBytes(key)
}

func fwmKeys(c call) int {
	c.count(1, 2)
	// More than this ends the call anyway.
	most := c.h.config.MaxMemory/slotCost + 1
	if n := c.integer(2, -1); n >= 0 {
		most = min(most, n)
	}
	keys, err := c.h.db.FwmKeys(c.ctx, c.bytes(1), most)
	if c.failed(err) {
		keys = nil
	}
	return c.pushList(keys)
}

func addInt(c call) int {
	c.count(2, 2)
	n, err := c.h.db.AddInt(c.bytes(1), int32(c.int64(2)))
	if c.failed(err) {
		return c.pushNil()
	}
	return c.pushNumber(float64(n))
}

func addDouble(c call) int {
	c.count(2, 2)
	n, err := c.h.db.AddDouble(c.bytes(1), c.number(2))
	if c.failed(err) {
		return c.pushNil()
	}
	return c.pushNumber(n)
}

func vanish(c call) int {
	c.count(0, 0)
	return c.pushBool(!c.failed(c.h.db.Vanish()))
}

// misc gives the server the strings of all arguments, those in tables included. A $ before the name asks for no
// update log.
func misc(c call) int {
	c.count(1, -1)
	name := c.str(1)
	noLog := len(name) > 0 && name[0] == '$'
	if noLog {
		name = name[1:]
	}
	var args [][]byte
	for _, v := range c.flatten(2) {
		args = append(args, []byte(c.text(v)))
	}
	result, err := c.h.db.Misc(c.ctx, name, args, noLog)
	if c.failed(err) {
		return c.pushNil()
	}
	return c.pushList(result)
}

// forEach calls the function with every record until it does not return true.
func forEach(c call) int {
	c.count(1, 1)
	f := c.function(1)
	return c.pushBool(c.each(func(key, value []byte) (bool, error) {
		c.charge(c.L, len(key)+len(value)+64)
		v, err := c.invoke(f, lua.LString(key), lua.LString(value))
		return lua.LVAsBool(v), err
	}))
}

// each gives the records to f until it returns false or an error, which is raised when the database is out of the way:
// no Lua error, which is a panic, ever passes through it.
func (c call) each(f func(key, value []byte) (bool, error)) bool {
	var raised any
	err := c.h.db.Each(func(key, value []byte) (more bool) {
		defer func() {
			if raised = recover(); raised != nil {
				more = false
			}
		}()
		more, err := f(key, value)
		if err != nil {
			panic(err)
		}
		if c.ctx.Err() != nil {
			c.check(c.L)
		}
		return more
	})
	if raised != nil {
		panic(raised)
	}
	return !c.failed(err)
}
