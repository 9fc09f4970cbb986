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
	keys    []int // the keys of this stream, as indices: few, so that requests meet
	joins   int   // how many requests leave together, 0 for one
	hush    int   // one of so many requests asks for no reply
	expires bool  // what is about to be stored ends while the stream waits
}

func newGenerator(seed, n uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, n))}
}

// one is true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

const (
	// maxRequests is the length of the longest stream.
	maxRequests = 40
	// maxExpiring is the length of each half of one that waits: the first one is over before what it stores ends.
	maxExpiring = 12
	// waiting is of how many streams one waits.
	waiting = 50
)

// maxLine is above what memcached takes for a line whatever way it arrives, and below all that it refuses only if it is cut.
const maxLine = 2000

// stream makes the requests of a stream.
func (g *generator) stream() stream {
	g.keys = g.Perm(len(keys))[:pick(g, 2, 4, len(keys))]
	g.joins, g.hush = pick(g, 0, 2, 6), pick(g, 8, 8, 2)
	if !g.one(waiting) {
		return g.extend(nil, 2+g.IntN(maxRequests-1))
	}
	g.expires = true
	s := g.extend(nil, 1+g.IntN(maxExpiring))
	g.expires = false
	return g.extend(append(s, request{waits: true}), 1+g.IntN(maxExpiring))
}

// extend adds so many requests.
func (g *generator) extend(s stream, requests int) stream {
	conn := 0
	for want := len(s) + requests; len(s) < want; {
		if g.one(4) {
			conn = g.IntN(allConns)
		}
		r := g.request(conn)
		if avoided(&r) || follows(s, &r) || s.misread(&r) {
			continue
		}
		r.joined = g.joins != 0 && !g.one(g.joins)
		if g.one(8) {
			r.cut = pick(g, 1, 2, 3, 24, 1+g.IntN(60), 1+g.IntN(max(1, len(r.bytes(nil)))))
		}
		s = append(s, r)
	}
	return s
}

// misread reports a request that memcached may take for a line that is too long, itself or behind one that leaves it out of
// step, and one whose unique is read as text: that is another one on each server, and may have a line end in it.
func (s stream) misread(r *request) bool {
	long := len(r.bytes(nil)) > maxLine
	unique := r.packet != nil && strings.Contains(r.packet.cas, "$")
	return long && r.conn != binaryConn && !clean.MatchString(messageOf(r).line) || slices.ContainsFunc(s, func(first request) bool {
		m := messageOf(&first)
		return first.conn == r.conn && (r.conn == binaryConn && first.packet == nil && (long || unique) || long && m.hasData() && !m.sized())
	})
}

func (g *generator) request(conn int) request {
	r := request{conn: conn}
	switch {
	case conn == binaryConn:
		g.binary(&r)
	case g.expires && g.one(12):
		r.text = "flush_all " + pick(g, "2", "3", "3", "2592000", "${now+3}", "${now+100000}", "3 noreply") + g.lineEnd()
	case g.one(20):
		r.text = g.oddity()
	case g.one(2):
		r.text = g.meta()
	default:
		r.text = g.classic()
	}
	return r
}

func (g *generator) key() int { return pick(g, g.keys...) }

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

// largest is a value that memcached takes whatever the key; from there to 1 MiB it depends.
const largest = 1_048_200

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
			return strings.Repeat("x", pick(g, 500_000, 600_000, 1_040_000, largest, largest, 1<<20+1, 1<<20+100, 2<<20))
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
	if g.one(30) {
		return strings.Repeat("q", 10_000) // too much behind 1,040,000, whatever else was appended
	}
	// Nothing that begins with a blank: see the row on that in docs/compat.md.
	return pick(g, "", "7", "a", "bc", "d\r\n", strings.Repeat("p", 100))
}

// exptime is a time to live, a short one only in front of a wait.
func (g *generator) exptime() string {
	if g.expires && g.one(2) {
		return pick(g, "2", "3")
	}
	if g.one(2) {
		return "0"
	}
	return pick(g, "0", "100", "1000", "-1", "30", "2592000", "2592001", "${now+1000}", "${now-1000}", "2147483647",
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
