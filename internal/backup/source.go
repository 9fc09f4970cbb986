package backup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/zeebo/xxh3"
)

const (
	// MaxRunning is how many backups of a node may run at once. Each holds a segment of the log and some MiB.
	MaxRunning = 2
	// MaxHold is the longest time for which a node keeps its log for the next backup.
	MaxHold = 31 * 24 * time.Hour
	// slowest is how long a reader may take for a piece of a backup, hurried for what is left of it once it must end.
	slowest = 30 * time.Second
	hurried = time.Second
	// settle is how long a backup waits for what was written before it began to be acknowledged.
	settle = 5 * time.Second
	// longestScan is how long compaction is kept away at a stretch by a reader that is slow.
	longestScan = time.Second
)

// Why there is no backup.
var (
	errFull  = errors.New("too many backups of this node run: wait for one, or take it of another node")
	errEnded = errors.New("this node stops: take the backup of another node")
)

// SourceConfig of a Source. Store, Node and Program are required.
type SourceConfig struct {
	Store   *store.Store
	Node    int
	Program string // its version
	Logger  *slog.Logger
}

// Source makes backups of a node.
type Source struct {
	cfg     SourceConfig
	slowest time.Duration
	scan    time.Duration // longestScan

	mu      sync.Mutex
	ended   chan struct{} // closed by Close
	closed  bool
	running int
	done    sync.WaitGroup
	last    Last
}

// Last is the last backup that a reader has got whole since the node started; the zero value is none.
type Last struct {
	Time time.Time `json:"time,omitzero"`
	Kind Kind      `json:"kind,omitempty"`
}

// NewSource returns the source of a node.
func NewSource(cfg SourceConfig) *Source {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Source{cfg: cfg, slowest: slowest, scan: longestScan, ended: make(chan struct{})}
}

// Request says which backup is wanted.
type Request struct {
	From   *feed.Position // nil: a full one
	Parent ID             // of an incremental one: the backup that ends at From
	Hold   time.Duration  // for how long the log is kept for the next one; 0: not
}

// Last is the last whole backup.
func (s *Source) Last() Last {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// enter counts a backup in.
func (s *Source) enter() (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errEnded
	case s.running == MaxRunning:
		return nil, errFull
	}
	s.running++
	s.done.Add(1)
	return func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
		s.done.Done()
	}, nil
}

// Close ends all backups and returns when none reads the store any more.
func (s *Source) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.ended)
	}
	s.mu.Unlock()
	s.cfg.Store.BeginScan() // ends a compaction that has its turn in a backup
	s.cfg.Store.EndScan()
	s.done.Wait()
}

// run is one backup on its way.
type run struct {
	ctx     context.Context
	st      *store.Store
	cursor  *feed.Cursor
	reading *store.Reading
	out     *writer
	longest time.Duration // Source.scan
	turns   time.Duration // that compaction had
	began   time.Time
}

// write makes a backup. Nothing is written before the error is feed.ErrGone: the log behind the position is not there any more.
func (s *Source) write(ctx context.Context, w io.Writer, req Request) (t Trailer, err error) {
	st := s.cfg.Store
	b := &run{ctx: ctx, st: st, longest: s.scan, began: time.Now()}
	h := Header{ID: newID(), Kind: Full, Node: s.cfg.Node, Log: st.Log().Identity(), Program: s.cfg.Program, Began: s.now()}
	if req.From == nil {
		b.cursor, err = feed.Begin(st, s.cfg.Node)
		h.Expected = st.Items()
	} else if b.cursor, err = feed.Resume(st, s.cfg.Node, *req.From); err == nil {
		h.Kind, h.Parent, h.From = Incremental, req.Parent, req.From.String()
		at := b.cursor.Position().At.Seq
		h.Expected = int64(max(st.Log().Written(), at) - at)
	}
	if err != nil {
		return t, err
	}
	defer b.cursor.Close()
	// A compaction may have begun before the log is kept: what it takes away is missed, and the backup ends with feed.ErrGone.
	b.reading = st.KeepForReader(b.cursor.Position().At.Seq)
	defer b.reading.End()
	if b.out, err = newWriter(w, h); err != nil {
		return t, err
	}
	if req.From == nil {
		if err := b.scan(); err != nil {
			return t, err
		}
	}
	b.settle()
	t.Time = s.now()
	if err := b.follow(st.Acknowledged()); err != nil {
		return t, err
	}
	at := b.cursor.Position()
	if req.Hold > 0 {
		if err := st.KeepUntil(at.At.Seq, s.now().Add(req.Hold)); err != nil { // a node whose disk has failed is worth a backup
			s.cfg.Logger.Warn("log is not kept for the next backup", "err", err)
		}
	}
	t.Position, t.Took, t.Born, t.Damaged = at.String(), time.Since(b.began).Seconds(), max(st.Born(), st.Horizon()), len(st.Damaged())
	if t, err = b.out.close(t); err != nil {
		return t, err
	}
	return t, nil
}

// now is the wall clock that stamps are made of.
func (s *Source) now() time.Time {
	return hlc.Epoch.Add(time.Duration(s.cfg.Store.Now()) * time.Millisecond)
}

// scan writes all records, and between them what has come into the log, so that its reader stays close to the end.
func (b *run) scan() error {
	b.st.SweepFlush() // what a flush has killed need not go along
	for _, r := range b.st.Preface() {
		b.out.add(&r)
	}
	sent := map[xxh3.Uint128]struct{}{}
	for part := range store.ScanParts {
		clear(sent)
		for done := false; !done; {
			var err error
			if done, err = b.scanPart(part, sent); err == nil {
				err = b.follow(b.st.Acknowledged())
			}
			if err != nil {
				return err
			}
			b.yield()
		}
	}
	return nil
}

// scanPart writes the records of a part but for those that were sent. It is not done when it took so long that compaction must have
// a turn, which would move what was listed.
func (b *run) scanPart(part int, sent map[xxh3.Uint128]struct{}) (done bool, err error) {
	b.st.BeginScan()
	defer b.st.EndScan()
	began, full := time.Now(), false
	done = b.st.ScanPart(part, func(r *record.Record) bool {
		key := xxh3.Hash128(r.Key)
		if _, ok := sent[key]; !ok {
			sent[key] = struct{}{}
			full = b.out.add(r)
		}
		return full
	}, func() bool {
		if !full {
			return true // the end: the rest goes with the next part
		}
		full = false
		if err = b.flush(); err == nil {
			err = b.follow(b.st.Acknowledged())
		}
		return err == nil && time.Since(began) < b.longest
	})
	return done, err
}

// yield lets compaction run for up to half of the time: a backup that takes hours must not let the log grow.
func (b *run) yield() {
	if b.ctx.Err() != nil || b.turns > time.Since(b.began)/2 {
		return
	}
	turn := time.Now()
	b.st.CompactOnce()
	b.turns += time.Since(turn)
}

// follow writes the entries of the log up to a sequence.
func (b *run) follow(until uint64) error {
	for {
		c, err := b.cursor.Next()
		if err != nil {
			return err
		}
		if c == nil {
			break
		}
		if b.out.add(c.Record) {
			if err := b.flush(); err != nil {
				return err
			}
			b.reading.Passed(c.Seq)
		}
		if c.Seq >= until {
			break
		}
	}
	b.reading.Passed(b.cursor.Position().At.Seq)
	return nil
}

func (b *run) flush() error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	return b.out.flush()
}

// settle waits for what the log holds now to be acknowledged, which it may never be without a peer.
func (b *run) settle() {
	end := b.st.Log().End().Seq
	passed := make(chan struct{}, 1)
	defer b.st.OnPass(func() {
		select {
		case passed <- struct{}{}:
		default:
		}
	})()
	patience := time.NewTimer(settle)
	defer patience.Stop()
	for b.st.Acknowledged() < end {
		select {
		case <-passed:
		case <-patience.C:
			return
		case <-b.ctx.Done():
			return
		}
	}
}
