package memcache

import "errors"

// ErrIncomplete says that the bytes end before the message does. More bytes may complete it.
var ErrIncomplete = errors.New("incomplete memcached message")
