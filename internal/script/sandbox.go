package script

import (
	"errors"
	"io"
	"math"
	"os"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// libraries are those that need no trust.
var libraries = []struct {
	name string
	open lua.LGFunction
}{
	{lua.BaseLibName, lua.OpenBase},
	{lua.TabLibName, lua.OpenTable},
	{lua.StringLibName, lua.OpenString},
	{lua.MathLibName, lua.OpenMath},
	{lua.CoroutineLibName, lua.OpenCoroutine},
	{lua.OsLibName, lua.OpenOs},
}

// What the libraries lose: files, modules, what prints and what knows too much.
var (
	lostGlobals = []string{"dofile", "loadfile", "require", "module", "newproxy", "_printregs", "_GOPHER_LUA_VERSION"}
	safeOs      = []string{"clock", "date", "difftime", "time"}
)

// open gives the state its libraries and functions.
func (s *state) open() {
	L := s.L
	s.openMeters()
	opened := libraries
	if s.h.config.Unsafe {
		opened = append(slices.Clone(opened), struct {
			name string
			open lua.LGFunction
		}{lua.IoLibName, lua.OpenIo})
	}
	for _, lib := range opened {
		L.Push(L.NewFunction(lib.open))
		L.Push(lua.LString(lib.name))
		L.Call(1, 0)
	}
	globals := L.G.Global
	for _, name := range lostGlobals {
		globals.RawSetString(name, lua.LNil)
	}
	table := func(name string) *lua.LTable { return globals.RawGetString(name).(*lua.LTable) }

	clock := table("os")
	if s.h.config.Unsafe {
		clock.RawSetString("exit", lua.LNil) // a script never ends the node
		s.set(globals, "", fileLoaders)
	} else {
		safe := L.NewTable()
		for _, name := range safeOs {
			safe.RawSetString(name, clock.RawGetString(name))
		}
		globals.RawSetString("os", safe)
		clock = safe
	}
	s.openDate(clock)
	s.openStrings(table("string"))
	s.openCoroutines(table("coroutine"))
	s.set(table("table"), "table.", tableFunctions)
	s.set(table("math"), "math.", mathFunctions)
	for _, functions := range []map[string]builtin{
		baseFunctions, databaseFunctions, mapReduceFunctions, stashFunctions, lockFunctions, packFunctions,
		codecFunctions, textFunctions, setFunctions, systemFunctions, fileFunctions,
	} {
		s.set(globals, "", functions)
	}
	globals.RawSetString("_version", lua.LString(tyrantVersion))
	globals.RawSetString("_pid", lua.LNumber(os.Getpid()))
	globals.RawSetString("_sid", lua.LNumber(s.h.config.SID))
	globals.RawSetString("_thnum", lua.LNumber(s.h.config.PoolSize))
	globals.RawSetString("_thid", lua.LNumber(s.id))

	s.own = map[string]lua.LValue{}
	globals.ForEach(func(name, value lua.LValue) {
		s.own[name.String()] = value
	})
}

// baseFunctions replace those of the base library that would not be counted.
var baseFunctions = map[string]builtin{
	"pcall": func(c call) int {
		if c.L.GetTop() < 1 {
			c.invalid()
		}
		c.L.Insert(c.guard, 1)
		if err := c.L.PCall(c.L.GetTop()-1, lua.MultRet, nil); err != nil {
			c.L.Push(lua.LFalse)
			c.L.Push(raised(err))
			return 2
		}
		c.L.Insert(lua.LTrue, 1)
		return c.L.GetTop()
	},
	// xpcall calls its second function when the error has come here.
	"xpcall": func(c call) int {
		f, handler := c.L.Get(1), c.function(2)
		c.L.SetTop(0)
		if err := c.protect(c.L, f, lua.MultRet); err != nil {
			v, err := c.invoke(handler, raised(err))
			if err != nil {
				v = raised(err)
			}
			c.L.Push(lua.LFalse)
			c.L.Push(v)
			return 2
		}
		c.L.Insert(lua.LTrue, 1)
		return c.L.GetTop()
	},
	"rawset": func(c call) int {
		c.rawSet(c.table(1), c.L.Get(2), c.L.Get(3))
		c.L.SetTop(1)
		return 1
	},
	"tostring": func(c call) int {
		if c.L.GetTop() < 1 {
			c.invalid()
		}
		return c.pushString(c.display(1))
	},
	// print goes to the log, as _log does: a server has no terminal.
	"print": func(c call) int {
		parts := make([]string, c.L.GetTop())
		for i := range parts {
			parts[i] = c.display(i + 1)
		}
		c.h.tell(levelInfo, string(c.join(parts, "\t")))
		return 0
	},
	// collectgarbage tells what this call made: the collector is that of the whole process, and not for scripts.
	"collectgarbage": func(c call) int {
		if c.L.GetTop() > 0 && c.str(1) == "count" {
			return c.pushNumber(float64(c.made) / 1024)
		}
		return c.pushNumber(0)
	},
	"loadstring": func(c call) int {
		return c.loadSource(c.str(1), chunkName(c, "string"))
	},
	"load": func(c call) int {
		f := c.function(1)
		var parts []string
		for size := 0; ; {
			v, err := c.invoke(f)
			if err != nil {
				panic(err)
			}
			piece, ok := v.(lua.LString)
			if v == lua.LNil || ok && piece == "" {
				break
			}
			if !ok {
				c.L.RaiseError("reader function must return a string")
			}
			if size += len(piece); size > maxEvalSource {
				break
			}
			c.charge(c.L, slotCost)
			parts = append(parts, string(piece))
		}
		return c.loadSource(string(c.join(parts, "")), chunkName(c, "load"))
	},
}

// raised is the value that an error carries.
func raised(err error) lua.LValue {
	if e, ok := errors.AsType[*lua.ApiError](err); ok && e.Object != nil && (e.Object != lua.LNil || e.Cause == nil) {
		return e.Object
	}
	return lua.LString(err.Error())
}

func chunkName(c call, def string) string {
	if !c.has(2) {
		return def
	}
	name := c.str(2)
	return name[:min(len(name), 64)]
}

// loadSource pushes a function, or nil and what is wrong.
func (c call) loadSource(source, name string) int {
	f, err := c.compileSource(source, name)
	if err != nil {
		c.L.Push(lua.LNil)
		c.pushString(plainMessage(err))
		return 2
	}
	return c.push(f)
}

// plainMessage is what is wrong, as Lua says it to scripts.
func plainMessage(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Message
	}
	return err.Error()
}

func (c call) compileSource(source, name string) (*lua.LFunction, error) {
	if len(source) > maxEvalSource {
		return nil, errors.New("source is too long")
	}
	c.charge(c.L, sourceCost*len(source))
	proto, err := compile(source, name)
	if err != nil {
		return nil, err
	}
	return c.load(proto)
}

// fileLoaders are only for those who trust the script.
var fileLoaders = map[string]builtin{
	"loadfile": func(c call) int {
		source, err := readFile(c.str(1))
		if err != nil {
			c.L.Push(lua.LNil)
			c.pushString(err.Error())
			return 2
		}
		return c.loadSource(source, c.str(1))
	},
	"dofile": func(c call) int {
		source, err := readFile(c.str(1))
		if err != nil {
			c.L.RaiseError("%v", err)
		}
		f, err := c.compileSource(source, c.str(1))
		if err != nil {
			c.L.RaiseError("%s", plainMessage(err))
		}
		top := c.L.GetTop()
		c.L.Push(f)
		c.L.Call(0, lua.MultRet)
		return c.L.GetTop() - top
	},
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxEvalSource+1))
	return string(b), err
}

// display is what tostring makes of an argument.
func (c call) display(i int) string {
	v := c.L.Get(i)
	if f := c.L.GetMetaField(v, "__tostring"); f != lua.LNil {
		c.L.Push(f)
		c.L.Push(v)
		c.L.Call(1, 1)
		v = c.L.Get(-1)
		c.L.Pop(1)
		if s, ok := v.(lua.LString); ok {
			return string(s)
		}
	}
	if n, ok := v.(lua.LNumber); ok {
		return formatNumber(float64(n))
	}
	return v.String()
}

// openDate bounds os.date, whose result grows with its format.
func (s *state) openDate(t *lua.LTable) {
	date := t.RawGetString("date").(*lua.LFunction).GFunction
	s.set(t, "os.", map[string]builtin{"date": func(c call) int {
		if c.has(1) && len(c.str(1)) > 1024 {
			c.invalid()
		}
		c.charge(c.L, 1024)
		return date(c.L)
	}})
}

// openCoroutines counts coroutines, and bounds how deep they resume each other.
func (s *state) openCoroutines(t *lua.LTable) {
	library := func(name string) lua.LGFunction { return t.RawGetString(name).(*lua.LFunction).GFunction }
	create, wrap, resume := library("create"), library("wrap"), library("resume")
	deeper := func(resume lua.LGFunction) builtin {
		return func(c call) int {
			if c.resumed >= resumeDepth {
				c.L.RaiseError("coroutines resume each other more than %d deep", resumeDepth)
			}
			c.resumed++
			defer func() { c.resumed-- }()
			return resume(c.L)
		}
	}
	s.set(t, "coroutine.", map[string]builtin{
		"create": func(c call) int {
			c.charge(c.L, threadCost)
			return create(c.L)
		},
		"resume": deeper(resume),
		"wrap": func(c call) int {
			c.charge(c.L, threadCost)
			wrap(c.L)
			f := c.L.Get(-1).(*lua.LFunction)
			c.L.Pop(1)
			return c.push(c.L.NewClosure(s.wrap("coroutine.wrap", deeper(f.GFunction)), f.Upvalues[0].Value()))
		},
	})
}

// tableFunctions replace those that would not be counted, or not end.
var tableFunctions = map[string]builtin{
	"concat": func(c call) int {
		t, sep := c.table(1), ""
		if c.has(2) {
			sep = c.str(2)
		}
		first, last := c.integer(3, 1), c.integer(4, t.Len())
		if first > last {
			return c.pushString("")
		}
		if first < 1 || last > t.Len() {
			c.L.RaiseError("invalid value in table for concat: indices %d to %d of %d", first, last, t.Len())
		}
		c.charge(c.L, 16*(last-first+1))
		parts := make([]string, 0, last-first+1)
		for i := first; i <= last; i++ {
			v := t.RawGetInt(i)
			if !isText(v) {
				c.L.RaiseError("invalid value (%s) at index %d in table for concat", v.Type(), i)
			}
			parts = append(parts, c.text(v))
		}
		return c.push(c.join(parts, sep))
	},
	"insert": func(c call) int {
		t := c.table(1)
		switch c.L.GetTop() {
		case 2:
			c.rawSet(t, lua.LNumber(t.Len()+1), c.L.Get(2))
		case 3:
			i := c.integer(2, 0)
			if i < 1 || i > t.Len() {
				c.rawSet(t, lua.LNumber(i), c.L.Get(3))
				break
			}
			c.charge(c.L, slotCost)
			t.Insert(i, c.L.Get(3))
		default:
			c.L.RaiseError("wrong number of arguments to 'insert'")
		}
		return 0
	},
	"sort": sortTable,
}

// sortTable is table.sort. An order that contradicts itself gives some order.
func sortTable(c call) int {
	t := c.table(1)
	less := c.L.LessThan
	if c.has(2) {
		f := c.function(2)
		less = func(a, b lua.LValue) bool {
			c.L.Push(f)
			c.L.Push(a)
			c.L.Push(b)
			c.L.Call(2, 1)
			v := c.L.Get(-1)
			c.L.Pop(1)
			return lua.LVAsBool(v)
		}
	}
	values := c.elements(t)
	steps := 0
	slices.SortFunc(values, func(a, b lua.LValue) int {
		if steps++; steps%1024 == 0 {
			c.check(c.L)
		}
		switch {
		case less(a, b):
			return -1
		case less(b, a):
			return 1
		}
		return 0
	})
	for i, v := range values {
		t.RawSetInt(i+1, v)
	}
	return 0
}

// mathFunctions replace those that use the process's source of random numbers.
var mathFunctions = map[string]builtin{
	"random": func(c call) int {
		r := c.rand.Float64()
		if c.L.GetTop() == 0 {
			return c.pushNumber(r)
		}
		low, high := 1.0, math.Floor(c.number(1))
		if c.has(2) {
			low, high = high, math.Floor(c.number(2))
		}
		if !(low <= high) {
			c.L.RaiseError("bad argument to 'random': interval is empty")
		}
		return c.pushNumber(math.Floor(r*(high-low+1)) + low)
	},
	"randomseed": func(c call) int {
		c.seed(uint64(c.int64(1)))
		return 0
	},
}
