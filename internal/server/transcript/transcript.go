// Package transcript replays conversations with a memcached server that are written down as text, so that one file
// proves what futago answers and what memcached answers.
//
// A file consists of lines; the first characters say what a line is:
//
//	# text       a comment
//	== title     a new section: it begins with fresh connections
//	=b title     the same in the binary protocol, see below
//	@ 2          go on with connection 2 of this section (it begins with connection 1)
//	> text       send text and CRLF
//	>> text      send text as it is
//	>? text      send text and CRLF again and again, until exactly the expected lines below come (10 seconds at most)
//	< text       expect this line, ended by CRLF
//	<~ regexp    expect a line that matches as a whole; named groups become variables
//	<& regexp    the lines taken by the next <* must include one that matches as a whole
//	<* regexp    take all lines that match as a whole, or none
//	<-           expect that the server closes the connection
//
// A letter after < limits an expectation to one server: <m to memcached 1.6.18, <f to futago (<m~, <f- and so on
// likewise). A comment with the reason must stand above such lines.
//
// In text (not in a regexp) Go's escapes such as \r, \x00 and \\ stand for bytes; a space at the end of a line is
// written \x20. ${name} is a variable, ${now+60} the Unix time in 60 seconds, ${x*300} three hundred times x; the
// first two work in a regexp too. When a section ends, each open connection is asked for the version, so that a
// reply too many is found.
//
// In the binary protocol a line stands for a packet. One to send is a command and fields, in any order but for value,
// which takes the rest of the line:
//
//	> setq opaque=5 cas=${u} flags=7 exptime=60 key=foo value=bar
//	> incr key=n delta=1 initial=10 exptime=0xffffffff
//
// Fields left out are 0 or empty, and the extras those of the command. To send what no client should there are
// extras=HEX, command numbers (0x1b), and what stands in the header: magic, keysize, extrasize, bodysize, datatype,
// vbucket. A reply is written the same way, as command, status, opaque, cas, flags (if it has extras), key, and number (of
// incr and decr) or value, without those that are 0 or empty:
//
//	< get opaque=5 cas=${u} flags=7 value=bar
//	<~ incr cas=\d+ number=10
//	< get status=0x1 value=Not found
package transcript

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// server is the side that a file is replayed on; it stands in the file after <.
type server byte

const (
	anyServer server = 0
	memcached server = 'm'
	futago    server = 'f'
)

// kind is what a step does.
type kind uint8

const (
	section kind = iota + 1
	binarySection
	connection
	send
	sendRaw
	sendUntil
	expect
	expectMatch
	expectAmong
	expectMany
	expectClose
)

// step is one line of a file that is no comment.
type step struct {
	kind kind
	line int    // in the file, from 1
	only server // for expectations
	text string // as it stands in the file
}

func (k kind) isExpectation() bool { return k >= expect }

// load reads and checks a file.
func load(file string) ([]step, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read transcript: %w", err)
	}
	steps, err := parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	return steps, nil
}

func parse(text string) ([]step, error) {
	var steps []step
	reasoned := false // a comment stands above, with nothing but limited expectations between
	binary := false
	for i, line := range strings.Split(text, "\n") {
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "#") {
			reasoned = true
			continue
		}
		s, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if s.kind == section || s.kind == binarySection {
			binary = s.kind == binarySection
		}
		if err := s.check(binary); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if s.only == anyServer {
			reasoned = false
		} else if !reasoned {
			return nil, fmt.Errorf("line %d: expectation for one server without a comment above that gives the reason", i+1)
		}
		s.line = i + 1
		steps = append(steps, s)
	}
	if len(steps) == 0 {
		return nil, errors.New("no steps")
	}
	return steps, nil
}

var (
	sendKinds   = map[string]kind{"": send, ">": sendRaw, "?": sendUntil}
	expectKinds = map[string]kind{"": expect, "~": expectMatch, "&": expectAmong, "*": expectMany, "-": expectClose}
)

func parseLine(line string) (step, error) {
	if strings.HasSuffix(line, " ") || strings.HasSuffix(line, "\t") || strings.HasSuffix(line, "\r") {
		return step{}, errors.New("white space at the end of the line")
	}
	mark, text, _ := strings.Cut(line, " ")
	s := step{text: text}
	ok := true
	switch {
	case mark == "==":
		s.kind = section
	case mark == "=b":
		s.kind = binarySection
	case mark == "@":
		s.kind = connection
		if _, err := strconv.Atoi(text); err != nil {
			return step{}, fmt.Errorf("connection number: %w", err)
		}
	case mark[0] == '>':
		s.kind, ok = sendKinds[mark[1:]]
	case mark[0] == '<':
		rest := mark[1:]
		if rest != "" && (server(rest[0]) == memcached || server(rest[0]) == futago) {
			s.only, rest = server(rest[0]), rest[1:]
		}
		s.kind, ok = expectKinds[rest]
	default:
		ok = false
	}
	if !ok {
		return step{}, fmt.Errorf("unknown mark %q", mark)
	}
	return s, nil
}

// check finds bad escapes and patterns before anything is sent.
func (s step) check(binary bool) error {
	switch s.kind {
	case send, sendUntil:
		if binary {
			_, err := parsePacket(s.text)
			return err
		}
		_, err := unescape(s.text)
		return err
	case sendRaw, expect:
		_, err := unescape(s.text)
		return err
	case expectMatch, expectAmong, expectMany:
		_, err := regexp.Compile(variable.ReplaceAllString(s.text, "x"))
		return err
	}
	return nil
}

func unescape(text string) (string, error) {
	var b []byte
	for rest := text; rest != ""; {
		r, multibyte, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			return "", fmt.Errorf("escape in %q: %w", text, err)
		}
		if multibyte {
			b = append(b, string(r)...)
		} else {
			b = append(b, byte(r))
		}
		rest = tail
	}
	return string(b), nil
}
