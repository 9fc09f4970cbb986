//go:build linux

package main

import (
	"strconv"
	"strings"
)

// write puts a line together with more or less care.
func (g *generator) write(tokens ...string) string {
	if g.one(60) {
		tokens = tokens[:g.IntN(len(tokens))]
	}
	if g.one(60) {
		tokens = append(tokens, pick(g, "x", "0", "noreply", "1"))
	}
	return g.put(tokens...)
}

// put is write with all tokens and no other.
func (g *generator) put(tokens ...string) string {
	space := " "
	if g.one(40) {
		space = pick(g, "  ", "   ")
	}
	text := strings.Join(tokens, space)
	if g.one(40) {
		text = " " + text
	}
	if g.one(30) {
		text += pick(g, " ", "  ", "\t", "\r")
	}
	return text + g.lineEnd()
}

func (g *generator) lineEnd() string {
	if g.one(20) {
		return "\n"
	}
	return "\r\n"
}

// size is what a line says of its data.
func (g *generator) size(data string) string {
	if g.one(50) {
		return pick(g, strconv.Itoa(len(data)+1), strconv.Itoa(max(0, len(data)-1)), strconv.Itoa(len(data)+2), "-1", "x", "", "+1", "2147483647", "2147483646")
	}
	return strconv.Itoa(len(data))
}

func (g *generator) dataEnd() string {
	if g.one(60) {
		return pick(g, "\n", "xx", "")
	}
	return "\r\n"
}

// oddity is a line that is no request about a record, or is none at all. A flush_all to a time that is past is left out: in
// memcached it brings back what the streams before had, so nothing that follows could be compared.
func (g *generator) oddity() string {
	return pick(g, "", " ", "get", "gets", "get ", "gat", "gat 1", "gats x t0", "touch t0", "incr t0", "delete", "delete t0 0", "delete t0 0 noreply",
		"delete t0 5", "delete t0 5 noreply", "verbosity", "verbosity 1", "verbosity 1 noreply", "verbosity noreply", "verbosity x", "flush_all",
		"flush_all 0", "flush_all noreply", "flush_all 0 noreply", "flush_all x", "flush_all -1", "flush_all 0 0 0", "version", "version x", "quit",
		"quit x", "foo", "foo bar", "mn", "mn x", "me", "mg", "ms", "md", "ma", "ms t0", "mg  ", "stats bogus", "stats detail on", "stats detail",
		"stats detail x", "stats reset", "stats cachedump", "stats cachedump 1", "stats cachedump x 1", "stats cachedump 99 1", "GET t0", "ERROR", "\x00", "get\tt0", "set",
		"set t0", "cas t0 0 0 1", "noreply", "gett0", "get t0 noreply", "VALUE", "x HTTP/1.1", "GET / HTTP/1.1", "get /x HTTP/1.1", "shutdow",
		"incr t0 noreply", "decr n0 noreply", "touch t0 noreply", "touch noreply", "delete noreply", "cas t0 0 0 noreply", "set t0 0 0 noreply",
		"append noreply", "gat 0 noreply", "gat noreply", "version noreply", "mn noreply", "flush_all noreply noreply", "mg t0 noreply", "quit noreply") + g.lineEnd()
}

// classic is a request of the classic text protocol.
func (g *generator) classic() string {
	key := g.key()
	name := g.keyText(key)
	var noreply []string
	if g.one(g.hush) {
		noreply = []string{"noreply"}
	}
	line := func(tokens ...string) string { return g.write(append(tokens, noreply...)...) }
	switch n := g.IntN(20); {
	case n < 6:
		if n == 0 && !isNumberKey(key) {
			data := g.part()
			return line(pick(g, "append", "prepend"), name, g.flags(), g.exptime(), g.size(data)) + data + g.dataEnd()
		}
		data := g.value(key)
		if n == 1 {
			return line("cas", name, g.flags(), g.exptime(), g.size(data), g.unique(key)) + data + g.dataEnd()
		}
		return line(pick(g, "set", "set", "add", "replace"), name, g.flags(), g.exptime(), g.size(data)) + data + g.dataEnd()
	case n < 7 && !isNumberKey(key):
		data := g.part()
		return line(pick(g, "append", "prepend"), name, g.flags(), g.exptime(), g.size(data)) + data + g.dataEnd()
	case n < 11:
		tokens := []string{pick(g, "get", "gets", "gets"), name}
		for g.one(2) {
			tokens = append(tokens, g.keyText(g.key()))
		}
		return g.write(tokens...)
	case n < 13:
		tokens := []string{pick(g, "gat", "gats"), g.exptime(), name}
		for g.one(3) {
			tokens = append(tokens, g.keyText(g.key()))
		}
		return g.write(tokens...)
	case n < 14:
		if g.one(4) {
			return line("delete", name, "0")
		}
		return line("delete", name)
	case n < 15:
		return line("touch", name, g.exptime())
	case n < 17 && isNumberKey(key):
		return line("decr", name, g.delta(key))
	default:
		return line("incr", name, g.delta(key))
	}
}
