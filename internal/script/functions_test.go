package script

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"errors"
)

// expression is Lua, and what tostring makes of it. join writes arrays as "a,b".
type expression struct{ code, want string }

const join = `
local function join(t)
	if type(t) ~= "table" then return tostring(t) end
	local parts = {}
	for i, v in ipairs(t) do parts[i] = tostring(v) end
	return "[" .. table.concat(parts, ",") .. "]"
end
`

// expect evaluates the expressions in one state in their order.
func expect(t *testing.T, h func(...func(*Config)) *Host, list []expression, change ...func(*Config)) {
	t.Helper()
	host := h(change...)
	for _, e := range list {
		reply, ok, err := host.Call(context.Background(), "run", []byte("return join("+e.code+")"), nil, LockNone)
		got := string(reply)
		if err != nil {
			got = err.Error()
		}
		if err == nil && !ok || !strings.Contains(got, e.want) || err == nil && got != e.want {
			t.Errorf("%s: got %q, want %q", e.code, got, e.want)
		}
	}
}

// evaluator is a host whose function run evaluates source.
func evaluator(t *testing.T) func(...func(*Config)) *Host {
	return func(change ...func(*Config)) *Host {
		t.Helper()
		return start(t, join+`
			_G.join = join
			function run(source)
				local f, problem = loadstring(source)
				if not f then error(problem, 0) end
				return f()
			end`, change...)
	}
}

func TestDatabaseFunctions(t *testing.T) {
	d := newMemory()
	log := &journal{}
	expect(t, evaluator(t), []expression{
		{`_put("a", "1")`, "true"},
		{`_putkeep("a", "2")`, "false"},
		{`_putkeep("b", "2\0x")`, "true"},
		{`_putcat("a", 5)`, "true"},
		{`_get("a")`, "15"},
		{`_get("b") == "2\0x"`, "true"},
		{`_get("none")`, "nil"},
		{`_vsiz("b")`, "3"},
		{`_vsiz("none")`, "-1"},
		{`_rnum()`, "2"},
		{`_size()`, "200"},
		{`_fwmkeys("")`, "[a,b]"},
		{`_fwmkeys("", 1)`, "[a]"},
		{`_fwmkeys("b", -1)`, "[b]"},
		{`_fwmkeys("zz")`, "[]"},
		{`_iterinit()`, "true"},
		{`{_iternext(), _iternext()}`, "[a,b]"},
		{`_iternext()`, "nil"},
		{`_addint("n", 5)`, "5"},
		{`_addint("n", -7)`, "-2"},
		{`_addint("a", 1)`, "nil"},
		{`_adddouble("d", 1.5)`, "1.5"},
		{`_adddouble("d", "1")`, "2.5"},
		{`_misc("getlist", "a", {"b", 3}, "c")`, "[one,a,b,3,c]"},
		{`_misc("unknown")`, "nil"},
		{`_out("b")`, "true"},
		{`_out("b")`, "false"},
		{`_foreach(function(k, v) seen = (seen or "") .. k return k ~= "d" end) and seen`, "ad"},
		{`_foreach(function(k, v) _put("x" .. k, v) return true end) and _get("xa")`, "15"},
		{`pcall(_foreach, function(k) error("stop " .. k, 0) end)`, "false"},
		{`select(2, pcall(_foreach, function(k) error("stop " .. k, 0) end))`, "stop a"},
		{`_vanish()`, "true"},
		{`_rnum()`, "0"},
	}, func(c *Config) { c.Database, c.Logger = d, log.logger() })
	if !strings.Contains(log.String(), "script cannot use the database") {
		t.Errorf("log %q does not tell the database's trouble", log)
	}
	h := evaluator(t)(with(d))
	for code, want := range map[string][]string{
		`_misc("$put", "k", "v")`: {"put", "nolog", "k", "v"},
		`_misc("put")`:            {"put", "log"},
	} {
		h.Call(context.Background(), "run", []byte("return "+code), nil, LockNone)
		if !slices.Equal(d.misc, want) {
			t.Errorf("%s: got %q, want %q", code, d.misc, want)
		}
	}
}

// TestArguments: too few, too many, or of another type.
func TestArguments(t *testing.T) {
	var list []expression
	for _, call := range []string{
		`_put("a")`, `_put("a", "b", "c")`, `_put({}, "b")`, `_put("a", nil)`, `_put("a", true)`, `_putkeep()`, `_putcat("a")`, `_out()`,
		`_get()`, `_get("a", "b")`, `_vsiz()`, `_iterinit(1)`, `_iternext(1)`, `_fwmkeys()`, `_fwmkeys("a", "x")`, `_addint("a")`,
		`_addint("a", "x")`, `_adddouble("a", {})`, `_vanish(1)`, `_rnum(1)`, `_size(1)`, `_misc()`, `_misc("put", true)`, `_foreach()`,
		`_foreach("f")`, `_mapreduce(print)`, `_mapreduce(print, 1)`, `_stashput("a")`, `_stashputkeep("a")`, `_stashputcat("a")`,
		`_stashout()`, `_stashget()`, `_stashvanish(1)`, `_stashforeach(1)`, `_lock()`, `_unlock()`, `_pack()`, `_pack("c", "x")`, `_unpack("c")`,
		`_split()`, `_codec("url")`, `_codec("rot13", "x")`, `_hash("md5")`, `_hash("md6", "x")`, `_bit("and", 1)`, `_bit("nand", 1, 2)`,
		`_strstr("a")`, `_regex("a")`, `_ucs()`, `_dist("a")`, `_isect()`, `_isect("a")`, `_union()`, `_union({}, 1)`, `_time(1)`, `_sleep()`, `_sleep("x")`,
		`_log()`, `_eval()`, `_stat()`, `_glob()`, `_remove()`, `_mkdir("a", "b")`,
	} {
		name, _, _ := strings.Cut(call, "(")
		list = append(list, expression{call, name + ": invalid arguments"})
	}
	expect(t, evaluator(t), list)
}

func TestMapReduce(t *testing.T) {
	words := `
		function words(k, v, emit) for w in v:gmatch("%a+") do if not emit(w, 1) then return false end end return true end
		function count(k, vs) out = (out or "") .. k .. #vs .. " " return true end
	`
	for _, tt := range []struct{ body, want string }{
		{`_mapreduce(words, count)`, "true a3 b1 c1 "},
		{`_mapreduce(words, count, "2")`, "true a1 c1 "},
		{`_mapreduce(words, count, {"2", "absent", "1"})`, "true a3 b1 c1 "},
		{`_mapreduce(words, count, {})`, "true nil"},
		{`_mapreduce(function(k) return k ~= "2" end, count)`, "false nil"},
		{`_mapreduce(words, function(k) out = k return k ~= "b" end)`, "false b"},
		{`pcall(_mapreduce, function(k) error("x") end, count)`, "false nil"},
		{`pcall(_mapreduce, words, function(k) error("x") end)`, "false nil"},
	} {
		got, _, err := try(t, words+"local ok = "+tt.body+" return tostring(ok) .. ' ' .. tostring(out)", with(newMemory("1", "a b a", "2", "a c")))
		if got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.body, got, err, tt.want)
		}
	}
	_, _, err := try(t, `return _mapreduce(function(k, v, emit) while true do emit("k", ("x"):rep(1000)) end end, print)`,
		with(newMemory("1", "a")), func(c *Config) { c.MaxMemory = 1 << 20 })
	if !errors.Is(err, ErrMemory) {
		t.Errorf("endless emit: got error %v, want ErrMemory", err)
	}
}

func TestStash(t *testing.T) {
	expect(t, evaluator(t), []expression{
		{`_stashget("a")`, "nil"},
		{`_stashput("a", 1)`, "true"},
		{`_stashputkeep("a", 2)`, "false"},
		{`_stashputkeep("b", "2\0")`, "true"},
		{`_stashputcat("a", 3)`, "true"},
		{`_stashget("a")`, "13"},
		{`#_stashget("b")`, "2"},
		{`_stashforeach(function(k, v) all = (all or "") .. k .. #v return k ~= "b" end) and all`, "a2b2"},
		{`_stashput("large", ("x"):rep(1000))`, "false"},
		{`_stashput("c", ("x"):rep(700))`, "true"},
		{`_stashputcat("c", ("x"):rep(200))`, "false"},
		{`_stashout("c")`, "true"},
		{`_stashout("c")`, "false"},
		{`_stashput("d", ("x"):rep(700))`, "true"},
		{`_stashput("d", "")`, "true"},
		{`_stashput("e", ("x"):rep(600))`, "true"},
		{`_stashvanish()`, "true"},
		{`_stashget("a")`, "nil"},
		{`_stashput("f", ("x"):rep(900))`, "true"},
	}, func(c *Config) { c.MaxStash = 1000 })
}

func TestPack(t *testing.T) {
	expect(t, evaluator(t), []expression{
		{`_codec("hex", _pack("cCsSiIlL", 1, 255, -2, 2, -3, 3, -4, 4))`, "01fffeff0200fdffffff03000000fcffffffffffffff0400000000000000"},
		{`_codec("hex", _pack("nNM", 258, 258, 258))`, "0102000001020000000000000102"},
		{`_codec("hex", _pack("fd", 1.5, 1.5))`, "0000c03f000000000000f83f"},
		{`_codec("hex", _pack("w*", {0, 127, 128, 300, 16384}))`, "007f8100822c818000"},
		{`_codec("hex", _pack("c2 s", {1, 2, 3}))`, "01020300"},
		{`_codec("hex", _pack("c*", 1, {2, "3"}, 4))`, "01020304"},
		{`#_pack("c999999999999999999999", 1)`, "1"},
		{`_unpack("cCsS", _pack("cCsS", -1, 255, -2, 65535))`, "[-1,255,-2,65535]"},
		{`_unpack("iIlL", _pack("iIlL", -1, 4294967295, -2, 5))`, "[-1,4294967295,-2,5]"},
		{`_unpack("nNM", _pack("nNM", 65535, 4294967295, 5))`, "[65535,4294967295,5]"},
		{`_unpack("fdFD", _pack("fdFD", 0.5, -0.25, 2, 3))`, "[0.5,-0.25,2,3]"},
		{`_unpack("w*", _pack("w*", 0, 127, 128, 300, 2^40))`, "[0,127,128,300,1099511627776]"},
		{`_unpack("w3", _pack("w*", 1, 2, 3, 4))`, "[1,2,3]"},
		{`_unpack("i*", "12345678abc")`, "[875770417,943142453]"},
		{`_unpack("i999999999999", "abc")`, "[]"},
		{`_unpack("w", ("\255"):rep(100))`, "[]"},
		{`_unpack("", "abc")`, "[]"},
	})
}

func TestCodec(t *testing.T) {
	expect(t, evaluator(t), []expression{
		{`_codec("url", "a b/c_-.!~*'()\0\255")`, "a%20b%2Fc_-.!~*'()%00%FF"},
		{`_codec("~url", "a%20b+c")`, "a b c"},
		{`_codec("~url", "%zz")`, "nil"},
		{`_codec("base", "abcd")`, "YWJjZA=="},
		{`_codec("~base", "YWJj\nZA==")`, "abcd"},
		{`_codec("~base", "!!!")`, "nil"},
		{`_codec("quote", "a=b\255\n")`, "a=3Db=FF\n"},
		{`_codec("~quote", "a=3Db=\nc=zz=")`, "a=bc=zz="},
		{`_codec("hex", "\0\171")`, "00ab"},
		{`_codec("~hex", "6162")`, "ab"},
		{`_codec("~hex", "6")`, "nil"},
		{`_codec("hex", _codec("pack", "aaaabcd"))`, "fd6102626364"},
		{`_codec("~pack", "\5a")`, "nil"},
		{`_codec("~pack", "\255")`, "nil"},
		{`_codec("xml", "<a&\"b\">")`, "&lt;a&amp;&quot;b&quot;&gt;"},
		{`_codec("~xml", "&lt;a&amp;amp;&quot;")`, `<a&amp;"`},
		{`_codec("~gzip", "no")`, "nil"},
		{`_codec("~deflate", "no")`, "nil"},
		{`_codec("~bzip", "no")`, "nil"},
		{`_codec("tcbs", "a")`, "tcbs is not supported"},
		{`_codec("~tcbs", "a")`, "tcbs is not supported"},
		{`_hash("md5", "abc")`, "900150983cd24fb0d6963f7d28e17f72"},
		{`_codec("hex", _hash("md5raw", "abc"))`, "900150983cd24fb0d6963f7d28e17f72"},
		{`_hash("crc32", "abc")`, "891568578"},
	})
	for mode := range codings {
		body := `local all = "" for i = 0, 255 do all = all .. string.char(i) end
			for _, s in ipairs{"", "a", "aab", all, ("x"):rep(1000), all:rep(3)} do
				local packed = _codec("` + mode + `", s)
				if _codec("~` + mode + `", packed) ~= s then return #s end
			end
			return "good"`
		if got, _, err := try(t, body); got != "good" || err != nil {
			t.Errorf("%s there and back: got %q, %v", mode, got, err)
		}
	}
}

func TestText(t *testing.T) {
	expect(t, evaluator(t), []expression{
		{`_split("a\0b\0\0c")`, "[a,b,,c]"},
		{`_split("a b,c", " ,")`, "[a,b,c]"},
		{`_split("", ",")`, "[]"},
		{`#_split("", ",")`, "1"},
		{`_strstr("hello", "ll")`, "3"},
		{`_strstr("hello", "x")`, "0"},
		{`_strstr("hello", "")`, "1"},
		{`_strstr("aXbX", "X", "--")`, "a--b--"},
		{`_strstr("abc", "", "x")`, "abc"},
		{`_regex("hello", "l+o$")`, "true"},
		{`_regex("hello", "^e")`, "false"},
		{`_regex("HELLO", "*l+o")`, "true"},
		{`_regex("a\nb", "a.b")`, "true"},
		{`_regex("a\nb", "^b")`, "false"},
		{`_regex("\255\0", "^\255.$")`, "true"},
		{`_regex("xay", "(a|ab)")`, "true"},
		{`_regex("aaa", "^a", "b")`, "baa"},
		{`_regex("2024-05", "([0-9]+)-([0-9]+)", "\\2/\\1 & \\&")`, "05/2024 2024-05 &"},
		{`_regex("abc", "x*", "-")`, "-a-b-c-"},
		{`_regex("abab", "ab|a|b", "<&>")`, "<ab><ab>"},
		{`_regex("x", "(")`, "_regex: error parsing regexp"},
		{`_regex("x", ("a"):rep(5000))`, "too large"},
		{`_regex("x", "((a{100}){10}){10}")`, "_regex:"},
		{`_ucs("aé\226\130\172")`, "[97,233,8364]"},
		{`_ucs({97, 233, 8364})`, "aé€"},
		{`_ucs("\240\159\152\128")`, "[63]"},
		{`_dist("kitten", "sitting")`, "3"},
		{`_dist("", "abc")`, "3"},
		{`_dist("é", "e")`, "2"},
		{`_dist("é", "e", true)`, "1"},
		{`_bit("and", 12, 10)`, "8"},
		{`_bit("or", 12, 10)`, "14"},
		{`_bit("xor", 12, 10)`, "6"},
		{`_bit("not", 0)`, "4294967295"},
		{`_bit("left", 1, 31)`, "2147483648"},
		{`_bit("left", 1, 32)`, "0"},
		{`_bit("right", -1, 28)`, "15"},
		{`_isect({1, "2", 3, 3}, {"3", 1})`, "[1,3]"},
		{`_isect({1, 2})`, "[1,2]"},
		{`_isect({1}, {})`, "[]"},
		{`_union({1, "a", 1}, {"a", "b"}, {"1"})`, "[1,a,b]"},
	})
}

func TestSystem(t *testing.T) {
	log := &journal{}
	expect(t, evaluator(t), []expression{
		{`_version`, "1.1.41"},
		{`_sid`, "7"},
		{`_thnum`, "1"},
		{`_thid`, "1"},
		{`_pid > 1`, "true"},
		{`math.abs(_time() - os.time()) < 5`, "true"},
		{`_sleep(0.0001)`, "true"},
		{`_sleep(-1)`, "false"},
		{`_log("at info")`, "at info"}, // no result: join(nil) would differ, so see below
	}[:8], func(c *Config) { c.Logger = log.logger() })
	body := `_log("debug", 0) _log("info", 1) _log("plain") _log("error", 2) _log("system", 3) _log(("x"):rep(5000)) print("printed", 1) return 1`
	if _, _, err := try(t, body, func(c *Config) { c.Logger = log.logger() }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DEBUG msg=\"script says\" text=debug", "INFO msg=\"script says\" text=info", "INFO msg=\"script says\" text=plain", "ERROR msg=\"script says\" text=error", "INFO msg=\"script says\" text=system", `text="printed\t1"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %.500q has no %q", log, want)
		}
	}
	if strings.Contains(log.String(), strings.Repeat("x", maxLogText+1)) {
		t.Error("a long text is not cut")
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("return 'from ' .. 'file'"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := func(code string) string { return strings.ReplaceAll(code, "DIR", dir) }
	expect(t, evaluator(t), []expression{
		{q(`_stat("DIR/file").size`), "24"},
		{q(`_stat("DIR")._directory`), "true"},
		{q(`_stat("DIR/file")._regular`), "true"},
		{q(`_stat("DIR/file")._readable`), "true"},
		{q(`_stat("DIR/file")._executable`), "false"},
		{q(`math.abs(_stat("DIR/file").mtime - os.time()) < 60`), "true"},
		{q(`_stat("DIR/none")`), "nil"},
		{q(`#_glob("DIR/f*")`), "1"},
		{q(`_glob("[")`), "nil"},
		{q(`_mkdir("DIR/sub")`), "true"},
		{q(`_mkdir("DIR/sub")`), "false"},
		{q(`_mkdir("DIR/sub/sub")`), "true"},
		{q(`_remove("DIR/sub")`), "true"},
		{q(`_remove("DIR/sub")`), "false"},
		{q(`dofile("DIR/file")`), "from file"},
		{q(`loadfile("DIR/file")()`), "from file"},
		{q(`loadfile("DIR/none")`), "nil"},
		{`io.type(io.tmpfile)`, "nil"},
		{`os.getenv("PATH") ~= nil`, "true"},
		{`os.exit`, "nil"},
		{`require`, "nil"},
		{`debug`, "nil"},
	}, func(c *Config) { c.Unsafe = true })

	log := &journal{}
	expect(t, evaluator(t), []expression{
		{q(`_stat("DIR/file")`), "nil"},
		{q(`_stat("DIR/file")`), "nil"},
		{q(`_glob("DIR/*")`), "nil"},
		{q(`_mkdir("DIR/sub")`), "false"},
		{q(`_remove("DIR/file")`), "false"},
	}, func(c *Config) { c.Logger = log.logger() })
	if n := strings.Count(log.String(), "allow unsafe scripts"); n != 4 {
		t.Errorf("refused: got %d lines for 4 functions: %s", n, log)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("a safe script removed a file: %v", err)
	}
}

// TestStrings: the functions that replace the library's behave as Lua 5.1's.
func TestStrings(t *testing.T) {
	expect(t, evaluator(t), []expression{
		{`("ab"):rep(3)`, "ababab"},
		{`("ab"):rep(0) .. ("ab"):rep(-1)`, ""},
		{`("abc"):reverse()`, "cba"},
		{`("aB\195\132\255"):lower()`, "ab\xc3\x84\xff"},
		{`("aB\255"):upper()`, "AB\xff"},
		{`string.char(97, 0, 255)`, "a\x00\xff"},
		{`string.char(256)`, "invalid value"},
		{`{("hello"):find("l")}`, "[3,3]"},
		{`{("hello"):find("l+", 4)}`, "[4,4]"},
		{`{("hello"):find("(h)(.)")}`, "[1,2,h,e]"},
		{`{("a.b"):find(".", 1, true)}`, "[2,2]"},
		{`("hello"):find("x")`, "nil"},
		{`{("hello"):find("")}`, "[1,0]"},
		{`{("hello"):find("", 6)}`, "[6,5]"},
		{`("hello"):find("", 7)`, "nil"},
		{`{("hello"):find("l", -2)}`, "[4,4]"},
		{`("key = value"):match("^(%w+)%s*=%s*(%w+)$")`, "key"},
		{`{("key = value"):match("^(%w+)%s*=%s*(%w+)$")}`, "[key,value]"},
		{`("  trim  "):match("^%s*(.-)%s*$")`, "trim"},
		{`("f(a(b)c)d"):match("%b()")`, "(a(b)c)"},
		{`("THE (quick) fox"):find("%f[%a]%a+%f[%A]")`, "1"},
		{`("abcabc"):match("(abc)%1")`, "abc"},
		{`{("hello"):match("()ll()")}`, "[3,5]"},
		{`("x-y"):match("[%w-]+")`, "x-y"},
		{`("a]b"):match("[]]")`, "]"},
		{`("a^b"):match("[%^]")`, "^"},
		{`("abc"):match("[^a]+")`, "bc"},
		{`("b3"):match("[a-c]%d?")`, "b3"},
		{`("a\0b"):match("%z")`, "\x00"},
		{`("aaa"):match("a-b")`, "nil"},
		{`("aaab"):match("^a-b")`, "aaab"},
		{`("x$"):match("x$$")`, "x$"},
		{`("ab"):match("((a)(b))")`, "ab"},
		{`("x"):match("%")`, "malformed pattern"},
		{`("x"):match("[a")`, "malformed pattern"},
		{`("x"):match("(x")`, "unfinished capture"},
		{`("x"):match("x)")`, "invalid pattern capture"},
		{`("x"):match("%1")`, "invalid capture index"},
		{`("x"):match("%b")`, "unbalanced pattern"},
		{`("x"):match("%f")`, "missing '['"},
		{`("x"):match(("()"):rep(33))`, "too many captures"},
		{`("a1b2"):gsub("%d", "<%0>")`, "a<1>b<2>"},
		{`{("a1b2"):gsub("%d", "")}`, "[ab,2]"},
		{`("hello world"):gsub("(%w+) (%w+)", "%2 %1")`, "world hello"},
		{`("abc"):gsub("%w", "%%%0")`, "%a%b%c"},
		{`("abc"):gsub("", "-")`, "-a-b-c-"},
		{`("abc"):gsub("b*", "-")`, "-a--c-"},
		{`("aaa"):gsub("^a", "b")`, "baa"},
		{`("aaa"):gsub("a", "b", 2)`, "bba"},
		{`("aaa"):gsub("a", "b", 0)`, "aaa"},
		{`("$x $y"):gsub("%$(%w+)", {x = "1"})`, "1 $y"},
		{`("abc"):gsub("%w", function(c) if c == "b" then return 2 end end)`, "a2c"},
		{`("abc"):gsub("%w", function() return {} end)`, "invalid replacement value (a table)"},
		{`("abc"):gsub("%w", "%9")`, "invalid capture index"},
		{`("abc"):gsub("%w", "%")`, "invalid use of '%'"},
		{`("abc"):gsub("%w", true)`, "string/function/table expected"},
		{`(function() local t = {} for a, b in ("a=1,b=2"):gmatch("(%w)=(%w)") do t[#t + 1] = a .. b end return t end)()`, "[a1,b2]"},
		{`(function() local n = 0 for _ in ("abc"):gmatch("") do n = n + 1 end return n end)()`, "4"},
		{`("%5d|%-5d|%05d|%+d|%x|%X|%o"):format(42, 42, 42, 42, 255, 255, 8)`, "   42|42   |00042|+42|ff|FF|10"},
		{`("%.2f|%e|%g|%g|%G"):format(1.005, 12345, 1e20, 0.1, 1e-10)`, "1.00|1.234500e+04|1e+20|0.1|1E-10"},
		{`("%s|%5s|%-5s|%.2s|%s"):format("a", "b", "c", "def", nil)`, "a|    b|c    |de|nil"},
		{`("%c%c %u %i %%"):format(72, 105, 7, -7)`, "Hi 7 -7 %"},
		{`("%q"):format('a"b\\\n\0')`, "\"a\\\"b\\\\\\\n\\000\""},
		{`("%5.1f"):format(2.25)`, "  2.2"},
		{`("%d"):format("10")`, "10"},
		{`("%f"):format(1/0)`, "inf"},
		{`("%d"):format()`, "no value"},
		{`("%d"):format("x")`, "invalid arguments"},
		{`("%123d"):format(1)`, "invalid"},
		{`("%y"):format(1)`, "invalid option"},
		{`("%"):format(1)`, "invalid format"},
		{`"n" .. 1e15 .. 0.1 .. -0.5`, "n1e+150.1-0.5"},
		{`tostring(1e15) .. tostring(nil) .. tostring(2^31)`, "1e+15nil2147483648"},
		{`tostring(setmetatable({}, {__tostring = function() return "me" end}))`, "me"},
		{`setmetatable({}, {__concat = function(a, b) return "meta" .. (type(a) == "table" and b or a) end}) .. "x" .. "y"`, "metaxy"},
		{`"x" .. "y" .. setmetatable({}, {__concat = function(a, b) return a .. "meta" end}) .. "z"`, "stack overflow"},
		{`"x" .. "y" .. setmetatable({}, {__concat = function(a, b) return a .. "meta" end})`, "xymeta"},
	})
}

// TestMetered: rewriting changes no meaning.
func TestMetered(t *testing.T) {
	expect(t, evaluator(t), []expression{
		{`(function() local t = {} t[1], t[2] = "a", "b" t[1], t[2] = t[2], t[1] return t end)()`, "[b,a]"},
		{`(function() local t, i = {}, 1 i, t[i] = i + 1, 20 return {i, t[1], t[2]} end)()`, "[2,20]"},
		{`(function() local function two() return 1, 2 end local t = {} t.a, t.b, t.c = two() return {t.a, t.b, tostring(t.c)} end)()`, "[1,2,nil]"},
		{`(function() local function two() return 1, 2 end local t = {two(), two()} return t end)()`, "[1,1,2]"},
		{`(function() local function two() return 1, 2 end local t = {two(), [10] = 5} return {t[1], tostring(t[2]), t[10]} end)()`, "[1,nil,5]"},
		{`(function(...) local t = {...} return t end)(1, 2, 3)`, "[1,2,3]"},
		{`(function(...) local t = {[5] = 1, ...} return {t[1], t[2], t[5]} end)(7, 8)`, "[7,8,1]"},
		{`(function(...) return select("#", ...) .. (...) end)("a", "b")`, "2a"},
		{`(function() local function fact(n) return n <= 1 and 1 or n * fact(n - 1) end return fact(10) end)()`, "3628800"},
		{`(function() local t = {n = 0} function t.inc(d) t.n = t.n + d end function t:add(d) self.n = self.n + d return self end t.inc(2) return t:add(3).n end)()`, "5"},
		{`(function() local log = {} local t = setmetatable({}, {__newindex = function(t, k, v) rawset(t, k, v .. "!") end}) t.a = "x" t.a = "y" t["b"] = "z" return {t.a, t.b} end)()`, "[y,z!]"},
		{`(function() local base = {} local t = setmetatable({}, {__newindex = base, __index = base}) t.a = 1 return {tostring(rawget(t, "a")), base.a, t.a} end)()`, "[nil,1,1]"},
		{`(function() local t = {} for i = 1, 10 do if i % 2 == 0 then goto continue end t[#t + 1] = i ::continue:: end return t end)()`, "[1,3,5,7,9]"},
		{`(function() local i = 0 repeat local done = i >= 3 i = i + 1 until done return i end)()`, "4"},
		{`(function() local t = {} t[nil] = 1 end)()`, "index is nil"},
		{`(function() local t = {} t[0/0] = 1 end)()`, "index is NaN"},
		{`(function() local t t.x = 1 end)()`, "attempt to index a nil value (field 'x')"},
		{`(function() local s = "x" s.y = 1 end)()`, "attempt to index a string value"},
		{`(function() local m = {} m.__newindex = m setmetatable(m, m) m.x = 1 end)()`, "loop in settable"},
		{`(function() local t = {[1] = "a", [2] = "b", ["x y"] = "c", [true] = "d", [1.5] = "e"} return {t[1], t[2], t["x y"], t[true], t[1.5]} end)()`, "[a,b,c,d,e]"},
		{`#{` + strings.Repeat("[1] = 1, ", 400) + `}`, "1"},
		{`{` + strings.Repeat("'x' .. ", 300) + `'y'}`, "[" + strings.Repeat("x", 300) + "y]"},
		{`(function() local t = {3, 1, 2} table.sort(t) return t end)()`, "[1,2,3]"},
		{`(function() local t = {"b", "c", "a"} table.sort(t, function(a, b) return a > b end) return t end)()`, "[c,b,a]"},
		{`(function() local t = {1, "a"} table.sort(t) end)()`, "compare"},
		{`(function() local t = {1} table.insert(t, 3) table.insert(t, 2, 2) table.insert(t, 1, 0) return t end)()`, "[0,1,2,3]"},
		{`table.concat({1, "a", 2.5}, "-")`, "1-a-2.5"},
		{`table.concat({"a", "b", "c"}, ",", 2, 3)`, "b,c"},
		{`table.concat({}, ",")`, ""},
		{`table.concat({{}}, ",")`, "invalid value (table) at index 1"},
		{`table.concat({"a"}, ",", 1, 5)`, "invalid value"},
		{`(function() math.randomseed(5) local a = math.random() math.randomseed(5) return a == math.random() end)()`, "true"},
		{`(function() for i = 1, 100 do local n = math.random(3) if n < 1 or n > 3 or n % 1 ~= 0 then return n end end return "good" end)()`, "good"},
		{`math.random(2, 2)`, "2"},
		{`math.random(0)`, "interval is empty"},
		{`(function() local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b .. "!" end) return {co(1), co("x")} end)()`, "[2,x!]"},
		{`(function() local co = coroutine.create(function() coroutine.yield(1) error("x", 0) end) local a = {coroutine.resume(co)} local b = {coroutine.resume(co)} return {tostring(a[1]), a[2], tostring(b[1]), b[2], coroutine.status(co)} end)()`, "[true,1,false,x,dead]"},
		{`load((function() local parts = {"return ", "5", nil} local i = 0 return function() i = i + 1 return parts[i] end end)())()`, "5"},
		{`select(2, loadstring("x ="))`, "string at EOF: syntax error"},
		{`setfenv(function() x = "in" .. "side" return x end, {})()`, "inside"},
		{`os.date("!%Y-%m-%d", 0)`, "1970-01-01"},
		{`os.time{year = 2000, month = 1, day = 1, hour = 12} > 0`, "true"},
		{`pcall(error, {code = 5})`, "false"},
		{`select(2, pcall(error, {code = 5})).code`, "5"},
		{`select(2, xpcall(function() error("x", 0) end, function(e) return e .. "y" end))`, "xy"},
	})
}

// TestSleepEnds: the deadline ends sleeping and waiting, also for the database.
func TestSleepEnds(t *testing.T) {
	for _, body := range []string{"_sleep(1e6)", "_lock('a') _lock('a')", "_fwmkeys('endless')", "_misc('endless')"} {
		if _, _, err := try(t, body, func(c *Config) { c.Timeout = 50 * time.Millisecond }); !errors.Is(err, ErrTimeout) {
			t.Errorf("%s: got error %v, want ErrTimeout", body, err)
		}
	}
}
