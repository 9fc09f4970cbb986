package rediscluster

import (
	"context"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/store"
)

// scanCount is how many keys a master looks at in one step of a sweep.
const scanCount = 1000

// sweepPause lies between two steps of a sweep.
const sweepPause = 5 * time.Millisecond

// removeDead deletes a record that was written before a time. It is sent whole: to load it, every node would have to answer.
var removeDead = valkey.NewLuaScriptNoSha(`
local head = redis.call('GETRANGE', KEYS[1], 0, 31)
if #head < 32 or string.sub(head, 1, 2) ~= 'f\1' then return 0 end
if struct.unpack('>I8', head, 16) >= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])`)

// SweepFlush removes what flush_all made dead, in the background. A walk that a failure ends is begun again; what one leaves out is
// dead all the same.
func (s *Store) SweepFlush() {
	if !s.sweeps.CompareAndSwap(false, true) {
		return
	}
	s.work.Go(func() {
		defer s.sweeps.Store(false)
		for s.ctx.Err() == nil && !s.sweep() {
			s.rest(s.cfg.Timeout)
		}
	})
}

// sweep goes through all masters once; false when it could not.
func (s *Store) sweep() (done bool) {
	all, err := s.whole(s.ctx)
	if err != nil {
		return false
	}
	for _, m := range all.list {
		for scan := uint64(0); ; {
			ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
			page, err := m.client.Do(ctx, m.client.B().Scan().Cursor(scan).Match(escapeGlob(s.cfg.Prefix)+"k:*").Count(scanCount).Build()).AsScanEntry()
			if err == nil {
				err = s.removeAll(ctx, page.Elements)
			}
			cancel()
			if err != nil {
				return false
			}
			if scan = page.Cursor; scan == 0 {
				break
			}
			s.rest(sweepPause)
		}
	}
	return true
}

func (s *Store) removeAll(ctx context.Context, names []string) error {
	f, err := s.floors.now(ctx, s)
	if err != nil || len(names) == 0 {
		return err
	}
	bound := []string{strconv.FormatInt(f.at(time.Now()), 10)}
	list := make([]valkey.LuaExec, len(names))
	for i, name := range names {
		list[i] = valkey.LuaExec{Keys: []string{name}, Args: bound}
	}
	for _, res := range removeDead.ExecMulti(ctx, s.client, list...) {
		n, failed := res.AsInt64()
		if _, fault := judge(failed); failed != nil && fault != store.ErrForeign {
			err = failed
		}
		s.counts.swept.Add(uint64(n))
	}
	return err
}

func (s *Store) rest(d time.Duration) {
	select {
	case <-s.ctx.Done():
	case <-time.After(d):
	}
}
