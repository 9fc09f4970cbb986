package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/futago/futago/internal/store"
)

// flush_all writes the time before which records are dead, by the clocks of the masters, and removes what is dead afterwards, in the
// background. The time stands under several keys, so under several masters. All of them must be written or the command fails; to read
// it one will do, so no front stops serving because a master died.
//
// One key is enough to read, for each has the newest time as long as its master lives: a front that knew an older one learns of a flush unless the master
// of the only key that answers in time has lost it in a failover, and a front that knows it already never goes back, and mends the others.
//
// A front relies on what it read for the lease; after that it reads it again before it does anything else. A flush that has been
// written therefore waits for a lease, and then every front obeys it. A record that is written after that has a later time than the
// flush, for the flush waited until the clock of each master had passed it.

// floorKeys is under how many keys the time stands. Their slots are spread.
const floorKeys = 8

// floor says which records are dead. Times are microseconds since 1970.
type floor struct {
	version int64 // the time of the flush_all that wrote it; the highest one holds
	active  int64 // what was written before is dead
	pending int64 // from this time on, what was written before it is dead; 0: there is none

	until time.Time // a front relies on it up to then; monotonic
}

// kills reports whether a record that was written then is dead now.
func (f floor) kills(written int64, now time.Time) bool {
	return written < f.at(now)
}

// at is the time before which records are dead now.
func (f floor) at(now time.Time) int64 {
	if f.pending != 0 && now.UnixMicro() >= f.pending {
		return f.pending
	}
	return f.active
}

func (f floor) text() string { return fmt.Sprintf("%d %d %d", f.version, f.active, f.pending) }

// parseFloor reads what text wrote.
func parseFloor(text string) (f floor, err error) {
	fields := strings.Split(text, " ")
	if len(fields) != 3 {
		return f, errHeader
	}
	for i, to := range []*int64{&f.version, &f.active, &f.pending} {
		if *to, err = strconv.ParseInt(fields[i], 10, 64); err != nil || *to < 0 || *to >= 1<<53 {
			return floor{}, errHeader
		}
	}
	return f, nil
}

// floors is what a front knows of it.
type floors struct {
	known atomic.Pointer[floor]
	turn  chan struct{} // of size 1, full while it is read: who waits for it must not wait longer than it may
}

// begin waits for the turn to read.
func (fs *floors) begin(ctx context.Context) error {
	select {
	case fs.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (fs *floors) end() { <-fs.turn }

// notReached is an error that says that an operation did not begin.
func notReached(why error) error { return fmt.Errorf("%w: %w", store.ErrUnreached, why) }

// now returns the floor, which it reads when the lease has ended.
func (fs *floors) now(ctx context.Context, s *Store) (floor, error) {
	if l := fs.known.Load(); l != nil && time.Now().Before(l.until) {
		return *l, nil
	}
	return fs.read(ctx, s)
}

// read reads the floor, unless somebody else has just done so.
func (fs *floors) read(ctx context.Context, s *Store) (floor, error) {
	if err := s.unconnected(); err != nil {
		return floor{}, notReached(err)
	}
	if err := fs.begin(ctx); err != nil {
		return floor{}, notReached(err)
	}
	defer fs.end()
	for {
		if l := fs.known.Load(); l != nil && time.Now().Before(l.until) {
			return *l, nil
		}
		if err := fs.inTurn(ctx, s); err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return floor{}, notReached(context.Cause(ctx))
		case <-time.After(s.cfg.Lease / 8):
		}
	}
}

func (fs *floors) renew(ctx context.Context, s *Store) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if err := fs.begin(ctx); err != nil {
		return err
	}
	defer fs.end()
	return fs.inTurn(ctx, s)
}

// inTurn asks all keys at once. One that answers is enough.
func (fs *floors) inTurn(ctx context.Context, s *Store) error {
	began := time.Now()
	type answer struct {
		floor
		key int
		err error
	}
	answers := make(chan answer, floorKeys)
	for i := range floorKeys {
		go func() {
			text, err := s.client.Do(ctx, s.client.B().Get().Key(s.floorKey(i)).Build()).ToString()
			if valkey.IsValkeyNil(err) {
				answers <- answer{key: i}
				return
			}
			var f floor
			if err == nil {
				f, err = parseFloor(text)
			}
			answers <- answer{f, i, err}
		}()
	}
	var best floor
	var failed error
	versions := map[int]int64{}
	heard := 0
	patience := time.After(s.cfg.Lease / 2) // for the slowest ones, once another has answered
	late := false
	for left := floorKeys; left > 0 && (!late || heard == 0); {
		select {
		case a := <-answers:
			if left--; a.err != nil {
				failed = a.err
				continue
			}
			versions[a.key] = a.version
			if heard++; a.version > best.version {
				best = a.floor
			}
		case <-patience:
			late = true
		case <-ctx.Done():
			left = 0
		}
	}
	if heard == 0 {
		if failed == nil {
			failed = context.Cause(ctx)
		}
		return fmt.Errorf("no master says which records are dead: %w", failed)
	}
	if l := fs.known.Load(); l != nil && l.version > best.version {
		best = *l // the masters that had it are gone
	}
	var behind []int
	for i, version := range versions {
		if version < best.version {
			behind = append(behind, i)
		}
	}
	if len(behind) > 0 && s.ctx.Err() == nil {
		s.mend(behind, best)
	}
	best.until = began.Add(s.cfg.Lease)
	fs.known.Store(&best)
	return nil
}

// keep renews the lease ahead of its end, until the store is closed.
func (fs *floors) keep(s *Store) {
	tick := time.NewTicker(max(s.cfg.Lease/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			_ = fs.renew(s.ctx, s) // who needs it finds that it has ended
		}
	}
}

func (s *Store) floorKey(i int) string { return s.cfg.Prefix + "flush:" + strconv.Itoa(i) }

// setFloor stores a floor unless a newer one is there.
var setFloor = valkey.NewLuaScript(`
local old = redis.call('GET', KEYS[1])
if old and tonumber(string.match(old, '^%d+')) >= tonumber(ARGV[1]) then return 'newer' end
redis.call('SET', KEYS[1], ARGV[2])
return 'stored'`)

func (s *Store) storeFloor(ctx context.Context, i int, f floor) error {
	args := []string{strconv.FormatInt(f.version, 10), f.text()}
	_, err := s.write(ctx, func() valkey.ValkeyResult { return setFloor.Exec(ctx, s.client, []string{s.floorKey(i)}, args) })
	return err
}

// mend gives keys what other ones say: a master that died took it along.
func (s *Store) mend(keys []int, f floor) {
	s.work.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout)
		defer cancel()
		for _, i := range keys {
			_ = s.storeFloor(ctx, i, f) // the next look finds it again
		}
	})
}

// FlushAll makes all records dead, at once or from a time of the store on. An error other than store.ErrUnreached says that some
// fronts may, and the command is to be repeated.
func (s *Store) FlushAll(at uint64) (seq uint64, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.Timeout+s.cfg.Lease)
	defer cancel()
	clock, err := s.clocks(ctx)
	if err != nil {
		return 0, s.unreached(err)
	}
	last, err := s.floors.now(ctx, s)
	if err != nil {
		return 0, s.unreached(err)
	}
	// Records that were written up to now, at any master, are dead.
	f := floor{version: max(clock.latest, last.version) + 1}
	if f.active = f.version; at != 0 {
		f.active, f.pending = last.at(time.UnixMicro(clock.latest)), toUnix(at)*1000
	}
	var wait sync.WaitGroup
	errs := make([]error, floorKeys)
	for i := range floorKeys {
		wait.Go(func() { errs[i] = s.storeFloor(ctx, i, f) })
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, s.noted(store.ErrUnknown)
	}
	select { // until every front has heard of it
	case <-time.After(s.cfg.Lease):
	case <-ctx.Done():
		return 0, s.noted(store.ErrUnknown)
	}
	if err := s.floors.renew(ctx, s); err != nil {
		return 0, s.noted(store.ErrUnknown)
	}
	for clock.earliest <= f.active && at == 0 {
		if clock, err = s.clocks(ctx); err != nil {
			return 0, s.noted(store.ErrUnknown)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0, s.noted(store.ErrUnknown)
		}
	}
	s.SweepFlush()
	return 0, nil
}
