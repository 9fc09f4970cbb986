package gateway

import (
	"bytes"

	"github.com/futago/futago/internal/httphead"
)

// appendHead makes the head that goes upstream: what outgoing and net/http make of the same request, but for the order
// of its lines. False says that net/http must do it.
func (c *plainConn) appendHead() bool {
	b := append(c.head[:0], "GET "...)
	if c.req.Head {
		b = append(c.head[:0], "HEAD "...)
	}
	b = append(b, c.req.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.req.Host...)
	b = append(b, "\r\n"...)
	agent := false
	for name, value, rest := httphead.CutLine(c.req.Fields); len(name) > 0; name, value, rest = httphead.CutLine(rest) {
		at := len(b)
		b = httphead.AppendName(b, name)
		keep := true
		switch name := b[at:]; string(name) {
		case "Host", "Connection":
			keep = false
		case "X-Forwarded-For":
			keep = c.ex.remote == "" // or it is joined below
		case "User-Agent":
			keep = !agent && len(value) > 0 // net/http sends the first one, unless it is empty
			agent = true
		case "Pragma": // net/http adds a line to it
			return false
		default:
			keep = !bytes.HasPrefix(name, []byte("X-Tt-"))
		}
		if !keep {
			b = b[:at]
			continue
		}
		b = append(b, ": "...)
		b = append(b, value...)
		b = append(b, "\r\n"...)
	}
	if c.req.Flags&httphead.Authorized == 0 {
		b = append(b, c.g.conf().authorization...)
	}
	if c.ex.remote != "" {
		b = append(b, "X-Forwarded-For: "...)
		if c.req.Flags&httphead.Forwarded != 0 {
			b = appendForwarded(b, c.req.Fields)
		}
		b = append(b, c.ex.remote...)
		b = append(b, "\r\n"...)
	}
	c.head = append(b, "\r\n"...)
	return true
}

// appendForwarded appends the values of all X-Forwarded-For, with a comma behind each.
func appendForwarded(b, lines []byte) []byte {
	for name, value, rest := httphead.CutLine(lines); len(name) > 0; name, value, rest = httphead.CutLine(rest) {
		if bytes.EqualFold(name, []byte("X-Forwarded-For")) {
			b = append(b, value...)
			b = append(b, ", "...)
		}
	}
	return b
}
