package backup

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// A backup, little-endian; docs/format/backup.md draws it:
//
//	 0  magic "futagobk" 8
//	 8  version          2
//	10  zero             6
//	16  frames: header, records, trailer
//	..  size of the trailer's frame, whole 4, magic "futagobe" 8
//
// A frame: size of type and payload 4, type 1, payload, CRC-32C of type and payload 4.
const (
	magic         = "futagobk"
	endMagic      = "futagobe"
	formatVersion = 1
	prologueSize  = 16
	epilogueSize  = 12
	frameHead     = 5
	frameTail     = 4
)

type frameType byte

const (
	frameHeader  frameType = 1 // JSON
	frameRecords frameType = 2 // records: size 4, record
	framePacked  frameType = 3 // the same, as one frame of zstd
	frameTrailer frameType = 4 // JSON
)

// Limits of the format. Memory is taken as bytes arrive, never because of a size that a file tells.
const (
	maxDocument = 64 << 10
	maxRecord   = record.HeaderSize + record.MaxKey + record.MaxType + 8 + record.MaxValue
	maxFrame    = maxRecord + 1<<20
	// maxWindow is the largest window of zstd that a reader takes, in bytes.
	maxWindow = 8 << 20
	// batchBytes is about how many bytes of records a frame has.
	batchBytes = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Errors of files.
var (
	// ErrDamaged is wrapped by every error that is due to the bytes of a file.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrVersion is wrapped when a newer program wrote the file.
	ErrVersion = errors.New("a newer futago wrote this backup")
	// ErrNoBackup is wrapped when the file is something else.
	ErrNoBackup = errors.New("this is no backup")
)

// Kind says what a backup starts from.
type Kind string

const (
	Full        Kind = "full"
	Incremental Kind = "incremental" // what changed since the backup before
)

// ID names a backup.
type ID [16]byte

func newID() (id ID) {
	rand.Read(id[:])
	return id
}

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes 32 hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(id) {
		return fmt.Errorf("backup id of %d characters, want %d", len(b), 2*len(id))
	}
	_, err := hex.Decode(id[:], b)
	return err
}

// Header begins a backup.
type Header struct {
	ID       ID            `json:"id"`
	Kind     Kind          `json:"kind"`
	Parent   ID            `json:"parent,omitzero"` // of an incremental one: the one before it
	From     string        `json:"from,omitempty"`  // of an incremental one: the position at which it begins
	Node     int           `json:"node"`            // that was read
	Log      ulog.Identity `json:"log"`             // its log's
	Program  string        `json:"program"`         // version of the program that wrote it
	Began    time.Time     `json:"began"`
	Expected int64         `json:"expected"` // about how many records will come
}

// Trailer ends a backup: only one that has it is whole.
type Trailer struct {
	Position string    `json:"position"` // up to which it has everything
	Time     time.Time `json:"time"`     // what was acknowledged before it is in the backup, by the clock of the node
	Took     float64   `json:"took"`     // seconds
	// Newest is the highest stamp of a record in the backup. Born is the highest horizon that the node had heard of.
	Newest hlc.Stamp `json:"newest,string"`
	Born   hlc.Stamp `json:"born,string"`
	// Values have counters among them. With Tombstones and Flushes they are all records.
	Values     int64 `json:"values"`
	Tombstones int64 `json:"tombstones"`
	Flushes    int64 `json:"flushes"`
	Bytes      int64 `json:"bytes"` // of all records, unpacked
	// Damaged is the number of parts of the node's keys, of 1024, in which its disk had spoilt records: those are missing.
	Damaged int `json:"damaged,omitempty"`
	// SHA256 is that of the file up to the trailer's frame, in hexadecimal.
	SHA256 string `json:"sha256"`
}

// Records is the number of all records.
func (t *Trailer) Records() int64 { return t.Values + t.Tombstones + t.Flushes }

// settled is the time up to which a full backup may hold states that replaced others: a point in time lies behind it.
func (t *Trailer) settled() time.Time {
	if newest := t.Newest.Time(); newest.After(t.Time) {
		return newest
	}
	return t.Time
}

func (h *Header) check() error {
	switch {
	case h.Kind != Full && h.Kind != Incremental:
		return fmt.Errorf("%w: unknown kind %q", ErrDamaged, h.Kind)
	case h.Node < 1 || h.Node > hlc.MaxNode:
		return fmt.Errorf("%w: node %d is out of 1..%d", ErrDamaged, h.Node, hlc.MaxNode)
	case h.Kind == Incremental && h.Parent == ID{}:
		return fmt.Errorf("%w: an incremental backup without the one before it", ErrDamaged)
	}
	return nil
}

func (t *Trailer) check() error {
	if _, err := feed.ParsePosition(t.Position); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
