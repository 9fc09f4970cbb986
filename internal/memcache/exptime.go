package memcache

import "time"

// exptimeRelativeMax is 30 days in seconds, the largest exptime that counts from now; a larger one is a Unix time.
// Source: memcached doc/protocol.txt, section "Expiration times".
const exptimeRelativeMax = 30 * 24 * 60 * 60

// ExptimeToUnixMilli gives an exptime of a text request its meaning at now: the Unix time in milliseconds from
// which the record is no longer readable, 0 for never. expired is true when that moment has already come (a
// negative exptime, or a Unix time not after now); ms is then not after now and not 0, so that storing it is safe.
func ExptimeToUnixMilli(exptime int64, now time.Time) (ms int64, expired bool) {
	nowMillis := now.UnixMilli()
	switch {
	case exptime == 0:
		return 0, false
	case exptime < 0:
		return nowMillis, true
	case exptime <= exptimeRelativeMax:
		return nowMillis + exptime*1000, false
	}
	ms = exptime * 1000
	return ms, ms <= nowMillis
}
