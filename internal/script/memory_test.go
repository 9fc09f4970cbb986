package script

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// memory is a database of this package's tests: an ordered map.
type memory struct {
	mu     sync.Mutex
	m      map[string]string
	cursor []string
	misc   []string // name, noLog and arguments of the last Misc
	broken error    // what Put returns
}

func newMemory(pairs ...string) *memory {
	d := &memory{m: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		d.m[pairs[i]] = pairs[i+1]
	}
	return d
}

// value returns what a test wants to see, "" for no record.
func (d *memory) value(key string) string {
	value, _ := d.Get([]byte(key))
	return string(value)
}

func (d *memory) change(key []byte, f func(old string, exists bool) (string, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return d.broken
	}
	old, exists := d.m[string(key)]
	value, err := f(old, exists)
	if err == nil {
		d.m[string(key)] = value
	}
	return err
}

func (d *memory) Put(key, value []byte) error {
	return d.change(key, func(string, bool) (string, error) { return string(value), nil })
}

func (d *memory) PutKeep(key, value []byte) error {
	return d.change(key, func(_ string, exists bool) (string, error) {
		if exists {
			return "", ErrExists
		}
		return string(value), nil
	})
}

func (d *memory) PutCat(key, value []byte) error {
	return d.change(key, func(old string, _ bool) (string, error) { return old + string(value), nil })
}

func (d *memory) Out(key []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.m[string(key)]; !ok {
		return ErrNoRecord
	}
	delete(d.m, string(key))
	return nil
}

func (d *memory) Get(key []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	value, ok := d.m[string(key)]
	if !ok {
		return nil, ErrNoRecord
	}
	return []byte(value), nil
}

func (d *memory) VSiz(key []byte) (int, error) {
	value, err := d.Get(key)
	return len(value), err
}

func (d *memory) IterInit() error {
	keys, _ := d.FwmKeys(context.Background(), nil, -1)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cursor = nil
	for _, key := range keys {
		d.cursor = append(d.cursor, string(key))
	}
	return nil
}

func (d *memory) IterNext() ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.cursor) == 0 {
		return nil, ErrNoRecord
	}
	key := d.cursor[0]
	d.cursor = d.cursor[1:]
	return []byte(key), nil
}

func (d *memory) FwmKeys(ctx context.Context, prefix []byte, most int) ([][]byte, error) {
	if string(prefix) == "endless" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var keys [][]byte
	for _, key := range slices.Sorted(maps.Keys(d.m)) {
		if strings.HasPrefix(key, string(prefix)) && (most < 0 || len(keys) < most) {
			keys = append(keys, []byte(key))
		}
	}
	return keys, nil
}

var errLength = errors.New("value has another length")

func (d *memory) AddInt(key []byte, n int32) (sum int32, err error) {
	err = d.change(key, func(old string, exists bool) (string, error) {
		if exists && len(old) != 4 {
			return "", errLength
		}
		if exists {
			n += int32(binary.LittleEndian.Uint32([]byte(old)))
		}
		return string(binary.LittleEndian.AppendUint32(nil, uint32(n))), nil
	})
	return n, err
}

func (d *memory) AddDouble(key []byte, n float64) (sum float64, err error) {
	err = d.change(key, func(old string, exists bool) (string, error) {
		if exists && len(old) != 8 {
			return "", errLength
		}
		if exists {
			n += math.Float64frombits(binary.LittleEndian.Uint64([]byte(old)))
		}
		return string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(n))), nil
	})
	return n, err
}

func (d *memory) Vanish() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.m)
	return nil
}

func (d *memory) RNum() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return uint64(len(d.m))
}

func (d *memory) Size() uint64 { return 100 * d.RNum() }

func (d *memory) Misc(ctx context.Context, name string, args [][]byte, noLog bool) ([][]byte, error) {
	if name == "endless" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.misc = []string{name, map[bool]string{true: "nolog", false: "log"}[noLog]}
	for _, arg := range args {
		d.misc = append(d.misc, string(arg))
	}
	if name == "unknown" {
		return nil, errors.New("no such function")
	}
	return [][]byte{[]byte("one"), bytes.Join(args, []byte(","))}, nil
}

func (d *memory) Each(f func(key, value []byte) bool) error {
	keys, _ := d.FwmKeys(context.Background(), nil, -1)
	for _, key := range keys {
		value, err := d.Get(key)
		if err == nil && !f(key, value) {
			break
		}
	}
	return nil
}
