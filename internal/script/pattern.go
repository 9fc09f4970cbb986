package script

import (
	lua "github.com/yuin/gopher-lua"
)

// The limits of a match.
const (
	maxCaptures   = 32
	maxMatchDepth = 200
	// stepsBetweenChecks is some tens of microseconds.
	stepsBetweenChecks = 4096
)

// The lengths of captures that are none.
const (
	captureOpen     = -1
	capturePosition = -2
)

// matcher matches Lua 5.1's patterns by backtracking. The Lua library's own cannot be interrupted, and a pattern of
// twenty bytes can take it longer than the machine lives: this one looks at the deadline of the call.
// Source: Lua 5.1 Reference Manual, section 5.4.1.
type matcher struct {
	c        call
	src, pat string
	captures []capture
	depth    int
	steps    int
}

type capture struct{ start, size int }

// find returns the first match that begins at init or later, or at init only if the pattern is anchored.
func (m *matcher) find(init int) (start, end int, ok bool) {
	p := 0
	anchored := len(m.pat) > 0 && m.pat[0] == '^'
	if anchored {
		p = 1
	}
	for s := init; s <= len(m.src); s++ {
		m.captures = m.captures[:0]
		if e := m.match(s, p); e >= 0 {
			return s, e, true
		}
		if anchored {
			break
		}
	}
	return 0, 0, false
}

func (m *matcher) step() {
	if m.steps++; m.steps%stepsBetweenChecks == 0 {
		m.c.check(m.c.L)
	}
}

// match returns where the match of pat[p:] that begins at src[s] ends, or -1.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.c.L.RaiseError("pattern too complex")
	}
	defer func() { m.depth-- }()
	for {
		m.step()
		if p == len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.capture(s, p+2, capturePosition)
			}
			return m.capture(s, p+1, captureOpen)
		case ')':
			return m.closeCapture(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				next := m.pat[p+1]
				switch {
				case next == 'b':
					if s = m.balance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case next == 'f':
					end := m.frontier(s, p+2)
					if end < 0 {
						return -1
					}
					p = end
					continue
				case isDigit(next):
					if s = m.backReference(s, next); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := m.classEnd(p)
		var suffix byte
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '?':
			if m.single(s, p, end) {
				if e := m.match(s+1, end+1); e >= 0 {
					return e
				}
			}
			p = end + 1
		case '*':
			return m.longest(s, p, end, 0)
		case '+':
			return m.longest(s, p, end, 1)
		case '-':
			return m.shortest(s, p, end)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
}

// longest tries as many repetitions as there are first.
func (m *matcher) longest(s, p, end, least int) int {
	n := 0
	for m.single(s+n, p, end) {
		m.step()
		n++
	}
	for ; n >= least; n-- {
		if e := m.match(s+n, end+1); e >= 0 {
			return e
		}
	}
	return -1
}

func (m *matcher) shortest(s, p, end int) int {
	for {
		if e := m.match(s, end+1); e >= 0 {
			return e
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

func (m *matcher) capture(s, p, size int) int {
	if len(m.captures) >= maxCaptures {
		m.c.L.RaiseError("too many captures")
	}
	n := len(m.captures)
	m.captures = append(m.captures, capture{s, size})
	e := m.match(s, p)
	if e < 0 {
		m.captures = m.captures[:n]
	}
	return e
}

func (m *matcher) closeCapture(s, p int) int {
	i := len(m.captures) - 1
	for i >= 0 && m.captures[i].size != captureOpen {
		i--
	}
	if i < 0 {
		m.c.L.RaiseError("invalid pattern capture")
	}
	m.captures[i].size = s - m.captures[i].start
	e := m.match(s, p)
	if e < 0 {
		m.captures[i].size = captureOpen
	}
	return e
}

// balance matches %bxy, whose x stands at pat[p].
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.c.L.RaiseError("unbalanced pattern")
	}
	open, shut := m.pat[p], m.pat[p+1]
	if s >= len(m.src) || m.src[s] != open {
		return -1
	}
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		m.step()
		switch m.src[i] {
		case shut:
			if depth--; depth == 0 {
				return i + 1
			}
		case open:
			depth++
		}
	}
	return -1
}

// frontier matches %f[set], whose set stands at pat[p], and returns where the pattern goes on.
func (m *matcher) frontier(s, p int) int {
	if p >= len(m.pat) || m.pat[p] != '[' {
		m.c.L.RaiseError("%s", "missing '[' after '%f' in pattern")
	}
	end := m.classEnd(p)
	var before, at byte
	if s > 0 {
		before = m.src[s-1]
	}
	if s < len(m.src) {
		at = m.src[s]
	}
	if m.inSet(before, p, end) || !m.inSet(at, p, end) {
		return -1
	}
	return end
}

func (m *matcher) backReference(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= len(m.captures) || m.captures[i].size == captureOpen {
		m.c.L.RaiseError("invalid capture index")
	}
	c := m.captures[i]
	size := max(c.size, 0)
	if len(m.src)-s < size || m.src[c.start:c.start+size] != m.src[s:s+size] {
		return -1
	}
	return s + size
}

// classEnd returns the index behind the single-character class at pat[p].
func (m *matcher) classEnd(p int) int {
	ch := m.pat[p]
	p++
	switch ch {
	case '%':
		if p == len(m.pat) {
			m.c.L.RaiseError("%s", "malformed pattern (ends with '%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; ; first = false {
			if p >= len(m.pat) {
				m.c.L.RaiseError("malformed pattern (missing ']')")
			}
			ch := m.pat[p]
			p++
			if ch == ']' && !first {
				return p
			}
			if ch == '%' {
				p++
			}
		}
	}
	return p
}

// single says whether src[s] is of the class pat[p:end].
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.src) {
		return false
	}
	ch := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(ch, m.pat[p+1])
	case '[':
		return m.inSet(ch, p, end)
	}
	return m.pat[p] == ch
}

// inSet says whether ch is in the set pat[p:end], brackets included.
func (m *matcher) inSet(ch byte, p, end int) bool {
	p, end = p+1, end-1
	in := true
	if p < end && m.pat[p] == '^' {
		in = false
		p++
	}
	for p < end {
		switch {
		case m.pat[p] == '%' && p+1 < end:
			if inClass(ch, m.pat[p+1]) {
				return in
			}
			p += 2
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= ch && ch <= m.pat[p+2] {
				return in
			}
			p += 3
		default:
			if m.pat[p] == ch {
				return in
			}
			p++
		}
	}
	return !in
}

func isDigit(ch byte) bool { return '0' <= ch && ch <= '9' }

// inClass says whether ch is of the class that a letter after % names; an upper-case letter turns it round. Anything
// else stands for itself.
func inClass(ch, class byte) bool {
	var in bool
	lower := class | 0x20
	letter := 'a' <= ch|0x20 && ch|0x20 <= 'z'
	switch lower {
	case 'a':
		in = letter
	case 'c':
		in = ch < 0x20 || ch == 0x7f
	case 'd':
		in = isDigit(ch)
	case 'l':
		in = 'a' <= ch && ch <= 'z'
	case 'p':
		in = 0x21 <= ch && ch <= 0x7e && !letter && !isDigit(ch)
	case 's':
		in = ch == ' ' || '\t' <= ch && ch <= '\r'
	case 'u':
		in = 'A' <= ch && ch <= 'Z'
	case 'w':
		in = letter || isDigit(ch)
	case 'x':
		in = isDigit(ch) || 'a' <= ch|0x20 && ch|0x20 <= 'f'
	case 'z':
		in = ch == 0
	default:
		return class == ch
	}
	if class == lower {
		return in
	}
	return !in
}

// value returns a capture of the match from start to end; without captures the first is the match.
func (m *matcher) value(i, start, end int) lua.LValue {
	if i >= len(m.captures) {
		if i != 0 {
			m.c.L.RaiseError("invalid capture index")
		}
		return lua.LString(m.src[start:end])
	}
	c := m.captures[i]
	switch c.size {
	case capturePosition:
		return lua.LNumber(c.start + 1)
	case captureOpen:
		m.c.L.RaiseError("unfinished capture")
	}
	return lua.LString(m.src[c.start : c.start+c.size])
}

// pushCaptures pushes all captures, or the match if there are none and whole is true.
func (m *matcher) pushCaptures(start, end int, whole bool) int {
	n := len(m.captures)
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.c.push(m.value(i, start, end))
	}
	return n
}
