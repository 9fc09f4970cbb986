//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// line is one line of a reply, or a packet written as a transcript writes it, with the data behind it.
type line struct {
	fields  []string
	data    string
	hasData bool
	broken  bool // the bytes are no whole reply
}

// fieldKind says how a field is compared.
type fieldKind uint8

const (
	plain  fieldKind = iota
	unique           // the number behind the first mark
	ttl
)

// parseText cuts what came on a text connection into lines.
func parseText(b string) []line {
	var all []line
	for b != "" {
		text, rest, ok := strings.Cut(b, "\r\n")
		if !ok {
			return append(all, line{fields: []string{b}, broken: true})
		}
		l := line{fields: strings.Split(text, " ")}
		b = rest
		if size, ok := l.size(); ok {
			if len(b) < size+2 || b[size:size+2] != "\r\n" {
				return append(all, l, line{fields: []string{b}, broken: true})
			}
			l.data, l.hasData, b = b[:size], true, b[size+2:]
		}
		all = append(all, l)
	}
	return all
}

// sizeField is the index of the field with the size of the data, 0 where there is none.
func (l *line) sizeField() int {
	switch {
	case l.fields[0] == "VALUE" && len(l.fields) >= 4:
		return 3
	case l.fields[0] == "VA" && len(l.fields) >= 2:
		return 1
	}
	return 0
}

func (l *line) size() (int, bool) {
	i := l.sizeField()
	if i == 0 {
		return 0, false
	}
	n, err := strconv.Atoi(l.fields[i])
	return n, err == nil && n >= 0
}

// kind says what field i is, and where its number begins.
func (l *line) kind(i int) (k fieldKind, at int) {
	f := l.fields[i]
	switch {
	case i == 0:
	case l.fields[0] == "VALUE":
		if i == 4 {
			return unique, 0
		}
	case l.fields[0] == "VA" || l.fields[0] == "HD":
		if f != "" && f[0] == 'c' {
			return unique, 1
		}
		if f != "" && f[0] == 't' {
			return ttl, 1
		}
	case strings.HasPrefix(f, "cas="):
		return unique, len("cas=")
	}
	return plain, 0
}

// The header of a reply in the binary protocol.
const packetHeader = 24

// parsePackets is parseText for the binary connection.
func parsePackets(b string) []line {
	var all []line
	be := binary.BigEndian
	for len(b) > 0 {
		h := []byte(b[:min(len(b), packetHeader)])
		if len(h) < packetHeader || h[0] != 0x81 || len(b) < packetHeader+int(be.Uint32(h[8:])) {
			return append(all, line{fields: []string{b}, broken: true})
		}
		extras, key, size := int(h[4]), int(be.Uint16(h[2:])), int(be.Uint32(h[8:]))
		body := b[packetHeader : packetHeader+size]
		b = b[packetHeader+size:]
		l := line{fields: []string{opName(h[1])}}
		put := func(format string, v uint64) {
			if v != 0 {
				l.fields = append(l.fields, fmt.Sprintf(format, v))
			}
		}
		put("datatype=%d", uint64(h[5]))
		put("status=%#x", uint64(be.Uint16(h[6:])))
		put("opaque=%d", uint64(be.Uint32(h[12:])))
		put("cas=%d", be.Uint64(h[16:]))
		if extras+key > size {
			return append(all, l, line{fields: []string{body}, broken: true})
		}
		if extras == 4 {
			l.fields = append(l.fields, fmt.Sprintf("flags=%d", be.Uint32([]byte(body[:4]))))
		} else if extras > 0 {
			l.fields = append(l.fields, fmt.Sprintf("extras=%x", body[:extras]))
		}
		if key > 0 {
			l.fields = append(l.fields, "key="+body[extras:extras+key])
		}
		value := body[extras+key:]
		isNumber := strings.HasPrefix(l.fields[0], "incr") || strings.HasPrefix(l.fields[0], "decr")
		if isNumber && be.Uint16(h[6:]) == 0 && len(value) == 8 {
			l.fields = append(l.fields, fmt.Sprintf("number=%d", be.Uint64([]byte(value))))
		} else {
			l.data, l.hasData = value, value != ""
		}
		all = append(all, l)
	}
	return all
}

// key is the index in keys of the record that the line is about, if it says so.
func (l *line) key() (int, bool) {
	if l.fields[0] != "VALUE" || len(l.fields) < 2 {
		return 0, false
	}
	for i, k := range keys {
		if k == l.fields[1] {
			return i, true
		}
	}
	return 0, false
}

// text is the line as an expectation of a transcript behind its <; seen gets the variables that it sets.
func (l *line) text(binary bool, seen map[string]string) string {
	mark, esc := " ", quote
	for i := range l.fields {
		if k, _ := l.kind(i); k != plain {
			mark, esc = "~ ", quotePattern
		}
	}
	var parts []string
	for i, f := range l.fields {
		switch k, at := l.kind(i); k {
		case unique:
			group := `(?P<last>\d+)`
			seen["last"] = "x"
			if key, ok := l.key(); ok {
				seen[uniqueOf(key)] = "x"
				group = `(?P<` + uniqueOf(key) + `>` + group + `)`
			}
			parts = append(parts, f[:at]+group)
		case ttl:
			parts = append(parts, fmt.Sprintf("t(%s)", f[at:]))
		default:
			parts = append(parts, esc(f))
		}
	}
	text := strings.Join(parts, " ")
	switch {
	case l.broken:
		return mark + text + `(broken)`
	case l.hasData && binary:
		return mark + text + " value=" + esc(l.data)
	case l.hasData:
		return mark + text + "\n< " + quote(l.data)
	}
	return mark + text
}
