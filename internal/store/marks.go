package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// marks are this node's own notes in its log, such as the position held in a peer's log. A mark lies behind the entries
// that it speaks of, so it is exactly as durable as they are.
type marks struct {
	mu  sync.Mutex
	all map[string]mark
}

type mark struct {
	value []byte
	loc   uint64
	seq   uint64
}

// SetMark appends a note under a name and returns its position.
func (s *Store) SetMark(name string, value []byte) (seq uint64, err error) {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	r := record.Record{Kind: record.Mark, Key: []byte(name), Value: value}
	s.log.Lock()
	seq, loc, err := s.log.Append(&r)
	s.log.Unlock()
	if err != nil {
		return 0, appendError(err)
	}
	s.marks.all[name] = mark{bytes.Clone(value), loc, seq}
	return seq, nil
}

// Mark returns the last note under a name, nil when there is none.
func (s *Store) Mark(name string) []byte {
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	return bytes.Clone(s.marks.all[name].value)
}

// gapPrefix begins the names of the marks of gaps, one for each peer.
const gapPrefix = "gap/"

// lifeMark names the mark of the log's life that was seen last.
const lifeMark = "life"

// lostMargin is how far behind the newest stamp that is left the lost ones may have been: what waited for a sync. It is kept
// short, for until the wall has come there this node's writes win over later ones of nodes that do not know of them.
func (s *Store) lostMargin() time.Duration {
	if s.cfg.Fsync == ulog.Never {
		return 10 * time.Second
	}
	return time.Second + 2*s.cfg.FsyncInterval
}

// openAfterLoss notes, when the log may have lost its end, up to which stamp of its own this node surely has everything: any
// peer may hold later ones. The notes outlive restarts and later writes, which have higher stamps: the clock is moved past
// what may be lost, even if the wall stands behind it.
func (s *Store) openAfterLoss() error {
	life := s.log.Identity()
	whole := !s.log.Renewed() || bytes.Equal(s.Mark(lifeMark), life[:])
	if err := s.openHorizon(whole); err != nil || whole {
		return err
	}
	newest := s.log.Origin(s.cfg.Node)
	s.clock.Restore(hlc.Make(s.clock.Last().Millis()+s.lostMargin().Milliseconds(), 0, s.cfg.Node)) // a lost write may have followed a foreign one
	for _, peer := range s.otherMembers() {
		if err := s.OpenGap(peer, newest); err != nil { // an older one may not be filled yet
			return err
		}
	}
	if _, err := s.SetMark(lifeMark, life[:]); err != nil {
		return err
	}
	// Another loss right after this one must count its margin from here.
	if err := s.Promise(s.clock.Last()); err != nil && !errors.As(err, new(*hlc.DriftError)) { // the wall was set back: margin enough
		return err
	}
	s.log.Flush()
	return s.log.Sync()
}

func gapMark(peer int) string { return gapPrefix + strconv.Itoa(peer) }

// OpenGap notes that a peer may hold writes of this node above a stamp which this node lacks, unless a gap is open already.
func (s *Store) OpenGap(peer int, above hlc.Stamp) error {
	if _, open := s.Gap(peer); open {
		return nil
	}
	_, err := s.SetMark(gapMark(peer), binary.LittleEndian.AppendUint64(nil, uint64(above)))
	s.log.Flush()
	return err
}

// Gap returns the stamp of its own above which this node may lack writes that a peer holds, while that is so.
func (s *Store) Gap(peer int) (above hlc.Stamp, open bool) {
	b := s.Mark(gapMark(peer))
	if len(b) != 8 {
		return 0, false
	}
	return hlc.Stamp(binary.LittleEndian.Uint64(b)), true
}

// CloseGap notes that the peer has given back what this node had lost.
func (s *Store) CloseGap(peer int) error {
	if _, open := s.Gap(peer); !open {
		return nil
	}
	_, err := s.SetMark(gapMark(peer), nil)
	s.log.Flush()
	return err
}
