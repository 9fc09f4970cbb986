package script

import (
	"os"
	"path/filepath"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// fileFunctions touch the file system, and do nothing unless the script is trusted.
var fileFunctions = map[string]builtin{
	"_stat":   func(c call) int { return c.unsafely(stat) },
	"_glob":   func(c call) int { return c.unsafely(glob) },
	"_remove": func(c call) int { return c.unsafely(remove) },
	"_mkdir":  func(c call) int { return c.unsafely(mkdir) },
}

// refusals keeps the log from repeating what was refused.
type refusals struct {
	mu   sync.Mutex
	told map[string]bool
}

// first says whether the name was not told before.
func (r *refusals) first(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told[name] {
		return false
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[name] = true
	return true
}

// unsafely runs f if scripts may touch files. Otherwise the function fails, and the log says once why.
func (c call) unsafely(f builtin) int {
	c.count(1, 1)
	if c.h.config.Unsafe {
		return f(c)
	}
	if c.h.refused.first(c.name) {
		c.h.log.Warn("script may not use files: allow unsafe scripts if you trust it", "function", c.name)
	}
	if c.name == "_remove" || c.name == "_mkdir" {
		return c.pushBool(false)
	}
	return c.pushNil()
}

func stat(c call) int {
	path := c.str(1)
	info, err := os.Stat(path)
	if err != nil {
		return c.pushNil()
	}
	c.charge(c.L, tableCost+20*entryCost)
	t := c.L.NewTable()
	number := func(name string, n float64) { t.RawSetString(name, lua.LNumber(n)) }
	flag := func(name string, b bool) { t.RawSetString(name, lua.LBool(b)) }
	number("size", float64(info.Size()))
	number("mtime", seconds(info.ModTime()))
	systemStat(info, number)
	flag("_regular", info.Mode().IsRegular())
	flag("_directory", info.IsDir())
	flag("_readable", accessible(path, accessRead))
	flag("_writable", accessible(path, accessWrite))
	flag("_executable", accessible(path, accessExecute))
	if real, err := filepath.EvalSymlinks(path); err == nil {
		if real, err = filepath.Abs(real); err == nil {
			t.RawSetString("_realpath", lua.LString(real))
		}
	}
	return c.push(t)
}

func seconds(t time.Time) float64 { return float64(t.Unix()) }

func glob(c call) int {
	paths, err := filepath.Glob(c.str(1))
	if err != nil {
		return c.pushNil()
	}
	list := make([][]byte, len(paths))
	for i, path := range paths {
		list[i] = []byte(path)
	}
	return c.pushList(list)
}

// remove takes a folder with all that is in it.
func remove(c call) int {
	path := c.str(1)
	if _, err := os.Lstat(path); err != nil {
		return c.pushBool(false)
	}
	return c.pushBool(os.RemoveAll(path) == nil)
}

func mkdir(c call) int {
	return c.pushBool(os.Mkdir(c.str(1), 0o755) == nil)
}
