package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/futago/futago/internal/tyrant"
)

// line is a record as a JSON object. The members are those of a change that `futago watch` tells.
type line struct {
	Key         *string         `json:"key,omitempty"`
	KeyBase64   *[]byte         `json:"key_base64,omitempty"`
	Flags       uint32          `json:"flags,omitempty"`
	Type        string          `json:"type,omitempty"`
	TypeBase64  []byte          `json:"type_base64,omitempty"`
	Expires     json.RawMessage `json:"expires,omitempty"`
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 *[]byte         `json:"value_base64,omitempty"`

	// What a change has besides.
	Op         string          `json:"op,omitempty"`
	Stamp      json.RawMessage `json:"stamp,omitempty"`
	Node       json.RawMessage `json:"node,omitempty"`
	Time       json.RawMessage `json:"time,omitempty"`
	Generation json.RawMessage `json:"generation,omitempty"`
	Floor      json.RawMessage `json:"floor,omitempty"`
	At         json.RawMessage `json:"at,omitempty"`
	Position   json.RawMessage `json:"position,omitempty"`
}

// lastExpiry is the latest expiry that a record can have, in Unix milliseconds.
var lastExpiry = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() + 1<<48 - 1

// writeJSONLine writes a record as a JSON object and an LF.
func writeJSONLine(w io.Writer, i *tyrant.Item) error {
	var l line
	if utf8.Valid(i.Key) {
		l.Key = new(string(i.Key))
	} else {
		l.KeyBase64 = &i.Key
	}
	if utf8.Valid(i.Type) {
		l.Type = string(i.Type)
	} else {
		l.TypeBase64 = i.Type
	}
	l.Flags = i.Flags
	if i.Expires != 0 {
		l.Expires = strconv.AppendInt(nil, i.Expires, 10)
	}
	if utf8.Valid(i.Value) {
		var err error
		if l.Value, err = appendText(i.Value); err != nil {
			return err
		}
	} else {
		l.ValueBase64 = &i.Value
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(&l)
}

// appendText returns a text as a JSON string.
func appendText(text []byte) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(string(text))
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// otherOp is the reason for a line that tells of another change than a set.
type otherOp string

func (o otherOp) Error() string { return fmt.Sprintf("a change %q, not a record", string(o)) }

// parseJSONLine reads a record from a JSON object; otherOp.
func parseJSONLine(text []byte) (i tyrant.Item, err error) {
	// The decoder would put U+FFFD in the place of what is no text.
	if !utf8.Valid(text) {
		return i, errors.New("it is not UTF-8: bytes belong into key_base64 and value_base64")
	}
	if halfPair(text) {
		return i, errors.New(`half of a pair in \uD800 to \uDFFF is no text`)
	}
	var l line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends within the JSON object")
		}
		return i, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return i, errors.New("more follows the JSON object")
	}
	if l.Op != "" && l.Op != "set" {
		return i, otherOp(l.Op)
	}
	if i.Key, err = either("key", l.Key, l.KeyBase64); err != nil {
		return i, err
	}
	value, err := valueText(l.Value)
	if err != nil {
		return i, err
	}
	if i.Value, err = either("value", value, l.ValueBase64); err != nil {
		return i, err
	}
	if l.Type != "" && l.TypeBase64 != nil {
		return i, errors.New("type and type_base64 exclude each other")
	}
	i.Flags, i.Type = l.Flags, append([]byte(l.Type), l.TypeBase64...)
	i.Expires, err = parseExpires(l.Expires)
	return i, err
}

// either returns the text or the bytes, of which there must be one.
func either(name string, text *string, raw *[]byte) ([]byte, error) {
	switch {
	case text != nil && raw != nil:
		return nil, fmt.Errorf("%s and %s_base64 exclude each other", name, name)
	case text != nil:
		return []byte(*text), nil
	case raw != nil:
		return *raw, nil
	}
	return nil, fmt.Errorf("it has neither %s nor %s_base64", name, name)
}

// valueText is the text of a value: a string, or a number as it is written.
func valueText(raw json.RawMessage) (*string, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case raw[0] == '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return &text, err
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return new(string(raw)), nil
	}
	return nil, fmt.Errorf("value is %.20s: want a string or a number", raw)
}

// parseExpires reads Unix milliseconds, or a time as in RFC 3339; 0 is never.
func parseExpires(raw json.RawMessage) (int64, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, nil
	}
	ms, err := strconv.ParseInt(string(raw), 10, 64)
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, err
		}
		at, problem := time.Parse(time.RFC3339, text)
		ms, err = max(at.UnixMilli(), 1), problem // a time before 1970 is not never
	}
	if err != nil || ms < 0 || ms > lastExpiry || ms == math.MaxInt64 {
		return 0, fmt.Errorf("expires is %.40s: want Unix milliseconds, or a time such as \"2027-01-02T15:04:05Z\"", raw)
	}
	return ms, nil
}

// halfPair reports whether a JSON text has an escape of half a surrogate pair.
func halfPair(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return false
		}
		unit, ok := escapedUnit(text[i:])
		text = text[i+2:]
		switch {
		case !ok:
		case unit >= 0xDC00 && unit < 0xE000:
			return true
		case unit >= 0xD800 && unit < 0xDC00:
			low, ok := escapedUnit(text[4:])
			if !ok || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			text = text[10:]
		}
	}
}

// escapedUnit is the number in \uXXXX, which the text begins with if ok.
func escapedUnit(text []byte) (unit uint64, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 32)
	return unit, err == nil
}
