package rediscluster

import (
	"context"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

// Acquire fills v with a live record. It is a copy.
func (s *Store) Acquire(key []byte, v *store.View) bool {
	v.Fault = nil
	if len(key) == 0 || len(key) > record.MaxKey {
		return false
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
	defer cancel()
	f, err := s.floors.now(ctx, s)
	if err != nil {
		v.Fault = s.unreached(err)
		return false
	}
	return s.acquire(ctx, f, key, v)
}

func (s *Store) acquire(ctx context.Context, f floor, key []byte, v *store.View) bool {
	var b []byte
	name, found := s.name(key), false
	err := s.read(ctx, func() (err error) {
		b, err = s.client.Do(ctx, s.client.B().Get().Key(name).Build()).AsBytes()
		if found = !valkey.IsValkeyNil(err); !found {
			return nil
		}
		return err
	})
	if err != nil || !found {
		v.Fault = s.noted(err)
		return false
	}
	return s.show(b, f, v)
}

// Peek is Acquire: reads are not noted.
func (s *Store) Peek(key []byte, v *store.View) bool { return s.Acquire(key, v) }

// show fills v with the record in b unless it is dead.
func (s *Store) show(b []byte, f floor, v *store.View) bool {
	h, err := view(b, v)
	if err != nil {
		v.Fault = store.ErrForeign
		return false
	}
	return !f.kills(h.written, time.Now())
}
