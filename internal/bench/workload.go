package bench

import (
	"fmt"
	"strings"

	"github.com/futago/futago/internal/tyrant"
)

// workload holds the parts of which requests are put together. It is shared by all threads and never
// changes during a run.
type workload struct {
	keys    []byte // all keys, one after another
	keySize int
	n       uint64 // number of keys

	multiGet int
	// getBelow is compared with 32 random bits: the share of gets.
	getBelow uint64

	// A get is getHead, multiGet times keyHead KEY keyTail, getTail; a set is setHead KEY setTail.
	getHead, keyHead, keyTail, getTail string
	setHead, setTail                   string
}

func newWorkload(c *Config) *workload {
	w := &workload{
		keySize:  c.KeySize,
		n:        uint64(c.Keys),
		multiGet: c.MultiGet,
		getBelow: uint64(c.GetRatio * (1 << 32)),
		keys:     make([]byte, 0, c.Keys*c.KeySize),
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
	value := strings.Repeat("0123456789abcdef", c.ValueSize/16+1)[:c.ValueSize]
	switch c.Protocol {
	case Memcache:
		w.getHead, w.keyHead, w.getTail = "get", " ", "\r\n"
		w.setHead = "set "
		w.setTail = fmt.Sprintf(" 0 0 %d\r\n%s\r\n", len(value), value)
	case Redis:
		w.getHead = "*2\r\n$3\r\nGET\r\n"
		if c.MultiGet > 1 {
			w.getHead = fmt.Sprintf("*%d\r\n$4\r\nMGET\r\n", c.MultiGet+1)
		}
		w.keyHead, w.keyTail = fmt.Sprintf("$%d\r\n", c.KeySize), "\r\n"
		w.setHead = fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n", c.KeySize)
		w.setTail = fmt.Sprintf("\r\n$%d\r\n%s\r\n", len(value), value)
		if c.WaitReplicas > 0 {
			w.setTail += fmt.Sprintf("*3\r\n$4\r\nWAIT\r\n$1\r\n%d\r\n$1\r\n0\r\n", c.WaitReplicas) // 0: no timeout
		}
	case HTTP:
		w.getHead, w.getTail = "GET /", " HTTP/1.1\r\nHost: bench\r\n\r\n"
		w.setHead = "PUT /"
		w.setTail = fmt.Sprintf(" HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s", len(value), value)
	case Tyrant:
		w.tyrant(c.MultiGet, value)
	}
	return w
}

// tyrant prepares the parts for Tokyo Tyrant's binary protocol, where all that depends on sizes stands before the key.
func (w *workload) tyrant(multiGet int, value string) {
	const elementHead = 4 // the size of an element of a list
	key := w.key(0)
	before := func(r tyrant.Request, rest int) string {
		request := tyrant.AppendRequest(nil, &r)
		return string(request[:len(request)-rest])
	}
	w.getHead = before(tyrant.Request{Command: tyrant.Get, Key: key}, len(key))
	if multiGet > 1 {
		w.getHead = before(tyrant.Request{Command: tyrant.MGet, Args: make([][]byte, multiGet)}, multiGet*elementHead)
		w.keyHead = string(tyrant.AppendElement(nil, key)[:elementHead])
	}
	w.setHead = before(tyrant.Request{Command: tyrant.Put, Key: key, Value: []byte(value)}, len(key)+len(value))
	w.setTail = value
}

func (w *workload) key(i uint64) []byte {
	return w.keys[int(i)*w.keySize : (int(i)+1)*w.keySize]
}

// appendRandom appends the next request to dst and returns it with the advanced random state.
func (w *workload) appendRandom(dst []byte, r random) ([]byte, random) {
	r = r.next()
	if r.low() >= w.getBelow {
		r = r.next()
		return w.appendSet(dst, r.below(w.n)), r
	}
	dst = append(dst, w.getHead...)
	for range w.multiGet {
		r = r.next()
		dst = append(dst, w.keyHead...)
		dst = append(dst, w.key(r.below(w.n))...)
		dst = append(dst, w.keyTail...)
	}
	return append(dst, w.getTail...), r
}

// appendSet appends a set of key i.
func (w *workload) appendSet(dst []byte, i uint64) []byte {
	dst = append(dst, w.setHead...)
	dst = append(dst, w.key(i)...)
	return append(dst, w.setTail...)
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
