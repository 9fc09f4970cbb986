package script

import (
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// textFunctions are the functions that look into strings.
var textFunctions = map[string]builtin{
	"_split":  split,
	"_strstr": strstr,
	"_regex":  regex,
	"_ucs":    ucs,
	"_dist":   distance,
	"_bit":    bit,
}

// split returns the pieces between delimiters, of which each character is one; NUL unless told otherwise.
func split(c call) int {
	c.count(1, 2)
	s, delims := c.str(1), "\x00"
	if c.has(2) {
		delims = c.str(2)
	}
	var isDelim [256]bool
	for i := range len(delims) {
		isDelim[delims[i]] = true
	}
	var pieces []lua.LValue
	start := 0
	for i := range len(s) {
		if isDelim[s[i]] {
			c.charge(c.L, slotCost)
			pieces = append(pieces, lua.LString(s[start:i]))
			start = i + 1
		}
	}
	return c.pushValues(append(pieces, lua.LString(s[start:])))
}

// strstr returns where the pattern begins, 0 for nowhere; with a third argument the string, every match replaced by that.
func strstr(c call) int {
	c.count(2, 3)
	s, pat := c.str(1), c.str(2)
	if !c.has(3) {
		return c.pushNumber(float64(strings.Index(s, pat) + 1))
	}
	if pat == "" {
		return c.pushString(s)
	}
	alt := c.str(3)
	if grows := len(alt) - len(pat); grows > 0 {
		c.charge(c.L, strings.Count(s, pat)*grows)
	}
	return c.pushString(strings.ReplaceAll(s, pat, alt))
}

// The limits of a regular expression. Each byte of the string costs a step of each instruction at worst.
const (
	maxPattern      = 4096
	maxInstructions = 4096
)

// regex says whether a POSIX extended regular expression matches, or replaces its matches: & and \0 to \9 in the
// alternative stand for the match and its groups. A * before the pattern ignores case. Bytes are characters.
func regex(c call) int {
	c.count(2, 3)
	s, pat := c.str(1), c.str(2)
	first, later, err := compileRegex(pat)
	if err != nil {
		c.L.RaiseError("_regex: %v", err)
	}
	if !c.has(3) {
		return c.pushBool(first.MatchReader(&byteReader{c: c, s: s}))
	}
	alt := c.str(3)
	var out []byte
	add := func(s string) {
		c.charge(c.L, len(s))
		out = append(out, s...)
	}
	re := first
	for at := 0; at <= len(s); {
		m := re.FindReaderSubmatchIndex(&byteReader{c: c, s: s[at:]})
		if m == nil {
			add(s[at:])
			break
		}
		c.check(c.L)
		re = later
		rest := s[at:]
		add(rest[:m[0]])
		expand(alt, rest, m, add)
		at += m[1]
		if m[0] == m[1] {
			add(s[at:min(at+1, len(s))])
			at++
		}
	}
	return c.pushString(string(out))
}

// compileRegex returns the expression, and how it reads where a string goes on: there ^ never matches.
func compileRegex(pat string) (first, later *regexp.Regexp, err error) {
	if len(pat) > maxPattern {
		return nil, nil, &syntax.Error{Code: syntax.ErrLarge, Expr: pat[:16] + "..."}
	}
	// C's regcomp without REG_NEWLINE: a line break is a character like any other.
	flags := syntax.OneLine | syntax.DotNL | syntax.ClassNL
	pat, fold := strings.CutPrefix(pat, "*")
	if fold {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(latin1(pat), flags)
	if err != nil {
		return nil, nil, err
	}
	if first, err = compileTree(tree); err != nil {
		return nil, nil, err
	}
	neverBegin(tree)
	later, err = compileTree(tree)
	return first, later, err
}

func compileTree(tree *syntax.Regexp) (*regexp.Regexp, error) {
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(prog.Inst) > maxInstructions {
		return nil, &syntax.Error{Code: syntax.ErrLarge, Expr: "the pattern"}
	}
	re, err := regexp.Compile(tree.String())
	if err != nil {
		return nil, err
	}
	re.Longest()
	return re, nil
}

func neverBegin(tree *syntax.Regexp) {
	if tree.Op == syntax.OpBeginText {
		tree.Op = syntax.OpNoMatch
	}
	for _, sub := range tree.Sub {
		neverBegin(sub)
	}
}

// latin1 makes a character of each byte.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// byteReader gives bytes to a matcher as characters until the call has to end.
type byteReader struct {
	c call
	s string
	i int
}

func (r *byteReader) ReadRune() (rune, int, error) {
	if r.i%256 == 0 && r.c.ctx.Err() != nil {
		r.c.check(r.c.L)
	}
	if r.i == len(r.s) {
		return 0, 0, io.EOF
	}
	r.i++
	return rune(r.s[r.i-1]), 1, nil
}

// expand adds the alternative for a match m of s.
func expand(alt, s string, m []int, add func(string)) {
	group := func(i int) {
		if 2*i+1 < len(m) && m[2*i] >= 0 {
			add(s[m[2*i]:m[2*i+1]])
		}
	}
	for i := 0; i < len(alt); i++ {
		switch {
		case alt[i] == '&':
			group(0)
		case alt[i] == '\\' && i+1 < len(alt):
			i++
			if isDigit(alt[i]) {
				group(int(alt[i] - '0'))
			} else {
				add(alt[i : i+1])
			}
		default:
			add(alt[i : i+1])
		}
	}
}

// ucs makes an array of UCS-2 units of an UTF-8 string, or the string of an array. What UCS-2 lacks becomes a question
// mark.
func ucs(c call) int {
	c.count(1, 1)
	if t, ok := c.L.Get(1).(*lua.LTable); ok {
		var out []byte
		for _, v := range c.elements(t) {
			c.charge(c.L, 3)
			out = utf8.AppendRune(out, rune(uint16(toInt64(c.numeric(v)))))
		}
		return c.pushBytes(out)
	}
	var units []lua.LValue
	for _, r := range c.str(1) {
		if r > 0xffff {
			r = '?'
		}
		c.charge(c.L, slotCost)
		units = append(units, lua.LNumber(r))
	}
	return c.pushValues(units)
}

// distance is the edit distance of two strings in bytes, or in characters if the third argument is true.
func distance(c call) int {
	c.count(2, 3)
	a, b := c.str(1), c.str(2)
	var x, y []rune
	c.charge(c.L, 4*(len(a)+len(b)))
	if c.L.ToBool(3) {
		x, y = []rune(a), []rune(b)
	} else {
		x, y = []rune(latin1(a)), []rune(latin1(b))
	}
	c.charge(c.L, 16*len(y))
	// row[j] is the distance of what was read of x and y[:j].
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i, r := range x {
		c.check(c.L)
		diagonal := row[0]
		row[0] = i + 1
		for j, q := range y {
			cost := diagonal
			if r != q {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return c.pushNumber(float64(row[len(y)]))
}

// bit works on 32 bits.
func bit(c call) int {
	c.count(2, 3)
	op := c.str(1)
	a := uint32(c.int64(2))
	if op == "not" {
		return c.pushNumber(float64(^a))
	}
	if !c.has(3) {
		c.invalid()
	}
	b := uint32(c.int64(3))
	switch op {
	case "and":
		a &= b
	case "or":
		a |= b
	case "xor":
		a ^= b
	case "left":
		a <<= b
	case "right":
		a >>= b
	default:
		c.invalid()
	}
	return c.pushNumber(float64(a))
}
