package store

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
	"github.com/zeebo/xxh3"
)

// Digests say whether two nodes hold the same records without comparing them. Each range of keys has the sum of what its
// records are: generation, stamps, contributions, not the bytes of values, which their stamps name and checksums protect.
// Records that expire are summed by the hour of their expiry, for nodes drop them when they like: only hours that are
// still ahead are compared. Deletes are left out for the same reason.
//
// A sum is kept up to date by every change, so a digest costs nothing to take. It is built once, in the background, when
// it is first asked for.

// Ranges is the number of ranges of keys; Groups the number of groups in which expiring records are summed.
const (
	Ranges = 1 << ulog.RangeBits
	Groups = 64
)

const (
	rangesPerShard = Ranges / shardCount
	hourMillis     = int64(time.Hour / time.Millisecond)
)

// Sum is the digest of some records.
type Sum struct {
	Sum   uint64 `json:"sum"`
	Count int64  `json:"count"`
}

func (s *Sum) add(v uint64, sign int64) {
	s.Sum += v * uint64(sign)
	s.Count += sign
}

// shardDigest is the digest of one shard, under its lock.
type shardDigest struct {
	on     bool // changes are counted
	ranges [rangesPerShard]Sum
}

// groupDigest sums expiring records of some shards.
type groupDigest struct {
	mu    sync.Mutex
	past  int64 // hours up to here are no longer counted
	hours map[int64]Sum
}

type digests struct {
	mu      sync.Mutex
	built   bool
	wanted  bool
	spoiled bool // a record went that cannot be counted out: all must be counted anew
	shards  [shardCount]shardDigest
	groups  [Groups]groupDigest
}

// Digest is what a node holds, as sums.
type Digest struct {
	Ranges [Ranges]Sum           `json:"ranges"` // records that never expire
	Hours  map[int64][Groups]Sum `json:"hours"`  // records that expire, by hour since hlc.Epoch
	From   int64                 `json:"from"`   // first hour that may be compared
	Floor  hlc.Stamp             `json:"floor"`  // flush in force
	Swept  bool                  `json:"swept"`  // what it killed is no longer counted
}

// RangeOf is the range of a key, the same on every node.
func RangeOf(key []byte) int { return int(xxh3.Hash(key) >> (64 - ulog.RangeBits)) }

// tally counts a record in (sign 1) or out (-1) of the digest; the caller holds the shard of hash h.
func (s *Store) tally(h uint64, r *record.Record, sign int64) {
	d := &s.digests.shards[h>>54]
	if !d.on || r.Kind == record.Tombstone {
		return
	}
	sum := r.Digest(xxh3.Hash(r.Key))
	if r.Expires == 0 {
		d.ranges[h>>(64-ulog.RangeBits)%rangesPerShard].add(sum, sign)
		return
	}
	hour, g := int64(r.Expires)/hourMillis, &s.digests.groups[h>>58]
	g.mu.Lock()
	if hour > g.past {
		at := g.hours[hour]
		at.add(sum, sign)
		if at == (Sum{}) {
			delete(g.hours, hour)
		} else {
			g.hours[hour] = at
		}
	}
	g.mu.Unlock()
}

// Digest returns the sums; false while they are not built yet, which begins then.
func (s *Store) Digest() (*Digest, bool) {
	d := &s.digests
	d.mu.Lock()
	built := d.built
	d.wanted = true
	d.mu.Unlock()
	if !built {
		return nil, false
	}
	out := &Digest{Hours: map[int64][Groups]Sum{}, Floor: s.floors.current(s)}
	now := s.clock.Now() / hourMillis
	out.From = now + 2
	for i := range d.groups {
		g := &d.groups[i]
		g.mu.Lock()
		g.past = max(g.past, now-1)
		for hour, sum := range g.hours {
			if hour <= g.past {
				delete(g.hours, hour)
				continue
			}
			sums := out.Hours[hour]
			sums[i] = sum
			out.Hours[hour] = sums
		}
		out.From = max(out.From, g.past+2)
		g.mu.Unlock()
	}
	for i := range s.shards {
		s.shards[i].mu.Lock()
		copy(out.Ranges[i*rangesPerShard:], d.shards[i].ranges[:])
		s.shards[i].mu.Unlock()
	}
	s.floors.mu.Lock()
	out.Swept = s.floors.sink == out.Floor
	s.floors.mu.Unlock()
	return out, true
}

// buildDigest counts all records once. Changes are counted from the moment on at which the records of a shard are listed,
// so what is listed counts whether it is still there or not: a sum of differences does not care about the order.
func (s *Store) buildDigest() {
	d := &s.digests
	d.mu.Lock()
	due, spoiled := d.wanted && !d.built, d.spoiled
	d.spoiled = false
	d.mu.Unlock()
	if spoiled {
		s.clearDigest()
	}
	if !due {
		return
	}
	for part := range ScanParts {
		if d.shards[part].on {
			continue
		}
		s.BeginScan()
		s.digestShard(part)
		s.EndScan()
		select {
		case <-s.stop:
			return
		default:
		}
	}
	d.mu.Lock()
	d.built = !d.spoiled
	d.mu.Unlock()
}

// spoil has everything counted anew.
func (d *digests) spoil() {
	d.mu.Lock()
	d.built, d.spoiled = false, true
	d.mu.Unlock()
}

func (s *Store) clearDigest() {
	d := &s.digests
	for i := range s.shards {
		s.shards[i].mu.Lock()
		d.shards[i] = shardDigest{}
		s.shards[i].mu.Unlock()
	}
	for i := range d.groups {
		d.groups[i].mu.Lock()
		clear(d.groups[i].hours)
		d.groups[i].mu.Unlock()
	}
}

func (s *Store) digestShard(part int) {
	sh := &s.shards[part]
	sh.mu.Lock()
	locs := make([]uint64, 0, sh.idx.Len())
	sh.idx.Each(func(loc uint64) bool { locs = append(locs, loc); return true })
	s.digests.shards[part].on = true
	sh.mu.Unlock()
	const stretch = 128
	var r record.Record
	for len(locs) > 0 {
		n := min(stretch, len(locs))
		sh.mu.Lock()
		for _, loc := range locs[:n] {
			if s.at(part, loc, &r) {
				s.tally(s.log.Hash(r.Key), &r, 1)
			}
		}
		sh.mu.Unlock()
		locs = locs[n:]
	}
}

// Difference says where two digests differ.
type Difference struct {
	Ranges []int       `json:"ranges"` // of records that never expire
	Hours  []HourGroup `json:"hours"`
}

// HourGroup names records that expire within one hour and belong to one group of keys.
type HourGroup struct {
	Hour  int64 `json:"hour"` // since hlc.Epoch
	Group int   `json:"group"`
}

// Empty reports whether the digests are equal.
func (d *Difference) Empty() bool { return len(d.Ranges) == 0 && len(d.Hours) == 0 }

// Touches reports whether the difference may lie in the record of this key, whatever its expiry is on either node.
func (d *Difference) Touches(key []byte) bool {
	at := RangeOf(key)
	return slices.Contains(d.Ranges, at) ||
		slices.ContainsFunc(d.Hours, func(h HourGroup) bool { return h.Group == at/(Ranges/Groups) })
}

// Parts are the parts of the store, for ScanPart, that the difference lies in.
func (d *Difference) Parts() []int {
	parts := map[int]bool{}
	for _, r := range d.Ranges {
		if r >= 0 && r < Ranges {
			parts[r/rangesPerShard] = true
		}
	}
	for _, h := range d.Hours {
		for i := 0; h.Group >= 0 && h.Group < Groups && i < ScanParts/Groups; i++ {
			parts[h.Group*(ScanParts/Groups)+i] = true
		}
	}
	return slices.Sorted(maps.Keys(parts))
}

// Comparable reports whether a and b may be compared: neither still counts what a flush killed.
func (d *Digest) Comparable(o *Digest) bool {
	return d.Floor == o.Floor && d.Swept && o.Swept
}

// Compare returns where two digests differ.
func (d *Digest) Compare(o *Digest) (diff Difference) {
	for i := range d.Ranges {
		if d.Ranges[i] != o.Ranges[i] {
			diff.Ranges = append(diff.Ranges, i)
		}
	}
	from := max(d.From, o.From)
	for _, pair := range [][2]*Digest{{d, o}, {o, d}} {
		for hour, sums := range pair[0].Hours {
			if hour < from {
				continue
			}
			others, both := pair[1].Hours[hour]
			if both && pair[0] == o {
				continue // compared already
			}
			for i := range sums {
				if sums[i] != others[i] {
					diff.Hours = append(diff.Hours, HourGroup{hour, i})
				}
			}
		}
	}
	return diff
}
