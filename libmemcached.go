package futago

import (
	"crypto/md5"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
)

// The distributions of libmemcached. (Seen with libmemcached 1.1.4.)

// modula is the hash modulo the number of servers. Weights do not matter.
type modula struct {
	hash    Hash
	servers uint32
}

func (s modula) Select(key string) int { return int(s.hash.sum(key) % s.servers) }

// continuum is libmemcached's ring. Which points it has and how keys are hashed are two choices.
type continuum struct {
	hash Hash
	ring ring
}

func (s *continuum) Select(key string) int { return s.ring.at(s.hash.sum(key)) }

// continuumPoints is how many points a server has on a ring without weights.
const continuumPoints = 100

// newContinuum returns the ring of DISTRIBUTION_CONSISTENT. With a weight above 1 it becomes the weighted one and keeps its
// hash for the keys.
func newContinuum(hash Hash, endpoints []endpoint, weights []int) *continuum {
	if slices.Max(weights) > 1 {
		return newKetama(hash, endpoints, weights)
	}
	s := &continuum{hash: hash}
	for i, e := range endpoints {
		for n := range continuumPoints {
			s.ring = append(s.ring, point{hash.sum(e.ketamaName() + "-" + strconv.Itoa(n)), i})
		}
	}
	s.ring.sort()
	return s
}

// ketamaRounds is how many digests of four points a server of average weight has.
const ketamaRounds = 40

// newKetama returns the weighted ring of OPT_LIBKETAMA_COMPATIBLE.
func newKetama(hash Hash, endpoints []endpoint, weights []int) *continuum {
	total := 0
	for _, weight := range weights {
		total += weight
	}
	s := &continuum{hash: hash}
	for i, e := range endpoints {
		share := float64(weights[i]) / float64(total)
		rounds := int(math.Floor(share*ketamaRounds*float64(len(endpoints)) + 1e-10))
		for round := range rounds {
			digest := md5.Sum([]byte(e.ketamaName() + "-" + strconv.Itoa(round)))
			for b := digest[:]; len(b) > 0; b = b[4:] {
				s.ring = append(s.ring, point{binary.LittleEndian.Uint32(b), i})
			}
		}
	}
	s.ring.sort()
	return s
}

// ketamaName is the server's name in libmemcached's rings.
func (e endpoint) ketamaName() string {
	if e.port == "11211" {
		return e.host
	}
	return e.name()
}
