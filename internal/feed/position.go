package feed

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/ulog"
)

// Position is how far a client has read. Its text form is opaque to clients: base64url of, little-endian,
//
//	 0  version    1
//	 1  node       2
//	 3  place     28  life 16, sequence 8, CRC of the entry there 4
//	31  claims     1  how many
//	32  claims, 31 each, by node: node 2, place 28, gap 1
//	..  CRC-32C    4  of all before
type Position struct {
	Node   int           // whose log was read
	At     ulog.Position // the last entry in it that was passed
	Claims []Claim       // by node
}

// Claim says that what was read covers another node's log up to a place.
type Claim struct {
	Node int
	At   ulog.Position // sequence 0: nothing yet
	Gap  bool          // it must not be used: the node that was read lacks writes of its own
}

const (
	positionVersion = 1
	placeSize       = 2 + 16 + 8 + 4
	claimSize       = placeSize + 1
	positionHead    = 1 + placeSize + 1
	// maxClaims bounds a position; a mesh has a few nodes.
	maxClaims = 16
	// maxPosition is the longest text of a position.
	maxPosition = (positionHead + maxClaims*claimSize + 4 + 2) / 3 * 4
)

// ErrPosition is wrapped by every error of ParsePosition.
var ErrPosition = errors.New("this is no position of a change feed")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// String is the text that ParsePosition reads.
func (p Position) String() string {
	b := make([]byte, 0, positionHead+len(p.Claims)*claimSize+4)
	b = appendPlace(append(b, positionVersion), p.Node, p.At)
	b = append(b, byte(len(p.Claims)))
	for _, c := range p.Claims {
		gap := byte(0)
		if c.Gap {
			gap = 1
		}
		b = append(appendPlace(b, c.Node, c.At), gap)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return base64.RawURLEncoding.EncodeToString(b)
}

func appendPlace(b []byte, node int, at ulog.Position) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(node))
	b = append(b, at.Life[:]...)
	b = binary.LittleEndian.AppendUint64(b, at.Seq)
	return binary.LittleEndian.AppendUint32(b, at.CRC)
}

// ParsePosition reads what String wrote, and nothing else.
func ParsePosition(text string) (p Position, err error) {
	if len(text) > maxPosition {
		return p, fmt.Errorf("%w: %d characters, at most %d are allowed", ErrPosition, len(text), maxPosition)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return p, fmt.Errorf("%w: it is cut or changed", ErrPosition)
	}
	switch {
	case len(b) < positionHead+4:
		return p, fmt.Errorf("%w: %d bytes", ErrPosition, len(b))
	case b[0] != positionVersion:
		return p, fmt.Errorf("%w: version %d, this program knows %d", ErrPosition, b[0], positionVersion)
	}
	n := int(b[positionHead-1])
	if n > maxClaims || len(b) != positionHead+n*claimSize+4 {
		return p, fmt.Errorf("%w: %d bytes with %d claims", ErrPosition, len(b), n)
	}
	end := len(b) - 4
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return p, fmt.Errorf("%w: bad checksum", ErrPosition)
	}
	p.Node, p.At = placeOf(b[1:])
	valid := p.Node >= 1 && p.Node <= hlc.MaxNode
	last := 0
	for c := range slices.Chunk(b[positionHead:end], claimSize) {
		node, at := placeOf(c)
		valid = valid && node > last && node <= hlc.MaxNode && node != p.Node && c[placeSize] <= 1
		p.Claims, last = append(p.Claims, Claim{node, at, c[placeSize] == 1}), node
	}
	if !valid {
		return Position{}, fmt.Errorf("%w: nodes out of order", ErrPosition)
	}
	return p, nil
}

func placeOf(b []byte) (node int, at ulog.Position) {
	at.Life = ulog.Identity(b[2:18])
	at.Seq, at.CRC = binary.LittleEndian.Uint64(b[18:]), binary.LittleEndian.Uint32(b[26:])
	return int(binary.LittleEndian.Uint16(b)), at
}

// claim returns where what is known of a node stands, added if it is new; nil when there is no room.
func (p *Position) claim(node int) *Claim {
	i, found := slices.BinarySearchFunc(p.Claims, node, func(c Claim, node int) int { return c.Node - node })
	if !found {
		if len(p.Claims) == maxClaims {
			return nil
		}
		p.Claims = slices.Insert(p.Claims, i, Claim{Node: node})
	}
	return &p.Claims[i]
}
