package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/vfs"
)

// Conflict is a change that was dropped whole because another node had changed the same key without knowing of it.
type Conflict struct {
	Time   time.Time `json:"time"` // when this node found it
	Key    []byte    `json:"key"`
	Winner Side      `json:"winner"`
	Loser  Side      `json:"loser"`
}

// Side is one of the two changes.
type Side struct {
	Stamp hlc.Stamp `json:"stamp"`
	Time  time.Time `json:"time"` // of the stamp
	Node  int       `json:"node"` // that made it
	Kind  string    `json:"kind"` // value, counter or tombstone
	Size  int       `json:"size"` // of the value in bytes
}

func sideOf(r *record.Record) Side {
	return Side{Stamp: r.Stamp, Time: r.Stamp.Time(), Node: r.Stamp.Node(), Kind: r.Kind.String(), Size: len(r.Value)}
}

// covered is, for each node, the stamp up to which all its writes are known to have been applied here.
type covered [hlc.MaxNode + 1]atomic.Uint64

// Cover tells that everything of a node's own up to a stamp has been applied here, in the order of its log.
func (s *Store) Cover(node int, upTo hlc.Stamp) { raise(&s.covered[node], upTo) }

// Covered is the highest stamp that Cover told of a node; of this node its own newest.
func (s *Store) Covered(node int) hlc.Stamp {
	if node == s.cfg.Node {
		return s.log.Origin(node)
	}
	return hlc.Stamp(s.covered[node].Load())
}

// seen reports whether everything in r has been applied here before.
func (s *Store) seen(r *record.Record) bool {
	all := true
	r.Stamps(func(st hlc.Stamp) { all = all && st <= s.Covered(st.Node()) })
	return all
}

// knew reports whether the write that made w knew of l, as far as w tells: it replaced l, or a later write of l's author, or
// has the same author.
func knew(w, l *record.Record) bool {
	switch replaced := w.Replaced; {
	case w.Stamp.Node() == l.Stamp.Node() && w.Stamp > l.Stamp:
		return true
	case replaced.Node() == l.Stamp.Node(), replaced.Node() == 0: // the latter: what was forgotten or had expired by then
		return replaced >= l.Stamp
	}
	return false
}

// conflicting reports whether a record that came in a stream and one that was there are changes of which neither knew: in is
// the one that came, lost tells that it was dropped, otherwise there was.
func (s *Store) conflicting(there, in *record.Record, inLost bool) bool {
	winner, loser := in, there
	if inLost {
		winner, loser = there, in
	}
	switch {
	case loser.Kind == record.Tombstone && winner.Kind == record.Tombstone: // the same wish
		return false
	case loser.ExpiredAt(s.clock.Now()), knew(winner, loser):
		return false
	case inLost:
		return !s.seen(in) // otherwise it comes a second time
	}
	// The author of the record that came may have known of the loser through a third write. If that one has not arrived yet,
	// nobody can tell: no alarm.
	return in.Replaced.Node() == 0 || in.Replaced <= s.Covered(in.Replaced.Node())
}

// The conflict log: two files of JSON lines, the newer one begun when the older one is full.
const (
	conflictName    = "conflicts"
	conflictOldName = "conflicts.old"
	conflictBytes   = 1 << 20
	// maxConflicts bounds what waits to be written; more are counted, not kept.
	maxConflicts = 4096
)

type conflicts struct {
	count   atomic.Int64
	dropped atomic.Int64

	mu      sync.Mutex
	pending []Conflict

	fileMu sync.Mutex
	file   vfs.File
	size   int64
}

func (s *Store) noteConflict(there, in *record.Record, inLost bool) {
	c := Conflict{Time: s.clock.Wall(), Key: bytes.Clone(in.Key), Winner: sideOf(in), Loser: sideOf(there)}
	if inLost {
		c.Winner, c.Loser = c.Loser, c.Winner
	}
	s.conflicts.count.Add(1)
	s.conflicts.mu.Lock()
	defer s.conflicts.mu.Unlock()
	if len(s.conflicts.pending) == maxConflicts {
		s.conflicts.dropped.Add(1)
		return
	}
	s.conflicts.pending = append(s.conflicts.pending, c)
}

// writeConflicts hands what waits to the file. A disk that does not take it costs the note, nothing else.
func (s *Store) writeConflicts() {
	c := &s.conflicts
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	c.mu.Lock()
	list := c.pending
	c.pending = nil
	c.mu.Unlock()
	if len(list) == 0 {
		return
	}
	var b []byte
	for i := range list {
		b = append(append(b, encodeMark(list[i])...), '\n')
	}
	if err := c.write(s.cfg.FS, b); err != nil {
		c.dropped.Add(int64(len(list)))
		s.logger.Warn("conflicts are counted but not noted", "err", err)
	}
}

func (c *conflicts) write(fs vfs.FS, b []byte) error {
	if c.file != nil && c.size+int64(len(b)) > conflictBytes {
		c.close()
		if err := fs.Remove(conflictOldName); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := fs.Rename(conflictName, conflictOldName); err != nil {
			return err
		}
	}
	if c.file == nil {
		f, err := fs.Open(conflictName)
		if errors.Is(err, os.ErrNotExist) {
			f, err = fs.Create(conflictName)
		}
		if err != nil {
			return err
		}
		if c.size, err = f.Size(); err != nil {
			f.Close()
			return err
		}
		c.file = f
	}
	if _, err := c.file.WriteAt(b, c.size); err != nil {
		return err
	}
	c.size += int64(len(b))
	return nil
}

func (c *conflicts) close() {
	if c.file != nil {
		c.file.Close()
		c.file = nil
	}
}

// Conflicts returns the newest notes, at most n, the newest last. Lines that the disk spoiled are left out.
func (s *Store) Conflicts(n int) ([]Conflict, error) {
	s.writeConflicts()
	c := &s.conflicts
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	var list []Conflict
	for _, name := range []string{conflictOldName, conflictName} {
		f, err := s.cfg.FS.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(io.NewSectionReader(f, 0, 2*conflictBytes))
		lines.Buffer(nil, conflictBytes)
		for lines.Scan() {
			var one Conflict
			if json.Unmarshal(lines.Bytes(), &one) == nil && one.Key != nil {
				list = append(list, one)
			}
		}
		f.Close()
		if err := lines.Err(); err != nil {
			return nil, err
		}
	}
	if len(list) > n {
		list = list[len(list)-n:]
	}
	return list, nil
}
