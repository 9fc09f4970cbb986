package feed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// chunk is how many bytes of a value are made text at once: a value may be large, and a client slow.
const chunk = 24 << 10 // a multiple of 3: base64 needs no rest in between

// The document of a change, for whoever reads the head of it.
type head struct {
	Op         string  `json:"op"`
	Key        *string `json:"key,omitempty"`
	KeyBase64  []byte  `json:"key_base64,omitempty"`
	Flags      uint32  `json:"flags,omitempty"`
	Type       string  `json:"type,omitempty"`
	Expires    int64   `json:"expires,omitempty"` // Unix milliseconds
	Floor      *string `json:"floor,omitempty"`
	At         int64   `json:"at,omitempty"` // Unix milliseconds
	Generation *string `json:"generation,omitempty"`
	Stamp      string  `json:"stamp,omitempty"`
	Node       int     `json:"node,omitempty"`
	Time       string  `json:"time,omitempty"`
}

// op is what a change is called.
func (c *Change) op() string {
	switch {
	case c.Kind == record.Floor:
		return "flush"
	case c.Kind == record.Tombstone && c.Evicted:
		return "evict"
	case c.Kind == record.Tombstone:
		return "delete"
	}
	return "set"
}

func (c *Change) head() *head {
	h := &head{Op: c.op(), Flags: c.Flags, Stamp: stampText(c.Stamp), Node: c.Stamp.Node(), Time: c.Stamp.Time().Format(time.RFC3339Nano)}
	if c.Kind == record.Floor {
		h.Floor = new(stampText(c.FloorStamp()))
		h.At = unixMillis(uint64(c.FloorStamp().Millis()))
		return h
	}
	if utf8.Valid(c.Key) {
		h.Key = new(string(c.Key))
	} else {
		h.KeyBase64 = c.Key
	}
	h.Type = string(c.Type)
	if c.Expires != 0 {
		h.Expires = unixMillis(c.Expires)
	}
	if gen := c.Gen().Stamp; gen != c.Stamp {
		h.Generation = new(stampText(gen))
	}
	return h
}

func stampText(s hlc.Stamp) string { return strconv.FormatUint(uint64(s), 10) }

func unixMillis(sinceEpoch uint64) int64 { return int64(sinceEpoch) + hlc.Epoch.UnixMilli() }

// Names returns the key of the change.
func (c *Change) Names() (key []byte, flush bool) { return c.Key, c.Kind == record.Floor }

// Bytes is its size in the log.
func (c *Change) Bytes() int64 { return c.Size }

// Encode writes the change as a JSON object on one line. The record may lie in a file that the disk fails to read: then
// part of the object is written, and the error returned.
func (c *Change) Encode(w io.Writer, values bool) (err error) {
	defer func(before bool) {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			fault, ok := p.(interface {
				error
				Addr() uintptr
			})
			if !ok {
				panic(p)
			}
			err = fmt.Errorf("read sequence %d of the log: %w", c.Seq, fault)
		}
	}(debug.SetPanicOnFault(true))
	h := c.head()
	if !values || h.Op != "set" {
		return h.encode(w, nil, false)
	}
	return h.encode(w, c.Record.Bytes(nil), true)
}

func (h *head) encode(w io.Writer, value []byte, hasValue bool) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := w.Write(text[:len(text)-1]); err != nil {
		return err
	}
	if hasValue {
		if err := encodeValue(w, value); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "}")
	return err
}

// Plain is a change of a store that has neither stamps nor nodes.
type Plain struct {
	Op       string // set, delete, flush
	Key      []byte
	Flags    uint32
	Type     []byte
	Expires  int64 // Unix milliseconds; 0: never
	Value    []byte
	HasValue bool
	At       int64 // of a flush: from when on, Unix milliseconds
}

// Names returns the key of the change.
func (p *Plain) Names() (key []byte, flush bool) { return p.Key, p.Op == "flush" }

// Bytes is about its size in an answer.
func (p *Plain) Bytes() int64 { return int64(len(p.Key) + len(p.Value)) }

// Encode writes it as a JSON object on one line.
func (p *Plain) Encode(w io.Writer, values bool) error {
	h := head{Op: p.Op, Flags: p.Flags, Type: string(p.Type), Expires: p.Expires, At: p.At}
	switch {
	case p.Op == "flush":
	case utf8.Valid(p.Key):
		h.Key = new(string(p.Key))
	default:
		h.KeyBase64 = p.Key
	}
	return h.encode(w, p.Value, values && p.HasValue)
}

// encodeValue writes the member with the value.
func encodeValue(w io.Writer, value []byte) error {
	name, part := `,"value":"`, textPart
	if !utf8.Valid(value) {
		name, part = `,"value_base64":"`, base64Part
	}
	if _, err := io.WriteString(w, name); err != nil {
		return err
	}
	var buf bytes.Buffer
	for len(value) > 0 {
		buf.Reset()
		n := part(&buf, value)
		if _, err := w.Write(buf.Bytes()); err != nil {
			return err
		}
		value = value[n:]
	}
	_, err := io.WriteString(w, `"`)
	return err
}

// textPart appends the beginning of a text as the inside of a JSON string and returns how much it took.
func textPart(buf *bytes.Buffer, text []byte) int {
	n := min(chunk, len(text))
	for n < len(text) && !utf8.RuneStart(text[n]) {
		n--
	}
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(string(text[:n])); err != nil {
		panic("feed: a string does not marshal: " + err.Error())
	}
	b := buf.Bytes()
	buf.Truncate(len(b) - 2)
	buf.Next(1)
	return n
}

// base64Part is textPart in base64.
func base64Part(buf *bytes.Buffer, value []byte) int {
	n := min(chunk, len(value))
	buf.Write(base64.StdEncoding.AppendEncode(nil, value[:n]))
	return n
}
