package tyrant

import "errors"

// ErrIncomplete says that the bytes end before the request does. More bytes may complete it.
var ErrIncomplete = errors.New("incomplete tyrant request")
