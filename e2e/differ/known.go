//go:build linux

package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// known is a difference that is on purpose.
type known struct {
	// row is the first column of the row of docs/compat.md that says so.
	row string
	// normalise takes the difference out of a line of a reply. It is given the lines of both servers.
	normalise func(l *line)
	// avoid says that a request is not to be made at all, because of what comes of it later.
	avoid func(m message) bool
	// behind says that a request is not made when an earlier one of the stream was this first one.
	behind func(first, m message) bool
	// alone says that a request is not to leave together with others.
	alone func(m message) bool
	// echoes says that data may have been run as commands, whose ERROR is taken out. Such a request leaves alone too.
	echoes func(m message) bool
	// drops says that where both end a connection memcached may have dropped the last replies.
	drops bool
	// uncounted says that a request is counted in another way.
	uncounted func(m message) bool
}

// message is a request as the table looks at it.
type message struct {
	line   string
	cmd    string   // "" on the binary connection
	key    string   // of a command about one key
	args   []string // behind the key of a meta command and the size of ms, else behind the command
	data   string   // behind the line
	whole  bool     // the data ends as it should
	packet *packet
}

// clean is a line with data that is not refused.
var clean = regexp.MustCompile(`^(?:(?:set|add|replace|append|prepend) \S{1,250} \d{1,9} -?\d{1,10} \d{1,9}|cas \S{1,250} \d{1,9} -?\d{1,10} \d{1,9} (?:\d{1,19}|\$\S+)|` +
	`ms \S{1,250} \d{1,9}(?: (?:[bckqI]|O\S{0,31}|F\d{1,9}|[TN]-?\d{1,10}|C\d{1,19}|C\$\S+|M[EAPRS]))*)(?: noreply)?$`)

// doubtful reports whether a line with data may be refused.
func (m message) doubtful() bool {
	return m.hasData() && !clean.MatchString(m.line)
}

func messageOf(r *request) message {
	m := message{packet: r.packet}
	if r.conn == binaryConn {
		if m.packet != nil {
			m.key = m.packet.key
		}
		return m
	}
	text, data, _ := strings.Cut(r.text, "\n")
	m.line, m.data = strings.TrimSuffix(text, "\r"), strings.TrimSuffix(data, "\r\n")
	tokens := strings.FieldsFunc(m.line, func(c rune) bool { return c == ' ' })
	m.whole = strings.HasSuffix(data, "\r\n")
	if len(tokens) == 0 {
		return m
	}
	m.cmd, m.args = tokens[0], tokens[1:]
	if len(m.args) > 0 {
		m.key = m.args[0]
	}
	switch m.cmd {
	case "mg", "md", "ma", "me":
		m.args = m.args[min(1, len(m.args)):]
	case "ms":
		m.args = m.args[min(2, len(m.args)):]
	}
	return m
}

// sized reports whether the data is as long as the line says.
func (m message) sized() bool {
	tokens := strings.Fields(m.line)
	at := 4
	if m.cmd == "ms" {
		at = 2
	}
	return m.whole && len(tokens) > at && tokens[at] == strconv.Itoa(len(m.data))
}

// hasData reports a command with data behind its line.
func (m message) hasData() bool {
	return slices.Contains([]string{"set", "add", "replace", "append", "prepend", "cas", "ms"}, m.cmd)
}

func badKey(s string) bool { return len(s) > 250 }

// calculates reports arithmetic.
func (m message) calculates() bool {
	if m.packet != nil {
		return slices.Contains([]byte{5, 6, 0x15, 0x16}, m.packet.op)
	}
	return m.cmd == "incr" || m.cmd == "decr" || m.cmd == "ma"
}

// grows reports a ma that may give a number more digits.
func (m message) grows() bool {
	mode, _ := m.flag('M')
	delta, _ := m.flag('D')
	return m.cmd == "ma" && mode != "D" && mode != "-" && delta != "0"
}

// marks reports a request that may make a value stale, or that one client is told to renew.
func (m message) marks() bool {
	return m.has("I") || m.cmd == "mg" && (m.has("N") || m.has("R"))
}

// flag returns the token of a flag of a meta command.
func (m message) flag(c byte) (token string, ok bool) {
	if !slices.Contains([]string{"mg", "ms", "md", "ma", "me"}, m.cmd) {
		return "", false
	}
	for _, a := range m.args {
		if a[0] == c {
			return a[1:], true
		}
	}
	return "", false
}

func (m message) has(flags string) bool {
	for i := range flags {
		if _, ok := m.flag(flags[i]); !ok {
			return false
		}
	}
	return true
}

// size is that of the value.
func (m message) size() int {
	if m.packet != nil {
		return len(m.packet.value)
	}
	return len(m.data)
}

// joins reports that a value is put to the one that is there.
func (m message) joins() bool {
	if m.packet != nil {
		return slices.Contains([]byte{0x0e, 0x0f, 0x19, 0x1a}, m.packet.op)
	}
	mode, _ := m.flag('M')
	return m.cmd == "append" || m.cmd == "prepend" || m.cmd == "ms" && (mode == "A" || mode == "P")
}

func (m message) flushes() bool {
	return m.cmd == "flush_all" || m.packet != nil && (m.packet.op == 8 || m.packet.op == 0x18)
}

func (m message) flushesLater() bool {
	if !m.flushes() {
		return false
	}
	if m.packet != nil {
		return slices.ContainsFunc(m.packet.extras, func(c byte) bool { return c != 0 })
	}
	if len(m.args) == 0 {
		return false
	}
	delay, _ := strconv.Atoi(m.args[0])
	return delay > 0 || strings.HasPrefix(m.args[0], "$")
}

// newFlags reports flags that 1.6.18 does not know, where they mean something to later versions. Where they do not, they are
// refused or passed over by both.
func (m message) newFlags() bool {
	number := func(flag byte) bool { // memcached looks no further than at what is none
		token, ok := m.flag(flag)
		_, err := strconv.ParseUint(strings.TrimRight(token, "\t"), 10, 64)
		return ok && (err == nil || strings.HasPrefix(token, "$"))
	}
	if m.cmd == "me" || (m.cmd == "md" || m.cmd == "ma") && m.has("E") && !number('E') { // there one error stands for all flags
		return false
	}
	return m.has("E") || m.has("x") || m.cmd == "mg" && number('C') || m.cmd == "ms" && (m.has("s") || m.has("N") && m.joins())
}

var paddedNumber = regexp.MustCompile(`^[ +]*0*([0-9]+) *$`)

// knownDifferences is all that is let through. Rows about what this program never sends are not here.
var knownDifferences = []known{
	{row: "`version`", normalise: func(l *line) {
		switch l.fields[0] {
		case "VERSION":
			l.fields = l.fields[:1]
		case "version":
			l.data = ""
		}
	}},
	{row: "stored number after `decr` to fewer digits", normalise: plainNumber},
	{row: "a number stored as `007`, then `incr` by 0", normalise: plainNumber},
	{row: "a second `flush_all` while one is scheduled", behind: func(first, m message) bool { return first.flushesLater() && m.flushes() }},
	{row: "`flush_all` with a delay behind another one", behind: func(first, m message) bool { return first.flushes() && m.flushesLater() }},
	{row: "largest value", behind: func(first, m message) bool {
		return first.size() >= largest && first.size() <= maxValue && m.joins()
	}},
	{row: "a line that ends the connection, behind requests in one write", drops: true},
	{row: "bad key in a multi-get", avoid: func(m message) bool {
		return strings.HasPrefix(m.cmd, "g") && len(m.args) > 1 && slices.ContainsFunc(m.args[1:], badKey)
	}, alone: func(m message) bool { return slices.ContainsFunc(m.args, badKey) }},
	{row: "data of a refused line", avoid: func(m message) bool {
		return m.doubtful() && (strings.Contains(m.data, "\n") || !m.sized() || len(m.data) >= 1000)
	}, echoes: message.doubtful},
	{row: "`cmd_set`, `cmd_flush` of a request that is refused for its form", uncounted: func(m message) bool {
		return m.hasData() && !m.sized() || m.flushes() && len(m.args) > 1
	}},
	{row: "`mg` that creates what is missing (`N`)", uncounted: func(m message) bool { return m.cmd == "mg" && m.has("N") }},
	{row: "whether a number counts as read (`h`, `fetch`) after it got more digits", behind: func(first, m message) bool {
		return first.calculates() && (m.cmd == "me" || m.has("h"))
	}},
	{row: "whether a number is stale or renewed (`X`, `W`, `Z`) after arithmetic", behind: func(first, m message) bool {
		return first.key == m.key && first.marks() && m.calculates()
	}},
	{row: "arithmetic with a wrong unique on a value above 512 KiB", behind: func(first, m message) bool {
		return first.size() > 500_000 && m.calculates() && (m.has("C") || m.packet != nil && m.packet.cas != "")
	}},
	{row: "order of the uniques of two keys, and of those of a number that was added to", avoid: func(m message) bool {
		token, _ := m.flag('C')
		return m.has("I") && strings.Contains(token, "last")
	}, behind: func(first, m message) bool {
		return first.key == m.key && first.calculates() && m.cmd == "ms" && m.has("IC")
	}},
	{row: "flags `E` (unique to store), `x` (empty the value), `C` of `mg`, `s` and `N` of `ms`", avoid: message.newFlags},
	{row: "`ma` with `T`", avoid: func(m message) bool { return m.has("T") && m.grows() },
		alone: func(m message) bool { return m.cmd == "ma" && m.has("T") }},
	{row: "`ma` with `q` that creates the number (`N`)", avoid: func(m message) bool { return m.cmd == "ma" && m.has("qN") }},
	{row: "client flags above 2^32-1 (`F`)", avoid: func(m message) bool {
		f, _ := m.flag('F')
		v, err := strconv.ParseUint(strings.TrimSpace(f), 10, 64)
		return err == nil && v > 1<<32-1
	}},
	{row: "a time to live that is past, shown by `t`", normalise: func(l *line) {
		for i := range l.fields {
			if k, at := l.kind(i); k == ttl {
				if v, err := strconv.ParseUint(l.fields[i][at:], 10, 64); err == nil && v > 4e9 {
					l.fields[i] = "t0"
				}
			}
		}
	}},
	{row: "`me`", normalise: func(l *line) {
		if l.fields[0] == "ME" {
			l.mask("exp=", "size=", "cls=", "la=")
		}
	}},
	{row: "seconds since the last access (`l`, `la`)", normalise: func(l *line) {
		if l.fields[0] == "HD" || l.fields[0] == "VA" {
			l.mask("l")
		}
	}},
	{row: "`mg`, `ma` with a token of `O` that is too long", avoid: func(m message) bool {
		token, _ := m.flag('O')
		return (m.cmd == "mg" || m.cmd == "ma") && len(token) > 31
	}},
	{row: "key in `k` and `me`", avoid: func(m message) bool { return (m.cmd == "mg" || m.cmd == "ma") && m.has("bN") }},
	{row: "`k` of a base64 key whose value was appended or prepended to", behind: func(first, m message) bool {
		return first.joins() && first.has("b") && m.has("bk")
	}},
	{row: "unknown command with extras or a key", avoid: func(m message) bool {
		p := m.packet
		return p != nil && strings.HasPrefix(opName(p.op), "0x") && len(p.extras)+len(p.key)+p.keySize+p.extrasSize > 0
	}},
	{row: "a value behind `touch`, `gat`, `stat`", avoid: func(m message) bool {
		p := m.packet
		return p != nil && slices.Contains([]byte{0x10, 0x1c, 0x1d, 0x1e, 0x23, 0x24}, p.op) && (p.value != "" || p.bodySize != 0 || p.keySize < 0)
	}},
	{row: "key and extras longer than the body", avoid: func(m message) bool {
		p := m.packet
		return p != nil && len(p.extras)+p.extrasSize+len(p.key)+p.keySize&0xffff > len(p.extras)+len(p.key)+len(p.value)+p.bodySize
	}},
	{row: "what is no packet, behind requests in one write", drops: true},
}

// clusterDifferences are let through besides, where the store is a cluster.
var clusterDifferences = []known{
	{row: "whether a value was read (`h`, `fetch`)", normalise: func(l *line) {
		switch l.fields[0] {
		case "HD", "VA":
			l.mask("h")
		case "ME":
			l.mask("fetch=")
		}
	}},
}

// mask blots out the rest of the fields that begin with one of the marks.
func (l *line) mask(marks ...string) {
	for i := 1; i < len(l.fields); i++ {
		for _, m := range marks {
			if strings.HasPrefix(l.fields[i], m) {
				l.fields[i] = m
			}
		}
	}
}

// plainNumber takes the padding off a number.
func plainNumber(l *line) {
	if m := paddedNumber.FindStringSubmatch(l.data); m != nil && l.hasData {
		l.data = m[1]
		if i := l.sizeField(); i > 0 {
			l.fields[i] = strconv.Itoa(len(l.data))
		}
	}
}

// normalise takes all known differences out of a reply.
func normalise(lines []line) []line {
	out := make([]line, len(lines))
	for i, l := range lines {
		l.fields = slices.Clone(l.fields)
		for _, k := range knownDifferences {
			if k.normalise != nil {
				k.normalise(&l)
			}
		}
		out[i] = l
	}
	return out
}

// follows reports whether a request must not be made behind those of a stream.
func follows(s stream, r *request) bool {
	m := messageOf(r)
	return slices.ContainsFunc(knownDifferences, func(k known) bool {
		return k.behind != nil && slices.ContainsFunc(s, func(first request) bool { return k.behind(messageOf(&first), m) })
	})
}

func avoided(r *request) bool {
	m := messageOf(r)
	return slices.ContainsFunc(knownDifferences, func(k known) bool { return k.avoid != nil && k.avoid(m) })
}

func alone(r *request) bool {
	m := messageOf(r)
	return slices.ContainsFunc(knownDifferences, func(k known) bool {
		return k.alone != nil && k.alone(m) || k.echoes != nil && k.echoes(m)
	})
}

func quirky(r request) bool {
	m := messageOf(&r)
	return slices.ContainsFunc(knownDifferences, func(k known) bool { return k.uncounted != nil && k.uncounted(m) })
}

// trim takes out of the replies to a batch what data that ran as commands may have been answered.
func trim(batch stream, lines []line) []line {
	m := messageOf(&batch[0])
	if len(batch) > 1 || !slices.ContainsFunc(knownDifferences, func(k known) bool { return k.echoes != nil && k.echoes(m) }) {
		return lines
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return len(l.fields) == 1 && l.fields[0] == "ERROR" })
}
