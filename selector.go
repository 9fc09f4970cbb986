package futago

import (
	"cmp"
	"slices"
	"strconv"
)

// A Selector gives every key its server. It must be pure: the same key always gets the same server, whatever
// state the servers are in, because the search for a replacement asks it again with other keys (key-0, key-1, ...).
// It must be safe for concurrent use.
type Selector interface {
	// Select returns the number of the server of key, in 0..len(servers)-1. The key has the form that goes to the
	// server, prefix included unless Config.HashWithoutPrefix is set.
	Select(key string) int
}

// NewSelector returns the selector that a Client with this strategy, hash and servers uses. Of the servers, Addr
// and Weight matter.
func NewSelector(strategy Strategy, hash Hash, servers []Server) (Selector, error) {
	cfg := Config{Servers: servers, Strategy: strategy, Hash: hash}.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return newSelector(cfg)
}

func newSelector(cfg Config) (Selector, error) {
	endpoints := make([]endpoint, len(cfg.Servers))
	weights := make([]int, len(cfg.Servers))
	for i, s := range cfg.Servers {
		e, err := parseEndpoint(s.Addr)
		if err != nil {
			return nil, err
		}
		endpoints[i], weights[i] = e, s.Weight
	}
	switch cfg.Strategy {
	case Standard:
		return newStandard(cfg.Hash, weights), nil
	case Ketama:
		return newKetama(cfg.Hash, endpoints, weights), nil
	case Modula:
		return modula{cfg.Hash, uint32(len(endpoints))}, nil
	case Continuum:
		return newContinuum(cfg.Hash, endpoints, weights), nil
	default:
		return newConsistent(cfg.Hash, endpoints, weights), nil
	}
}

// standard is the hash strategy "standard" of PHP's memcache extension: a list with as many places for each server
// as it has weight, and 15 bits of the hash modulo the length of that list.
type standard struct {
	hash    Hash
	buckets []int
}

func newStandard(hash Hash, weights []int) *standard {
	s := &standard{hash: hash}
	for i, weight := range weights {
		for range weight {
			s.buckets = append(s.buckets, i)
		}
	}
	return s
}

func (s *standard) Select(key string) int {
	x := s.hash.sum(key) >> 16 & 0x7FFF
	if x == 0 {
		x = 1
	}
	return s.buckets[int(x)%len(s.buckets)]
}

const (
	consistentBuckets = 1024
	consistentPoints  = 160 // for each unit of weight
)

// consistent is the hash strategy "consistent" of PHP's memcache extension: a ring of points that is read once, at
// 1024 places.
type consistent struct {
	hash    Hash
	buckets [consistentBuckets]int
}

func newConsistent(hash Hash, endpoints []endpoint, weights []int) *consistent {
	s := &consistent{hash: hash}
	var r ring
	for i, e := range endpoints {
		for n := range consistentPoints * weights[i] {
			r = append(r, point{hash.sum(e.name() + "-" + strconv.Itoa(n)), i})
		}
	}
	r.sort()
	const step = 0xFFFFFFFF / consistentBuckets
	for b := range s.buckets {
		s.buckets[b] = r.at(uint32(step * b))
	}
	return s
}

func (s *consistent) Select(key string) int { return s.buckets[s.hash.sum(key)%consistentBuckets] }

// ring is a circle of 32-bit values with points that belong to servers, sorted by value.
type ring []point

type point struct {
	value  uint32
	server int
}

func (r ring) sort() {
	slices.SortStableFunc(r, func(a, b point) int { return cmp.Compare(a.value, b.value) })
}

// at returns the server of the first point at or after value.
func (r ring) at(value uint32) int {
	i, _ := slices.BinarySearchFunc(r, value, func(p point, v uint32) int { return cmp.Compare(p.value, v) })
	if i == len(r) {
		i = 0
	}
	return r[i].server
}
