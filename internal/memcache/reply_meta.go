package memcache

import (
	"bytes"
	"encoding/base64"
	"strconv"
)

// MaxMetaKeyLength is the longest key of any bytes, in bytes: in base64 it is a key of the text protocol.
const MaxMetaKeyLength = MaxKeyLength / 4 * 3

// MetaReply is what answers a meta command.
type MetaReply struct {
	// Code is VA, HD, EN, NF, NS or EX.
	Code string
	// Flags and CAS are those that came with the flags f and c.
	Flags uint32
	CAS   uint64
	// Data is the value of VA, and belongs to the receiver; nil with every other code.
	Data []byte
}

// AppendMetaRequest appends the begin of a meta command for a key of 1 to MaxMetaKeyLength bytes, whatever they are. size is that of the
// value for ms, negative for the others. Behind it come flags, by AppendMetaNumber and AppendMetaToken, the end of the line, and the value
// with CRLF. A server that does not know meta commands takes the value for commands: ask it with mn before an ms.
func AppendMetaRequest(dst []byte, op Op, key string, size int) []byte {
	dst = append(append(dst, op.String()...), ' ')
	dst = base64.StdEncoding.AppendEncode(dst, []byte(key))
	if size >= 0 {
		dst = strconv.AppendInt(append(dst, ' '), int64(size), 10)
	}
	return append(dst, ' ', 'b')
}

// ReadMetaNoop reads the reply to mn.
func (r *ReplyReader) ReadMetaNoop() error {
	line, err := r.line()
	if err == nil && string(line) != "MN" {
		err = syntaxError("not MN", line)
	}
	return err
}

// ReadMeta reads the reply to a meta command that is not quiet.
func (r *ReplyReader) ReadMeta() (m MetaReply, err error) {
	line, err := r.line()
	if err != nil {
		return m, err
	}
	code, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(code) {
	case "HD", "EN", "NF", "NS", "EX":
		m.Code = string(code)
		if !m.readFlags(rest) {
			return m, syntaxError("bad flags", line)
		}
		return m, nil
	case "VA":
	default:
		return m, syntaxError("no answer to a meta command", line)
	}
	sizeToken, rest, _ := bytes.Cut(rest, []byte(" "))
	size, ok := replyUint(sizeToken, 63)
	if !ok || !m.readFlags(rest) {
		return m, syntaxError("bad size or flags", line)
	}
	if size > uint64(r.maxValue) {
		return m, syntaxError("value over the limit", line)
	}
	m.Code = "VA"
	m.Data, err = r.data(int(size))
	return m, err
}

// readFlags reads f and c, and leaves out what else the server tells.
func (m *MetaReply) readFlags(tokens []byte) (ok bool) {
	for len(tokens) > 0 {
		var token []byte
		token, tokens, _ = bytes.Cut(tokens, []byte(" "))
		if len(token) == 0 {
			continue
		}
		switch token[0] {
		case 'f':
			flags, ok := replyUint(token[1:], 32)
			if !ok {
				return false
			}
			m.Flags = uint32(flags)
		case 'c':
			if m.CAS, ok = replyUint(token[1:], 64); !ok {
				return false
			}
		}
	}
	return true
}
