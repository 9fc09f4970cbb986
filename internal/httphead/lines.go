package httphead

import "bytes"

// CutLine returns name and value of the first of the lines of a plain head, and the lines behind it.
func CutLine(lines []byte) (name, value, rest []byte) {
	line, rest, _ := bytes.Cut(lines, crlf)
	name, value, _ = bytes.Cut(line, colon)
	return name, bytes.Trim(value, " \t"), rest
}

var crlf, colon = []byte("\r\n"), []byte(":")

// AppendName appends the name of a line as net/http writes it: capitals at the start and behind each hyphen.
func AppendName(dst, name []byte) []byte {
	start := true
	for _, c := range name {
		switch {
		case start && 'a' <= c && c <= 'z', !start && 'A' <= c && c <= 'Z':
			c ^= 0x20
		}
		dst = append(dst, c)
		start = c == '-'
	}
	return dst
}

// Glance returns the path of a request at the front of in, without the slash in front and as it is written there, and checks nothing: for what is only a hint.
func Glance(in []byte) (path []byte) {
	_, rest, _ := bytes.Cut(in[:min(len(in), glanced)], []byte(" /"))
	end := bytes.IndexAny(rest, "? \r")
	return rest[:max(end, 0)]
}

// glanced is how far Glance looks.
const glanced = 512
