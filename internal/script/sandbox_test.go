package script

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestEscapes: each expression tries to reach what scripts must not have, and is false or an error.
func TestEscapes(t *testing.T) {
	for _, code := range []string{
		`dofile or loadfile or require or module or package or debug or io or newproxy or channel or _printregs`,
		`os.execute or os.exit or os.getenv or os.setenv or os.remove or os.rename or os.tmpname or os.setlocale`,
		`getfenv(0).dofile or getfenv(1).io or getfenv(print).require or _G._G._G.debug`,
		`getfenv(string.rep).io or getfenv(loadstring("return 1")).io`,
		`string.dump or ("").dump or getmetatable("").__index.dump`,
		`loadstring("\27Lua\81\0\1\4\8\4\8\0")`,
		`load(function() return "\27Lua" end)`,
		`loadstring("return io or os.execute or dofile")()`,
		`setfenv(function() return io or dofile end, setmetatable({}, {__index = _G}))()`,
		`coroutine.wrap(function() return io or getfenv(0).dofile end)()`,
		`getmetatable(_G) or getmetatable(print) or getmetatable(coroutine.create(print))`,
		// What the compiler adds has no name.
		`_G["\0concat"] or rawget(_G, "\0store") or getfenv(1)["\0made"]`,
		`loadstring("return \0concat")`,
		`pcall(setfenv, print, {})`,
		`pcall(setmetatable, nil, {})`,
		`pcall(_misc) or pcall(_codec, "~gzip", {})`,
	} {
		got, _, err := try(t, `return (`+code+`) and "reached" or "nothing"`)
		if got != "nothing" && err == nil {
			t.Errorf("%s: got %q", code, got)
		}
	}
}

// TestBombs: each body ends by the named limit, within its time and its memory, whatever it catches, and the host goes on.
func TestBombs(t *testing.T) {
	const memory = 8 << 20
	tests := map[string]struct {
		body string
		want error // nil for any error or a failure
	}{
		"loop":                  {`while true do end`, ErrTimeout},
		"caught loop":           {`while true do pcall(function() while true do end end) end`, ErrTimeout},
		"error handler":         {`while true do xpcall(error, function() while true do end end) end`, ErrTimeout},
		"repeat":                {`repeat until false`, ErrTimeout},
		"goto":                  {`::again:: goto again`, ErrTimeout},
		"coroutine loop":        {`coroutine.wrap(function() while true do end end)()`, ErrTimeout},
		"many coroutines":       {`local all = {} while true do all[#all + 1] = coroutine.wrap(function() coroutine.yield() end) all[#all]() end`, ErrMemory},
		"coroutine in another":  {`local function deeper() return coroutine.wrap(deeper)() end return deeper()`, nil},
		"resume in another":     {`local function deeper() local ok, e = coroutine.resume(coroutine.create(deeper)) if not ok then error(e, 0) end end deeper() error("x")`, nil},
		"nested pcall":          {`local function deeper() local ok, e = pcall(deeper) if not ok then error(e, 0) end end deeper()`, nil},
		"recursion":             {`local function deeper() return 1 + deeper() end return deeper()`, nil},
		"tail calls":            {`local function on() return on() end return on()`, ErrTimeout},
		"recursion by index":    {`local t = {} setmetatable(t, {__index = function(t, k) return t[k] end}) return t.x`, nil},
		"recursion by tostring": {`local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) return tostring(t)`, nil},
		"recursion by gsub":     {`local function f(s) return (s:gsub(".", f)) end return f("x")`, nil},
		"recursion by sort":     {`local function f() local t = {2, 1} table.sort(t, f) end f()`, nil},
		"recursion by eval":     {`_eval("_eval('_eval(\"x()\")')") while true do end`, ErrTimeout},
		"index loop":            {`local t = {} setmetatable(t, t) t.__index = t return t.x`, nil},

		"doubling":                  {`local s = "x" while true do s = s .. s end`, ErrMemory},
		"caught doubling":           {`local s = "x" while true do pcall(function() s = s .. s end) end`, ErrMemory},
		"caught at the end":         {`local s = ("x"):rep(2^22) return pcall(function() return s .. s .. s .. s end)`, ErrMemory},
		"rep":                       {`return ("x"):rep(1e9)`, ErrMemory},
		"rep of rep":                {`local s = ("x"):rep(1e6) return s:rep(1e6)`, ErrMemory},
		"rep overflow":              {`return ("xxxx"):rep(2^62)`, ErrMemory},
		"rep through its metatable": {`return getmetatable("").__index.rep("x", 1e10)`, ErrMemory},
		"format":                    {`return ("%99.99f"):rep(1e6):format(1)`, nil},
		"format of strings":         {`local s = ("x"):rep(1e6) return ("%s"):rep(100):format(unpack((function() local t = {} for i = 1, 100 do t[i] = s end return t end)()))`, ErrMemory},
		"gsub":                      {`local s = ("x"):rep(1e5) return s:gsub("x", s)`, ErrMemory},
		"gsub by function":          {`local s = ("x"):rep(1e5) return s:gsub(".", function() return s end)`, ErrMemory},
		"concat":                    {`local s, t = ("x"):rep(1e6), {} for i = 1, 1e4 do t[i] = s end return table.concat(t)`, ErrMemory},
		"concat separator":          {`local t = {} for i = 1, 1e4 do t[i] = "" end return table.concat(t, ("x"):rep(1e5))`, ErrMemory},
		"upper":                     {`local s, t = ("x"):rep(1e6), {} while true do t[#t + 1] = s:upper() end`, ErrMemory},
		"array":                     {`local t = {} for i = 1, 1e9 do t[i] = i end`, ErrMemory},
		"array jump":                {`local t = {} t[5e7] = 1`, ErrMemory},
		"array jump to nil":         {`local t = {} t[5e7] = nil`, ErrMemory},
		"constructor jump":          {`return {[5e7] = 1}`, ErrMemory},
		"insert jump":               {`local t = {} table.insert(t, 5e7, 1)`, ErrMemory},
		"rawset jump":               {`rawset({}, 5e7, 1)`, ErrMemory},
		"jump by newindex":          {`local t = setmetatable({}, {__newindex = {}}) t[5e7] = 1`, ErrMemory},
		"multiple jump":             {`local t = {} local x x, t[5e7] = 1, 2`, ErrMemory},
		"many arrays":               {`local t = {} for i = 1, 1e9 do t[i] = {1, 2, 3} end`, ErrMemory},
		"keys":                      {`local t = {} for i = 1, 1e9 do t["k" .. i] = i end`, ErrMemory},
		"keys that go":              {`local t = {} for i = 1, 1e9 do t[i + 0.5] = i t[i + 0.5] = nil end`, ErrMemory},
		"closures":                  {`local f while true do local g = f f = function() return g end end`, ErrMemory},
		"local functions":           {`local f while true do local g = f local function h() return g end f = h end`, ErrMemory},
		"source":                    {`local t = {} while true do t[#t + 1] = loadstring(("x = 1 "):rep(5000)) end`, ErrMemory},
		"endless load":              {`return load(function() return "x = 1 " end)`, nil},
		"nested source":             {`return loadstring("return " .. ("-"):rep(60000) .. "1")`, nil},
		"nested brackets":           {`return loadstring("return " .. ("("):rep(30000) .. "1" .. (")"):rep(30000))() == 2`, nil},
		"nested tables":             {`return loadstring("return " .. ("{"):rep(30000) .. ("}"):rep(30000))`, nil},
		"nested functions":          {`return loadstring(("local f = function() "):rep(2500) .. ("end "):rep(2500))`, nil},
		"nested blocks":             {`return loadstring(("do "):rep(15000) .. ("end "):rep(15000))`, nil},
		"long addition":             {`return loadstring("return 1" .. ("+1"):rep(30000))`, nil},
		"unpack":                    {`return unpack({}, 1, 1e9)`, nil},
		"unpack wide":               {`return unpack({}, -1e18, 1e18)`, nil},
		"byte":                      {`return ("x"):rep(1e6):byte(1, -1)`, nil},

		"backtracking":       {`return ("a"):rep(30):find(("a?"):rep(30) .. ("a"):rep(30) .. "b")`, ErrTimeout},
		"stars":              {`return ("a"):rep(5000):find(("a*"):rep(20) .. "b")`, ErrTimeout},
		"stars in gsub":      {`return ("a"):rep(5000):gsub(("a*"):rep(20) .. "b", "")`, ErrTimeout},
		"stars in gmatch":    {`for _ in ("a"):rep(5000):gmatch(("a*"):rep(20) .. "b") do end`, ErrTimeout},
		"lazy":               {`return ("a"):rep(5000):find((".-"):rep(20) .. "b")`, ErrTimeout},
		"balance":            {`local s = ("("):rep(1e6) return s:find("%b()")`, ErrTimeout},
		"nested captures":    {`return ("a"):find(("("):rep(1e5))`, nil},
		"regex":              {`local s = ("a"):rep(5e6) while true do _regex(s, "(a|aa|aaa|aaaa)*b") end`, ErrTimeout},
		"regex replacing":    {`return _regex(("a"):rep(1e6), "a|a.*b", "x")`, ErrTimeout},
		"regex growing":      {`local s = ("x"):rep(1e5) return _regex(s, "x", s)`, ErrMemory},
		"distance":           {`local s = ("x"):rep(2e5) return _dist(s, s)`, ErrTimeout},
		"sort":               {`local t = {} for i = 1, 1e4 do t[i] = i % 1000 end table.sort(t, function(a, b) for i = 1, 1e5 do end return a < b end)`, ErrTimeout},
		"sort against order": {`local t = {} for i = 1, 1e4 do t[i] = i end while true do table.sort(t, function() return true end) end`, ErrTimeout},

		"gzip bomb":       {`local s = _codec("gzip", ("\0"):rep(1e6)) for i = 1, 3 do s = _codec("gzip", s:rep(50)) end for i = 1, 4 do s = _codec("~gzip", s) end`, ErrMemory},
		"deflate bomb":    {`local s = "" for i = 1, 40 do s = s .. _codec("gzip", ("\0"):rep(5e5)) end return _codec("~gzip", s)`, ErrMemory},
		"bzip":            {`while true do _codec("bzip", ("x"):rep(1e5)) end`, ErrMemory},
		"packbits bomb":   {`return _codec("~pack", ("\129x"):rep(1e6))`, ErrMemory},
		"pack":            {`local t = {} for i = 1, 1e5 do t[i] = i end while true do local s = _pack("l*", t) end`, ErrMemory},
		"unpacking":       {`return _unpack("c*", ("x"):rep(1e7))`, ErrMemory},
		"splitting":       {`return _split((","):rep(1e7), ",")`, ErrMemory},
		"strstr growing":  {`local s = ("x"):rep(1e5) return _strstr(s, "x", s)`, ErrMemory},
		"ucs":             {`return _ucs(("x"):rep(1e7))`, ErrMemory},
		"union":           {`local t = {} for i = 1, 1e5 do t[i] = i end while true do t = _union(t, t) end`, ErrMemory},
		"foreach":         {`_foreach(function() while true do end end)`, ErrTimeout},
		"get":             {`local t = {} while true do t[#t + 1] = _get("large") end`, ErrMemory},
		"collectgarbage":  {`while true do collectgarbage() end`, ErrTimeout},
		"date":            {`return os.date(("%c"):rep(1e6))`, nil},
		"log":             {`local s = ("x"):rep(1e6) while true do _log(s) end`, ErrTimeout},
		"sleep":           {`_sleep(1e300)`, ErrTimeout},
		"printing itself": {`local s = ("x"):rep(1e6) while true do print(s, s) end`, ErrMemory},
	}
	d := newMemory("large", strings.Repeat("x", 1<<20))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			// What meets another limit gets the time for it, also on a busy machine.
			timeout := time.Minute
			if tt.want == ErrTimeout {
				timeout = 50 * time.Millisecond
			}
			h := start(t, "function f() "+tt.body+"\nend function alive() return 'yes' end", func(c *Config) {
				c.Timeout, c.MaxMemory, c.Database = timeout, memory, d
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			reply, ok, err := h.Call(context.Background(), "f", nil, nil, LockNone)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if ok && err == nil {
				t.Errorf("got the result %.100q", reply)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got error %.300v, want %v", err, tt.want)
			}
			if took > timeout+20*time.Second {
				t.Errorf("took %v", took)
			}
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 256<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
			for {
				reply, _, err := h.Call(context.Background(), "alive", nil, nil, LockNone)
				if errors.Is(err, ErrTimeout) {
					continue // the time for a bomb is short for a new state
				}
				if string(reply) != "yes" || err != nil {
					t.Errorf("afterwards: got %q, %v", reply, err)
				}
				break
			}
		})
	}
}

// TestRandomIsOurs: a script's seed does not reach the process.
func TestRandomIsOurs(t *testing.T) {
	h := start(t, "function f() math.randomseed(1) return math.random(1e9) end")
	first, _, err := h.Call(context.Background(), "f", nil, nil, LockNone)
	second, _, _ := h.Call(context.Background(), "f", nil, nil, LockNone)
	if err != nil || string(first) != string(second) {
		t.Errorf("got %s and %s, %v, want the same number", first, second, err)
	}
}

// FuzzSource: whatever clients make a script compile, the process lives.
func FuzzSource(f *testing.F) {
	for _, source := range []string{
		"return 1", "x = {[1] = 2, 'a', b = 3} .. 'x'", "local a, b.c = 1", "a.b, c = d.e, f", "for i = 1, 2 do t[i] = function(...) return ... end end",
		"\x1bLua", "goto x ::x::", "function a.b:c() self.x = 1 end", "return ('x'):rep(3):gsub('x*', '%0')", "x = x .. x .. x",
	} {
		f.Add(source)
	}
	h := start(f, "function f(source) local chunk = loadstring(source) return chunk and chunk() end", func(c *Config) {
		c.Timeout, c.MaxMemory = 100*time.Millisecond, 4<<20
	})
	f.Fuzz(func(t *testing.T, source string) {
		_, _, err := h.Call(context.Background(), "f", []byte(source), nil, LockNone)
		if errors.Is(err, ErrPanic) {
			t.Errorf("%q panics", source)
		}
	})
}

// FuzzDecode: no decoder panics, and each gives back what it was made from.
func FuzzDecode(f *testing.F) {
	f.Add("gzip", "abc")
	f.Add("pack", "\x81a\x02bcd")
	f.Add("w*c*n2d", "\x80\x81\x00")
	h := start(f, `
		function decode(mode, s) return _codec("~" .. mode, s) end
		function both(mode, s) return _codec("~" .. mode, _codec(mode, s)) end
		function unpacked(format, s) return #_unpack(format, s) end
		function matched(pattern, s) return s:find(pattern) end
		function regex(pattern, s) return _regex(s, pattern, "<&>") end
		function formatted(format, s) return format:format(s, 1, s) end
	`, func(c *Config) { c.Timeout, c.MaxMemory = 20*time.Second, 16<<20 })
	f.Fuzz(func(t *testing.T, mode, s string) {
		for _, name := range []string{"decode", "unpacked", "matched", "regex", "formatted"} {
			if _, _, err := h.Call(context.Background(), name, []byte(mode), []byte(s), LockNone); errors.Is(err, ErrPanic) {
				t.Errorf("%s(%q, %q) panics", name, mode, s)
			}
		}
		// bzip is slow.
		if _, ok := codings[mode]; ok && mode != "bzip" {
			got, _, err := h.Call(context.Background(), "both", []byte(mode), []byte(s), LockNone)
			if err != nil || string(got) != s {
				t.Errorf("%s of %q there and back: got %q, %v", mode, s, got, err)
			}
		}
	})
}
