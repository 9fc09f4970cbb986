package bench

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

const (
	// maxValueSize is in bytes.
	maxValueSize = 512 << 20
	// maxSizeRanges bounds Sizes.
	maxSizeRanges = 100
)

// Sizes is a distribution of the sizes of values. Its text, which is its JSON too, is a list of SIZE or MIN-MAX, each with
// :WEIGHT or without: "100", "32-4096", "100:9,10000:1".
type Sizes []SizeRange

// SizeRange is sizes from Min to Max bytes, both included, with the same chance each.
type SizeRange struct {
	Min, Max int
	// Weight is the share of this range, relative to the sum of all weights.
	Weight float64
}

// ParseSizes reads the text of Sizes. A weight that is not there is 1.
func ParseSizes(text string) (Sizes, error) {
	var s Sizes
	for part := range strings.SplitSeq(text, ",") {
		r, err := parseSizeRange(part)
		if err != nil {
			return nil, fmt.Errorf("value-size %.100q: must be SIZE, MIN-MAX, or a list of these with weights, as 100:9,10000:1", text)
		}
		s = append(s, r)
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	return s, nil
}

func parseSizeRange(text string) (r SizeRange, err error) {
	sizes, weight, weighted := strings.Cut(text, ":")
	r.Weight = 1
	if weighted {
		if r.Weight, err = strconv.ParseFloat(weight, 64); err != nil {
			return r, err
		}
	}
	least, most, isRange := strings.Cut(sizes, "-")
	if r.Min, err = strconv.Atoi(least); err != nil {
		return r, err
	}
	r.Max = r.Min
	if isRange {
		r.Max, err = strconv.Atoi(most)
	}
	return r, err
}

func (s Sizes) validate() error {
	var errs []error
	if len(s) > maxSizeRanges {
		errs = append(errs, fmt.Errorf("value-size has %d parts: must be at most %d", len(s), maxSizeRanges))
	}
	for _, r := range s {
		if r.Min < 0 || r.Max < r.Min || r.Max > maxValueSize {
			errs = append(errs, fmt.Errorf("value-size %d-%d: must be 0 to %d, the least first", r.Min, r.Max, maxValueSize))
		}
		if !(r.Weight > 0 && r.Weight <= 1e9) {
			errs = append(errs, fmt.Errorf("value-size with weight %g: must be above 0 and at most 1e9", r.Weight))
		}
	}
	return errors.Join(errs...)
}

// String is the text that ParseSizes reads.
func (s Sizes) String() string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(r.Min))
		if r.Max > r.Min {
			fmt.Fprintf(&b, "-%d", r.Max)
		}
		if r.Weight != 1 {
			fmt.Fprintf(&b, ":%g", r.Weight)
		}
	}
	return b.String()
}

// MarshalText makes the JSON of Sizes a string.
func (s Sizes) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Sizes) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSizes(string(text))
	return err
}

// Fixed returns the size when there is only one.
func (s Sizes) Fixed() (size int, ok bool) {
	if len(s) == 0 {
		return 0, false
	}
	for _, r := range s {
		if r.Min != s[0].Min || r.Max != r.Min {
			return 0, false
		}
	}
	return s[0].Min, true
}

// largest is the largest size, 0 of none.
func (s Sizes) largest() (size int) {
	for _, r := range s {
		size = max(size, r.Max)
	}
	return size
}

// sizeChooser draws from Sizes.
type sizeChooser struct {
	ranges Sizes
	// below are bounds for 32 random bits, rising to 2^32: the first one above them chooses the range.
	below []uint64
}

func newSizeChooser(s Sizes) *sizeChooser {
	c := &sizeChooser{ranges: s}
	total, sum := 0.0, 0.0
	for _, r := range s {
		total += r.Weight
	}
	for _, r := range s {
		sum += r.Weight
		c.below = append(c.below, uint64(math.Round(sum/total*(1<<32))))
	}
	c.below[len(s)-1] = 1 << 32
	return c
}

// draw returns a size and the advanced random state, which a choice of one does not take.
func (c *sizeChooser) draw(r random) (size int, next random) {
	i := 0
	if len(c.ranges) > 1 {
		r = r.next()
		for bits := r.low(); bits >= c.below[i]; {
			i++
		}
	}
	of := c.ranges[i]
	if of.Max == of.Min {
		return of.Min, r
	}
	r = r.next()
	return of.Min + int(r.below(uint64(of.Max-of.Min)+1)), r
}
