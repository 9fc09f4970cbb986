package server

// verdict is what the first byte of a connection decides.
type verdict uint8

const (
	undecided verdict = iota
	isMemcache
	isBinary
	isTyrant
	isHTTP
	isTLS
	refused
)

// The first bytes of protocols that are not text. Where one is not served, its requests must not be read as text.
const (
	magicMemcacheBinary = 0x80
	magicTyrant         = 0xC8
	magicTLS            = 0x16
)

// sniff decides by the first byte of a connection to a listener that serves set. secure is the TLS that is still to come.
func sniff(first byte, set Protocol, secure TLSMode) verdict {
	switch {
	case first == magicTLS && secure != NoTLS:
		return isTLS
	case secure == OnlyTLS, secure == MutualTLS:
		return refused
	case first == magicMemcacheBinary && set&Memcache != 0:
		return isBinary
	case first == magicTyrant && set&Tyrant != 0:
		return isTyrant
	case first == magicMemcacheBinary, first == magicTyrant, first == magicTLS:
		return refused
	case first >= 'A' && first <= 'Z' && set&HTTP != 0:
		return isHTTP
	case set&Memcache != 0:
		return isMemcache
	}
	return refused
}
