package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/ulog"
	"github.com/futago/futago/internal/vfs"
)

// progressEvery is after how many records progress is told.
const progressEvery = 1024

// Each reads all records; visit may be nil. progress, which may be nil, is told how many were read.
func (b *Reader) Each(progress func(records int64), visit func(rec *record.Record) error) error {
	var rec record.Record
	for {
		err := b.Next(&rec)
		if err == io.EOF {
			return nil
		}
		if err == nil && visit != nil {
			err = visit(&rec)
		}
		if err != nil {
			return err
		}
		if n := b.Read(); progress != nil && n%progressEvery == 0 {
			progress(n)
		}
	}
}

// RestoreConfig says what Restore makes of which backups.
type RestoreConfig struct {
	To vfs.FS // an empty folder
	// Open opens the backups of a chain, one after another, and returns nil behind the last.
	Open func() (io.ReadCloser, error)
	// Node is the id of the node that is to have the records; 0 takes that of the node that the full backup is of.
	Node        int
	SegmentSize int64               // of the new log; 0: the default
	Until       time.Time           // of which the state is wanted; zero: all. Chain has found that the backups lead there
	Progress    func(records int64) // that were read; may be nil
	Logger      *slog.Logger
}

// Restored is what Restore wrote.
type Restored struct {
	Node       int           `json:"node"`
	Identity   ulog.Identity `json:"log"`
	Files      int           `json:"files"`
	Read       int64         `json:"read"`       // records in the backups
	Later      int64         `json:"later"`      // of them, not taken: later than the time
	Records    int64         `json:"records"`    // that clients see, but for what has expired
	Tombstones int64         `json:"tombstones"` // deletes that are remembered
	Time       time.Time     `json:"time"`       // of the state
}

// Restore unites the records of a chain of backups in a new log. What it has written by an error is no log that may be used.
func Restore(ctx context.Context, cfg RestoreConfig) (*Restored, error) {
	r := &restorer{cfg: cfg, done: Restored{Node: cfg.Node, Time: cfg.Until}}
	err := r.readAll(ctx)
	if r.st != nil {
		r.done.Identity = r.st.Log().Identity()
		if err == nil {
			err = r.finish()
		}
		last := r.st.Log().Last()
		err = errors.Join(err, r.st.Close())
		if err == nil {
			err = ulog.NoteRestored(cfg.To, r.last.Log, last)
		}
	}
	if err != nil {
		return nil, err
	}
	return &r.done, nil
}

type restorer struct {
	cfg  RestoreConfig
	st   *store.Store // nil before the first header is read
	last Info
	born hlc.Stamp
	done Restored
}

// readAll applies the backups in order.
func (r *restorer) readAll(ctx context.Context) error {
	for {
		in, err := r.cfg.Open()
		if err != nil {
			return err
		}
		if in == nil {
			break
		}
		err = r.read(ctx, in)
		in.Close()
		if err != nil {
			return err
		}
	}
	if r.done.Files == 0 {
		return fmt.Errorf("%w: there is none", ErrChain)
	}
	return nil
}

func (r *restorer) read(ctx context.Context, in io.Reader) error {
	b, err := NewReader(in)
	if err != nil {
		return err
	}
	defer b.Close()
	switch h := b.header; {
	case r.done.Files == 0 && h.Kind != Full:
		return fmt.Errorf("%w: the first one is incremental, begin with the full one", ErrChain)
	case r.done.Files > 0 && (h.Kind != Incremental || h.Parent != r.last.ID):
		return fmt.Errorf("%w: %s %v does not follow %v", ErrChain, h.Kind, h.ID, r.last.ID)
	}
	if r.st == nil {
		if err := r.open(b.header.Node); err != nil {
			return err
		}
	}
	before := r.done.Read
	progress := func(n int64) {
		if r.cfg.Progress != nil {
			r.cfg.Progress(before + n)
		}
	}
	recs := make([]record.Record, 1)
	pending := 0
	err = b.Each(progress, func(rec *record.Record) error {
		if r.later(rec) {
			r.done.Later++
			return nil
		}
		recs[0] = *rec
		if _, err := r.st.Apply(recs, store.Feed{}); err != nil {
			return fmt.Errorf("write record: %w", err)
		}
		if pending += rec.Size(); pending >= batchBytes {
			pending = 0
			r.st.Log().Flush()
		}
		return context.Cause(ctx)
	})
	if err != nil {
		return err
	}
	r.last, r.born = Info{b.header, *b.trailer}, max(r.born, b.trailer.Born)
	r.done.Files++
	r.done.Read += b.Read()
	return nil
}

// later reports whether the record does not belong to the state that is wanted. A flush that was still to come then does not come.
func (r *restorer) later(rec *record.Record) bool {
	if r.cfg.Until.IsZero() {
		return false
	}
	until := hlc.Millis(r.cfg.Until)
	return rec.NewestStamp().Millis() > until || rec.Kind == record.Floor && rec.FloorStamp().Millis() > until
}

// open makes the store. Nothing is forgotten in it: foreign records as old as they may be are wanted.
func (r *restorer) open(node int) (err error) {
	if r.done.Node == 0 {
		r.done.Node = node
	}
	c := store.DefaultConfig()
	c.FS, c.InMemory, c.Node = r.cfg.To, false, r.done.Node
	c.Fsync, c.CompactRate = ulog.Never, 1<<30
	c.AwaitPeer, c.TombstoneRetention = true, math.MaxInt64
	if r.cfg.SegmentSize > 0 {
		c.SegmentSize = r.cfg.SegmentSize
	}
	// Stamps ahead of this machine's clock are none of a clock that runs wild.
	c.MaxClockDrift = math.MaxInt64
	c.Logger = r.cfg.Logger
	if r.st, err = store.Open(c); err != nil {
		return fmt.Errorf("open the new log: %w", err)
	}
	return nil
}

// finish writes the rest.
func (r *restorer) finish() error {
	if err := r.st.NoteBorn(r.born); err != nil {
		return fmt.Errorf("write the new log: %w", err)
	}
	r.st.SweepFlush()
	s := r.st.Stats()
	r.done.Records, r.done.Tombstones = s.Items, s.Tombstones
	if r.done.Time.IsZero() {
		r.done.Time = r.last.Time
	}
	r.st.Log().Flush()
	return nil
}
