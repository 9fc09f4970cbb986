package bench

import "bytes"

// metaScanner reads replies of mg, ms, ma and mn, memcached's meta commands. An error in place of a value does not say whose
// it is, so sent must be told of every request.
type metaScanner struct {
	lines
	multiGet int         // keys of a get; with more than one they are quiet, and mn ends them
	gets     queue[bool] // of the requests not yet answered: whether it is a get

	values int  // found keys of the get under way
	lost   int  // errors in place of keys
	last   bool // the reply ends with the value that passes
}

func (s *metaScanner) sent(request []byte) { s.gets.push(bytes.HasPrefix(request, []byte("mg "))) }

func (s *metaScanner) scan(b []byte, c *counts) (int, error) {
	replies := 0
	for {
		if s.last {
			n := min(s.skip, len(b))
			s.skip -= n
			b = b[n:]
			if s.skip > 0 {
				return replies, nil
			}
			s.end()
			replies++
		}
		line, rest, ok, err := s.next(b)
		if !ok || err != nil {
			return replies, err
		}
		b = rest
		if s.gets.empty() {
			return replies, errUnasked
		}
		done, err := s.line(line, s.multiGet > 1 && s.gets.front(), c)
		if err != nil {
			return replies, err
		}
		if done {
			s.end()
			replies++
		}
	}
}

// end forgets the reply that is complete.
func (s *metaScanner) end() {
	s.gets.pop()
	s.values, s.lost, s.last = 0, 0, false
}

// line takes one line and says whether it completes a reply.
func (s *metaScanner) line(line []byte, many bool, c *counts) (done bool, err error) {
	word, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(word) {
	case "VA":
		size, _, _ := bytes.Cut(rest, []byte(" "))
		n, err := parseSize(size)
		if err != nil {
			return false, err
		}
		s.skip = n + len("\r\n")
		s.values++
		s.last = !many
		return false, nil
	case "EN", "NF":
		if !many { // else the key counts at the end
			c.misses++
		}
		return !many, nil
	case "HD":
		return !many, nil
	case "MN":
		c.misses += uint64(max(s.multiGet-s.values-s.lost, 0))
		return true, nil
	}
	c.failed(line)
	s.lost++
	// More errors than keys: the last one stands for mn.
	return !many || s.values+s.lost > s.multiGet, nil
}
