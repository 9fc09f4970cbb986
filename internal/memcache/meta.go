package memcache

import (
	"bytes"
	"encoding/base64"
	"strconv"
)

// Limits of the line of a meta command. Source: MFLAG_MAX_OPT_LENGTH and MFLAG_MAX_OPAQUE_LENGTH of memcached 1.6.18, and
// probing it.
const (
	maxMetaTokens = 19 // command, key, size of ms, and flags
	maxOpaque     = 32 // the flag O with its token
)

// Meta is the line of a meta command behind its key: flags of one letter, each at most once, some with a token. A field is
// what the token of its flag says, zero without the flag.
type Meta struct {
	// KeyText is the key as sent, in base64 with the flag b.
	KeyText []byte
	// Exptime, of T, is the time to live of what is stored or found; CreateExptime, of N, that of what is created because
	// nothing was there; Renew, of R, the one below which a client is told to renew the value.
	Exptime, CreateExptime, Renew int64
	// Flags are the client flags, of F.
	Flags uint32
	// CAS, of C, is the unique to compare with; Unique, of E, the one that what is stored is to have.
	CAS, Unique uint64
	// Delta, of D, is 1 without it; Initial is of J.
	Delta, Initial uint64
	// Mode, of M, is 0 without it.
	Mode byte

	flags []byte // the tokens behind the key, and behind the size of ms
	has   uint64 // by flagBit
}

// Has reports whether the line has the flag.
func (m *Meta) Has(flag byte) bool { return m.has&flagBit(flag) != 0 }

// List returns the flags in the order of the line.
func (m *Meta) List() MetaFlags { return MetaFlags{m.flags} }

// MetaFlags walks over the flags of a meta command without allocating.
type MetaFlags struct {
	rest []byte
}

// Next returns the next flag with its token as sent, and false after the last one.
func (l *MetaFlags) Next() (flag byte, token []byte, ok bool) {
	var t []byte
	t, l.rest = nextToken(l.rest)
	if len(t) == 0 {
		return 0, nil, false
	}
	return t[0], t[1:], true
}

// flagBit is 0 for what is no letter.
func flagBit(flag byte) uint64 {
	switch {
	case flag >= 'a' && flag <= 'z':
		return 1 << (flag - 'a')
	case flag >= 'A' && flag <= 'Z':
		return 1 << (26 + flag - 'A')
	}
	return 0
}

// decodeMeta is a meta command without a data block.
func (d *Decoder) decodeMeta(op Op, rest []byte, r *Request) {
	key, flags := nextToken(rest)
	if len(key) == 0 {
		reply := ReplyError
		if op == OpMetaDebug {
			reply = ReplyBadFormat
		}
		fail(r, reply, false)
		return
	}
	if !d.validKey(key) {
		fail(r, ReplyBadFormat, false)
		return
	}
	if op == OpMetaDebug {
		flags = debugFlags(flags)
	}
	if reply := d.parseMeta(op, key, flags, 2); reply != "" {
		fail(r, reply, false)
		return
	}
	*r = Request{Op: op, Key: d.metaKey(), Meta: &d.meta}
}

// debugFlags is what me reads of its flags: b, if it is the first one. memcached passes over all others, whatever they are.
func debugFlags(flags []byte) []byte {
	first, rest := nextToken(flags)
	if string(first) != "b" {
		return nil
	}
	return flags[:len(flags)-len(rest)]
}

// decodeMetaSet swallows the data block of every refused line whose size is a number.
func (d *Decoder) decodeMetaSet(rest, data []byte, r *Request) (size int, ok bool) {
	key, rest := nextToken(rest)
	if len(key) == 0 {
		fail(r, ReplyError, false)
		return 0, true
	}
	text, flags := nextToken(rest)
	length, lengthOK := parseInt(text)
	if !lengthOK || length < 0 || length > maxDataSize {
		fail(r, ReplyBadFormat, false)
		return 0, true
	}
	size = int(length) + 2
	reply := ReplyBadFormat
	if d.validKey(key) {
		reply = d.parseMeta(OpMetaSet, key, flags, 3)
	}
	if reply != "" {
		fail(r, reply, false)
		d.swallow = size
		return 0, true
	}
	if length > int64(d.MaxValue) {
		fail(r, ReplyTooLarge, false)
		r.Key, r.Drop = d.metaKey(), true
		d.swallow = size
		return 0, true
	}
	if len(data) < size {
		return size, false
	}
	if data[size-2] != '\r' || data[size-1] != '\n' {
		fail(r, ReplyBadChunk, false)
		return size, true
	}
	*r = Request{Op: OpMetaSet, Key: d.metaKey(), Value: data[: size-2 : size-2], Meta: &d.meta}
	return size, true
}

// metaKey is the key of the line that parseMeta has read.
func (d *Decoder) metaKey() []byte {
	if d.meta.Has('b') {
		return d.key
	}
	return d.meta.KeyText
}

// parseMeta reads the flags behind the key into d.meta, and returns the error line of what is wrong with them; before is
// the number of tokens in front of them. Of several errors memcached names the last that is not of F, but ends at the first flag that is
// unknown or comes twice; so does this.
func (d *Decoder) parseMeta(op Op, key, flags []byte, before int) (reply string) {
	m := &d.meta
	*m = Meta{KeyText: key, Delta: 1, flags: flags}
	longOpaque := false
	list := m.List()
	for _, _, ok := list.Next(); ok; _, _, ok = list.Next() {
		before++
	}
	switch {
	case before <= maxMetaTokens:
	case op == OpMetaGet:
		return ReplyMetaTooManyGet
	default:
		return ReplyMetaTooMany
	}
	list = m.List()
	for flag, token, ok := list.Next(); ok; flag, token, ok = list.Next() {
		bit := flagBit(flag)
		switch {
		case flag >= 0x7f || bit != 0 && m.has&bit != 0:
			return metaError(op, ReplyMetaDuplicate)
		case bit&knownFlags == 0:
			return metaError(op, ReplyMetaInvalid)
		}
		m.has |= bit
		longOpaque = longOpaque || flag == 'O' && 1+len(token) > maxOpaque
		if e := d.parseToken(flag, token); e != "" && (reply == "" || flag != 'F') {
			reply = metaError(op, e)
		}
	}
	if reply == "" {
		reply = m.checkMode(op)
	}
	if reply == "" && longOpaque {
		reply = ReplyMetaOpaqueTooLong
	}
	return reply
}

// knownFlags are those of all meta commands: one that means nothing to a command is ignored.
var knownFlags = func() (all uint64) {
	for _, c := range []byte("bcfhklOqstuvTNRFIMCEDJxPL") {
		all |= flagBit(c)
	}
	return all
}()

// keyEncoding has one text for each key.
var keyEncoding = base64.StdEncoding.Strict()

// metaError is the complaint about flags: 1.6.18 has a single one for md and ma, and another where me is wrong.
func metaError(op Op, reply string) string {
	switch op {
	case OpMetaDelete, OpMetaArith:
		return ReplyMetaInvalidOrDuplicate
	case OpMetaDebug:
		return ReplyBadFormat
	}
	return reply
}

func (d *Decoder) parseToken(flag byte, token []byte) (reply string) {
	m := &d.meta
	ok := true
	switch flag {
	case 'b':
		d.key = append(d.key[:0], m.KeyText...)
		n, err := keyEncoding.Decode(d.key, m.KeyText)
		if d.key = d.key[:n]; err != nil || n == 0 || bytes.IndexByte(m.KeyText, '\r') >= 0 { // which Decode passes over
			return ReplyMetaBadKey
		}
	case 'T':
		m.Exptime, ok = parseExptime(token)
	case 'N':
		m.CreateExptime, ok = parseExptime(token)
	case 'R':
		m.Renew, ok = parseExptime(token)
	case 'C':
		m.CAS, ok = parseUint(token)
	case 'E':
		m.Unique, ok = parseUint(token)
	case 'F':
		flags, isNumber := parseUint(token)
		if !isNumber || flags > 1<<32-1 {
			return ReplyBadFormat
		}
		m.Flags = uint32(flags)
	case 'D':
		if m.Delta, ok = parseUint(token); !ok {
			return ReplyMetaBadDelta
		}
	case 'J':
		if m.Initial, ok = parseUint(token); !ok {
			return ReplyMetaBadInitial
		}
	case 'M':
		if len(token) != 1 {
			return ReplyMetaBadModeSize
		}
		m.Mode = token[0]
	}
	if !ok {
		return ReplyMetaBadToken
	}
	return ""
}

func (m *Meta) checkMode(op Op) (reply string) {
	switch {
	case m.Mode == 0:
	case op == OpMetaSet:
		switch m.Mode {
		case 'E', 'A', 'P', 'R', 'S':
		default:
			return ReplyMetaBadSetMode
		}
	case op == OpMetaArith:
		switch m.Mode {
		case 'I', '+', 'D', '-':
		default:
			return ReplyMetaBadArithMode
		}
	}
	return ""
}

// AppendMetaKey appends the return flag k, and b where the key was sent in base64.
func AppendMetaKey(dst []byte, m *Meta) []byte {
	dst = append(append(dst, ' ', 'k'), m.KeyText...)
	if m.Has('b') {
		dst = append(dst, ' ', 'b')
	}
	return dst
}

// AppendMetaNumber appends the return flag with a number.
func AppendMetaNumber(dst []byte, flag byte, n uint64) []byte {
	return strconv.AppendUint(append(dst, ' ', flag), n, 10)
}

// AppendMetaToken appends the return flag with the token that was sent.
func AppendMetaToken(dst []byte, flag byte, token []byte) []byte {
	return append(append(dst, ' ', flag), token...)
}
