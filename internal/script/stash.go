package script

import (
	"slices"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// stash is the map that all states share. It lives as long as the host.
type stash struct {
	mu   sync.Mutex
	most int // bytes
	size int // bytes
	m    map[string]string
}

// stashCost is what an entry takes besides its bytes.
const stashCost = 64

// put lets change make the new value from the old one, and says whether it was stored. Both fail over the limit.
func (s *stash) put(key string, change func(old string, exists bool) (string, bool)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, exists := s.m[key]
	value, ok := change(old, exists)
	if !ok {
		return false
	}
	grows := len(value) - len(old)
	if !exists {
		grows += len(key) + stashCost
	}
	if grows > s.most-s.size {
		return false
	}
	if s.m == nil {
		s.m = map[string]string{}
	}
	// What a script has may be a piece of something much larger, which must not stay because of it.
	if exists {
		s.m[key] = strings.Clone(value)
	} else {
		s.m[strings.Clone(key)] = strings.Clone(value)
	}
	s.size += grows
	return true
}

func (s *stash) get(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.m[key]
	return value, ok
}

func (s *stash) out(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.m[key]
	if ok {
		delete(s.m, key)
		s.size -= len(key) + len(value) + stashCost
	}
	return ok
}

func (s *stash) vanish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m, s.size = nil, 0
}

// keys returns those that are there now, in order.
func (s *stash) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.m))
	for key := range s.m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

var stashFunctions = map[string]builtin{
	"_stashput": func(c call) int {
		return c.stashPut(func(value, _ string, _ bool) (string, bool) { return value, true })
	},
	"_stashputkeep": func(c call) int {
		return c.stashPut(func(value, _ string, exists bool) (string, bool) { return value, !exists })
	},
	"_stashputcat": func(c call) int {
		return c.stashPut(func(value, old string, _ bool) (string, bool) {
			c.charge(c.L, len(old)+len(value))
			return old + value, true
		})
	},
	"_stashout": func(c call) int {
		c.count(1, 1)
		return c.pushBool(c.h.stash.out(c.str(1)))
	},
	"_stashget": func(c call) int {
		c.count(1, 1)
		value, ok := c.h.stash.get(c.str(1))
		if !ok {
			return c.pushNil()
		}
		return c.push(lua.LString(value))
	},
	"_stashvanish": func(c call) int {
		c.count(0, 0)
		c.h.stash.vanish()
		return c.pushBool(true)
	},
	// _stashforeach takes the keys that are there when it begins; it holds no lock while the function runs.
	"_stashforeach": func(c call) int {
		c.count(1, 1)
		f := c.function(1)
		keys := c.h.stash.keys()
		c.charge(c.L, 16*len(keys))
		for _, key := range keys {
			value, ok := c.h.stash.get(key)
			if !ok {
				continue
			}
			v, err := c.invoke(f, lua.LString(key), lua.LString(value))
			if err != nil {
				panic(err)
			}
			if !lua.LVAsBool(v) {
				break
			}
		}
		return c.pushBool(true)
	},
}

func (c call) stashPut(change func(value, old string, exists bool) (string, bool)) int {
	c.count(2, 2)
	key, value := c.str(1), c.str(2)
	return c.pushBool(c.h.stash.put(key, func(old string, exists bool) (string, bool) {
		return change(value, old, exists)
	}))
}
