package bench

import "fmt"

// Draws are the keys that a load would ask for, one after the other, for programs that want to know where a load falls
// without sending it.
type Draws struct {
	w *workload
	r random
}

// NewDraws returns the draws of one thread of a load. Of the configuration Keys, KeySize, Zipf and Seed matter.
func NewDraws(c Config) (*Draws, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("draw keys: %w", err)
	}
	return &Draws{newWorkload(&c), newRandom(c.Seed, 0)}, nil
}

// Next draws the number of a key, from 0 to below Keys.
func (d *Draws) Next() (i int) {
	n, r := d.w.choose(d.r)
	d.r = r
	return int(n)
}

// Key is the key of a number. The bytes must not be changed.
func (d *Draws) Key(i int) []byte { return d.w.key(uint64(i)) }
