// Package store is the database: it evaluates operations, stamps them, merges foreign records, appends to the log and
// points the index. It is the only writer. Commit and Apply are the two ways in; neither waits for disk or peer: the
// gate says when a reply may leave.
//
// Lock order: shard, then the log's reservation. A shard lock is held for as long as bytes of a record are read in
// place; the log gives memory back only after passing all of them.
package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/index"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
)

// Config of a Store. FS and Node are required; DefaultConfig gives the rest.
type Config struct {
	FS            vfs.FS
	Node          int
	Fsync         ulog.Policy
	FsyncInterval time.Duration
	SegmentSize   int64
	MaxValue      int64         // bytes
	MaxMemory     int64         // of the index, and of the log with an FS in memory; bytes, 0 = no bound. SetMaxMemory changes it
	InMemory      bool          // FS is anonymous memory: the log counts to MaxMemory
	Evict         bool          // the log counts to MaxMemory, and records that are not read go before it is reached
	MinFree       int64         // disk space below which client writes are refused, bytes
	MaxClockDrift time.Duration // ahead of the wall
	LogRetain     int64         // log kept for a peer that is behind, bytes

	TombstoneRetention time.Duration // how long deletes are remembered at least
	HorizonStep        time.Duration // in which steps they are forgotten
	AwaitPeer          bool          // there is a peer, even if it was never met: nothing is forgotten before

	CompactRate int64 // bytes scanned a second

	// AckPeer makes the gate wait for a peer (design: ack=peer), AckStrict makes it do so without ever going solo
	// (ack=strict). AckTimeout is the longest wait for a silent one.
	AckPeer, AckStrict bool
	AckTimeout         time.Duration

	// Damaged is called, by any goroutine, when a record of a part, as ScanPart counts them, was found spoilt by the disk: the
	// peers must be asked for the part, then Mended be told. nil: nobody is asked.
	Damaged func(part int)

	Logger *slog.Logger
	Now    func() time.Time // the wall clock; nil: time.Now, or Steady
	Steady *hlc.Steady      // where it is to be held steady
}

// DefaultConfig is a node in anonymous memory.
func DefaultConfig() Config {
	return Config{
		FS: vfs.Memory(), InMemory: true, Node: 1, Fsync: ulog.Interval, FsyncInterval: time.Second, SegmentSize: 64 << 20,
		MaxValue: 64 << 20, MaxClockDrift: time.Minute, LogRetain: 4 << 30, CompactRate: 40 << 20, TombstoneRetention: 24 * time.Hour, HorizonStep: horizonStep, AckTimeout: 300 * time.Millisecond,
	}
}

const shardCount = 1024

// shard is one part of the key space. Its mutex orders all operations on its keys.
type shard struct {
	mu  sync.Mutex
	idx *index.Index
	_   [64 - 16]byte
}

// Store is an open database.
type Store struct {
	cfg    Config
	limits atomic.Pointer[Limits]
	logger *slog.Logger
	clock  *hlc.Clock
	log    *ulog.Log
	gate   gate
	floors floors
	marks  marks
	epoch  uint64 // of the log: names this node's counter contributions

	shards [shardCount]shard
	items  atomic.Int64 // records that are no tombstones
	tombs  atomic.Int64

	horizon    horizon
	forgetting forgetting
	members    members
	covered    covered
	conflicts  conflicts
	digests    digests
	clocks     clocks
	damages    damages

	judging   sync.Mutex
	refusedAt time.Time             // since when they are; under judging
	refusal   atomic.Pointer[error] // why client writes are refused; nil = they are not
	retained  retention
	scans     scanState
	counts    counts
	accesses  accesses
	maxMemory atomic.Int64 // Config.MaxMemory as it is now

	youngFrom atomic.Uint64 // segment from which on the hand of the eviction leaves records alone; 0: there is nothing older

	stop    chan struct{}
	workers sync.WaitGroup
}

// Open recovers the store.
func Open(cfg Config) (*Store, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil && cfg.Steady != nil {
		cfg.Now = cfg.Steady.Now
	}
	s := &Store{cfg: cfg, logger: cfg.Logger, clock: hlc.NewClock(cfg.Node, cfg.MaxClockDrift, cfg.Now), stop: make(chan struct{})}
	s.SetLimits(Limits{cfg.MinFree, cfg.LogRetain, cfg.CompactRate})
	s.maxMemory.Store(cfg.MaxMemory)
	s.marks.all = map[string]mark{}
	s.members.all, s.members.changed = map[int]memberEntry{}, make(chan struct{})
	for i := range s.digests.groups {
		s.digests.groups[i].hours = map[int64]Sum{}
	}
	s.scans.idle.L = &s.scans.mu
	s.damages.parts = map[int]bool{}
	match := func(loc uint64, key []byte) bool { return s.log.MayHaveKey(loc, key) }
	for i := range s.shards {
		// Shards fill evenly; different thresholds keep them from growing in the same moment.
		s.shards[i].idx = index.New(match, 70+i%11)
	}
	s.gate.init(s)
	log, err := ulog.Open(ulog.Config{
		FS: cfg.FS, Node: cfg.Node, SegmentSize: cfg.SegmentSize, Policy: cfg.Fsync, SyncInterval: cfg.FsyncInterval,
		Quiesce: s.quiesce, Notify: s.gate.logRose, Logger: cfg.Logger,
	}, ulog.Recovery{Opened: func(l *ulog.Log) { s.log = l }, Reserve: s.reserve, Hint: s.recoverHint, Entry: s.recoverEntry})
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	s.log = log
	s.epoch = log.Epoch()
	s.gate.logRose()
	for node := 1; node <= hlc.MaxNode; node++ {
		s.clock.Restore(log.Origin(node))
		s.Cover(node, log.Origin(node)) // what comes once more is no conflict
	}
	s.openAdmitted()
	s.expectKnown()
	s.openKept()
	if err := s.openAfterLoss(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	s.accesses.second.Store(uint32(s.clock.Now() / 1000))
	s.judge()
	s.workers.Go(s.housekeep)
	s.workers.Go(s.compactLoop)
	if cfg.Evict && cfg.MaxMemory > 0 {
		s.workers.Go(s.evictLoop)
	}
	return s, nil
}

// Close stops the workers and closes the log in order. No other method may run or follow, but for those that tell figures:
// Stats, Memory, Acknowledgement, Healthy.
func (s *Store) Close() error {
	close(s.stop)
	s.scans.abort()
	s.workers.Wait()
	s.writeConflicts()
	s.conflicts.fileMu.Lock()
	s.conflicts.close()
	s.conflicts.fileMu.Unlock()
	err := s.log.Close()
	s.gate.logRose()
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.idx.Close()
		sh.mu.Unlock()
	}
	return err
}

// Now is the wall time in milliseconds since hlc.Epoch.
func (s *Store) Now() int64 { return s.clock.Now() }

// Clock is the node's clock.
func (s *Store) Clock() *hlc.Clock { return s.clock }

// Log is the log, for who streams it.
func (s *Store) Log() *ulog.Log { return s.log }

// Last is the end of the log.
func (s *Store) Last() uint64 { return s.log.Last() }

// Durability is empty: the gate decides, by Level.
func (s *Store) Durability() string { return "" }

// Sync returns when all that was written here is on the disk.
func (s *Store) Sync() error { return s.log.Sync() }

// MaxValue is the largest value in bytes.
func (s *Store) MaxValue() int64 { return s.cfg.MaxValue }

// Flush starts making everything committed as safe as configured. Call it once after a round of operations.
func (s *Store) Flush() { s.log.Commit() }

// quiesce waits until everybody who read a record in place has left.
func (s *Store) quiesce() {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		//lint:ignore SA2001 passing the lock is the point
		s.shards[i].mu.Unlock()
	}
}

// Probe returns once every lock that requests take was free: never, if one is held for ever.
func (s *Store) Probe() { s.quiesce() }

func (s *Store) shardOf(h uint64) *shard { return &s.shards[h>>54] }

// alive reports whether clients see the record.
func (s *Store) alive(r *record.Record) bool {
	now := int64(0)
	if r.Expires != 0 {
		now = s.clock.Now()
	}
	return living(r, now, s.floors.current(s))
}

// Acquire finds the live record of key and holds it in place; false when there is none, or it is Damaged, and then nothing
// is held.
// Release must follow soon: nothing that blocks, and no other call to the store, may come between.
func (s *Store) Acquire(key []byte, v *View) bool { return s.acquire(key, v, true) }

// Peek is Acquire that does not count as a read.
func (s *Store) Peek(key []byte, v *View) bool { return s.acquire(key, v, false) }

func (s *Store) acquire(key []byte, v *View, note bool) bool {
	v.Fault = nil
	if len(key) == 0 || len(key) > record.MaxKey {
		return false
	}
	h := s.log.Hash(key)
	sh := s.shardOf(h)
	sh.mu.Lock()
	loc, read, ok := sh.idx.Read(h, key, note)
	if !ok {
		sh.mu.Unlock()
		return false
	}
	var r record.Record
	if !s.at(PartOf(h), loc, &r) {
		v.Fault = ErrDamaged
		sh.mu.Unlock()
		return false
	}
	if !s.alive(&r) {
		sh.mu.Unlock()
		return false
	}
	v.Value, v.Type, v.Flags, v.Expires, v.Stamp, v.Token, v.shard = r.Value, r.Type, r.Flags, r.Expires, r.Stamp, r.Token(), sh
	v.Stale, v.Won, v.Read, v.Relayed = r.Stale, r.Won, read, r.Relayed && r.Kind == record.Value
	if note {
		v.accessed = s.accesses.note(h)
	} else {
		v.accessed = s.accesses.last(h)
	}
	if r.Kind == record.Counter {
		v.Value = r.Bytes(v.num[:0])
	}
	return true
}

// Idle is how many seconds ago the record was last read or written, as far as this node remembers.
func (v *View) Idle(now int64) int64 {
	return max(0, now/1000-max(int64(v.accessed), v.Stamp.Millis()/1000))
}

// Release lets go of the record.
func (v *View) Release() {
	sh := v.shard
	v.shard, v.Value, v.Type = nil, nil, nil
	if sh != nil { // a record of another store is a copy
		sh.mu.Unlock()
	}
}

// writable returns why an operation of clients is refused. Deletes go on while memory or space is short.
func (s *Store) writable(frees bool) error {
	if s.log.Failed() != nil {
		return ErrReadOnly
	}
	if p := s.refusal.Load(); p != nil {
		if frees && (errors.Is(*p, ErrNoSpace) || errors.Is(*p, ErrNoMemory)) {
			return nil
		}
		if s.cfg.Evict && errors.Is(*p, ErrNoMemory) && s.awaitRoom() {
			return nil
		}
		return *p
	}
	return nil
}

// Healthy returns what makes the whole node unfit for clients: a failed disk or a clock behind its own records. A full
// disk or memory does not; reads go on.
func (s *Store) Healthy() error {
	if err := s.writable(true); err != nil {
		return err
	}
	return nil
}

// judge decides whether client writes are accepted.
func (s *Store) judge() {
	s.judging.Lock()
	defer s.judging.Unlock()
	var why error
	if err := s.clock.Drift(); err != nil {
		why = ErrClock
	} else if s.aheadOfAll() {
		why = ErrClockAhead
	} else if free, err := s.cfg.FS.Free(); err == nil && free < s.limits.Load().MinFree {
		why = ErrNoSpace
	} else if s.MaxMemory() > 0 && s.Memory() > s.refuseAbove() {
		why = ErrNoMemory
	}
	var old error
	if p := s.refusal.Load(); p != nil {
		old = *p
	}
	if errors.Is(old, why) {
		return
	}
	if why == nil {
		s.refusal.Store(nil)
		s.logger.Info("client writes are accepted again")
		return
	}
	if old == nil {
		s.refusedAt = time.Now()
	}
	s.refusal.Store(&why)
	s.logger.Warn("client writes are refused", "err", why)
}

// refuseAbove is the memory above which writes are refused. Eviction keeps well below MaxMemory but in bursts.
func (s *Store) refuseAbove() int64 {
	if s.cfg.Evict {
		return s.MaxMemory() + s.MaxMemory()/8
	}
	return s.MaxMemory()
}

// Memory is what MaxMemory bounds, in bytes.
func (s *Store) Memory() int64 {
	n := int64(0)
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.idx.Bytes()
		sh.mu.Unlock()
	}
	if s.cfg.InMemory || s.cfg.Evict {
		n += s.log.Usage().Bytes
	}
	return n
}

// housekeep judges, fires floors that are due and sweeps what they killed, raises the horizon, and writes down conflicts.
func (s *Store) housekeep() {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var jumped time.Time
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			s.accesses.second.Store(uint32(s.clock.Now() / 1000))
			s.followWall(&jumped)
			s.judge()
			s.sweepFloor()
			s.stepHorizon()
			s.writeConflicts()
			s.buildDigest()
		}
	}
}

// errnoFull turns a refusal of the log into the one of the store.
func appendError(err error) error {
	switch {
	case errors.Is(err, ulog.ErrFull):
		return ErrNoSpace
	case errors.Is(err, ulog.ErrClosed):
		return ErrClosed
	}
	return ErrReadOnly
}
