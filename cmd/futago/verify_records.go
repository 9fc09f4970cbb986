package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/node"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

const (
	// listRecords is about how many records of a node are asked for at once; listRanges bounds their ranges.
	listRecords = 32 << 10
	listRanges  = 256
	// maxListed bounds what a node may answer: its digest lies or all keys are in one range.
	maxListed = 8 << 20
	// maxListedLine bounds a line of that, bytes: the longest key and some.
	maxListedLine = 1 << 20
	// maxSuspects bounds the memory of keys that differed once, bytes of them.
	maxSuspects = 64 << 20
	// settleRounds is how often a key is looked at again that is written all the time.
	settleRounds = 4
)

// sides is what each node has under a key, nil where it has nothing.
type sides []*node.RecordLine

// newest is the highest stamp of any of them, deletes included.
func (s sides) newest() (st hlc.Stamp) {
	for _, l := range s {
		if l != nil {
			st = max(st, l.Stamp)
		}
	}
	return st
}

// oldest is the stamp of the node that is furthest behind, 0 where one has nothing.
func (s sides) oldest() (st hlc.Stamp) {
	for i, l := range s {
		if l == nil {
			return 0
		}
		if i == 0 || l.Stamp < st {
			st = l.Stamp
		}
	}
	return st
}

// live is what clients of a node see: nodes remember deletes and expired records for as long as each likes.
func live(l *node.RecordLine, now int64) bool {
	return l != nil && l.Kind != record.Tombstone.String() && (l.Expires == 0 || int64(l.Expires) > now)
}

// differ reports whether clients of two nodes see different records.
func (s sides) differ(now int64) bool {
	for _, l := range s[1:] {
		first := s[0]
		if live(l, now) != live(first, now) {
			return true
		}
		if live(l, now) && (l.Stamp != first.Stamp || l.Digest != first.Digest || l.Value != first.Value) {
			return true
		}
	}
	return false
}

// suspects are keys that differed, with the newest stamp that any node had then.
type suspects struct {
	keys map[string]hlc.Stamp
	size int
}

func (s *suspects) add(key string, newest hlc.Stamp) {
	if s.keys == nil {
		s.keys = map[string]hlc.Stamp{}
	}
	s.keys[key] = newest
	s.size += len(key) + 64
}

// compareRecords compares the records of some ranges key by key, and adds what differs to the report.
func (v *verifier) compareRecords(ctx context.Context, ranges []int) error {
	rest, r := ranges, &v.report
	for len(rest) > 0 {
		var found suspects
		for len(rest) > 0 && found.size < maxSuspects {
			v.progress("comparing records", int64(len(ranges)-len(rest)), int64(len(ranges)))
			batch := v.batch(rest)
			rest = rest[len(batch):]
			err := v.list(ctx, batch, func(key string, s sides) {
				if now := hlc.Millis(v.now()); s.differ(now) {
					found.add(key, s.newest())
				} else if v.full && live(s[0], now) {
					r.Records++
				}
			})
			if err != nil {
				return err
			}
		}
		if v.full {
			r.Records += int64(len(found.keys))
		}
		if err := v.settleSuspects(ctx, found); err != nil {
			return err
		}
		if r.Differing > 0 && len(rest) > 0 { // enough is known, and everything may differ
			r.Unread = len(rest)
			return nil
		}
	}
	return nil
}

// settleSuspects looks at keys again, after they had time to become equal.
func (v *verifier) settleSuspects(ctx context.Context, found suspects) error {
	for round := 0; len(found.keys) > 0 && round < settleRounds; round++ {
		v.progress("looking again at keys that differ", int64(round), settleRounds)
		if err := pause(ctx, v.settle); err != nil {
			return err
		}
		var moving suspects
		for rest := rangesOfKeys(found.keys); len(rest) > 0; {
			batch := v.batch(rest)
			rest = rest[len(batch):]
			err := v.list(ctx, batch, func(key string, s sides) {
				then, suspect := found.keys[key]
				now := hlc.Millis(v.now())
				if !suspect || !s.differ(now) {
					return
				}
				if newest := s.newest(); newest > then && s.oldest() >= then {
					moving.add(key, newest)
					return
				}
				v.report.add(key, s, v.limit)
			})
			if err != nil {
				return err
			}
		}
		found = moving
	}
	v.report.Moving += int64(len(found.keys))
	return nil
}

func rangesOfKeys(keys map[string]hlc.Stamp) []int {
	ranges := map[int]bool{}
	for key := range keys {
		ranges[store.RangeOf([]byte(key))] = true
	}
	return slices.Sorted(maps.Keys(ranges))
}

// batch is the first of the ranges, as many as one question is for.
func (v *verifier) batch(ranges []int) []int {
	items := int64(0)
	for _, n := range v.report.Nodes {
		items = max(items, n.Items)
	}
	n := min(max(listRecords*store.Ranges/max(items, 1), 1), listRanges, int64(len(ranges)))
	return ranges[:n]
}

// list asks all nodes for the records of some ranges and calls f with every key.
func (v *verifier) list(ctx context.Context, ranges []int, f func(key string, s sides)) error {
	lists, err := askAll(v.nodes, func(_ int, n *adminNode) (map[string]*node.RecordLine, error) {
		return n.records(ctx, ranges)
	})
	if err != nil {
		return withHint(err, adminHint)
	}
	for i, list := range lists {
		for key := range list {
			s := make(sides, len(lists))
			for j := range lists {
				s[j] = lists[j][key]
			}
			if slices.IndexFunc(s, func(l *node.RecordLine) bool { return l != nil }) == i { // not told before
				f(key, s)
			}
		}
	}
	return nil
}

// records asks for the records of some ranges. Of a key that changes while it is read the newer record counts.
func (n *adminNode) records(ctx context.Context, ranges []int) (map[string]*node.RecordLine, error) {
	question, err := json.Marshal(store.Difference{Ranges: ranges})
	if err != nil {
		return nil, fmt.Errorf("ask %s for records: %w", n.addr, err)
	}
	var list map[string]*node.RecordLine
	err = n.ask(ctx, "records", http.MethodPost, "/records", question, func(r io.Reader) error {
		list, err = readRecords(r)
		return err
	})
	return list, err
}

func readRecords(r io.Reader) (map[string]*node.RecordLine, error) {
	list := map[string]*node.RecordLine{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxListedLine)
	for lines.Scan() {
		var l node.RecordLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("parse JSON: %w", err)
		}
		if len(list) == maxListed {
			return nil, fmt.Errorf("more than %d records", maxListed)
		}
		if old := list[string(l.Key)]; old == nil || old.Stamp < l.Stamp {
			list[string(l.Key)] = &l
		}
	}
	return list, lines.Err()
}

// verifyReport is what a comparison found.
type verifyReport struct {
	Equal     bool         `json:"equal"`
	Full      bool         `json:"full"`
	Nodes     []verifyNode `json:"nodes"`
	Ranges    int          `json:"ranges"`          // of keys, all that there are
	Records   int64        `json:"records"`         // that were compared
	Soon      int64        `json:"expire_soon"`     // that were not, because they expire soon
	Listed    int          `json:"listed_ranges"`   // whose records were compared one by one
	Moving    int64        `json:"moving"`          // keys that changed all the time, without a node that was behind
	Differing int64        `json:"differing"`       // keys that differ
	Unread    int          `json:"unread_ranges"`   // that were not looked into any more
	Keys      []verifyKey  `json:"keys"`            // the first of those keys
	Links     []string     `json:"links,omitempty"` // what the nodes' links say to that
}

// verifyNode is one of the nodes.
type verifyNode struct {
	Admin string `json:"admin"`
	Node  int    `json:"node"`
	State string `json:"state"`
	Items int64  `json:"items"` // expired records count until they are forgotten
}

// verifyKey is a key that differs.
type verifyKey struct {
	Key   []byte       `json:"key"`
	Sides []verifySide `json:"nodes"`
}

// verifySide is what a node has under a key.
type verifySide struct {
	Node    int        `json:"node"`
	Has     bool       `json:"has"` // something, maybe a delete
	Written *time.Time `json:"written,omitempty"`
	By      int        `json:"by,omitempty"` // node
	Kind    string     `json:"kind,omitempty"`
	Size    int        `json:"size,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
	Hash    string     `json:"hash,omitempty"` // of the value
}

func (r *verifyReport) add(key string, s sides, limit int) {
	r.Differing++
	if len(r.Keys) >= limit {
		return
	}
	k := verifyKey{Key: []byte(key)}
	for i, l := range s {
		side := verifySide{Node: r.Nodes[i].Node}
		if l != nil {
			at := l.Stamp.Time()
			side.Has, side.Written, side.By, side.Kind, side.Size = true, &at, l.Node, l.Kind, l.Size
			side.Hash = fmt.Sprintf("%016x", l.Value)
			if l.Expires != 0 {
				end := hlc.Make(int64(l.Expires), 0, 0).Time()
				side.Expires = &end
			}
		}
		k.Sides = append(k.Sides, side)
	}
	r.Keys = append(r.Keys, k)
}

// verdict is the error for a difference.
func (r *verifyReport) verdict() error {
	if r.Equal {
		return nil
	}
	at := ""
	if r.Unread > 0 {
		at = "at least "
	}
	return withHint(answerNo{errors.New("the nodes differ in " + at + counted(r.Differing, "key"))},
		"Linked nodes mend a difference by themselves once they are idle: see 'futago peer list' and ask again.")
}
