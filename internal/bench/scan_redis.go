package bench

import "fmt"

// redisScanner reads replies of GET, MGET, SET and INCRBY, or of SET and WAIT together, in RESP version 2.
type redisScanner struct {
	lines
	elements int  // of an array, still to come
	body     bool // a bulk string has begun; the line end after it is still to come

	wait int  // replicas that every second reply must count, 0 when no request is followed by WAIT
	half bool // the reply of a SET was read, that of its WAIT is still to come
}

func (s *redisScanner) scan(b []byte, c *counts) (int, error) {
	replies := 0
	for {
		line, rest, ok, err := s.next(b)
		if !ok || err != nil {
			return replies, err
		}
		b = rest
		begun, err := s.line(line, c)
		if err != nil {
			return replies, err
		}
		if begun {
			continue
		}
		if s.elements > 0 {
			if s.elements--; s.elements > 0 {
				continue
			}
		}
		if s.half = s.wait > 0 && !s.half; s.half {
			continue
		}
		replies++
	}
}

// line takes one line and says whether more lines belong to the same element.
func (s *redisScanner) line(line []byte, c *counts) (begun bool, err error) {
	if s.body {
		if len(line) != 0 {
			return false, fmt.Errorf("reply has %.20q after a value", line)
		}
		s.body = false
		return false, nil
	}
	if len(line) == 0 {
		return false, fmt.Errorf("reply is an empty line")
	}
	switch line[0] {
	case '+':
		return false, nil
	case ':':
		if !s.half {
			return false, nil
		}
		replicas, err := parseSize(line[1:])
		if err == nil && replicas < s.wait {
			c.failed(line)
		}
		return false, err
	case '-':
		c.failed(line)
		return false, nil
	case '$':
		if string(line) == "$-1" {
			c.misses++
			return false, nil
		}
		s.skip, err = parseSize(line[1:])
		s.body = true
		return true, err
	case '*':
		if s.elements > 0 {
			return false, fmt.Errorf("reply has an array within an array")
		}
		s.elements, err = parseSize(line[1:])
		return s.elements > 0, err
	}
	return false, fmt.Errorf("reply %.100q is not RESP", line)
}
