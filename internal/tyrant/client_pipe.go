package tyrant

import (
	"errors"
	"fmt"
)

// errNoBatch is why a request is refused by Batch.
var errNoBatch = errors.New("its reply is more than a status and a number")

// Batch sends requests in one go, then reads their replies, and tells which of them the server has executed. It is for the
// puts but putnr, out, addint and adddouble, whose sums are dropped, sync, optimize and vanish. After an error it is not known
// what came of any of them.
func (c *Client) Batch(requests []Request) (done []bool, err error) {
	for i := range requests {
		if _, ok := requests[i].Command.resultSize(); !ok {
			return nil, &Error{requests[i].Command.String(), CodeInvalid, errNoBatch}
		}
		if err := c.put(requests[i]); err != nil {
			return nil, err
		}
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	done = make([]bool, len(requests))
	for i := range requests {
		c.doing = requests[i].Command
		if done[i], err = c.readStatus(); err != nil {
			return nil, err
		}
		if size, _ := c.doing.resultSize(); done[i] && size > 0 {
			if _, err := c.r.Discard(size); err != nil {
				return nil, c.fail(CodeRecv, err)
			}
		}
	}
	return done, nil
}

// resultSize is how many bytes follow the status of success; ok is false where they are not of a fixed number.
func (c Command) resultSize() (size int, ok bool) {
	switch c {
	case Put, PutKeep, PutCat, PutShl, Out, Sync, Optimize, Vanish:
		return 0, true
	case AddInt:
		return 4, true
	case AddDouble:
		return 16, true
	}
	return 0, false
}

// IterNexts is IterNext for up to n keys in one go. end tells that the last key is among them.
func (c *Client) IterNexts(n int) (keys [][]byte, end bool, err error) {
	for range n {
		if err := c.put(Request{Command: IterNext}); err != nil {
			return nil, false, err
		}
	}
	if err := c.flush(); err != nil {
		return nil, false, err
	}
	for range n {
		ok, err := c.readStatus()
		if err != nil {
			return nil, false, err
		}
		if !ok {
			end = true
			continue
		}
		key, err := c.readSized()
		if err != nil {
			return nil, false, err
		}
		if !end { // what comes then is of a cursor that somebody else has set back
			keys = append(keys, key)
		}
	}
	return keys, end, nil
}

// tooLarge is the error for a reply beyond the limit of the client.
func (c *Client) tooLarge() error {
	return c.fail(CodeRecv, fmt.Errorf("%w of more than %d bytes", ErrReply, c.maxReply))
}
