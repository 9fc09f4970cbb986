package transcript

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/memcache"
)

// Packets are put together and taken apart here and not by the codec, so that a mistake of the codec cannot hide.
const (
	packetHeader = 24
	maxBody      = 16 << 20
)

// lastPacket is a noop that no transcript sends, and lastReply the line of its reply.
const (
	lastPacket = "\x80\x0a" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\xff\xff\xff\xff" + "\x00\x00\x00\x00\x00\x00\x00\x00"
	lastReply  = "noop opaque=4294967295"
)

// commandsByName are the names of the codec, and the numbers of what has none.
var commandsByName = func() map[string]byte {
	all := map[string]byte{}
	for op := range 256 {
		all[memcache.Opcode(op).String()] = byte(op)
	}
	return all
}()

// packetFields are the numbers that a packet to send may have.
var packetFields = []string{
	"opaque", "cas", "flags", "exptime", "delta", "initial", "magic", "keysize", "extrasize", "bodysize", "datatype", "vbucket",
}

// packetLine is a packet to send as it stands in the file.
type packetLine struct {
	op     byte
	fields map[string]string
}

func parsePacket(text string) (packetLine, error) {
	name, rest, _ := strings.Cut(text, " ")
	op, ok := commandsByName[name]
	if !ok {
		return packetLine{}, fmt.Errorf("unknown command %q", name)
	}
	l := packetLine{op: op, fields: map[string]string{}}
	for rest != "" {
		field := rest
		if !strings.HasPrefix(rest, "value=") {
			field, rest, _ = strings.Cut(rest, " ")
		} else {
			rest = ""
		}
		name, value, ok := strings.Cut(field, "=")
		if !ok || !slices.Contains(packetFields, name) && name != "key" && name != "value" && name != "extras" {
			return packetLine{}, fmt.Errorf("unknown field %q", field)
		}
		if _, err := unescape(value); err != nil {
			return packetLine{}, err
		}
		l.fields[name] = value
	}
	return l, nil
}

// packet is the bytes of a packet to send.
func (p *player) packet(text string) (string, error) {
	l, err := parsePacket(text)
	if err != nil {
		return "", err
	}
	for name, value := range l.fields {
		if l.fields[name], err = p.literal(value); err != nil {
			return "", err
		}
	}
	return l.encode()
}

func (l packetLine) encode() (string, error) {
	num := map[string]uint64{}
	for _, name := range packetFields {
		text, ok := l.fields[name]
		if !ok {
			continue
		}
		v, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return "", fmt.Errorf("field %s: %w", name, err)
		}
		num[name] = v
	}
	be := binary.BigEndian
	var extras []byte
	switch strings.TrimSuffix(memcache.Opcode(l.op).String(), "q") {
	case "set", "add", "replace":
		extras = be.AppendUint32(be.AppendUint32(nil, uint32(num["flags"])), uint32(num["exptime"]))
	case "incr", "decr":
		extras = be.AppendUint32(be.AppendUint64(be.AppendUint64(nil, num["delta"]), num["initial"]), uint32(num["exptime"]))
	case "touch", "gat", "gatk":
		extras = be.AppendUint32(nil, uint32(num["exptime"]))
	case "flush":
		if _, ok := num["exptime"]; ok {
			extras = be.AppendUint32(nil, uint32(num["exptime"]))
		}
	}
	if text, ok := l.fields["extras"]; ok {
		var err error
		if extras, err = hex.DecodeString(text); err != nil {
			return "", fmt.Errorf("field extras: %w", err)
		}
	}
	key, value := l.fields["key"], l.fields["value"]
	header := func(name string, value int) uint64 {
		if v, ok := num[name]; ok {
			return v
		}
		return uint64(value)
	}
	b := []byte{byte(header("magic", 0x80)), l.op}
	b = be.AppendUint16(b, uint16(header("keysize", len(key))))
	b = append(b, byte(header("extrasize", len(extras))), byte(num["datatype"]))
	b = be.AppendUint16(b, uint16(num["vbucket"]))
	b = be.AppendUint32(b, uint32(header("bodysize", len(extras)+len(key)+len(value))))
	b = be.AppendUint32(b, uint32(num["opaque"]))
	b = be.AppendUint64(b, num["cas"])
	return string(b) + string(extras) + key + value, nil
}

// packetLines reads packets and gives each out as a line.
type packetLines struct {
	r    *bufio.Reader
	line []byte // what was not given out yet
}

func (p *packetLines) Read(b []byte) (int, error) {
	if len(p.line) == 0 {
		line, err := readPacket(p.r)
		if err != nil {
			return 0, err
		}
		p.line = append(line, "\r\n"...)
	}
	n := copy(b, p.line)
	p.line = p.line[n:]
	return n, nil
}

// readPacket returns the line of a reply.
func readPacket(r io.Reader) ([]byte, error) {
	var h [packetHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	be := binary.BigEndian
	extraSize, keySize, size := int(h[4]), int(be.Uint16(h[2:])), int(be.Uint32(h[8:]))
	switch {
	case h[0] != 0x81:
		return nil, fmt.Errorf("reply %x: its first byte is not 0x81", h)
	case extraSize+keySize > size || size > maxBody:
		return nil, fmt.Errorf("reply %x: bad sizes", h)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, errors.Join(fmt.Errorf("read the body of reply %x", h), err)
	}
	extras, key, value := body[:extraSize], body[extraSize:extraSize+keySize], body[extraSize+keySize:]
	name := memcache.Opcode(h[1]).String()
	line := []byte(name)
	put := func(format string, v uint64) {
		if v != 0 {
			line = fmt.Appendf(line, format, v)
		}
	}
	put(" datatype=%d", uint64(h[5]))
	put(" status=%#x", uint64(be.Uint16(h[6:])))
	put(" opaque=%d", uint64(be.Uint32(h[12:])))
	put(" cas=%d", be.Uint64(h[16:]))
	if len(extras) == 4 {
		line = fmt.Appendf(line, " flags=%d", be.Uint32(extras))
	} else if len(extras) > 0 {
		line = fmt.Appendf(line, " extras=%x", extras)
	}
	if len(key) > 0 {
		line = fmt.Appendf(line, " key=%s", key)
	}
	isNumber := strings.HasPrefix(name, "incr") || strings.HasPrefix(name, "decr")
	if isNumber && be.Uint16(h[6:]) == 0 && len(value) == 8 {
		line = fmt.Appendf(line, " number=%d", be.Uint64(value))
	} else if len(value) > 0 {
		line = fmt.Appendf(line, " value=%s", value)
	}
	return line, nil
}
