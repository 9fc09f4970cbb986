package futago

import (
	"errors"
	"fmt"

	"github.com/futago/futago/internal/memcache"
)

var (
	// ErrCacheMiss says that the key does not exist.
	ErrCacheMiss = errors.New("cache miss")
	// ErrNotStored says that the condition of Add, Replace, Append or Prepend was not met.
	ErrNotStored = errors.New("not stored")
	// ErrCASConflict says that the item was changed since Gets returned its CAS.
	ErrCASConflict = errors.New("changed by another client")
	// ErrNotNumeric says that the value to increment or decrement is not a number.
	ErrNotNumeric = errors.New("value is not a number")
	// ErrKeyInvalid says that a key is empty, over 250 bytes with the prefix, or holds a space or control character; with
	// Config.AnyKey that such a key is over 186 bytes.
	ErrKeyInvalid = errors.New("invalid key")
	// ErrUnknown says that the server was lost after a request that must not be repeated: it may have been executed
	// or not. The error that it comes with also tells what happened to the server. Set, Replace, Delete and Touch are repeated
	// elsewhere first: theirs is also ErrNoServers, or that of the context.
	ErrUnknown = errors.New("effect unknown")
	// ErrServerDown says that one server does not work: it refused, hung up, sent nonsense, did not answer in time,
	// or is still marked failed for that.
	ErrServerDown = errors.New("server down")
	// ErrAuth says that a server refused Config.User and Config.Password. The server counts as failed.
	ErrAuth = errors.New("user or password refused")
	// ErrNoServers says that no server was left for the key. Errors of the servers tried come with it.
	ErrNoServers = errors.New("no working server")
	// ErrClosed says that the Client was closed.
	ErrClosed = errors.New("client is closed")
)

// ServerError is an error line with which a server answered.
type ServerError struct {
	// Addr is the server.
	Addr string
	// Line is its answer, from ERROR, CLIENT_ERROR or SERVER_ERROR on.
	Line string
}

// Error names the server and shows its answer.
func (e *ServerError) Error() string {
	return fmt.Sprintf("server %s answered %v", e.Addr, &memcache.ErrorReply{Line: e.Line})
}

// downError is the failure of one server to do its part in a request.
type downError struct {
	addr string
	err  error
}

func (e *downError) Error() string { return fmt.Sprintf("server %s: %v", e.addr, e.err) }

func (e *downError) Unwrap() []error { return []error{ErrServerDown, e.err} }

// unknownError is a failure after which nobody knows whether the request was executed.
type unknownError struct{ err error }

func (e *unknownError) Error() string { return ErrUnknown.Error() + ": " + e.err.Error() }

func (e *unknownError) Unwrap() []error { return []error{ErrUnknown, e.err} }

// notNumericError is the server's refusal to count.
type notNumericError struct{ err error }

func (e *notNumericError) Error() string { return ErrNotNumeric.Error() + ": " + e.err.Error() }

func (e *notNumericError) Unwrap() []error { return []error{ErrNotNumeric, e.err} }
