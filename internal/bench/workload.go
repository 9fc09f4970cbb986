package bench

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// counterLetter is the first byte of the keys of counters: those of values begin with k or with a digit.
const counterLetter = 'c'

// workload holds the parts of which requests are put together. It is shared by all threads and never
// changes during a run.
type workload struct {
	keys    []byte // all keys, one after another
	keySize int
	n       uint64 // number of keys
	fills   uint64 // sets that fill the server: one for each key, and one for each counter if there are any

	// zipf draws the keys, nil for equal chances. Its rank i is key i*step % n.
	zipf *zipf
	step uint64

	multiGet int
	// getBelow and incrBelow are compared with 32 random bits: the share of gets, and of gets and increments.
	getBelow, incrBelow uint64

	// value begins with every value; sizes draws how much of it is one.
	value []byte
	sizes *sizeChooser
	zero  []byte // value of a new counter

	// A get is getHead, multiGet times keyHead KEY keyTail, getTail; an increment is incrHead KEY incrTail; a set is
	// setHead KEY sizeHead SIZE sizeTail VALUE setTail. With a sizeAt above 0 SIZE is not there: it is added to sizeBase
	// in the four bytes at this place of setHead.
	getHead, keyHead, keyTail, getTail   string
	incrHead, incrTail                   string
	setHead, sizeHead, sizeTail, setTail string
	sizeAt                               int
	sizeBase                             uint32
}

func newWorkload(c *Config) *workload {
	w := &workload{
		keySize:   c.KeySize,
		n:         uint64(c.Keys),
		fills:     uint64(c.Keys),
		multiGet:  c.MultiGet,
		getBelow:  uint64(c.GetRatio * (1 << 32)),
		incrBelow: uint64(min(c.GetRatio+c.IncrRatio, 1) * (1 << 32)),
		keys:      make([]byte, 0, c.Keys*c.KeySize),
		sizes:     newSizeChooser(c.sizes()),
		zero:      []byte("0"),
	}
	if c.IncrRatio > 0 {
		w.fills *= 2
	}
	if c.Zipf > 0 {
		w.zipf, w.step = newZipf(c.Keys, c.Zipf), scatterStep(w.n)
	}
	digits := len(fmt.Sprint(c.Keys - 1))
	for i := range c.Keys {
		// 16 bytes: k000000000000042. Without room for the letter it is all digits.
		if w.keySize > len("k")+digits {
			w.keys = fmt.Appendf(w.keys, "k%0*d", w.keySize-1, i)
		} else {
			w.keys = fmt.Appendf(w.keys, "%0*d", w.keySize, i)
		}
	}
	largest := c.sizes().largest()
	w.value = []byte(strings.Repeat("0123456789abcdef", largest/16+1)[:largest])
	switch c.Protocol {
	case Memcache:
		w.getHead, w.keyHead, w.getTail = "get", " ", "\r\n"
		w.setHead, w.sizeHead, w.sizeTail, w.setTail = "set ", " 0 0 ", "\r\n", "\r\n"
		w.incrHead, w.incrTail = "incr ", " 1\r\n"
	case Meta:
		w.getHead, w.getTail = "mg ", " v\r\n"
		if c.MultiGet > 1 { // quiet: only what is found is answered, and at the end mn
			w.getHead, w.keyHead, w.keyTail, w.getTail = "", "mg ", " v q\r\n", "mn\r\n"
		}
		w.setHead, w.sizeHead, w.sizeTail, w.setTail = "ms ", " ", "\r\n", "\r\n"
		w.incrHead, w.incrTail = "ma ", "\r\n"
	case Redis:
		w.redis(c)
	case HTTP:
		w.getHead, w.getTail = "GET /", " HTTP/1.1\r\nHost: bench\r\n\r\n"
		w.setHead, w.sizeHead, w.sizeTail = "PUT /", " HTTP/1.1\r\nHost: bench\r\nContent-Length: ", "\r\n\r\n"
	case Binary:
		w.binary(c.MultiGet)
	case Tyrant:
		w.tyrant(c.MultiGet)
	}
	return w
}

func (w *workload) redis(c *Config) {
	w.getHead = "*2\r\n$3\r\nGET\r\n"
	if c.MultiGet > 1 {
		w.getHead = fmt.Sprintf("*%d\r\n$4\r\nMGET\r\n", c.MultiGet+1)
	}
	w.keyHead, w.keyTail = fmt.Sprintf("$%d\r\n", c.KeySize), "\r\n"
	w.setHead = fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n", c.KeySize)
	w.sizeHead, w.sizeTail, w.setTail = "\r\n$", "\r\n", "\r\n"
	if c.WaitReplicas > 0 {
		w.setTail += fmt.Sprintf("*3\r\n$4\r\nWAIT\r\n$1\r\n%d\r\n$1\r\n0\r\n", c.WaitReplicas) // 0: no timeout
	}
	w.incrHead = fmt.Sprintf("*3\r\n$6\r\nINCRBY\r\n$%d\r\n", c.KeySize)
	w.incrTail = "\r\n$1\r\n1\r\n"
}

func (w *workload) key(i uint64) []byte {
	return w.keys[int(i)*w.keySize : (int(i)+1)*w.keySize]
}

// choose draws a key and returns it with the advanced random state.
func (w *workload) choose(r random) (i uint64, next random) {
	if w.zipf != nil {
		rank, r := w.zipf.draw(r)
		return rank * w.step % w.n, r
	}
	r = r.next()
	return r.below(w.n), r
}

// appendRandom appends the next request to dst and returns it with the advanced random state.
func (w *workload) appendRandom(dst []byte, r random) ([]byte, random) {
	r = r.next()
	kind := r.low()
	var i uint64
	if kind >= w.getBelow {
		i, r = w.choose(r)
		if kind < w.incrBelow {
			return w.appendIncr(dst, i), r
		}
		return w.appendSet(dst, i, r)
	}
	dst = append(dst, w.getHead...)
	for range w.multiGet {
		i, r = w.choose(r)
		dst = append(dst, w.keyHead...)
		dst = append(dst, w.key(i)...)
		dst = append(dst, w.keyTail...)
	}
	return append(dst, w.getTail...), r
}

// appendFill appends the set number i, under fills, of those that fill the server.
func (w *workload) appendFill(dst []byte, i uint64, r random) ([]byte, random) {
	if i < w.n {
		return w.appendSet(dst, i, r)
	}
	at := len(dst) + len(w.setHead)
	dst = w.appendStore(dst, w.key(i-w.n), w.zero)
	dst[at] = counterLetter
	return dst, r
}

// appendSet appends a set of key i to a value of a random size.
func (w *workload) appendSet(dst []byte, i uint64, r random) ([]byte, random) {
	size, r := w.sizes.draw(r)
	return w.appendStore(dst, w.key(i), w.value[:size]), r
}

func (w *workload) appendStore(dst, key, value []byte) []byte {
	at := len(dst)
	dst = append(dst, w.setHead...)
	dst = append(dst, key...)
	if w.sizeAt > 0 {
		binary.BigEndian.PutUint32(dst[at+w.sizeAt:], w.sizeBase+uint32(len(value)))
	} else {
		dst = append(dst, w.sizeHead...)
		dst = strconv.AppendInt(dst, int64(len(value)), 10)
		dst = append(dst, w.sizeTail...)
	}
	dst = append(dst, value...)
	return append(dst, w.setTail...)
}

// appendIncr appends an increment of counter i by 1.
func (w *workload) appendIncr(dst []byte, i uint64) []byte {
	dst = append(dst, w.incrHead...)
	at := len(dst)
	dst = append(dst, w.key(i)...)
	dst[at] = counterLetter
	return append(dst, w.incrTail...)
}

// random is a 64-bit xorshift generator: cheap, and good enough to choose keys. It must not be 0.
type random uint64

// newRandom spreads seed and thread number over the state, so that threads do not walk the same keys.
func newRandom(seed uint64, thread int) random {
	x := seed*0x9E3779B97F4A7C15 + uint64(thread+1)*0xBF58476D1CE4E5B9
	x ^= x >> 31
	return random(x | 1)
}

func (r random) next() random {
	r ^= r << 13
	r ^= r >> 7
	r ^= r << 17
	return r
}

// low returns 32 bits.
func (r random) low() uint64 { return uint64(r*0x2545F4914F6CDD1D) >> 32 }

// below returns a number under n, which must be at most 2^32.
func (r random) below(n uint64) uint64 { return r.low() * n >> 32 }

// unit returns a number from 0 to below 1.
func (r random) unit() float64 { return float64(uint64(r*0x2545F4914F6CDD1D)>>11) / (1 << 53) }
