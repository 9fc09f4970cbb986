package tyrant

import (
	"errors"
	"fmt"
)

// errStreaming is why a client cannot ask any more.
var errStreaming = errors.New("the connection follows the update log")

// LogStream is the update log of a server that a Client follows.
type LogStream struct {
	// SID is the server's id.
	SID uint32

	c   *Client
	buf []byte
}

// Repl asks for the update log from a time on, in microseconds since 1970, as the server with this id, whose own entries are left
// out. Both must be at least 1. The client cannot be used for anything else afterwards; closing it ends the stream. A server
// that refuses the id closes the connection: CodeRecv. One without a log or without an id is CodeMisc.
func (c *Client) Repl(micros int64, sid uint32) (*LogStream, error) {
	if micros < 1 || int32(sid) < 1 {
		return nil, &Error{Repl.String(), CodeInvalid, fmt.Errorf("time %d and sid %d, want at least 1", micros, sid)}
	}
	if err := c.ask(Request{Command: Repl, Time: micros, SID: sid}); err != nil {
		return nil, err
	}
	master, err := c.readUint32()
	if err != nil {
		return nil, err
	}
	if master == 0 {
		return nil, c.fail(CodeMisc, errors.New("the server has no id: start it with an update log and an id"))
	}
	c.lost = errStreaming
	return &LogStream{SID: master, c: c}, nil
}

// Next reads the next entry, whose payload is valid until the next call, or a keep-alive, which has a nil payload and
// comes about once a second. The timeout of the client must be longer.
func (s *LogStream) Next(e *Entry) error {
	c := s.c
	if c.lost != errStreaming {
		return &Error{Repl.String(), CodeInvalid, c.lost}
	}
	magic, err := c.r.Peek(1)
	if err != nil {
		return c.fail(CodeRecv, err)
	}
	size := 1
	if magic[0] == entryMagic {
		size = entryHead
	}
	if cap(s.buf) > clientChunk {
		s.buf = nil
	}
	for s.buf = s.buf[:0]; ; {
		if s.buf, err = c.readBytes(s.buf, size-len(s.buf)); err != nil {
			return err
		}
		_, need, err := DecodeStreamEntry(s.buf, e, c.maxReply)
		switch {
		case err == nil:
			return nil
		case err != ErrIncomplete:
			return c.fail(CodeRecv, fmt.Errorf("read the stream of server %d: %w", s.SID, err))
		}
		size = need
	}
}
