package futago

import (
	"fmt"
	"hash/crc32"
)

// Hash is a hash function of PHP's memcache extension.
type Hash uint8

const (
	// CRC32 is the usual CRC-32 (IEEE).
	CRC32 Hash = iota
	// FNV is 32-bit FNV-1a as the extension computes it on amd64: bytes from 0x80 on are sign-extended, so it
	// differs from the textbook for keys that are not ASCII. (Seen with extension 4.0.5.2.)
	FNV
)

// String returns PHP's name of the function.
func (h Hash) String() string {
	switch h {
	case CRC32:
		return "crc32"
	case FNV:
		return "fnv"
	}
	return fmt.Sprintf("Hash(%d)", uint8(h))
}

func (h Hash) sum(key string) uint32 {
	if h == FNV {
		sum := uint32(0x811C9DC5)
		for i := 0; i < len(key); i++ {
			sum ^= uint32(int32(int8(key[i])))
			sum *= 0x01000193
		}
		return sum
	}
	return crc32.ChecksumIEEE([]byte(key))
}
