package futago

import (
	"crypto/md5"
	"encoding/binary"
	"math"
	"strconv"
)

// ketamaRounds is how many digests of four points a server of average weight has.
const ketamaRounds = 40

// ketama is the weighted distribution of libmemcached. (Seen with libmemcached 1.1.4.)
type ketama struct {
	ring ring
}

func newKetama(endpoints []endpoint, weights []int) *ketama {
	total := 0
	for _, weight := range weights {
		total += weight
	}
	s := &ketama{}
	for i, e := range endpoints {
		name := e.name()
		if e.port == "11211" {
			name = e.host
		}
		share := float64(weights[i]) / float64(total)
		rounds := int(math.Floor(share*ketamaRounds*float64(len(endpoints)) + 1e-10))
		for round := range rounds {
			digest := md5.Sum([]byte(name + "-" + strconv.Itoa(round)))
			for b := digest[:]; len(b) > 0; b = b[4:] {
				s.ring = append(s.ring, point{binary.LittleEndian.Uint32(b), i})
			}
		}
	}
	s.ring.sort()
	return s
}

func (s *ketama) Select(key string) int {
	digest := md5.Sum([]byte(key))
	return s.ring.at(binary.LittleEndian.Uint32(digest[:4]))
}
