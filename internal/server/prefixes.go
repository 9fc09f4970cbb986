package server

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/futago/futago/internal/memcache"
)

const (
	// maxPrefixes is how many prefixes are counted; keys with further ones are not.
	maxPrefixes = 1000
	// prefixEnd ends the prefix of a key, as in memcached.
	prefixEnd = ':'
)

// prefixes count commands by prefix while stats detail is on. It is off at the start: then it costs a look at one flag.
type prefixes struct {
	on     atomic.Bool
	mu     sync.Mutex
	counts map[string]*prefixCount
}

type prefixCount struct{ gets, hits, sets, deletes uint64 }

// get counts a read of a key.
func (p *prefixes) get(key []byte, hit bool) {
	if p.on.Load() {
		p.count(key, func(c *prefixCount) {
			c.gets++
			if hit {
				c.hits++
			}
		})
	}
}

// set counts a storage command, whatever becomes of it.
func (p *prefixes) set(key []byte) {
	if p.on.Load() {
		p.count(key, func(c *prefixCount) { c.sets++ })
	}
}

// delete counts a delete, whatever becomes of it.
func (p *prefixes) delete(key []byte) {
	if p.on.Load() {
		p.count(key, func(c *prefixCount) { c.deletes++ })
	}
}

func (p *prefixes) count(key []byte, f func(c *prefixCount)) {
	prefix, _, ok := bytes.Cut(key, []byte{prefixEnd})
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[string(prefix)]
	if c == nil {
		if len(p.counts) >= maxPrefixes {
			return
		}
		if p.counts == nil {
			p.counts = map[string]*prefixCount{}
		}
		c = new(prefixCount)
		p.counts[string(prefix)] = c
	}
	f(c)
}

// reset forgets what was counted.
func (p *prefixes) reset() {
	p.mu.Lock()
	p.counts = nil
	p.mu.Unlock()
}

// appendDump appends the reply to stats detail dump.
func (p *prefixes) appendDump(out []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, prefix := range slices.Sorted(maps.Keys(p.counts)) {
		c := p.counts[prefix]
		out = memcache.AppendPrefix(out, prefix, c.gets, c.hits, c.sets, c.deletes)
	}
	return append(out, memcache.ReplyEnd...)
}

// statsDetail answers stats detail.
func (s *Server) statsDetail(out, arg []byte) []byte {
	word, _, _ := bytes.Cut(arg, []byte(" "))
	switch string(word) {
	case "on", "off":
		s.prefixes.on.Store(string(word) == "on")
		return append(out, memcache.ReplyOK...)
	case "dump":
		return s.prefixes.appendDump(out)
	}
	return append(out, memcache.ReplyStatsDetailUsage...)
}
