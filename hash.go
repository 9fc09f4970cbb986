package futago

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Hash is a hash function of PHP's memcache extension or of libmemcached. Each works with the strategies of its origin
// only.
type Hash uint8

const (
	// DefaultHash is the one that the strategy has by default where it comes from: CRC32 for Consistent and Standard,
	// OneAtATime for Modula and Continuum, MD5 for Ketama.
	DefaultHash Hash = iota

	// Of PHP's memcache extension, for Consistent and Standard. (Seen with extension 4.0.5.2.)

	// CRC32 is the usual CRC-32 (IEEE).
	CRC32
	// FNV is 32-bit FNV-1a as the extension computes it on amd64: bytes from 0x80 on are sign-extended, so it
	// differs from the textbook for keys that are not ASCII.
	FNV

	// Of libmemcached, for Modula, Continuum and Ketama. (Seen with 1.1.4 on amd64; bytes are sign-extended by OneAtATime
	// and the FNV functions.)

	// OneAtATime is Jenkins' function, libmemcached's "default".
	OneAtATime
	// MD5 is the first four bytes of the digest.
	MD5
	// CRC15 is the upper half of CRC-32 without its highest bit, libmemcached's "crc". All its values lie at the start of
	// a ring: with Ketama one server gets all keys.
	CRC15
	// FNV1_64 is 64-bit FNV-1, of which 32 bits are used. On a ring all FNV functions spread keys badly.
	FNV1_64
	// FNV1A_64 is what libmemcached has under this name: FNV-1a with the lower halves of the 64-bit constants.
	FNV1A_64
	// FNV1_32 is 32-bit FNV-1.
	FNV1_32
	// FNV1A_32 is 32-bit FNV-1a.
	FNV1A_32
	// Murmur is MurmurHash2 with a seed made of the length.
	Murmur
)

var hashNames = [...]string{"", "crc32", "fnv", "default", "md5", "crc", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "murmur"}

// String returns the name of the function in PHP's settings; that of DefaultHash is empty.
func (h Hash) String() string {
	if int(h) < len(hashNames) {
		return hashNames[h]
	}
	return fmt.Sprintf("Hash(%d)", uint8(h))
}

// sum must not be called for DefaultHash.
func (h Hash) sum(key string) uint32 {
	switch h {
	case CRC32:
		return crc32.ChecksumIEEE([]byte(key))
	case CRC15:
		return crc32.ChecksumIEEE([]byte(key)) >> 16 & 0x7FFF
	case FNV, FNV1A_32:
		return fnv1a(key, 0x811C9DC5, 0x01000193)
	case FNV1A_64:
		return fnv1a(key, 0x84222325, 0x1B3)
	case FNV1_32:
		return uint32(fnv1(key, 0x811C9DC5, 0x01000193))
	case FNV1_64:
		return uint32(fnv1(key, 0xCBF29CE484222325, 0x100000001B3))
	case OneAtATime:
		return oneAtATime(key)
	case MD5:
		digest := md5.Sum([]byte(key))
		return binary.LittleEndian.Uint32(digest[:4])
	case Murmur:
		return murmur(key)
	}
	panic(fmt.Sprintf("futago: no hash function %d", h))
}

func fnv1a(key string, sum, prime uint32) uint32 {
	for i := range len(key) {
		sum = (sum ^ uint32(int8(key[i]))) * prime
	}
	return sum
}

// fnv1 computes 64 bits; its lower half is that of a computation in 32 bits.
func fnv1(key string, sum, prime uint64) uint64 {
	for i := range len(key) {
		sum = sum*prime ^ uint64(int8(key[i]))
	}
	return sum
}

func oneAtATime(key string) (sum uint32) {
	for i := range len(key) {
		sum += uint32(int8(key[i]))
		sum += sum << 10
		sum ^= sum >> 6
	}
	sum += sum << 3
	sum ^= sum >> 11
	return sum + sum<<15
}

func murmur(key string) uint32 {
	const m = 0x5BD1E995
	b := []byte(key)
	sum := 0xDEADBEEF*uint32(len(b)) ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := binary.LittleEndian.Uint32(b) * m
		sum = sum*m ^ (k^k>>24)*m
	}
	if len(b) > 0 {
		var tail [4]byte
		copy(tail[:], b)
		sum = (sum ^ binary.LittleEndian.Uint32(tail[:])) * m
	}
	sum = (sum ^ sum>>13) * m
	return sum ^ sum>>15
}
