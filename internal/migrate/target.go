package migrate

import (
	"bytes"
	"context"
	"slices"

	"github.com/futago/futago/internal/tyrant"
)

// maxRefused is how many keys are kept that the target has refused.
const maxRefused = 20

// Refusals tell what the target would not store or remove.
type Refusals struct {
	// Refused counts a key each time.
	Refused int64 `json:"refusals"`
	// Keys are the first ones, each once.
	Keys [][]byte `json:"refused_keys,omitempty"`
}

func (r *Refusals) add(key []byte) {
	r.Refused++
	if len(r.Keys) < maxRefused && !slices.ContainsFunc(r.Keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
		r.Keys = append(r.Keys, key)
	}
}

// writer stores records in the target.
type writer struct {
	c        *tyrant.Client
	requests []tyrant.Request
	Refusals
}

func openWriter(ctx context.Context, dial Dial) (*writer, error) {
	c, err := connect(ctx, dial, batchReply)
	if err != nil {
		return nil, err
	}
	return &writer{c: c}, nil
}

func (w *writer) Close() { w.c.Close() }

// put stores records and returns how many, when the target has answered for all of them.
func (w *writer) put(records []tyrant.Record) (stored int64, err error) {
	w.requests = w.requests[:0]
	for _, r := range records {
		w.requests = append(w.requests, tyrant.Request{Command: tyrant.Put, Key: r.Key, Value: r.Value})
	}
	done, err := w.batch()
	for i, ok := range done {
		if ok {
			stored++
		} else {
			w.add(records[i].Key)
		}
	}
	return stored, err
}

// out removes records and returns how many were there, when the target has answered for all of them.
func (w *writer) out(keys [][]byte) (removed int64, err error) {
	w.requests = w.requests[:0]
	for _, key := range keys {
		w.requests = append(w.requests, tyrant.Request{Command: tyrant.Out, Key: key})
	}
	done, err := w.batch()
	if err != nil {
		return 0, err
	}
	var failed [][]byte
	for i, ok := range done {
		if ok {
			removed++
		} else {
			failed = append(failed, keys[i])
		}
	}
	if len(failed) == 0 {
		return removed, nil
	}
	// A refusal and a key that is not there have the same answer.
	left, err := w.c.MGet(failed)
	for _, r := range left {
		w.add(r.Key)
	}
	return removed, err
}

func (w *writer) batch() ([]bool, error) {
	if len(w.requests) == 0 {
		return nil, nil
	}
	done, err := w.c.Batch(w.requests)
	clear(w.requests)
	return done, err
}
