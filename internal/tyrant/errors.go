package tyrant

import (
	"errors"
	"fmt"
)

var (
	// ErrIncomplete says that the bytes end before the request or the log entry does. More bytes may complete it.
	ErrIncomplete = errors.New("incomplete tyrant message")
	// ErrEntry says that the bytes are no entry of an update log.
	ErrEntry = errors.New("not a log entry")
	// ErrPayload says that the payload of a log entry is no logged request.
	ErrPayload = errors.New("not a logged request")
	// ErrReply says that a Client was sent more than ClientConfig.MaxReply: the connection is lost.
	ErrReply = errors.New("a reply")
	// ErrTorn says that the last file of an update log ends within an entry: its writer is at it, or has died there.
	ErrTorn = errors.New("the last entry is incomplete")
)

// LogError tells where the reading of an update log has stopped: errors.Is with ErrTorn, which may pass, or with ErrEntry, which is
// damage.
type LogError struct {
	File   string // its path
	Offset int64  // of the entry, in bytes
	Err    error
}

func (e *LogError) Error() string {
	return fmt.Sprintf("read %s at %d: %v", e.File, e.Offset, e.Err)
}

func (e *LogError) Unwrap() error { return e.Err }
