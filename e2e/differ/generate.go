//go:build linux

package main

import (
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// keys are the records of a stream. Those of numbers hold numbers and are never appended to: memcached pads a number that
// has become shorter, which no reply shows where the value is then a part of a longer one.
var keys = [...]string{
	"n0", "n1", "n2", "t0", "t1", "t2", "t3", strings.Repeat("k", 249), strings.Repeat("k", 250), "\x01\xff\xc3",
}

const numberKeys = 3

// codedKeys are named in base64 only: memcached shows a key for ever as it was first stored.
var codedKeys = [...]string{
	base64.StdEncoding.EncodeToString([]byte("b 0\x00")), base64.StdEncoding.EncodeToString([]byte("b1")),
	base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\n", 185))), // 248 characters
}

// generator makes streams.
type generator struct {
	*rand.Rand
}

func newGenerator(seed, n uint64) *generator { return &generator{rand.New(rand.NewPCG(seed, n))} }

// one is true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

// maxRequests is the length of the longest stream.
const maxRequests = 40

// maxLine is above what memcached takes for a line whatever way it arrives, and below all that it refuses only if it is cut.
const maxLine = 2000

// stream makes the requests of a stream.
func (g *generator) stream() stream {
	var s stream
	joins := pick(g, 0, 2, 6) // how many requests leave together, 0 for one
	conn := 0
	for want := 2 + g.IntN(maxRequests-1); len(s) < want; {
		if g.one(4) {
			conn = g.IntN(allConns)
		}
		r := g.request(conn)
		if avoided(&r) || follows(s, &r) || conn != binaryConn && len(r.text) > maxLine && !clean.MatchString(messageOf(&r).line) {
			continue
		}
		r.joined = joins != 0 && !g.one(joins)
		if g.one(10) {
			r.cut = 1 + g.IntN(max(1, min(len(r.bytes(nil))-1, 60)))
		}
		s = append(s, r)
	}
	return s
}

func (g *generator) request(conn int) request {
	r := request{conn: conn}
	switch {
	case conn == binaryConn:
		g.binary(&r)
	case g.one(20):
		r.text = g.oddity()
	case g.one(2):
		r.text = g.meta()
	default:
		r.text = g.classic()
	}
	return r
}

func (g *generator) key() int { return g.IntN(len(keys)) }

// keyText is the name of a key, seldom one that is none.
func (g *generator) keyText(key int) string {
	if g.one(60) {
		return pick(g, strings.Repeat("k", 251), strings.Repeat("k", 252), strings.Repeat("k", 300))
	}
	return keys[key]
}

func isNumberKey(key int) bool { return key < numberKeys }

const (
	maxUint64 = "18446744073709551615"
	overMax   = "18446744073709551616"
)

// newest is a unique above all that replies have.
const newest = "18446744073709551000"

// value is what is stored under a key.
func (g *generator) value(key int) string {
	if isNumberKey(key) {
		return pick(g, "0", "1", "9", "10", "99", "100", "1000", maxUint64, "18446744073709551614", overMax, "9223372036854775807",
			"007", "-1", "+1", " 5", "5x", "", "12345678901234567890123", strconv.Itoa(g.IntN(1000)))
	}
	switch g.IntN(40) {
	case 0:
		return strings.Repeat("v", 1000)
	case 1:
		return strings.Repeat("w", pick(g, 2040, 2047, 2048, 2049, 16383, 16384, 70000))
	case 2:
		if g.one(4) {
			return strings.Repeat("x", pick(g, 1047000, 1<<20+1, 1<<20+100))
		}
	case 3, 4:
		return "a\r\nget t0\r\n"
	case 5, 6:
		return ""
	case 7, 8, 9, 10, 11, 12, 13, 14:
		return strconv.Itoa(1 + g.IntN(200))
	}
	b := make([]byte, 1+g.IntN(4))
	for i := range b {
		b[i] = byte('a' + g.IntN(4))
	}
	return string(b)
}

// part is what is appended or prepended.
func (g *generator) part() string {
	// Nothing that begins with a blank: see the row on that in docs/compat.md.
	return pick(g, "", "7", "a", "bc", "d\r\n", strings.Repeat("p", 100))
}

func (g *generator) exptime() string {
	if g.one(2) {
		return "0"
	}
	return pick(g, "0", "100", "1000", "-1", "2", "30", "2592000", "2592001", "${now+1000}", "${now-1000}", "1", "2147483647",
		"2147483648", "4294967295", "4294967296", "-2147483648", "-2147483649", "99999999999999999999", "x", "1x", "+5", "-0", "")
}

func (g *generator) flags() string {
	if g.one(2) {
		return "0"
	}
	return pick(g, "1", "65535", "65536", "4294967295", "2147483648", "4294967296", "-1", maxUint64, overMax, "x", "+1", "-0")
}

func (g *generator) unique(key int) string {
	return pick(g, "${"+uniqueOf(key)+"}", "${"+uniqueOf(key)+"}", "${last}", "${last}", unseen, newest, "0", "x", "-1", maxUint64, overMax)
}

func (g *generator) delta(key int) string {
	if !isNumberKey(key) {
		return pick(g, "0", "1", "x", overMax)
	}
	return pick(g, "0", "1", "1", "9", "10", "99", "100", maxUint64, overMax, "9223372036854775808", "x", "-1", "+1", "1x", "-0")
}

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

// oddity is a line that is no request about a record, or is none at all.
func (g *generator) oddity() string {
	return pick(g, "", " ", "get", "gets", "get ", "gat", "gat 1", "gats x t0", "touch t0", "incr t0", "delete", "delete t0 0", "delete t0 0 noreply",
		"delete t0 5", "delete t0 5 noreply", "verbosity", "verbosity 1", "verbosity 1 noreply", "verbosity noreply", "verbosity x", "flush_all",
		"flush_all 0", "flush_all noreply", "flush_all 0 noreply", "flush_all x", "flush_all -1", "flush_all 0 0 0", "version", "version x", "quit",
		"quit x", "foo", "foo bar", "mn", "mn x", "me", "mg", "ms", "md", "ma", "ms t0", "mg  ", "stats bogus", "stats detail on", "stats detail",
		"stats detail x", "stats reset", "stats cachedump", "stats cachedump 1", "stats cachedump x 1", "stats cachedump 99 1", "GET t0", "ERROR", "\x00", "get\tt0", "set",
		"set t0", "cas t0 0 0 1", "noreply", "gett0", "get t0 noreply", "VALUE", "x HTTP/1.1", "GET / HTTP/1.1", "get /x HTTP/1.1", "shutdow") + g.lineEnd()
}

// classic is a request of the classic text protocol.
func (g *generator) classic() string {
	key := g.key()
	name := g.keyText(key)
	var noreply []string
	if g.one(8) {
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
		return line("delete", name)
	case n < 15:
		return line("touch", name, g.exptime())
	case n < 17 && isNumberKey(key):
		return line("decr", name, g.delta(key))
	default:
		return line("incr", name, g.delta(key))
	}
}

// metaFlags are the flags of each meta command, and some that mean nothing to it.
var metaFlags = map[string]string{
	"mg": "bcfhklOqstuvTNRTNRvvccsfF", "ms": "bcCkOqFTTMMIICCcD", "md": "bkOqITTCCIIvs", "ma": "bkOqtcvNJDMTCtcvNJDM", "me": "bkO",
}

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
	for _, f := range g.Perm(len(metaFlags[cmd]))[:g.IntN(min(7, len(metaFlags[cmd])))] {
		flag := metaFlags[cmd][f]
		if strings.IndexByte(have, flag) >= 0 && !g.one(100) || flag == 'b' && !g.one(20) || flag == 's' && number && cmd == "mg" {
			continue
		}
		have += string(flag)
		flags = append(flags, string(flag)+g.token(cmd, flag, key))
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
	case 'C':
		return g.unique(key)
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

// binary is a request of the binary protocol.
func (g *generator) binary(r *request) {
	if g.one(60) {
		r.text = pick(g, "get t0\r\n", "\x81"+strings.Repeat("\x00", 23), "\x00", "\r\n")
		return
	}
	key := g.key()
	p := &packet{opaque: uint32(g.IntN(3))}
	r.packet = p
	p.op = pick[byte](g, 0, 0, 1, 1, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 9, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x11, 0x12, 0x13, 0x14, 0x15,
		0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1c, 0x1d, 0x1d, 0x1e, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x23, 0x24, 0x24, 0x25, 0x30, 0x40, 0xff)
	if g.one(2) { // the common ones more often
		p.op = pick[byte](g, 0, 1, 2, 3, 4, 5, 9, 0x0c, 0x0d, 0x11, 0x1c, 0x1d)
	}
	if (p.op == 7 || p.op == 0x17) && !g.one(5) {
		p.op = 0
	}
	p.key = keys[key]
	if g.one(60) {
		p.key = pick(g, strings.Repeat("k", 251), "a b", "", "x\r\n")
	}
	p.cas = pick(g, "", "", "", "", "", "${"+uniqueOf(key)+"}", "${last}", unseen, newest)
	exptime := pick[uint32](g, 0, 0, 100, 2592000, 2592001, 2, 1<<31-1, 1<<31, 1<<32-1)
	switch p.op {
	case 1, 2, 3, 0x11, 0x12, 0x13:
		p.extras = bigEndian(uint64(pick[uint32](g, 0, 1, 1<<31, 1<<32-1)), 4)
		p.extras = append(p.extras, bigEndian(uint64(exptime), 4)...)
		p.value = g.value(key)
	case 0x0e, 0x0f, 0x19, 0x1a:
		if isNumberKey(key) {
			p.key = keys[numberKeys]
		}
		p.value = g.part()
	case 5, 6, 0x15, 0x16:
		if !isNumberKey(key) && (p.op == 6 || p.op == 0x16) {
			p.key, key = keys[0], 0
		}
		delta, initial := pick[uint64](g, 0, 1), pick[uint64](g, 1, 5)
		if isNumberKey(key) {
			delta, initial = pick[uint64](g, 0, 1, 9, 10, 100, 1<<63, 1<<64-1), pick[uint64](g, 0, 1, 10, 1<<64-1)
		}
		p.extras = append(bigEndian(delta, 8), bigEndian(initial, 8)...)
		p.extras = append(p.extras, bigEndian(uint64(exptime), 4)...)
	case 0x1c, 0x1d, 0x1e, 0x23, 0x24:
		p.extras = bigEndian(uint64(exptime), 4)
	case 7, 0x17, 0x0a, 0x0b, 0x20:
		p.key = ""
	case 8, 0x18:
		p.key = ""
		if g.one(2) {
			p.extras = bigEndian(0, 4)
		}
	case 0x10:
		p.key = pick(g, "bogus", "reset", "reset", "detail", "detail on", "detail off")
	case 0x21, 0x22:
		p.key, p.value = pick(g, "PLAIN", "X"), "\x00u\x00p"
	}
	if g.one(30) {
		p.vbucket, p.datatype = uint16(g.IntN(3)), byte(g.IntN(3))
	}
	if g.one(60) {
		switch g.IntN(6) {
		case 0:
			p.extras = append(p.extras, 0)
		case 1:
			p.extras = nil
		case 2:
			p.value += "v"
		case 3:
			p.keySize = pick(g, 1, -1, 300)
		case 4:
			p.bodySize = pick(g, 1, -1, -24)
		case 5:
			p.extrasSize = pick(g, 1, 4)
		}
	}
}

func bigEndian(v uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(v >> (8 * (size - 1 - i)))
	}
	return b
}
