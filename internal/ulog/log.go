// Package ulog is the segmented log of versioned records: at once the data, the crash recovery and the replication
// stream. It knows sequence numbers, checksums, files and durability; it does not know keys' current records: the owner
// of the index tells it what is live.
//
// Writers append to memory under one reservation; Flush hands whole groups to the OS, Sync makes them durable. Readers
// see an entry in place from the moment it was appended.
//
// Invariant: durable <= written <= last. After a failed write or sync nothing more is accepted (ErrFailed).
package ulog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
	"github.com/zeebo/xxh3"
)

// Policy says when entries are made durable.
type Policy string

const (
	Never    Policy = "never"    // when the OS likes
	Interval Policy = "interval" // at most Config.SyncInterval later
	Always   Policy = "always"   // before the position counts as passed
)

// Errors of appends. ErrFailed wraps the first error of the disk.
var (
	ErrFailed     = errors.New("log stopped after a disk error")
	ErrFull       = errors.New("no space for another log segment")
	ErrClosed     = errors.New("log is closed")
	ErrGone       = errors.New("log part is gone")           // a position before what is still there in order
	ErrForked     = errors.New("log histories do not match") // a position that this log never had
	errNoHeader   = errors.New("segment has no header")
	errNoEntry    = errors.New("entry is missing")
	errHintOffset = errors.New("hint points to no entry")
	errNoHint     = errors.New("segment has no usable hint")
	errSlots      = errors.New("log has its largest size, 8192 segments: delete data or compact")
)

// Config of a Log. FS and Node are required.
type Config struct {
	FS           vfs.FS
	Node         int
	SegmentSize  int64
	Policy       Policy
	SyncInterval time.Duration
	// Quiesce returns after every reader that was in At when it was called has left; nil: memory is given back at Close only.
	Quiesce func()
	// Notify is called, by any goroutine, whenever Written or Durable rose or the log failed. It must be fast.
	Notify func()
	Logger *slog.Logger
}

// Log is an open log.
type Log struct {
	cfg     Config
	fs      vfs.FS
	log     *slog.Logger
	lock    io.Closer
	sums    sums
	trust   trust
	seed    uint64
	life    Identity
	cut     *Cut
	renewed bool
	scratch record.Record // of recovery
	slots   [maxSlots]atomic.Pointer[segment]

	mu      sync.Mutex // the append reservation
	room    sync.Cond  // on mu: a spare is there, or none will come
	turn    sync.Cond  // on mu: whoever waited for a spare has appended
	waits   bool       // the holder of the reservation waits for a spare
	active  *segment
	spare   *segment
	noSpare error      // why there is none, until the next try
	pending []*segment // with bytes above written, oldest first; the last is active
	chain   []*segment // log segments in order of sequence, without compacted ones
	closed  bool
	last    atomic.Uint64
	lastCRC uint32 // of the entry at last; 0 when that is not known

	flushMu sync.Mutex // the tail's write(2)
	written atomic.Uint64

	syncMu  sync.Mutex // one sync at a time
	durable atomic.Uint64

	dirtyMu  sync.Mutex // never held during I/O
	dirty    []*segment // with bytes above synced, oldest first
	sealing  []*segment // full and synced, waiting for their hint
	unsealed *segment   // the first of them, if it could not be sealed so far

	manMu sync.Mutex // the manifest and the set of files
	man   *manifest

	streamFrom atomic.Uint64
	damage     atomic.Int64
	origins    originTable
	observe    func(hlc.Stamp) // origins.observe, bound once
	// sealedOrigins is origins without what may still be lost: hints must not promise more. Under Open and the keeper of seals.
	sealedOrigins originTable
	failure       atomic.Pointer[error]
	sealed        atomic.Int64  // segments with a hint
	kick          chan struct{} // committer, policy always
	spares, seals keeper
	stop          chan struct{}
	done          sync.WaitGroup
}

// Cut reports what a recovery removed from the end of the log.
type Cut struct {
	Segment string
	Offset  int64
	After   uint64   // last sequence that was kept
	Bytes   int64    // that followed
	Kept    []string // files that they were copied to
}

// Identity is the present life of the log.
func (l *Log) Identity() Identity { return l.life }

// Epoch names the life in 64 bits, for counter contributions.
func (l *Log) Epoch() uint64 {
	return xxh3.Hash(l.life[:])
}

// Renewed reports whether the log had an earlier life: the end of what that wrote may be lost.
func (l *Log) Renewed() bool { return l.renewed }

// Cut is what recovery removed, nil for nothing.
func (l *Log) Cut() *Cut { return l.cut }

// RangeBits is the number of highest bits of a hash that are the same on every node: they name the range of the key.
const RangeBits = 12

// Hash is the hash of a key, the same after a restart. The highest RangeBits depend on the key alone, so that nodes can
// speak of ranges of keys; the others are seeded, so that nobody can choose keys that collide.
func (l *Log) Hash(key []byte) uint64 { return hashKey(key, l.seed) }

func hashKey(key []byte, seed uint64) uint64 {
	return xxh3.Hash(key)&^(1<<(64-RangeBits)-1) | xxh3.HashSeed(key, seed)>>RangeBits
}

// Last is the newest sequence; Written the newest that survives the death of the process; Durable the newest on stable storage.
func (l *Log) Last() uint64    { return l.last.Load() }
func (l *Log) Written() uint64 { return l.written.Load() }
func (l *Log) Durable() uint64 { return l.durable.Load() }

// End writes out what was appended and returns the position of its end.
func (l *Log) End() Position {
	l.mu.Lock()
	p := Position{l.life, l.last.Load(), l.lastCRC}
	l.mu.Unlock()
	l.Flush()
	return p
}

// Failed returns the error that stopped the log, or nil.
func (l *Log) Failed() error {
	if p := l.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Origin is the highest stamp of a node that was ever appended.
func (l *Log) Origin(node int) hlc.Stamp { return l.origins.get(node) }

// Origins is Origin of every node at once, by node.
func (l *Log) Origins() []hlc.Stamp {
	all := make([]hlc.Stamp, hlc.MaxNode+1)
	for node := range all {
		all[node] = l.origins.get(node)
	}
	return all
}

// Lock takes the append reservation: the stamp of an entry is issued and the entry appended under one hold, so stamps of
// one node rise along its log. A holder that waits for a new segment in Append keeps it.
func (l *Log) Lock() {
	l.mu.Lock()
	for l.waits {
		l.turn.Wait()
	}
}

func (l *Log) Unlock() { l.mu.Unlock() }

// Append copies r to the end of the log; the caller holds Lock. The entry is readable at loc at once. An error means
// that nothing was appended.
func (l *Log) Append(r *record.Record) (seq, loc uint64, err error) {
	size := int64(entryHeader + r.Size())
	seg := l.active
	off := seg.used.Load()
	if off+align(size) > seg.size {
		if err := l.rotateLocked(align(size)); err != nil {
			return 0, 0, err
		}
		seg = l.active
		off = seg.used.Load()
	}
	if l.closed {
		return 0, 0, ErrClosed
	}
	if l.failure.Load() != nil {
		return 0, 0, l.Failed()
	}
	seq = l.last.Load() + 1
	behind := (seq - l.durable.Load() + distanceUnit - 1) / distanceUnit
	l.lastCRC = l.sums.putEntry(seg.buf[off:off+size:off+size], seq, uint16(min(behind, distanceMax)), r)
	if size >= trustFrom {
		l.trust.note(seg, off)
	}
	seg.used.Store(off + align(size))
	seg.last.Store(seq)
	l.last.Store(seq)
	if r.Kind == record.Counter {
		r.Stamps(l.observe)
	} else {
		l.origins.observe(r.Stamp)
	}
	return seq, seg.loc(off), nil
}

// rotateLocked makes a segment with room for an entry of need bytes the active one.
func (l *Log) rotateLocked(need int64) error {
	if l.closed {
		return ErrClosed
	}
	if err := l.Failed(); err != nil {
		return err
	}
	var next *segment
	if segmentHeader+need > l.cfg.SegmentSize {
		var err error
		next, err = l.createSegment((segmentHeader + need + 4095) &^ 4095)
		if errors.Is(err, errInDoubt) {
			l.failLocked(err)
			go l.notify() // who is told may want the reservation
			return l.Failed()
		}
		if err != nil {
			return err
		}
	}
	for next == nil {
		switch {
		case l.closed:
			return ErrClosed
		case l.failure.Load() != nil:
			return l.Failed()
		case l.spare != nil:
			next, l.spare = l.spare, nil
		case l.noSpare != nil:
			err := l.noSpare
			l.noSpare = nil
			l.spares.wake()
			return err
		default:
			l.spares.wake()
			l.waits = true
			l.room.Wait()
			l.waits = false
			l.turn.Broadcast() // they get mu after this append, or when it waits again
		}
	}
	l.activateLocked(next)
	l.spares.wake()
	return nil
}

func (l *Log) activateLocked(next *segment) {
	next.first = l.last.Load() + 1
	putSegmentHeader(next.buf, next.kind, l.life, next.id, next.first)
	next.last.Store(l.last.Load())
	next.used.Store(segmentHeader)
	l.pending = append(l.pending, next)
	l.chain = append(l.chain, next)
	l.active = next
}

// AddLive accounts that the index began (size > 0) or ceased (size < 0) to point to the entry at loc, whose record has
// this size.
func (l *Log) AddLive(loc uint64, size int64) {
	n := align(entryHeader + max(size, -size))
	if size < 0 {
		n = -n
	}
	l.slots[loc>>offsetBits].Load().live.Add(n)
}

// fail stops the log. The first error counts.
func (l *Log) fail(err error) {
	l.mu.Lock()
	l.failLocked(err)
	l.mu.Unlock()
	l.notify()
}

// failLocked is fail of a caller that holds the reservation and sees to the notice.
func (l *Log) failLocked(err error) {
	err = fmt.Errorf("%w: %w: the disk must be checked and the node restarted", ErrFailed, err)
	if l.failure.CompareAndSwap(nil, &err) {
		l.log.Error("log stopped, writes are refused until a restart", "err", err)
	}
	l.room.Broadcast()
}

func (l *Log) notify() {
	if l.cfg.Notify != nil {
		l.cfg.Notify()
	}
}

// originTable holds the highest stamp of each node.
type originTable struct {
	stamps [hlc.MaxNode + 1]atomic.Uint64
}

func (t *originTable) observe(s hlc.Stamp) {
	at := &t.stamps[s.Node()]
	for {
		old := at.Load()
		if old >= uint64(s) || at.CompareAndSwap(old, uint64(s)) {
			return
		}
	}
}

func (t *originTable) get(node int) hlc.Stamp { return hlc.Stamp(t.stamps[node].Load()) }

func (t *originTable) list() []hintOrigin {
	var list []hintOrigin
	for node := range t.stamps {
		if s := t.get(node); s != 0 {
			list = append(list, hintOrigin{s})
		}
	}
	return list
}
