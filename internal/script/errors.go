package script

import "errors"

// What a Database answers. Any other error of it is logged, and the script's function fails.
var (
	// ErrNoRecord says that the key has no record, or that the iterator is at its end.
	ErrNoRecord = errors.New("no record")
	// ErrExists says that the key has a record already.
	ErrExists = errors.New("record exists")
)

// What a call ends with, apart from the script's own errors and the error of the caller's context.
var (
	// ErrNoFunction says that the script has no such function for clients.
	ErrNoFunction = errors.New("no such function")
	// ErrTimeout says that the call took longer than Config.Timeout.
	ErrTimeout = errors.New("script took too long")
	// ErrMemory says that the call made more than Config.MaxMemory bytes.
	ErrMemory = errors.New("script made too much")
	// ErrResult says that the result is larger than Config.MaxResult.
	ErrResult = errors.New("result is too large")
	// ErrPanic says that a function of this package panicked; the log has the stack.
	ErrPanic = errors.New("script function panicked")
	// ErrClosed says that the host is closed.
	ErrClosed = errors.New("script host is closed")
)

// Error is an error that the script raised, or that Lua found in it.
type Error struct {
	// Message is what the script gave to error, with file and line if Lua knows them.
	Message string
}

func (e *Error) Error() string { return "Lua error: " + e.Message }
