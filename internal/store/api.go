package store

import (
	"errors"

	"github.com/futago/futago/internal/hlc"
)

// Op is an operation on one key.
type Op uint8

const (
	Set        Op = iota + 1 // store whatever is there
	Add                      // store only when the key is absent
	Replace                  // store only when the key is present
	Append                   // put Value behind the present one; flags and expiry stay
	Prepend                  // put Value in front of the present one
	Shift                    // Append, of which the last Width bytes stay
	CAS                      // store only when the present token equals Request.CAS
	Delete                   // with CAS != 0 only when the token equals
	Incr                     // add Delta by memcached's rules; wraps at 2^64
	Decr                     // subtract Delta; stops at 0
	Touch                    // set the expiry; the value and its token stay
	Invalidate               // mark the value as stale: clients still see it, and one of them is told to renew it
	AddInt                   // add Int to a value of 4 bytes by Tokyo Tyrant's rules; an absent key is created
	AddDouble                // add Double to a value of 8 bytes; an absent key is created
)

// Request is one operation for Commit. It may be reused; the slices are not kept.
type Request struct {
	Op      Op
	Key     []byte // 1..65535 bytes
	Value   []byte // Set, Add, Replace, Append, Prepend, Shift, CAS
	Type    []byte // HTTP Content-Type, at most 255 bytes; empty = application/octet-stream
	Flags   uint32
	Expires uint64 // milliseconds since hlc.Epoch (see hlc.Millis), 0 = never; a time in the past is stored and reads as absent
	CAS     uint64 // token to compare with; CAS always, the others but Add when not 0
	Delta   uint64 // Incr, Decr
	Unique  uint64 // token that what is stored is to have; 0: the node chooses one
	Create  bool   // Incr, Decr: an absent key is created with Initial as its number, Flags and Expires; Delta is not applied. Append, Shift: with Value
	Initial uint64
	Int     int32   // AddInt
	Double  float64 // AddDouble
	Width   int     // Shift

	// What memcached's meta commands ask for besides.
	KeepExpires bool // Touch, Invalidate: the expiry stays
	Retime      bool // Incr, Decr: the expiry of a present key becomes RetimeTo
	RetimeTo    uint64
	Claim       bool  // Touch: this client is to renew the value; ErrExists when another one is already
	Vivify      bool  // Add: the value is empty until this client, which is told to, renews it
	Unread      bool  // Touch, Vivify: does not count as a read
	Outdated    bool  // with CAS: a token below the present one will do, but then what is stored is stale, and its expiry stays
	Remove      bool  // Invalidate: the value is replaced by an empty one, Flags by 0, the expiry stays only with KeepExpires
	Relayed     bool  // it comes from the update log of a Tokyo Tyrant server
	Level       Level // at which it is to be acknowledged

	scratch []byte
	stale   bool // Outdated: the token was an old one
	creates bool // an absent key
	evicts  bool // Delete: for want of memory
}

// Result is what Commit did.
type Result struct {
	Seq     uint64  // log position: a reply may leave once the store's gate has passed it; 0 = nothing was written
	Token   uint64  // CAS unique of the record now
	Number  uint64  // Incr, Decr: the value now
	Int     int32   // AddInt: the value now
	Double  float64 // AddDouble: the value now
	Expires uint64  // of the record now
	Size    int     // of the value now, bytes; not of a number that was added to
	Fresh   bool    // no live record was there before
}

// Errors of Commit. Each is one outcome of an operation, not a fault, unless said.
var (
	ErrNotFound   = errors.New("key not found")                                                            // Replace, Append, Prepend, CAS, Delete, Incr, Decr, Touch
	ErrExists     = errors.New("key exists")                                                               // Add; Touch with Claim: it is claimed
	ErrConflict   = errors.New("record was changed by another")                                            // a token that does not match
	ErrNotNumeric = errors.New("value is not a number")                                                    // Incr, Decr, AddInt, AddDouble; also a sum of AddDouble
	ErrTooLarge   = errors.New("value is larger than max-value")                                           // also a result of Append, Prepend or Shift
	ErrKey        = errors.New("key is empty or longer than 65535 bytes")                                  //
	ErrNoSpace    = errors.New("disk is nearly full: free space or lower min-free")                        // fault
	ErrNoMemory   = errors.New("memory limit is reached: raise max-memory or delete keys")                 // fault
	ErrClock      = errors.New("clock of this node is behind its own records: set it right")               // fault
	ErrClockAhead = errors.New("clock of this node is ahead of its peers': set it right")                  // fault
	ErrDamaged    = errors.New("record is damaged on the disk: the peer is asked for it")                  // fault; the log names segment and offset
	ErrReadOnly   = errors.New("store stopped accepting writes after a disk error")                        // fault; until restart
	ErrNoMember   = errors.New("no such member of the mesh")                                               // ForgetPeer
	ErrNoPeer     = errors.New("not stored: no peer is connected, ack=strict")                             // fault; a peer that takes a snapshot does not count
	ErrUnreached  = errors.New("cluster does not answer: nothing was changed, try again")                  // fault; of a store elsewhere: nothing was changed
	ErrUnknown    = errors.New("effect unknown: the cluster did not confirm the write")                    // fault; the same: it may have been executed, or be yet
	ErrMoved      = errors.New("slots of the cluster move, or a master has changed: begin the list again") // fault; the same: of a list
	ErrForeign    = errors.New("the cluster holds something else under this key")                          // fault; the same: nothing was changed
	ErrRefused    = errors.New("not supported on a cluster")                                               // fault; the same: what it cannot do
	ErrClosed     = errors.New("store is closed")                                                          // fault
)

// ErrUnconfirmed is the outcome of a write with LevelStrict that Commit has executed and no peer has confirmed in time.
var ErrUnconfirmed = errors.New("effect unknown: no peer confirmed the write, ack=strict")

// View is a live record held in place. It belongs to the caller of Acquire, who may reuse it for one record at a time.
type View struct {
	Value   []byte // what clients read; valid until Release, must not be changed
	Type    []byte // HTTP Content-Type as stored; valid until Release
	Flags   uint32
	Expires uint64 // milliseconds since hlc.Epoch, 0 = never
	Token   uint64 // CAS unique, ETag
	Stamp   hlc.Stamp
	Stale   bool  // marked by Invalidate, or stored with an old token
	Won     bool  // some client was told to renew the value
	Read    bool  // it was read before, since it was stored
	Relayed bool  // a plain value that came from a Tokyo Tyrant server
	Fault   error // of an Acquire that returned false: why it is not known whether there is a record, or what it is; nil: there is none

	num      [24]byte
	accessed uint32 // second of the last read before this one, 0 = not known
	shard    *shard
}
