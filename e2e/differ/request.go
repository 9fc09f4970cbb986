//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The connections of a stream.
const (
	textConns  = 3
	binaryConn = textConns
	allConns   = textConns + 1
)

// request is a command to send, with its data.
type request struct {
	conn   int
	joined bool // sent together with the one before, if that is on the same connection
	cut    int  // how many of its bytes go in a write, 0 for all
	waits  bool // nothing is sent, but waited until all has expired that is about to
	text   string
	packet *packet // on the binary connection, unless text is what to send
}

// packet is a request of the binary protocol. Fields have the names that they have in a transcript.
type packet struct {
	op         byte
	opaque     uint32
	cas        string // a number or a variable; "" is 0
	extras     []byte
	key, value string
	vbucket    uint16
	datatype   byte
	keySize    int // what the header says above what is there
	extrasSize int
	bodySize   int
}

// stream is requests in the order in which they are sent.
type stream []request

// batches cuts a stream where replies are waited for.
func (s stream) batches() []stream {
	var all []stream
	for i, first := 0, 0; i < len(s); i++ {
		if i+1 == len(s) || !s[i+1].joined || s[i+1].conn != s[i].conn || s[i].waits || s[i+1].waits || alone(&s[i]) || alone(&s[i+1]) {
			all = append(all, s[first:i+1])
			first = i + 1
		}
	}
	return all
}

const (
	// soon is how soon the requests in front of a wait must be over: what they store ends a second later at least, on
	// memcached, whose seconds begin when they like.
	soon = 900 * time.Millisecond
	// expiry is how long a stream waits: the longest time that it gives what is to end, which is 3 seconds, and one more.
	expiry = 4200 * time.Millisecond
)

// waits reports whether a stream does.
func (s stream) waits() bool { return slices.ContainsFunc(s, func(r request) bool { return r.waits }) }

// lasts reports whether something of a stream may happen after its end: then it needs servers of its own.
func (s stream) lasts() bool {
	return slices.ContainsFunc(s, func(r request) bool { return messageOf(&r).flushesLater() })
}

var variable = regexp.MustCompile(`\$\{([^}]*)\}`)

// unseen stands for a unique that no reply had: it is older than all.
const unseen = "1"

// expand puts in what the server at hand has told.
func expand(text string, vars map[string]string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	return variable.ReplaceAllStringFunc(text, func(s string) string {
		name := s[2 : len(s)-1]
		if offset, ok := strings.CutPrefix(name, "now"); ok {
			n, _ := strconv.ParseInt(offset, 10, 64)
			return strconv.FormatInt(time.Now().Unix()+n, 10)
		}
		if v, ok := vars[name]; ok {
			return v
		}
		return unseen
	})
}

// bytes is what goes to a server.
func (r *request) bytes(vars map[string]string) []byte {
	if r.packet == nil {
		return []byte(expand(r.text, vars))
	}
	p := r.packet
	be := binary.BigEndian
	cas, _ := strconv.ParseUint(expand(p.cas, vars), 10, 64)
	b := []byte{0x80, p.op}
	b = be.AppendUint16(b, uint16(len(p.key)+p.keySize))
	b = append(b, byte(len(p.extras)+p.extrasSize), p.datatype)
	b = be.AppendUint16(b, p.vbucket)
	b = be.AppendUint32(b, uint32(len(p.extras)+len(p.key)+len(p.value)+p.bodySize))
	b = be.AppendUint32(b, p.opaque)
	b = be.AppendUint64(b, cas)
	return append(append(append(b, p.extras...), p.key...), p.value...)
}

// line is the request as a line of a transcript; seen are the variables that have a value there.
func (r *request) line(seen map[string]string) string {
	if r.packet == nil {
		if text, ok := strings.CutSuffix(r.text, "\r\n"); ok && r.conn != binaryConn {
			return "> " + quote(replaceUnseen(text, seen))
		}
		return ">> " + quote(replaceUnseen(r.text, seen))
	}
	p := r.packet
	text := opName(p.op)
	put := func(name string, v int) {
		if v != 0 {
			text += fmt.Sprintf(" %s=%d", name, v)
		}
	}
	put("opaque", int(p.opaque))
	if p.cas != "" {
		text += " cas=" + replaceUnseen(p.cas, seen)
	}
	put("vbucket", int(p.vbucket))
	put("datatype", int(p.datatype))
	if p.keySize != 0 {
		put("keysize", len(p.key)+p.keySize)
	}
	if p.extrasSize != 0 {
		put("extrasize", len(p.extras)+p.extrasSize)
	}
	if p.bodySize != 0 {
		put("bodysize", len(p.extras)+len(p.key)+len(p.value)+p.bodySize)
	}
	text += fmt.Sprintf(" extras=%x", p.extras)
	if p.key != "" {
		text += " key=" + strings.ReplaceAll(quote(p.key), " ", `\x20`)
	}
	if p.value != "" {
		text += " value=" + quote(p.value)
	}
	return "> " + text
}

func replaceUnseen(text string, seen map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(s string) string {
		if _, ok := seen[s[2:len(s)-1]]; ok || strings.HasPrefix(s, "${now") {
			return s
		}
		return unseen
	})
}

// longRun is how often a byte must come to be written as a repetition.
const longRun = 40

// quotePattern escapes bytes as a transcript has them in a regular expression.
func quotePattern(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c < 0x7f {
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// quote escapes bytes as a transcript has them.
func quote(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		n := 1
		for i+n < len(text) && text[i+n] == text[i] {
			n++
		}
		unit := strconv.QuoteToASCII(text[i : i+1])
		unit = strings.ReplaceAll(unit[1:len(unit)-1], `\"`, `"`)
		if text[i] == ' ' && i+n == len(text) {
			unit = `\x20`
		}
		if n >= longRun {
			fmt.Fprintf(&b, "${%s*%d}", unit, n)
		} else {
			b.WriteString(strings.Repeat(unit, n))
		}
		i += n
	}
	return b.String()
}

var opNames = [...]string{
	"get", "set", "add", "replace", "delete", "incr", "decr", "quit", "flush", "getq", "noop", "version", "getk", "getkq", "append",
	"prepend", "stat", "setq", "addq", "replaceq", "deleteq", "incrq", "decrq", "quitq", "flushq", "appendq", "prependq",
	0x1c: "touch", 0x1d: "gat", 0x1e: "gatq", 0x20: "sasllist", 0x21: "saslauth", 0x22: "saslstep", 0x23: "gatk", 0x24: "gatkq",
}

// opName is the name that a transcript has for a command.
func opName(op byte) string {
	if int(op) < len(opNames) && opNames[op] != "" {
		return opNames[op]
	}
	return fmt.Sprintf("%#x", op)
}
