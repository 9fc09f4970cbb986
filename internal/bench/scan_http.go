package bench

import (
	"bytes"
	"fmt"
)

// httpScanner reads HTTP/1.1 responses to GET and PUT that carry a Content-Length.
type httpScanner struct {
	lines
	status  int // of the response under way, 0 before its status line
	size    int // Content-Length, -1 when not seen
	failure []byte
	body    bool
}

func (s *httpScanner) scan(b []byte, c *counts) (int, error) {
	replies := 0
	for {
		if s.body {
			n := min(s.skip, len(b))
			s.skip -= n
			b = b[n:]
			if s.skip > 0 {
				return replies, nil
			}
			s.body = false
			replies++
		}
		line, rest, ok, err := s.next(b)
		if !ok || err != nil {
			return replies, err
		}
		b = rest
		switch {
		case s.status == 0:
			err = s.statusLine(line)
		case len(line) > 0:
			err = s.header(line)
		default:
			err = s.endOfHeader(c)
		}
		if err != nil {
			return replies, err
		}
	}
}

// statusLine reads "HTTP/1.1 200 OK".
func (s *httpScanner) statusLine(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("reply %.100q is not HTTP/1.1", line)
	}
	status, err := parseSize(line[9:12])
	if err != nil || status < 100 {
		return fmt.Errorf("reply %.100q has no status", line)
	}
	s.status, s.size = status, -1
	if status >= 300 {
		s.failure = append(s.failure[:0], line...)
	}
	return nil
}

func (s *httpScanner) header(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("reply header %.100q has no colon", line)
	}
	// The length check keeps the case-folding comparison off most headers.
	const contentLength = "Content-Length"
	if len(name) != len(contentLength) || !bytes.EqualFold(name, []byte(contentLength)) {
		return nil
	}
	var err error
	s.size, err = parseSize(bytes.TrimSpace(value))
	return err
}

func (s *httpScanner) endOfHeader(c *counts) error {
	status := s.status
	s.status = 0
	switch {
	case status < 200:
		return nil // an interim response: the real one follows
	case status == 404:
		c.misses++
	case status >= 300:
		c.failed(s.failure)
	}
	if status == 204 || status == 304 {
		s.size = 0
	}
	if s.size < 0 {
		return fmt.Errorf("reply with status %d has no Content-Length", status)
	}
	s.skip, s.body = s.size, true
	return nil
}
