package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
)

// scaleKeySize is the size of every key, in bytes.
const scaleKeySize = 16

// Kinds of keys: the records that are looked at, and those that expire beside them.
const (
	keptKeys     = 'k'
	expiringKeys = 'x'
)

// records builds requests for numbered records. It is safe for concurrent use.
type records struct {
	n         int // of kind keptKeys
	valueSize int
	// block is random text of which values are parts: they do not compress.
	block []byte
}

func newRecords(n, valueSize int) *records {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	rng := rand.New(rand.NewPCG(1, 2))
	block := make([]byte, 4*maxScaleValueSize)
	for i := range block {
		block[i] = letters[rng.IntN(len(letters))]
	}
	return &records{n: n, valueSize: valueSize, block: block}
}

// bytes is what the keys and values of all records have.
func (r *records) bytes() int64 { return int64(r.n) * int64(scaleKeySize+r.valueSize) }

// appendKey appends a letter and 15 digits.
func appendKey(dst []byte, kind byte, i int) []byte {
	key := [scaleKeySize]byte{kind}
	for at := len(key) - 1; at > 0; at-- {
		key[at] = '0' + byte(i%10)
		i /= 10
	}
	return append(dst, key[:]...)
}

// value is that of record i after it was changed version times.
func (r *records) value(i, version int) []byte {
	at := int(scatter(i+version<<32) % uint64(len(r.block)-r.valueSize))
	return r.block[at : at+r.valueSize]
}

// scatter mixes the bits of i, always in the same way.
func scatter(i int) uint64 {
	x := uint64(i) + 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// chosen says whether record i belongs to a share of all that lies scattered among the others.
func chosen(i int, share float64) bool {
	return float64(scatter(i)>>11)/(1<<53) < share
}

func (r *records) appendGet(dst []byte, protocol string, i int) []byte {
	if protocol == Redis {
		dst = append(dst, "*2\r\n$3\r\nGET\r\n$16\r\n"...)
	} else {
		dst = append(dst, "get "...)
	}
	return append(appendKey(dst, keptKeys, i), "\r\n"...)
}

// appendSet appends a set; exptime is that of memcached, 0 is never.
func (r *records) appendSet(dst []byte, protocol string, kind byte, i, version int, exptime int64) []byte {
	value := r.value(i, version)
	if protocol == Redis {
		dst = append(dst, "*3\r\n$3\r\nSET\r\n$16\r\n"...)
		dst = appendKey(dst, kind, i)
		dst = fmt.Appendf(dst, "\r\n$%d\r\n", len(value))
	} else {
		dst = append(dst, "set "...)
		dst = appendKey(dst, kind, i)
		dst = append(dst, " 0 "...)
		dst = strconv.AppendInt(dst, exptime, 10)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, int64(len(value)), 10)
		dst = append(dst, "\r\n"...)
	}
	return append(append(dst, value...), "\r\n"...)
}

// appendDelete appends a delete of memcached's text protocol.
func appendDelete(dst []byte, i int) []byte {
	return append(appendKey(append(dst, "delete "...), keptKeys, i), "\r\n"...)
}

// each returns requests of append for 0 to n-1, for a stream.
func each(n int, request func(dst []byte, i int) []byte) func([]byte) ([]byte, bool) {
	i := 0
	return func(dst []byte) ([]byte, bool) {
		if i == n {
			return dst, false
		}
		i++
		return request(dst, i-1), true
	}
}

// endless returns requests for numbers that draw returns, for a stream.
func endless(draw func() int, request func(dst []byte, i int) []byte) func([]byte) ([]byte, bool) {
	return func(dst []byte) ([]byte, bool) { return request(dst, draw()), true }
}

// uniform draws 0 to n-1 with equal chances.
func uniform(n int, seed uint64) func() int {
	r := newRandom(seed, 0)
	return func() int {
		r = r.next()
		return int(r.below(uint64(n)))
	}
}

// zipfian draws 0 to n-1 by a Zipf distribution, its popular ones scattered over all.
func zipfian(n int, skew float64, seed uint64) func() int {
	z, r := newZipf(n, skew), newRandom(seed, 0)
	return func() int {
		rank, next := z.draw(r)
		r = next
		return shuffled(int(rank), n)
	}
}

// shuffled is another order of 0 to n-1.
func shuffled(i, n int) int {
	const prime = 2_654_435_761 // above any n, so that no two numbers fall on one
	return int(uint64(i) * prime % uint64(n))
}

// linesScanner reads replies of one line, which must be want.
type linesScanner struct {
	lines
	want string
}

func (s *linesScanner) scan(b []byte, c *counts) (replies int, err error) {
	for {
		line, rest, ok, err := s.next(b)
		if !ok || err != nil {
			return replies, err
		}
		b = rest
		if string(line) != s.want {
			c.failed(line)
		}
		replies++
	}
}
