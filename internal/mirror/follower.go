package mirror

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/futago/futago/internal/cabinet"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

const (
	// retryEvery is how often a master is asked again.
	retryEvery = time.Second
	// silence is how long a master may say nothing; it sends a keep-alive every second.
	silence = 60 * time.Second
	// maxBatch is how many entries are executed between two notes of the position.
	maxBatch = 1024
	// markPrefix begins the names of the notes of positions, one for each master.
	markPrefix = "mirror/at/"
	// LogTimeStat is the line of stat by which a node tells the time of the newest entry in its log. ttserver has none: there
	// it is the clock.
	LogTimeStat = "ulogts"
)

// FollowerConfig says whom to follow.
type FollowerConfig struct {
	Store   *store.Store
	Cabinet *cabinet.Cabinet
	Node    int    // this node's id, which is its server id
	Master  string // host:port
	From    int64  // where to begin when there is no note of a position, microseconds since 1970; 0 is the beginning
	Restart bool   // begin there although there is a note
	Check   bool   // end when an operation has another result here than there
	Logger  *slog.Logger
}

// Follower executes the update log of a Tokyo Tyrant server on this node.
type Follower struct {
	cfg    FollowerConfig
	client *cabinet.Client
	place  place

	mu     sync.Mutex
	status FollowerStatus
}

// FollowerStatus is what is known of a followed server.
type FollowerStatus struct {
	Master   string     `json:"master"`
	State    string     `json:"state"`              // connecting, following or stopped
	Reason   string     `json:"reason,omitempty"`   // of the state
	SID      int        `json:"sid,omitempty"`      // of the master
	Position int64      `json:"position"`           // time of the last entry that was executed, by the master's clock, microseconds since 1970
	Executed uint64     `json:"executed"`           // entries, since the start
	Skipped  uint64     `json:"skipped"`            // of those that changed something there: what cannot be held here
	Differed uint64     `json:"differed"`           // had another result here
	Heard    *time.Time `json:"heard_at,omitempty"` // when the master last sent something
}

// place is the position in the master's log. What lies between at and upTo may or may not have been executed.
type place struct{ at, upTo int64 }

// NewFollower returns a follower that does not run yet.
func NewFollower(cfg FollowerConfig) *Follower {
	f := &Follower{cfg: cfg, client: cfg.Cabinet.Client(new(cabinet.Scratch))}
	f.client.Relayed = true
	f.place = place{cfg.From, cfg.From}
	if b := cfg.Store.Mark(f.markName()); len(b) == 16 && !cfg.Restart {
		f.place = place{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
	}
	f.status = FollowerStatus{Master: cfg.Master, State: "connecting", Position: f.place.at}
	return f
}

func (f *Follower) markName() string { return markPrefix + f.cfg.Master }

// note makes the place durable, as durable as what was executed before.
func (f *Follower) note() error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(f.place.at))
	_, err := f.cfg.Store.SetMark(f.markName(), binary.LittleEndian.AppendUint64(b, uint64(f.place.upTo)))
	return err
}

// Status returns what is known now.
func (f *Follower) Status() FollowerStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *Follower) change(do func(s *FollowerStatus)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(&f.status)
}

// errDiffers ends a follower that checks results.
var errDiffers = errors.New("an operation had another result here than at the master")

// Run follows until ctx ends, or an operation differs where that is checked.
func (f *Follower) Run(ctx context.Context) {
	for told := ""; ctx.Err() == nil; {
		err := f.follow(ctx)
		if errors.Is(err, errDiffers) {
			f.cfg.Logger.Error("the master is followed no more", "master", f.cfg.Master, "err", err)
			f.change(func(s *FollowerStatus) { s.State, s.Reason = "stopped", err.Error() })
			return
		}
		if ctx.Err() != nil {
			return
		}
		f.change(func(s *FollowerStatus) { s.State, s.Reason = "connecting", err.Error() })
		if err.Error() != told { // once, not every second
			told = err.Error()
			f.cfg.Logger.Warn("the master is not followed", "master", f.cfg.Master, "err", err)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
		}
	}
}

// follow is one connection.
func (f *Follower) follow(ctx context.Context) error {
	c, err := tyrant.Dial(ctx, f.cfg.Master, tyrant.ClientConfig{Timeout: silence})
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	stream, err := c.Repl(f.place.at+1, uint32(f.cfg.Node))
	if err != nil {
		return fmt.Errorf("%w; the master needs -ulog and a -sid other than %d", err, f.cfg.Node)
	}
	f.cfg.Logger.Info("following a Tokyo Tyrant server", "master", f.cfg.Master, "sid", stream.SID, "from", f.place.at)
	f.change(func(s *FollowerStatus) { s.State, s.Reason, s.SID = "following", "", int(stream.SID) })
	arrived, ended := newIntake(), make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		var e tyrant.Entry
		for {
			if err := stream.Next(&e); err != nil {
				ended <- err
				return
			}
			if arrived.put(reading, &e) != nil {
				return
			}
		}
	}()
	d := &doubt{f: f, known: map[string]span{}}
	if f.place.upTo > f.place.at {
		d.until = f.place.upTo
	}
	defer d.close()
	for {
		select {
		case first := <-arrived.items:
			items := arrived.gather(first)
			if err := f.batch(ctx, items, d); err != nil {
				return err
			}
			arrived.done(items)
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// batch executes entries. The position is noted before, so that after a crash it is known which may have been executed, and
// behind them.
func (f *Follower) batch(ctx context.Context, items []item, d *doubt) error {
	now := time.Now()
	f.change(func(s *FollowerStatus) { s.Heard = &now })
	entries := 0
	for _, i := range items {
		if i.payload != nil {
			entries++
			d.high = max(d.high, i.time) // times may go back: who asks again from an earlier one gets this entry again
		}
	}
	if entries == 0 {
		return nil
	}
	f.place.upTo = max(d.until, d.high)
	if err := f.note(); err != nil {
		return err
	}
	var r tyrant.Request
	for _, i := range items {
		if i.payload == nil {
			continue
		}
		if err := f.entry(ctx, i, &r, d); err != nil {
			f.cfg.Store.Flush()
			return err
		}
		f.place.at = i.time
	}
	err := f.note()
	f.cfg.Store.Flush()
	f.change(func(s *FollowerStatus) { s.Position = f.place.at })
	return err
}

// entry executes one.
func (f *Follower) entry(ctx context.Context, i item, r *tyrant.Request, d *doubt) error {
	ok, err := tyrant.DecodePayload(i.payload, r)
	if err != nil {
		f.skip(r, err)
		return nil
	}
	f.change(func(s *FollowerStatus) { s.Executed++ })
	does, repeats := changes(r)
	if !ok || !does {
		return nil // it changed nothing there
	}
	if done, err := d.settle(ctx, i.time, r, repeats); done || err != nil {
		return err
	}
	err = execute(ctx, f.client, r)
	if late := d.again(ctx, i.time, r); late != nil {
		return late
	}
	switch {
	case !isOutcome(err):
		return err
	case errors.Is(err, store.ErrKey), errors.Is(err, store.ErrTooLarge), errors.Is(err, cabinet.ErrFunction):
		f.skip(r, err)
	case err != nil && i.time > d.until: // of what was executed before the result is another one
		f.change(func(s *FollowerStatus) { s.Differed++ })
		f.cfg.Logger.Warn("an operation has another result here than at the master", "master", f.cfg.Master, "command", r.Command.String(), "key", printable(r), "err", err)
		if f.cfg.Check {
			return errDiffers
		}
	}
	return nil
}

func (f *Follower) skip(r *tyrant.Request, err error) {
	f.change(func(s *FollowerStatus) { s.Skipped++ })
	f.cfg.Logger.Warn("an entry of the master cannot be executed here", "master", f.cfg.Master, "command", r.Command.String(), "key", printable(r), "err", err)
}

// printable is the first key of a request as a log shows it.
func printable(r *tyrant.Request) string {
	const most = 80
	var key []byte
	if keys := keysOf(r); len(keys) > 0 {
		key = keys[0]
	}
	if len(key) > most {
		return strconv.Quote(string(key[:most])) + "..."
	}
	return strconv.Quote(string(key))
}

// span is when a value was read from the master, by the clock of its log.
type span struct{ after, before int64 }

// doubt settles entries that may have been executed before a crash, and must not be twice: the value that the master has now is taken
// instead, and with it all that lies before it in the log.
type doubt struct {
	f      *Follower
	until  int64 // entries up to here are in doubt
	high   int64 // up to here they will be, when the master is asked again
	known  map[string]span
	client *tyrant.Client
	unhook func() bool // of what closes it when the follower ends
}

func (d *doubt) close() {
	if d.client != nil {
		d.unhook()
		d.client.Close()
	}
}

// settle reports whether an entry is done: its effect is in a value that was taken.
func (d *doubt) settle(ctx context.Context, at int64, r *tyrant.Request, repeats bool) (done bool, err error) {
	keys := keysOf(r)
	if len(keys) != 1 {
		return false, nil
	}
	s, read := d.known[string(keys[0])]
	switch {
	case read && at <= s.after:
		return true, nil
	case read && at > s.before:
		delete(d.known, string(keys[0]))
		return false, nil
	case !read && (!repeats || at > d.until):
		return false, nil
	}
	return true, d.take(ctx, keys[0])
}

// again takes the values again that an entry for several keys, or for all, has put back to what they were.
func (d *doubt) again(ctx context.Context, at int64, r *tyrant.Request) error {
	keys := keysOf(r)
	if len(keys) == 1 || len(d.known) == 0 {
		return nil
	}
	if len(keys) == 0 {
		for key := range d.known {
			keys = append(keys, []byte(key))
		}
	}
	for _, key := range keys {
		if s, read := d.known[string(key)]; read && at <= s.before {
			if err := d.take(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// take makes the value that the master has now that of this node.
func (d *doubt) take(ctx context.Context, key []byte) error {
	if d.client == nil {
		c, err := tyrant.Dial(ctx, d.f.cfg.Master, tyrant.ClientConfig{Timeout: silence})
		if err != nil {
			return err
		}
		d.client, d.unhook = c, context.AfterFunc(ctx, func() { c.Close() })
	}
	after, err := d.time()
	if err != nil {
		return err
	}
	value, err := d.client.Get(key)
	if err != nil && !errors.Is(err, tyrant.CodeNoRecord) {
		return err
	}
	before, late := d.time()
	if late != nil {
		return late
	}
	// Noted before it is taken: what lies up to here must not be executed again after a crash.
	d.high = max(d.high, before)
	d.f.place.upTo = max(d.f.place.upTo, d.high)
	if late := d.f.note(); late != nil {
		return late
	}
	if err != nil {
		err = d.f.client.Out(key)
	} else {
		err = d.f.client.Put(key, value)
	}
	if !isOutcome(err) {
		return err
	}
	d.known[string(key)] = span{after, before}
	return nil
}

// time is that of an entry that the master would log now, in microseconds since 1970: its clock, or what a node tells of its log.
func (d *doubt) time() (micros int64, err error) {
	stat, err := d.client.Stat()
	if err != nil {
		return 0, err
	}
	err = fmt.Errorf("the master does not tell its time: %w", net.ErrClosed)
	for line := range strings.Lines(string(stat)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), "\t")
		switch name {
		case "time":
			seconds, fraction, _ := strings.Cut(text, ".")
			fraction = (fraction + "000000")[:6]
			micros, err = strconv.ParseInt(seconds+fraction, 10, 64)
		case LogTimeStat:
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return micros, err
}
