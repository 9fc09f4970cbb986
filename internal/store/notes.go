package store

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// followPrefix begins the names of the marks of positions in the logs of peers, one for each.
const followPrefix = "follow/"

func followMark(node int) string { return followPrefix + strconv.Itoa(node) }

// Followed is how far a peer's log is held here. Its note lies behind the entries that it covers: whoever has read this
// log up to there lacks nothing of the peer's up to Position, while Part is -1 and no gap to the peer is open.
type Followed struct {
	Position ulog.Position `json:"position"`          // in the peer's log
	Part     int           `json:"part"`              // parts of an unfinished snapshot that are applied, -1: none is unfinished
	Horizon  hlc.Stamp     `json:"horizon,omitempty"` // of the peer, when the unfinished snapshot began
}

// SetFollowed notes how far a peer's log is held, and returns the position of the note.
func (s *Store) SetFollowed(node int, f Followed) (seq uint64, err error) {
	return s.SetMark(followMark(node), encodeMark(f))
}

// Followed returns the last such note of a peer; false when there is none.
func (s *Store) Followed(node int) (f Followed, ok bool, err error) {
	b := s.Mark(followMark(node))
	if b == nil {
		return f, false, nil
	}
	err = json.Unmarshal(b, &f)
	return f, err == nil, err
}

// PeerNote is a note about a peer: how far its log is held, or of a gap.
type PeerNote struct {
	Node     int
	Seq      uint64 // of the note in this log; PeerNotes only
	IsGap    bool
	Open     bool     // of a gap: the peer may hold writes of this node that this node lacks
	Followed Followed // of the others
}

// DecodePeerNote reads an entry of the log; false when it is no such note.
func DecodePeerNote(r *record.Record) (PeerNote, bool) {
	if r.Kind != record.Mark {
		return PeerNote{}, false
	}
	return decodePeerNote(string(r.Key), r.Value)
}

func decodePeerNote(name string, value []byte) (n PeerNote, ok bool) {
	id, follows := strings.CutPrefix(name, followPrefix)
	if !follows {
		if id, n.IsGap = strings.CutPrefix(name, gapPrefix); !n.IsGap {
			return n, false
		}
	}
	var err error
	if n.Node, err = strconv.Atoi(id); err != nil || n.Node < 1 || n.Node > hlc.MaxNode {
		return n, false
	}
	if n.IsGap {
		n.Open = len(value) == 8
		return n, true
	}
	return n, json.Unmarshal(value, &n.Followed) == nil
}

// PeerNotes are the last notes about the present other members.
func (s *Store) PeerNotes() (list []PeerNote) {
	nodes := s.otherMembers()
	s.marks.mu.Lock()
	defer s.marks.mu.Unlock()
	for _, node := range nodes {
		for _, name := range []string{followMark(node), gapMark(node)} {
			m, there := s.marks.all[name]
			if n, ok := decodePeerNote(name, m.value); there && ok {
				n.Seq = m.seq
				list = append(list, n)
			}
		}
	}
	return list
}
