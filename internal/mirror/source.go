package mirror

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/ulog"
)

const (
	// keepAliveEvery is how often a follower hears of a source that has nothing to send.
	keepAliveEvery = time.Second
	// writeTimeout is how long a follower may take nothing.
	writeTimeout = time.Minute
	// copying is the time of the entries of a full copy: who breaks off gets the whole copy again.
	copying = 1
	// lookBack is how many entries a stream looks at before those that it sends.
	lookBack = 100_000
	// baseMark names the note of what the times of this log begin with.
	baseMark = "mirror/base"
)

// Source serves the log. Entries have no times in the log, so a time on the wire is a position: that of an entry is the
// base of the log, in microseconds since 1970, plus its sequence. Followers only store it and ask for more than it.
type Source struct {
	store   *store.Store
	cabinet *cabinet.Cabinet
	node    int
	logger  *slog.Logger

	// Master tells the id of the server that this node follows, 0 if that is not known; nil: it follows none.
	Master func() int

	mu   sync.Mutex
	base int64
	attendance
}

// NewSource returns the source of a node.
func NewSource(s *store.Store, c *cabinet.Cabinet, node int, logger *slog.Logger) *Source {
	return &Source{
		store: s, cabinet: c, node: node, logger: logger,
		attendance: attendance{keepFor: keepFor, present: map[int]int{}, gone: map[int]*time.Timer{}},
	}
}

// times returns the base of the log. A log with a new identity gets one above all times of the old one.
func (s *Source) times() (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.base != 0 {
		return s.base, nil
	}
	life := s.store.Log().Identity()
	var old int64
	if b := s.store.Mark(baseMark); len(b) == len(life)+16 {
		old = int64(binary.LittleEndian.Uint64(b[len(life):]))
		if ulog.Identity(b[:len(life)]) == life {
			s.base = old
			return old, nil
		}
	}
	base := max(time.Now().UnixMicro(), old+int64(s.store.Log().Last())+1)
	b := binary.LittleEndian.AppendUint64(life[:], uint64(base))
	if _, err := s.store.SetMark(baseMark, binary.LittleEndian.AppendUint64(b, 0)); err != nil {
		return 0, fmt.Errorf("note the time of the log: %w", err)
	}
	s.store.Flush()
	s.base = base
	return base, nil
}

// Time is the time of the newest entry of the log; ok is false as long as nobody has followed.
func (s *Source) Time() (micros int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base + int64(s.store.Log().Last()), s.base != 0
}

// Serve sends the log from a time on to the server with this id, until ctx ends or the connection does, which it closes.
func (s *Source) Serve(ctx context.Context, conn net.Conn, from int64, sid uint32) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if sid == uint32(s.node) {
		s.logger.Warn("a server with this node's own id may not follow it: give it another -sid", "sid", sid, "remote", conn.RemoteAddr())
		return
	}
	s.arrives(int(sid))
	defer s.leaves(int(sid))
	s.logger.Info("a Tokyo Tyrant server follows", "sid", sid, "remote", conn.RemoteAddr(), "from", from)
	err := s.serve(ctx, conn, from, sid)
	s.logger.Info("a Tokyo Tyrant server follows no more", "sid", sid, "remote", conn.RemoteAddr(), "err", err)
}

// feed is what one follower is sent.
type feed struct {
	*Source
	ctx  context.Context
	conn net.Conn
	w    *bufio.Writer
	out  []byte
	body []byte
	rec  record.Record
	num  [24]byte

	sid   int
	base  int64
	away  bool      // a copy leaves out what came from Tokyo Tyrant servers, as the log does
	exact uint64    // sums that were added up to here may be in the copy that was sent
	own   hlc.Stamp // the newest write of this node that was looked at
	rose  chan struct{}
}

func (s *Source) serve(ctx context.Context, conn net.Conn, from int64, sid uint32) error {
	base, err := s.times()
	if err != nil {
		return err
	}
	f := &feed{Source: s, ctx: ctx, conn: conn, w: bufio.NewWriterSize(conn, 64<<10), sid: int(sid), base: base, rose: make(chan struct{}, 1)}
	defer s.store.OnRise(func() {
		select {
		case f.rose <- struct{}{}:
		default:
		}
	})()
	if err := f.send(tyrant.AppendKeepAlive(tyrant.AppendSID(nil, uint16(s.node)))); err != nil {
		return err
	}
	// It has what it wrote itself, maybe newer than here; a copy of that would undo it there for good. Who never followed gets that too,
	// for it may be another server.
	f.away = from > copying+1 || s.Master != nil && s.Master() == int(sid)
	after := from - base - 1
	if after < 0 || uint64(after) > s.store.Log().Last() {
		return f.copyAndStream()
	}
	return f.stream(uint64(after))
}

// stream sends what follows a sequence, or a copy of all where the log does not have that any more.
func (f *feed) stream(after uint64) error {
	log := f.store.Log()
	back := after - min(after, lookBack)
	r, err := log.ReadAfterSeq(back)
	if errors.Is(err, ulog.ErrGone) && back != after {
		r, err = log.ReadAfterSeq(after)
	}
	if errors.Is(err, ulog.ErrGone) {
		return f.copyAndStream()
	} else if err != nil {
		return err
	}
	defer r.Close()
	tick := time.NewTicker(keepAliveEvery)
	defer tick.Stop()
	for {
		e, ok := r.Next()
		if ok {
			err = f.entry(&e, after)
		} else if r.Gone() {
			return f.copyAndStream()
		} else {
			err = f.wait(r, tick)
		}
		if err != nil {
			return err
		}
	}
}

// wait sends what is buffered, and returns when there may be more.
func (f *feed) wait(r *ulog.Reader, tick *time.Ticker) error {
	if err := f.flush(); err != nil {
		return err
	}
	// The log is kept for it, as for a peer, whose ids are positive.
	f.store.Retain(-f.sid, r.After())
	select {
	case <-f.rose:
		return nil
	case <-tick.C:
		return f.send(tyrant.AppendKeepAlive(nil))
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
}

// entry sends one entry of the log, if it is new to the follower, and in a form that it knows.
func (f *feed) entry(e *ulog.Entry, after uint64) error {
	r := &f.rec
	e.Raw.Into(r)
	fresh := r.Stamp.Node() == f.node && r.Stamp > f.own
	if fresh {
		f.own = r.Stamp
	}
	if e.Seq <= after {
		return nil
	}
	q, ok := f.request(r, fresh, e.Seq > f.exact)
	if !ok {
		return nil
	}
	return f.put(f.base+int64(e.Seq), &q)
}

// request is what a record means for a Tokyo Tyrant server; false: nothing. fresh says that the newest write in it is one of this
// node that was not looked at before, exact that what it added is in nothing that was sent before.
func (f *feed) request(r *record.Record, fresh, exact bool) (q tyrant.Request, ok bool) {
	q = tyrant.Request{Command: tyrant.Put, Key: r.Key}
	switch r.Kind {
	case record.Value:
		q.Value = r.Value
		return q, !r.Relayed
	case record.Tombstone:
		q.Command = tyrant.Out
		return q, !r.Relayed && !r.Evicted
	case record.Floor:
		q.Command = tyrant.Vanish
		if r.FloorStamp() > r.Stamp {
			f.logger.Warn("a flush with a delay cannot be told to a Tokyo Tyrant server", "at", r.FloorStamp().Time())
			return q, false
		}
		return q, !r.Relayed
	case record.Counter:
		if r.Touched() || r.Relayed && (fresh || r.Stamp.Node() != f.node) {
			return q, false
		}
		if delta, is := r.Added(); is && fresh && exact {
			q.Command, q.Num = tyrant.AddInt, delta
			return q, delta != 0
		}
		q.Value = r.Bytes(f.num[:0])
		return q, true
	}
	return q, false // what only concerns this log, or the mesh
}

// put buffers one entry.
func (f *feed) put(at int64, q *tyrant.Request) error {
	f.body = tyrant.AppendPayload(f.body[:0], q, true)
	f.out = tyrant.AppendStreamEntry(f.out[:0], &tyrant.Entry{Time: at, SID: uint16(f.node), Payload: f.body})
	if err := f.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := f.w.Write(f.out)
	return err
}

func (f *feed) send(b []byte) error {
	if _, err := f.w.Write(b); err != nil {
		return err
	}
	return f.flush()
}

func (f *feed) flush() error {
	if err := f.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return f.w.Flush()
}

// copyAndStream sends every record, and then what was written since that began.
func (f *feed) copyAndStream() error {
	f.store.Flush()
	begin := f.store.Log().Last()
	f.logger.Info("sending a copy of everything to a Tokyo Tyrant server: the log does not reach back to its position", "remote", f.conn.RemoteAddr())
	c := f.cabinet.Client(new(cabinet.Scratch))
	if err := c.IterInit(); err != nil {
		return err
	}
	var v store.View
	var value []byte
	for f.ctx.Err() == nil {
		key, err := c.IterNext()
		if errors.Is(err, cabinet.ErrEnd) {
			break
		}
		if err != nil {
			return err
		}
		if !f.store.Peek(key, &v) {
			if v.Fault != nil {
				return store.ErrDamaged
			}
			continue // deleted in between
		}
		leaves := f.away && v.Relayed
		value = append(value[:0], v.Value...)
		v.Release()
		if leaves {
			continue
		}
		if err := f.put(copying, &tyrant.Request{Command: tyrant.Put, Key: key, Value: value}); err != nil {
			return err
		}
	}
	f.store.Flush()
	f.exact = f.store.Log().Last()
	if f.ctx.Err() != nil {
		return f.ctx.Err()
	}
	// What does nothing there: the copy is whole, and need not be sent again.
	if err := f.put(f.base+int64(begin), &tyrant.Request{Command: tyrant.Sync}); err != nil {
		return err
	}
	return f.stream(begin)
}
