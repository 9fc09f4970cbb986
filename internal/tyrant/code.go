package tyrant

import (
	"errors"
	"strconv"
)

// Code is what the original's client library makes of a request. It is an error itself: errors.Is(err, CodeNoRecord).
type Code int

// The codes.
const (
	CodeSuccess  Code = 0
	CodeInvalid  Code = 1    // not sent: the client or the request does not allow it
	CodeNoHost   Code = 2    // the host has no address
	CodeRefused  Code = 3    // not connected
	CodeSend     Code = 4    // the connection is lost, and what came of the request is not known
	CodeRecv     Code = 5    // the same
	CodeKeep     Code = 6    // putkeep, addint and adddouble: the server has refused
	CodeNoRecord Code = 7    // out, get, vsiz, iternext: the server has refused
	CodeMisc     Code = 9999 // all others: the server has refused
)

// Error returns the original's text.
func (c Code) Error() string {
	switch c {
	case CodeSuccess:
		return "success"
	case CodeInvalid:
		return "invalid operation"
	case CodeNoHost:
		return "host not found"
	case CodeRefused:
		return "connection refused"
	case CodeSend:
		return "send error"
	case CodeRecv:
		return "recv error"
	case CodeKeep:
		return "existing record"
	case CodeNoRecord:
		return "no record found"
	case CodeMisc:
		return "miscellaneous error"
	}
	return "error " + strconv.Itoa(int(c))
}

// refusal is the code of a command that the server answers with a failure.
func (c Command) refusal() Code {
	switch c {
	case PutKeep, AddInt, AddDouble:
		return CodeKeep
	case Out, Get, VSiz, IterNext:
		return CodeNoRecord
	}
	return CodeMisc
}

// Error is what a Client returns. errors.Is finds its code and its cause.
type Error struct {
	// Doing is "dial" or the name of the command.
	Doing string
	Code  Code
	// Err is the cause, nil when the server has refused.
	Err error
}

func (e *Error) Error() string {
	text := e.Doing + ": " + e.Code.Error()
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// CodeOf is the code of an error of a Client, CodeSuccess for nil and CodeMisc for others.
func CodeOf(err error) Code {
	if err == nil {
		return CodeSuccess
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeMisc
}
