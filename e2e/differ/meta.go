//go:build linux

package main

import (
	"slices"
	"strings"
)

// metaFlags are the flags of each meta command, one of them as often as it is to come.
var metaFlags = map[string]string{
	"mg": "bcfhklOqstuvTNRTNRvvccsfF", "ms": "bcCkOqFTTMMIICCcD", "md": "bkOqITTCCIIvs", "ma": "bkOqtcvNJDMTCtcvNJDM", "me": "bkO",
}

// allFlags are the flags of any meta command, and some that no version knows.
const allFlags = "bcfhklqstuvxCDEFIJLMNOPRSTZy"

// meta is a request of a meta command.
func (g *generator) meta() string {
	cmd := pick(g, "mg", "mg", "mg", "ms", "ms", "md", "ma", "ma", "me")
	if g.one(30) {
		return "mn" + g.lineEnd()
	}
	key := g.key()
	name, coded := g.keyText(key), g.one(5)
	if coded {
		key, name = numberKeys, pick(g, codedKeys[:]...)
	}
	number := isNumberKey(key)
	var flags []string
	have := ""
	if coded {
		flags, have = []string{"b"}, "b"
	} else if g.one(50) {
		name, flags, have = pick(g, "YWJj", "YWI", "YQ", "YQ==", "YQ="), []string{"b"}, "b"
	}
	add := func(flag byte) {
		if strings.IndexByte(have, flag) >= 0 && !g.one(100) || flag == 'b' && !g.one(20) || flag == 's' && number && cmd == "mg" {
			return
		}
		have += string(flag)
		flags = append(flags, string(flag)+g.token(cmd, flag, key))
	}
	own := metaFlags[cmd]
	for _, f := range g.Perm(len(own))[:g.IntN(min(7, len(own)))] {
		add(own[f])
	}
	if g.one(12) {
		add(allFlags[g.IntN(len(allFlags))])
	}
	if g.one(g.hush) {
		add('q')
	}
	if g.one(100) {
		flags = append(flags, pick(g, "Z", "1", "-", "\x80", "k", "S5", "L", "P", "!"))
	}
	if cmd == "ma" && !number { // a text never holds a number that becomes shorter, or begins with 0
		flags = slices.DeleteFunc(flags, func(f string) bool { return f[0] == 'M' })
		flags = append(flags, "MI")
		if strings.IndexByte(have, 'J') < 0 {
			flags = append(flags, "J1")
		}
	}
	g.Shuffle(len(flags), func(i, j int) { flags[i], flags[j] = flags[j], flags[i] })
	if cmd == "ma" {
		return g.put(append([]string{cmd, name}, flags...)...)
	}
	if cmd != "ms" {
		return g.write(append([]string{cmd, name}, flags...)...)
	}
	data := g.value(key)
	for _, f := range flags {
		if f == "MA" || f == "MP" {
			data = g.part()
		}
	}
	return g.write(append([]string{cmd, name, g.size(data)}, flags...)...) + data + g.dataEnd()
}

func (g *generator) token(cmd string, flag byte, key int) string {
	switch flag {
	case 'O':
		return pick(g, "1", "abc", "", strings.Repeat("o", 31), strings.Repeat("o", 32))
	case 'T', 'N':
		return g.exptime()
	case 'R':
		// Not a Unix time: memcached's second begins when it likes, and that decides between one that is reached and one just not.
		return pick(g, "0", "1000", "30", "31", "29", "2592000", "-1", "x", "")
	case 'F':
		return g.flags()
	case 'C', 'E':
		return g.unique(key)
	case 'L', 'P':
		return pick(g, "", "1", "abc")
	case 'D':
		return g.delta(key)
	case 'J':
		if !isNumberKey(key) {
			return pick(g, "1", "12", "x", overMax)
		}
		return pick(g, "0", "1", "100", maxUint64, overMax, "x", "-1")
	case 'M':
		switch {
		case cmd == "ma":
			return pick(g, "I", "I", "D", "D", "+", "-", "i", "INCR", "", "x")
		case isNumberKey(key):
			return pick(g, "E", "R", "S", "S", "x")
		}
		return pick(g, "E", "A", "P", "R", "S", "e", "set", "", "x", "A", "P")
	}
	if g.one(40) {
		return "x"
	}
	return ""
}
