package rediscluster

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
)

// position is how far changes were read. Its text is base64url of, big-endian,
//
//	 0  version   1
//	 1  claims    8   of who has which slots
//	 9  masters  48   each: id 20, replication id 20, offset 8; by id
//	..  CRC-32C   4   of all before
type position struct {
	sum     uint64
	masters []offset
}

// offset is a place in what a master sends to its replicas.
type offset struct {
	id, replication [20]byte
	at              uint64 // bytes that were passed
}

const (
	positionVersion = 1
	positionHead    = 9
	offsetSize      = 48
	// maxPosition is the longest text of a position: of a thousand masters.
	maxPosition = 64 << 10
)

// errPosition says that a text is no position.
var errPosition = errors.New("this is no position of a cluster's change feed")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (p *position) text() string {
	b := binary.BigEndian.AppendUint64([]byte{positionVersion}, p.sum)
	for _, o := range p.masters {
		b = append(append(b, o.id[:]...), o.replication[:]...)
		b = binary.BigEndian.AppendUint64(b, o.at)
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
}

// parsePosition reads what text wrote, and nothing else.
func parsePosition(text string) (p position, err error) {
	if len(text) > maxPosition {
		return p, errPosition
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	end := len(b) - 4
	if err != nil || end <= positionHead || (end-positionHead)%offsetSize != 0 || b[0] != positionVersion ||
		binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return p, errPosition
	}
	p.sum = binary.BigEndian.Uint64(b[1:])
	for c := b[positionHead:end]; len(c) > 0; c = c[offsetSize:] {
		o := offset{id: [20]byte(c), replication: [20]byte(c[20:]), at: binary.BigEndian.Uint64(c[40:])}
		if o.at >= 1<<62 {
			return position{}, errPosition
		}
		p.masters = append(p.masters, o)
	}
	return p, nil
}

// parseID reads an id as Redis writes it.
func parseID(text string) (id [20]byte, err error) {
	if len(text) != 2*len(id) {
		return id, fmt.Errorf("%q is no id", text)
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return id, fmt.Errorf("%q is no id: %w", text, err)
	}
	return id, nil
}
