package futago

import (
	"math"
	"time"
)

// Item is a value with its key.
type Item struct {
	// Key is the key as the caller writes it: 1 to 250 bytes without spaces and control characters, prefix included.
	Key string
	// Value is the value. Requests do not keep it or change it after they return.
	Value []byte
	// Flags are 32 bits that the server keeps for its clients.
	Flags uint32
	// Expiration is how long the item lives, rounded up to seconds. 0: for ever. Negative: it is gone at once.
	// More than 30 days are sent as a time of day, so the clocks of client and server must agree then.
	// Reads leave it 0: the server does not tell.
	Expiration time.Duration
	// CAS is what Gets returned and CompareAndSwap compares. Other requests ignore it.
	CAS uint64
}

// exptimeRelativeMax is 30 days in seconds; a larger exptime is a Unix time.
// Source: memcached doc/protocol.txt, section "Expiration times".
const exptimeRelativeMax = 30 * 24 * 60 * 60

// exptime returns d as memcached wants it.
func exptime(d time.Duration, now time.Time) int64 {
	switch {
	case d == 0:
		return 0
	case d < 0:
		return -1
	}
	seconds := int64((d-1)/time.Second) + 1
	if seconds <= exptimeRelativeMax {
		return seconds
	}
	// Servers keep 32 bits with sign: anything beyond would count as expired.
	return min(now.Unix()+seconds, math.MaxInt32)
}
