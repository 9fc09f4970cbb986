package memcache

import "strconv"

// The reply lines of the classic commands, complete with CRLF.
const (
	ReplyStored    = "STORED\r\n"
	ReplyNotStored = "NOT_STORED\r\n"
	ReplyExists    = "EXISTS\r\n"
	ReplyNotFound  = "NOT_FOUND\r\n"
	ReplyDeleted   = "DELETED\r\n"
	ReplyTouched   = "TOUCHED\r\n"
	ReplyOK        = "OK\r\n"
	ReplyEnd       = "END\r\n"
	ReplyReset     = "RESET\r\n"

	// ReplyError answers an unknown command, a wrong number of arguments, and an unknown stats argument.
	ReplyError           = "ERROR\r\n"
	ReplyTooManyConns    = "ERROR Too many open connections\r\n"
	ReplyBadFormat       = "CLIENT_ERROR bad command line format\r\n"
	ReplyBadChunk        = "CLIENT_ERROR bad data chunk\r\n"
	ReplyBadExptime      = "CLIENT_ERROR invalid exptime argument\r\n"
	ReplyBadDelta        = "CLIENT_ERROR invalid numeric delta argument\r\n"
	ReplyNotNumeric      = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
	ReplyDeleteUsage     = "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
	ReplyFlushNotAllowed = "CLIENT_ERROR flush_all not allowed\r\n"
	// ReplyLineTooLong is futago's own: memcached lets the line of get and gets grow without limit.
	ReplyLineTooLong = "CLIENT_ERROR line too long\r\n"

	// The complaints about arguments of stats.
	ReplyBadCommandLine    = "CLIENT_ERROR bad command line\r\n"
	ReplyIllegalSlab       = "CLIENT_ERROR Illegal slab id\r\n"
	ReplyStatsDetailUsage  = "CLIENT_ERROR usage: stats detail on|off|dump\r\n"
	ReplyCachedumpDisabled = "CLIENT_ERROR stats cachedump not allowed\r\n"
	ReplyDetailDisabled    = "CLIENT_ERROR stats detail not allowed\r\n"

	// The answers to what would change or show the engine.
	ReplyBadClass         = "BADCLASS invalid class id\r\n"
	ReplyCrawlerSleep     = "CLIENT_ERROR sleep must be one second or less\r\n"
	ReplyCrawlerUnknown   = "ERROR an unknown error happened\r\n"
	ReplyLRUPercent       = "ERROR hot and warm pcts must not exceed 80\r\n"
	ReplyLRUAge           = "ERROR hot/warm age factors must be greater than 0\r\n"
	ReplySlabsNoSpare     = "NOSPARE source class has no spare pages\r\n"
	ReplySlabsSame        = "SAME src and dst class are identical\r\n"
	ReplySlabsBadClass    = "BADCLASS invalid src or dst class id\r\n"
	ReplyWatchNotAllowed  = "CLIENT_ERROR watch commands not allowed\r\n"
	ReplyMemLimitBytes    = "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"
	ReplyMemLimitFailed   = "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n"
	ReplyShutdownDisabled = "SERVER_ERROR: shutdown not enabled\r\n"
	ReplyShutdownMode     = "CLIENT_ERROR invalid shutdown mode\r\n"

	// The complaints about the flags of meta commands.
	ReplyMetaInvalid            = "CLIENT_ERROR invalid flag\r\n"
	ReplyMetaDuplicate          = "CLIENT_ERROR duplicate flag\r\n"
	ReplyMetaInvalidOrDuplicate = "CLIENT_ERROR invalid or duplicate flag\r\n"
	ReplyMetaBadToken           = "CLIENT_ERROR bad token in command line format\r\n"
	ReplyMetaBadKey             = "CLIENT_ERROR error decoding key\r\n"
	ReplyMetaOpaqueTooLong      = "CLIENT_ERROR opaque token too long\r\n"
	ReplyMetaTooManyGet         = "CLIENT_ERROR options flags are too long\r\n"
	ReplyMetaTooMany            = "CLIENT_ERROR options flags too long\r\n"
	ReplyMetaBadModeSize        = "CLIENT_ERROR incorrect length for M token\r\n"
	ReplyMetaBadSetMode         = "CLIENT_ERROR invalid mode for ms M token\r\n"
	ReplyMetaBadArithMode       = "CLIENT_ERROR invalid mode for ma M token\r\n"
	ReplyMetaBadInitial         = "CLIENT_ERROR invalid numeric initial value\r\n"
	ReplyMetaBadDelta           = "CLIENT_ERROR invalid numeric delta value\r\n"

	// ReplyMetaEnd is the miss of mg and me, ReplyMetaNoop the answer to mn.
	ReplyMetaEnd  = "EN\r\n"
	ReplyMetaNoop = "MN\r\n"

	// ReplyTooLarge answers a value over the limit, ReplyNoMemory a value for which there is no room.
	ReplyTooLarge    = "SERVER_ERROR object too large for cache\r\n"
	ReplyNoMemory    = "SERVER_ERROR out of memory storing object\r\n"
	ReplyOutOfMemory = "SERVER_ERROR out of memory\r\n"
)

// AppendValue appends the line that stands before the data of a get or gat reply: VALUE key flags size CRLF.
// The caller appends the size bytes of data and another CRLF.
func AppendValue(dst, key []byte, flags uint32, size int) []byte {
	return append(appendValue(dst, key, flags, size), '\r', '\n')
}

// AppendValueCAS is AppendValue for gets and gats, whose line ends in the CAS unique.
func AppendValueCAS(dst, key []byte, flags uint32, size int, cas uint64) []byte {
	dst = append(appendValue(dst, key, flags, size), ' ')
	return AppendUint(dst, cas)
}

func appendValue(dst, key []byte, flags uint32, size int) []byte {
	dst = append(dst, "VALUE "...)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(flags), 10)
	dst = append(dst, ' ')
	return strconv.AppendUint(dst, uint64(size), 10)
}

// AppendUint appends v in decimal and CRLF: the reply to incr and decr.
func AppendUint(dst []byte, v uint64) []byte {
	return append(strconv.AppendUint(dst, v, 10), '\r', '\n')
}

// AppendStat appends one line of a stats reply: STAT name value CRLF.
func AppendStat(dst []byte, name, value string) []byte {
	dst = append(dst, "STAT "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, value...)
	return append(dst, '\r', '\n')
}

// serverVersion is that of the memcached which replies are compared with, docs/compat.md.
const serverVersion = "1.6.18"

// ServerVersion is what a futago of the given version answers to version. Clients take it for memcached's and conclude
// from it what they may ask for; libmemcached fails at a major version of 0.
func ServerVersion(version string) string { return serverVersion + " futago-" + version }

// AppendMemLimitTooSmall appends the refusal of a cache_memlimit below a number of megabytes.
func AppendMemLimitTooSmall(dst []byte, megabytes uint64) []byte {
	dst = append(dst, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than "...)
	return append(strconv.AppendUint(dst, megabytes, 10), "m\r\n"...)
}

// AppendVersion appends the reply to version. Clients split version into three numbers at its dots.
func AppendVersion(dst []byte, version string) []byte {
	dst = append(dst, "VERSION "...)
	dst = append(dst, version...)
	return append(dst, '\r', '\n')
}
