package rediscluster

import (
	"encoding/binary"
	"errors"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// A record is one string of the cluster: a header, and behind it the Content-Type and the value.
//
//	 0  2  'f', version 1
//	 2  1  bits: 1 stale, 2 a client renews it
//	 3  4  flags
//	 7  8  CAS unique
//	15  8  when it was written, by the clock of the master, microseconds since 1970
//	23  8  expiry, milliseconds since 1970; 0 = never
//	31  1  length of the Content-Type
//
// Numbers are big-endian. script.lua reads and writes the same.
const (
	headerSize    = 32
	headerVersion = 1
	bitStale      = 1
	bitWon        = 2
)

// errHeader says that something else than a record stands in the cluster.
var errHeader = errors.New("no record of futago")

// header is the fixed part of a record.
type header struct {
	stale, won bool
	flags      uint32
	token      uint64
	written    int64
	expires    int64
	typeSize   int
}

// parseHeader reads the header of a record, of which at least that must be there.
func parseHeader(b []byte) (h header, err error) {
	if len(b) < headerSize || b[0] != 'f' || b[1] != headerVersion || b[2]&^(bitStale|bitWon) != 0 {
		return h, errHeader
	}
	h.stale, h.won = b[2]&bitStale != 0, b[2]&bitWon != 0
	h.flags, h.token = binary.BigEndian.Uint32(b[3:]), binary.BigEndian.Uint64(b[7:])
	h.written, h.expires = int64(binary.BigEndian.Uint64(b[15:])), int64(binary.BigEndian.Uint64(b[23:]))
	h.typeSize = int(b[31])
	if h.written < 0 || h.expires < 0 {
		return h, errHeader
	}
	return h, nil
}

// view fills v with the record in b, in place.
func view(b []byte, v *store.View) (h header, err error) {
	h, err = parseHeader(b)
	if err != nil || len(b) < headerSize+h.typeSize {
		return h, errHeader
	}
	v.Type, v.Value = b[headerSize:headerSize+h.typeSize], b[headerSize+h.typeSize:]
	v.Flags, v.Token, v.Expires = h.flags, h.token, fromUnix(h.expires)
	v.Stamp = hlc.Make(h.written/1000-hlc.Epoch.UnixMilli(), 0, 0)
	v.Stale, v.Won, v.Read, v.Relayed = h.stale, h.won, false, false
	return h, nil
}

// toUnix turns the store's time into milliseconds since 1970, 0 being never.
func toUnix(expires uint64) int64 {
	if expires == 0 {
		return 0
	}
	return int64(min(expires, 1<<52)) + hlc.Epoch.UnixMilli()
}

// fromUnix is the reverse. A time before the epoch is one that is past.
func fromUnix(ms int64) uint64 {
	if ms == 0 {
		return 0
	}
	return uint64(max(ms-hlc.Epoch.UnixMilli(), 1))
}
