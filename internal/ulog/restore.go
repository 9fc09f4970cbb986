package ulog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
	"github.com/zeebo/xxh3"
)

// RestoreConfig says what Restore takes from where. Base and Progress may be nil.
type RestoreConfig struct {
	From vfs.FS    // the log; nothing is changed, a running node may use it
	Base vfs.FS    // an earlier copy of it, for what compactions have removed since
	To   vfs.FS    // an empty folder
	Time time.Time // the state at this time is restored
	// Partial writes the folder even if some of that state is in neither log.
	Partial  bool
	Progress func(done, total int64) // of records that are written
}

// Restored is what Restore found and wrote.
type Restored struct {
	Records    int `json:"records"` // written, without tombstones
	Tombstones int `json:"tombstones"`
	FromBase   int `json:"from_base"` // of both
	// Missing keys had a state then that is in neither log; Examples are some of them.
	Missing  int      `json:"missing"`
	Examples []string `json:"examples,omitempty"`
	// Flushed says that a flush after the time may have removed keys without a trace.
	Flushed bool `json:"flushed"`
	// Hole says that the log had lost entries before, and not all of them are back.
	Hole     bool     `json:"hole"`
	Damage   []Damage `json:"damage"`
	Written  bool     `json:"written"`
	Identity Identity `json:"identity,omitzero"` // of the new log
}

// Complete reports whether the state at the time is known as a whole.
func (r *Restored) Complete() bool {
	return r.Missing == 0 && !r.Flushed && !r.Hole && len(r.Damage) == 0
}

// Restore writes the state of a log at a time as a new log: for every key its newest entry, in order of sequence, whose
// stamp is not later. Which state a later entry replaced is in that entry; an earlier state of a key that a peer replaced
// without knowing of it is not missed. Floors of that time count, marks are left out. The new log has a new identity and a hole: a node that
// opens it asks its peers for everything. When the state is not complete nothing is written, unless Partial. It takes about
// 200 bytes of memory for each key. When ctx ends it stops and returns the cause; what it has written by then is no log.
func Restore(ctx context.Context, cfg RestoreConfig) (*Restored, error) {
	if man, err := loadManifest(cfg.To); err != nil || man != nil {
		return nil, cmp.Or(err, errors.New("the new folder has a log already: name an empty one"))
	}
	from, err := openFolder(cfg.From)
	if err != nil {
		return nil, err
	}
	defer from.close()
	r := &restorer{cfg: cfg, until: hlc.Millis(cfg.Time), from: from, keys: map[xxh3.Uint128]keyState{}}
	if cfg.Base != nil {
		if r.base, err = openFolder(cfg.Base); err != nil {
			return nil, fmt.Errorf("open base: %w", err)
		}
		defer r.base.close()
		if err := r.relate(); err != nil {
			return nil, err
		}
	}
	if err := r.collect(ctx); err != nil {
		return nil, err
	}
	list := r.choose()
	if !r.done.Complete() && !cfg.Partial {
		return &r.done, nil
	}
	return &r.done, r.write(ctx, list)
}

type restorer struct {
	cfg        RestoreConfig
	until      int64 // milliseconds since hlc.Epoch
	from, base *folder
	shared     uint64 // up to here sequences of base name the same entries
	reaches    bool   // the base is from after the time: later entries of the log are later than the time
	keys       map[xxh3.Uint128]keyState
	floor      hlc.Stamp // in force at the time
	floorAt    source
	flushes    []uint64 // sequences of those that came after the time
	done       Restored
}

// source says where an entry is.
type source struct {
	seq, loc uint64
	base     bool
}

// keyState is what is known of one key. sequence 0 = no such entry.
type keyState struct {
	then   source    // the newest entry that is not later than the time
	stamp  hlc.Stamp // of it
	next   source    // the first one after it
	origin hlc.Stamp // stamp of what next replaced
	fresh  bool      // next was written because nothing was there at the time
	gone   bool      // the newest entry is not in the log itself: a flush removed it
}

// relate finds out how far both logs are the same.
func (r *restorer) relate() error {
	a, b := r.from.man, r.base.man
	if a.Node != b.Node {
		return fmt.Errorf("base is of node %d, the log is of node %d: name an earlier copy of the same data folder", b.Node, a.Node)
	}
	if a.Identity == b.Identity {
		r.shared = r.base.last
		return nil
	}
	for _, past := range a.Past {
		if past.Identity == b.Identity {
			r.shared = min(past.Last, r.base.last)
			return nil
		}
	}
	return errors.New("base is no earlier copy of this log: the log never had its identity")
}

// collect reads both logs as one.
func (r *restorer) collect(ctx context.Context) error {
	h := r.from.timeline()
	own, stop := iter.Pull(h.all)
	defer stop()
	var hb timeline
	old := func() (Entry, bool) { return Entry{}, false }
	if r.base != nil {
		hb = *r.base.timeline()
		var stop func()
		old, stop = iter.Pull(hb.all)
		defer stop()
	}
	e, more := own()
	b, moreBase := old()
	for more || moreBase && b.Seq <= r.shared {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if more && (!moreBase || b.Seq > r.shared || e.Seq <= b.Seq) {
			if moreBase && e.Seq == b.Seq {
				b, moreBase = old()
			}
			r.take(e, false)
			e, more = own()
			continue
		}
		r.take(b, true)
		b, moreBase = old()
	}
	r.done.Damage = append(h.damage, hb.damage...)
	if r.done.Damage == nil {
		r.done.Damage = []Damage{}
	}
	r.done.Hole = len(r.from.man.Holes) > 0
	return cmp.Or(h.err, hb.err)
}

func (r *restorer) take(e Entry, base bool) {
	at := source{e.Seq, e.Loc, base}
	within := e.Raw.Stamp().Millis() <= r.until
	r.reaches = r.reaches || !within && e.Seq <= r.shared
	switch e.Raw.Kind() {
	case record.Mark:
		return
	case record.Floor:
		var rec record.Record
		e.Raw.Into(&rec)
		switch floor := rec.FloorStamp(); {
		case !within || floor.Millis() > r.until: // one that was still to come does not come in the new log
			if floor.Millis() <= hlc.Millis(time.Now()) {
				r.flushes = append(r.flushes, e.Seq)
			}
		case floor > r.floor:
			r.floor, r.floorAt = floor, at
		}
		return
	}
	k := xxh3.Hash128Seed(e.Raw.Key(), keySpace(e.Raw.Kind()))
	st := r.keys[k]
	st.gone = base
	switch {
	case within:
		st = keyState{then: at, stamp: e.Raw.Stamp(), gone: base}
	case st.next.seq == 0:
		st.next, st.origin = at, e.Raw.Replaced()
		var rec record.Record
		e.Raw.Into(&rec)
		st.fresh = st.origin == 0 || rec.Kind == record.Value && rec.Created && st.origin.Millis() <= r.until
	}
	r.keys[k] = st
}

// keySpace keeps what clients call a key and the ids of members apart.
func keySpace(k record.Kind) uint64 {
	if k == record.Member {
		return 1
	}
	return 0
}

// covered reports whether all entries behind seq are known: those that a compaction removed from the log are in the base.
func (r *restorer) covered(seq uint64) bool {
	from := r.from.man.StreamFrom
	return seq >= from || r.base != nil && seq >= r.base.man.StreamFrom && (r.reaches || r.shared >= from)
}

// keeps reports whether the keys that a flush at seq removed are known: nothing was compacted, or the base is from before
// it and reaches far enough.
func (r *restorer) keeps(seq uint64) bool {
	from := r.from.man.StreamFrom
	return from == 0 || r.base != nil && (r.reaches || r.shared >= from) && (seq > r.shared || r.base.man.StreamFrom == 0)
}

// choose lists the entries of the state, in order of sequence, and counts what is not known.
func (r *restorer) choose() (list []source) {
	r.done.Flushed = slices.ContainsFunc(r.flushes, func(seq uint64) bool { return !r.keeps(seq) })
	for _, st := range r.keys {
		known := r.covered(st.then.seq)
		switch {
		case r.reaches && (st.next.seq == 0 || st.next.seq > r.shared): // the newest that the base knows
			known = true
		case st.next.seq != 0: // what it replaced tells whether anything is missing in between
			known = known || st.fresh && st.then.seq == 0 || st.then.seq != 0 && st.origin == st.stamp
		case !st.gone: // the newest of all
			known = true
		}
		if !known {
			r.done.Missing++
			if len(r.done.Examples) < 10 {
				if e, err := r.read(cmp.Or(st.next, st.then)); err == nil {
					r.done.Examples = append(r.done.Examples, string(e.Raw.Key()))
				}
			}
		}
		if st.then.seq != 0 {
			list = append(list, st.then)
		}
	}
	slices.Sort(r.done.Examples)
	if r.floorAt.seq != 0 {
		list = append(list, r.floorAt)
	}
	slices.SortFunc(list, func(a, b source) int { return cmp.Compare(a.seq, b.seq) })
	return list
}

func (r *restorer) read(at source) (Entry, error) {
	if at.base {
		return r.base.read(at.loc)
	}
	return r.from.read(at.loc)
}

// write makes the new log.
func (r *restorer) write(ctx context.Context, list []source) error {
	l, err := Open(Config{FS: r.cfg.To, Node: r.from.man.Node, SegmentSize: r.segmentSize(), Policy: Never}, Recovery{Entry: func(Entry) {}})
	if err != nil {
		return fmt.Errorf("open the new log: %w", err)
	}
	if err = r.fill(ctx, l, list); err == nil {
		l.Flush()
		err = l.Sync()
	}
	r.done.Identity = l.Identity()
	if err = errors.Join(err, l.Close()); err == nil {
		err = NoteRestored(r.cfg.To, r.from.man.Identity, l.Last())
	}
	if err != nil {
		return fmt.Errorf("write the new log: %w", err)
	}
	r.done.Written = true
	return nil
}

// NoteRestored notes in a log that is closed, and ends with sequence last, that it holds an earlier state of another one: a
// node that opens it has forgotten nothing and asks its peers for everything.
func NoteRestored(fs vfs.FS, of Identity, last uint64) error {
	m, err := loadManifest(fs)
	if err != nil {
		return err
	}
	if m == nil {
		return errNoManifest
	}
	m.Past = []pastLife{{of, 0}}
	m.Holes = []hole{{Life: of, Last: last}}
	return storeManifest(fs, m)
}

// segmentSize is that of the log, whose segments are larger only for a large entry.
func (r *restorer) segmentSize() int64 {
	size := int64(MaxSegmentSize)
	for _, it := range r.from.man.Segments {
		if it.Kind == kindLog && it.Size >= 4096 {
			size = min(size, it.Size)
		}
	}
	return size
}

func (r *restorer) fill(ctx context.Context, l *Log, list []source) error {
	var rec record.Record
	for i, at := range list {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, err := r.read(at)
		if err != nil {
			return err
		}
		e.Raw.Into(&rec)
		if rec.Kind != record.Floor && rec.DeadBelow(r.floor) {
			continue
		}
		l.Lock()
		_, _, err = l.Append(&rec)
		l.Unlock()
		if err != nil {
			return err
		}
		switch {
		case rec.Kind == record.Tombstone:
			r.done.Tombstones++
		case rec.Kind != record.Floor:
			r.done.Records++
		}
		if at.base {
			r.done.FromBase++
		}
		if i%1024 == 1023 {
			l.Flush()
		}
		if r.cfg.Progress != nil {
			r.cfg.Progress(int64(i+1), int64(len(list)))
		}
	}
	return nil
}
