// Package record is the versioned record: its binary form, which is what the log, the snapshot and the peer stream
// carry, and Merge, the only rule of conflict. It knows no files, sockets or locks.
//
// A record, little-endian, a 30-byte header that is read in place:
//
//	 0  stamp     8   the newest write in the record
//	 8  replaced  8   stamp of the record it replaced, 0 = none; with the created bit of a value: its generation
//	16  expires   6   milliseconds since 2020-01-01 UTC, 0 = never
//	22  key size  2
//	24  flags     4   memcached client flags
//	28  kind      1   low 3 bits kind, 0x08 relayed, 0x10 stale (of a tombstone: evicted), 0x20 won, 0x40 unique, 0x80 created
//	29  type size 1
//	30  key, type (HTTP Content-Type), unique (8, only with its bit), value up to the end
package record

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/futago/futago/internal/hlc"
)

// HeaderSize is the size in bytes of the fixed part in front of the key.
const HeaderSize = 30

// Limits of the format.
const (
	MaxKey     = 1<<16 - 1
	MaxType    = 1<<8 - 1
	MaxValue   = 1 << 30
	MaxExpires = 1<<48 - 1
)

// Kind says what a record is.
type Kind uint8

const (
	Value     Kind = 1 // plain bytes
	Counter   Kind = 2 // a base and the contributions of each node
	Tombstone Kind = 3 // deleted; no value
	Floor     Kind = 4 // flush: every generation below the stamp in the value is dead; no key
	Mark      Kind = 5 // bookkeeping of one log, never replicated; the key names it
	Member    Kind = 6 // a node of the mesh; the key is its id, the value what is known of it. The newest stamp wins
)

func (k Kind) String() string {
	switch k {
	case Value:
		return "value"
	case Counter:
		return "counter"
	case Tombstone:
		return "tombstone"
	case Floor:
		return "floor"
	case Mark:
		return "mark"
	case Member:
		return "member"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

const (
	kindMask   = 0x07
	relayedBit = 0x08
	staleBit   = 0x10
	wonBit     = 0x20
	uniqueBit  = 0x40
	createdBit = 0x80

	uniqueSize = 8
)

// ErrMalformed is wrapped by every error of Decode.
var ErrMalformed = errors.New("malformed record")

// Record is the decoded form. Key, Type and Value alias what they were decoded from.
type Record struct {
	Stamp    hlc.Stamp // newest write in it; its node is the origin of that write
	Replaced hlc.Stamp // of the record that the write replaced where it was executed; 0 = the key was absent
	Expires  uint64    // milliseconds since hlc.Epoch, 0 = never
	Flags    uint32    // memcached client flags
	Kind     Kind
	Created  bool   // the write happened only because nothing was there
	Evicted  bool   // of a tombstone: the record was given up for want of memory; a node where it is in use brings it back
	Stale    bool   // memcached's meta commands: the value is out of date, and kept until somebody renews it
	Won      bool   // memcached's meta commands: a client was told to renew the value; of the newest write, like Expires
	Relayed  bool   // the newest write in it came from the update log of a Tokyo Tyrant server, to which it must not go back
	Unique   uint64 // CAS unique that a client gave the value; 0 = it follows from the stamps
	Key      []byte
	Type     []byte // HTTP Content-Type, empty = application/octet-stream
	Value    []byte // of a counter: the encoded CounterState
}

// Size is the length of the encoded record in bytes.
func (r *Record) Size() int {
	n := HeaderSize + len(r.Key) + len(r.Type) + len(r.Value)
	if r.Unique != 0 {
		n += uniqueSize
	}
	return n
}

// bits are the flags beside the kind.
func (r *Record) bits() (b byte) {
	if r.Created {
		b |= createdBit
	}
	if r.Stale || r.Evicted {
		b |= staleBit
	}
	if r.Won {
		b |= wonBit
	}
	if r.Relayed {
		b |= relayedBit
	}
	if r.Unique != 0 {
		b |= uniqueBit
	}
	return b
}

// Encode writes the record to dst, which must have Size bytes.
func (r *Record) Encode(dst []byte) {
	_ = dst[r.Size()-1]
	binary.LittleEndian.PutUint64(dst[0:], uint64(r.Stamp))
	binary.LittleEndian.PutUint64(dst[8:], uint64(r.Replaced))
	binary.LittleEndian.PutUint64(dst[16:], r.Expires&MaxExpires|uint64(len(r.Key))<<48)
	binary.LittleEndian.PutUint32(dst[24:], r.Flags)
	dst[28] = byte(r.Kind) | r.bits()
	dst[29] = byte(len(r.Type))
	n := HeaderSize + copy(dst[HeaderSize:], r.Key)
	n += copy(dst[n:], r.Type)
	if r.Unique != 0 {
		binary.LittleEndian.PutUint64(dst[n:], r.Unique)
		n += uniqueSize
	}
	copy(dst[n:], r.Value)
}

// Append appends the encoded record to dst.
func (r *Record) Append(dst []byte) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, r.Size())...)
	r.Encode(dst[n:])
	return dst
}

// Decode checks b and returns the record in it, all of b. The slices of the record alias b.
func Decode(b []byte) (Record, error) {
	var r Record
	if len(b) < HeaderSize {
		return r, fmt.Errorf("%w: %d bytes, the header has %d", ErrMalformed, len(b), HeaderSize)
	}
	raw := Raw(b)
	front := HeaderSize + raw.keySize() + raw.restSize()
	if len(b) < front {
		return r, fmt.Errorf("%w: %d bytes, key of %d and what follows it do not fit", ErrMalformed, len(b), raw.keySize())
	}
	if len(b)-front > MaxValue {
		return r, fmt.Errorf("%w: value of %d bytes", ErrMalformed, len(b)-front)
	}
	raw.Into(&r)
	if b[28]&uniqueBit != 0 && r.Unique == 0 {
		return Record{}, fmt.Errorf("%w: unique 0", ErrMalformed)
	}
	if err := r.check(); err != nil {
		return Record{}, err
	}
	return r, nil
}

func (r *Record) check() error {
	if r.Evicted && r.Kind != Tombstone {
		return fmt.Errorf("%w: an evicted %v", ErrMalformed, r.Kind)
	}
	if (r.Stale || r.Won || r.Unique != 0) && r.Kind != Value && r.Kind != Counter {
		return fmt.Errorf("%w: %v with bits of a value", ErrMalformed, r.Kind)
	}
	if r.Relayed && (r.Kind == Mark || r.Kind == Member) {
		return fmt.Errorf("%w: %v from an update log", ErrMalformed, r.Kind)
	}
	switch r.Kind {
	case Value, Mark, Member:
	case Counter:
		if _, err := DecodeCounter(r.Value); err != nil {
			return err
		}
	case Tombstone:
		if len(r.Value) != 0 || len(r.Type) != 0 || r.Created || r.Expires != 0 {
			return fmt.Errorf("%w: a tombstone with a value", ErrMalformed)
		}
	case Floor:
		if len(r.Value) != 8 || len(r.Key) != 0 {
			return fmt.Errorf("%w: a floor with a key or without its stamp", ErrMalformed)
		}
	default:
		return fmt.Errorf("%w: unknown kind %d", ErrMalformed, r.Kind)
	}
	return nil
}

// Raw is an encoded record that is known to be whole, read in place.
type Raw []byte

func (r Raw) Stamp() hlc.Stamp    { return hlc.Stamp(binary.LittleEndian.Uint64(r[0:])) }
func (r Raw) Replaced() hlc.Stamp { return hlc.Stamp(binary.LittleEndian.Uint64(r[8:])) }
func (r Raw) Expires() uint64     { return binary.LittleEndian.Uint64(r[16:]) & MaxExpires }
func (r Raw) Flags() uint32       { return binary.LittleEndian.Uint32(r[24:]) }
func (r Raw) Kind() Kind          { return Kind(r[28] & kindMask) }
func (r Raw) keySize() int        { return int(binary.LittleEndian.Uint16(r[22:])) }

// restSize is the size of what stands between key and value.
func (r Raw) restSize() int {
	n := int(r[29])
	if r[28]&uniqueBit != 0 {
		n += uniqueSize
	}
	return n
}

// Key is the key, in place.
func (r Raw) Key() []byte { return r[HeaderSize : HeaderSize+r.keySize()] }

// HasKey reports whether the record's key is key.
func (r Raw) HasKey(key []byte) bool {
	return r.keySize() == len(key) && string(r[HeaderSize:HeaderSize+len(key)]) == string(key)
}

// Into fills rec; its slices alias r.
func (r Raw) Into(rec *Record) {
	k := HeaderSize + r.keySize()
	t := k + int(r[29])
	rec.Stamp, rec.Replaced, rec.Expires, rec.Flags = r.Stamp(), r.Replaced(), r.Expires(), r.Flags()
	b := r[28]
	rec.Kind, rec.Created, rec.Won, rec.Unique = Kind(b&kindMask), b&createdBit != 0, b&wonBit != 0, 0
	rec.Relayed = b&relayedBit != 0
	rec.Stale = b&staleBit != 0 && rec.Kind != Tombstone
	rec.Evicted = b&staleBit != 0 && rec.Kind == Tombstone
	rec.Key, rec.Type = r[HeaderSize:k:k], r[k:t:t]
	if b&uniqueBit != 0 {
		rec.Unique = binary.LittleEndian.Uint64(r[t:])
		t += uniqueSize
	}
	rec.Value = r[t:]
}

// FloorStamp is the stamp below which every generation is dead, of a record of kind Floor.
func (r *Record) FloorStamp() hlc.Stamp { return hlc.Stamp(binary.LittleEndian.Uint64(r.Value)) }

// NewFloor returns a floor record issued at stamp.
func NewFloor(stamp, floor hlc.Stamp) Record {
	return Record{Kind: Floor, Stamp: stamp, Value: binary.LittleEndian.AppendUint64(nil, uint64(floor))}
}

// Gen is a generation: the write that began it. Generations are totally ordered by Compare.
type Gen struct {
	Stamp   hlc.Stamp // of the write that began it; with Created, of what was there before
	Created bool      // begun by a write that happened only because nothing was there
	Domain  Domain    // number domain of a counter
}

// Compare orders generations: stamp, then plain before created, then the number domain.
func (g Gen) Compare(h Gen) int {
	if c := cmp.Compare(g.Stamp, h.Stamp); c != 0 {
		return c
	}
	if g.Created != h.Created {
		if h.Created {
			return -1
		}
		return 1
	}
	return cmp.Compare(g.Domain, h.Domain)
}

// Gen returns the generation that the record belongs to.
func (r *Record) Gen() Gen {
	switch {
	case r.Kind == Counter:
		return Gen{Stamp: counterGen(r.Value), Created: r.Created, Domain: Domain(r.Value[18])}
	case r.Created:
		return Gen{Stamp: r.Replaced, Created: true}
	}
	return Gen{Stamp: r.Stamp}
}

// DeadBelow reports whether a flush with this floor stamp killed the record.
func (r *Record) DeadBelow(floor hlc.Stamp) bool { return floor != 0 && r.Gen().Stamp < floor }

// ExpiredAt reports whether the record has expired at now, in milliseconds since hlc.Epoch.
func (r *Record) ExpiredAt(now int64) bool { return r.Expires != 0 && int64(r.Expires) <= now }

// GoneStamp is the stamp that an expired record has as a tombstone: the later of its generation and its expiry. What is
// created after it must be of a later generation, so a created record that expired before its own generation (a touch
// into the past, a wall behind the stamps) goes with its newest write.
func (r *Record) GoneStamp() hlc.Stamp {
	gen := r.Gen()
	gone := max(gen.Stamp, hlc.Make(int64(r.Expires), 0, 0))
	if gen.Created && gone == gen.Stamp {
		return r.Stamp
	}
	return gone
}

// Token is the memcached CAS unique and the ETag: the stamp of the write that stored the value, or the unique that its
// client gave it; once something was added to a counter, a mix of all of that. It does not change with the expiry. Never 0;
// equal records have equal tokens on every node, and one token of a key is one value.
func (r *Record) Token() uint64 {
	switch {
	case r.Kind == Counter:
		return counterToken(r)
	case r.Unique != 0:
		return r.Unique
	}
	return uint64(r.Stamp)
}

// Stamps calls f with every stamp of a write that the record contains.
func (r *Record) Stamps(f func(hlc.Stamp)) {
	f(r.Stamp)
	if r.Kind == Counter {
		c, _ := DecodeCounter(r.Value)
		f(c.BaseStamp)
		for i := range c.N() {
			f(c.At(i).Stamp)
		}
	}
}

// NewestStamp is the highest of them.
func (r *Record) NewestStamp() hlc.Stamp {
	newest := r.Stamp
	if r.Kind == Counter { // its stamp is the highest already, unless it was made by nobody's rule
		r.Stamps(func(s hlc.Stamp) { newest = max(newest, s) })
	}
	return newest
}

// Begun is the stamp of the write that stored what the record holds: of a counter its base, whatever was added since.
func (r *Record) Begun() hlc.Stamp {
	if r.Kind == Counter {
		c := r.state()
		return c.BaseStamp
	}
	return r.Stamp
}

// Equal reports whether two records are the same state: all that Merge decides on, whatever they replaced.
func Equal(a, b *Record) bool {
	return a.Stamp == b.Stamp && a.Kind == b.Kind && a.bits() == b.bits() && a.Unique == b.Unique && a.Expires == b.Expires && a.Flags == b.Flags &&
		(a.Replaced == b.Replaced || !a.Created || a.Kind != Value) &&
		bytes.Equal(a.Value, b.Value) && bytes.Equal(a.Type, b.Type) && bytes.Equal(a.Key, b.Key)
}

// Clone returns a copy that aliases nothing.
func (r *Record) Clone() Record {
	c := *r
	c.Key, c.Type, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Type), bytes.Clone(r.Value)
	return c
}
