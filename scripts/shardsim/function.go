package main

import (
	"hash/crc32"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// function gives a key its slot.
type function struct {
	name string
	slot func(key []byte, slots int) int
}

// functions are those compared; the first one is that of all other tables.
var functions = []function{
	// The highest bits of the hash: for 4096 slots exactly the ranges that nodes compare now.
	{"XXH3-64, highest bits", func(key []byte, slots int) int {
		high, _ := bits.Mul64(xxh3.Hash(key), uint64(slots))
		return int(high)
	}},
	{"CRC-32, remainder", func(key []byte, slots int) int { return int(crc32.ChecksumIEEE(key) % uint32(slots)) }},
	{"CRC-16 (Redis), remainder", func(key []byte, slots int) int { return int(crc16(key)) % slots }},
}

// crc16 is CRC-16/XMODEM: polynomial 0x1021, from 0, not reflected.
func crc16(b []byte) (sum uint16) {
	for _, c := range b {
		sum ^= uint16(c) << 8
		for range 8 {
			top := sum & 0x8000
			sum <<= 1
			if top != 0 {
				sum ^= 0x1021
			}
		}
	}
	return sum
}
