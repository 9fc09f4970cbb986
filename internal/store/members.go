package store

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
)

// members are the nodes of the mesh, this one included once somebody named it. They are records that every node has, the
// newest of each node counts.
type members struct {
	mu      sync.Mutex
	all     map[int]memberEntry
	changed chan struct{} // closed at the next change
}

type memberEntry struct {
	Member
	loc uint64
	raw record.Record
}

// Member is a node of the mesh.
type Member struct {
	Node int    `json:"-"`
	Addr string `json:"addr,omitempty"` // of its peer port, empty while nobody knows
	Gone bool   `json:"gone,omitempty"` // removed from the mesh
}

// maxMemberValue bounds what is taken from a peer.
const maxMemberValue = 1024

func decodeMember(r *record.Record) (Member, bool) {
	node, err := strconv.Atoi(string(r.Key))
	if err != nil || node < 1 || node > hlc.MaxNode || len(r.Value) > maxMemberValue {
		return Member{}, false
	}
	m := Member{Node: node}
	return m, json.Unmarshal(r.Value, &m) == nil
}

// Members lists all that were ever part of the mesh, by id.
func (s *Store) Members() []Member {
	m := &s.members
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Member
	for _, node := range slices.Sorted(maps.Keys(m.all)) {
		list = append(list, m.all[node].Member)
	}
	return list
}

// Member returns what is known of a node; false when it was never part of the mesh.
func (s *Store) Member(node int) (Member, bool) {
	m := &s.members
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.all[node]
	return e.Member, ok
}

// MembersChanged returns a channel that is closed when Members may answer differently.
func (s *Store) MembersChanged() <-chan struct{} {
	m := &s.members
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// SetMember tells the whole mesh of a node.
func (s *Store) SetMember(next Member) error {
	m := &s.members
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.all[next.Node]; ok && e.Member == next {
		return nil
	}
	r := record.Record{Kind: record.Member, Key: strconv.AppendInt(nil, int64(next.Node), 10), Value: encodeMark(next)}
	s.log.Lock()
	r.Stamp = s.clock.Next()
	_, loc, err := s.log.Append(&r)
	s.log.Unlock()
	if err != nil {
		return appendError(err)
	}
	s.log.Flush()
	m.setLocked(memberEntry{next, loc, r})
	return nil
}

func (m *members) setLocked(e memberEntry) {
	m.all[e.Node] = e
	close(m.changed)
	m.changed = make(chan struct{})
}

// applyMember takes what a peer knows of a node.
func (s *Store) applyMember(r *record.Record) (bool, error) {
	next, ok := decodeMember(r)
	if !ok {
		return false, nil
	}
	m := &s.members
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.all[next.Node]; ok && cmp.Or(cmp.Compare(e.raw.Stamp, r.Stamp), slices.Compare(e.raw.Value, r.Value)) >= 0 {
		return false, nil
	}
	s.log.Lock()
	_, loc, err := s.log.Append(r)
	s.log.Unlock()
	if err != nil {
		return false, appendError(err)
	}
	m.setLocked(memberEntry{next, loc, r.Clone()})
	return true, nil
}

func (s *Store) recoverMember(r *record.Record, loc uint64) {
	if next, ok := decodeMember(r); ok {
		s.members.all[next.Node] = memberEntry{next, loc, r.Clone()}
	}
}

// otherMembers are the ids of the present members but this one.
func (s *Store) otherMembers() (nodes []int) {
	for _, m := range s.Members() {
		if !m.Gone && m.Node != s.cfg.Node {
			nodes = append(nodes, m.Node)
		}
	}
	return nodes
}

// metAnybody reports whether another node was ever part of the mesh.
func (s *Store) metAnybody() bool {
	return slices.ContainsFunc(s.Members(), func(m Member) bool { return m.Node != s.cfg.Node })
}

// Preface are the records that no key leads to, floors and members: what a peer must know before all others.
func (s *Store) Preface() []record.Record {
	list := s.Floors()
	s.members.mu.Lock()
	defer s.members.mu.Unlock()
	for _, node := range slices.Sorted(maps.Keys(s.members.all)) {
		list = append(list, s.members.all[node].raw)
	}
	return list
}

// Expect names a peer that follows this log, and where its own can be followed: entries behind what it has are kept, within
// Config.LogRetain, across restarts too.
func (s *Store) Expect(node int, addr string) error {
	s.retained.add(node)
	m, ok := s.Member(node)
	if ok && !m.Gone && (addr == "" || addr == m.Addr) {
		return nil
	}
	return s.SetMember(Member{Node: node, Addr: cmp.Or(addr, m.Addr)})
}

// ForgetPeer removes a member that will not return: neither the log nor deletes are kept for it any more, on any node.
func (s *Store) ForgetPeer(node int) error {
	m, ok := s.Member(node)
	if !ok || node == s.cfg.Node {
		return ErrNoMember
	}
	m.Gone = true
	return s.SetMember(m)
}
