package memcache

import (
	"bytes"
	"io"
)

// Value is one hit in the reply to a get, gets, gat or gats.
type Value struct {
	// Key is valid only until the func that received the Value returns.
	Key []byte
	// Flags are the flags that came with the value when it was stored.
	Flags uint32
	// CAS is the unique of gets and gats, 0 for get and gat.
	CAS uint64
	// Data belongs to the receiver. It is never nil.
	Data []byte
}

// ReadValues reads the reply to a get, or with withCAS to a gets, up to its END, and calls fn for every hit in
// the order in which they come. An error of fn ends the reading and is returned; the stream is then out of step.
func (r *ReplyReader) ReadValues(withCAS bool, fn func(Value) error) error {
	for begun := false; ; begun = true {
		line, err := r.within(begun)
		if err != nil {
			return err
		}
		if string(line) == "END" {
			return nil
		}
		v, size, reason := parseValueLine(line, withCAS)
		if reason != "" {
			return syntaxError(reason, line)
		}
		if size > uint64(r.maxValue) {
			return syntaxError("value over the limit", line)
		}
		// The line lives in the buffer that reading the data overwrites.
		v.Key = bytes.Clone(v.Key)
		if v.Data, err = r.data(int(size)); err != nil {
			return err
		}
		if err := fn(v); err != nil {
			return err
		}
	}
}

// parseValueLine reads VALUE key flags size [cas]. reason is empty if the line is well formed.
func parseValueLine(line []byte, withCAS bool) (v Value, size uint64, reason string) {
	rest, ok := bytes.CutPrefix(line, []byte("VALUE "))
	if !ok {
		return v, 0, "neither VALUE nor END"
	}
	key, rest, _ := bytes.Cut(rest, []byte(" "))
	if len(key) == 0 || len(key) > MaxKeyLength {
		return v, 0, "key of wrong length"
	}
	flagsToken, rest, _ := bytes.Cut(rest, []byte(" "))
	flags, ok := replyUint(flagsToken, 32)
	if !ok {
		return v, 0, "bad flags"
	}
	sizeToken, casToken, hasCAS := bytes.Cut(rest, []byte(" "))
	if size, ok = replyUint(sizeToken, 63); !ok {
		return v, 0, "bad size"
	}
	if hasCAS != withCAS {
		return v, 0, "wrong number of fields"
	}
	if withCAS {
		if v.CAS, ok = replyUint(casToken, 64); !ok {
			return v, 0, "bad CAS unique"
		}
	}
	v.Key, v.Flags = key, uint32(flags)
	return v, size, ""
}

// data reads a data block and the CRLF after it. Memory grows with what has come, so that a server cannot make
// the client take more than twice what it sends.
func (r *ReplyReader) data(size int) ([]byte, error) {
	b := make([]byte, min(size, replyFirstRead))
	for got := 0; ; {
		n, err := io.ReadFull(r.r, b[got:])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if got += n; got == size {
			break
		}
		grown := make([]byte, min(size, 2*got))
		copy(grown, b)
		b = grown
	}
	var end [2]byte
	if _, err := io.ReadFull(r.r, end[:]); err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	if end != [2]byte{'\r', '\n'} {
		return nil, syntaxError("data without CRLF", end[:])
	}
	return b, nil
}
