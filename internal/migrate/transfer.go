package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// Source is where a [Transfer] has records from.
type Source interface {
	// Read gives all records from a place on to the sink, or says what stands in their stead. The place is one that it has told in an
	// earlier run, "" for the beginning; ErrOtherSource.
	Read(ctx context.Context, place string, to *Sink) error
}

// TransferConfig says what is brought where.
type TransferConfig struct {
	Source Source
	Target Dial
	// Mode is how records are stored. A check stores nothing.
	Mode tyrant.StoreMode
	// Prefix is that of the keys which are wanted.
	Prefix []byte
	// Rate is how many records a second are stored at most, 0 for no bound.
	Rate int
	// State keeps how far it is.
	State *StateFile
	// Stop ends it in order when it is closed, with ErrInterrupted; nil never does.
	Stop <-chan struct{}
	// Progress gets how much of how much is done, in what the source counts; nil for nobody.
	Progress func(done, total int64)
	// Notice gets what somebody should know meanwhile; nil for nobody.
	Notice func(text string)
}

// placeItems is how many records are enough for a parcel that ends at a place.
const placeItems = 500

// Transfer stores the records of a source in a node. It may be done again, from an earlier place or all of it.
func Transfer(ctx context.Context, c TransferConfig) (*Summary, error) {
	t := &transfer{TransferConfig: c, done: &Summary{}, began: time.Now()}
	if c.State.Done != nil {
		t.done = c.State.Done.clone()
	}
	t.done.DryRun = c.Mode == tyrant.CheckAll || c.Mode == tyrant.CheckAbsent
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before := t.done.Seconds
	err := t.run(ctx)
	t.done.Seconds = before + time.Since(t.began).Seconds()
	return t.done, reason(ctx, err)
}

type transfer struct {
	TransferConfig
	done    *Summary
	began   time.Time
	target  *target
	saved   time.Time // when the state was
	unsaved bool
}

func (t *transfer) run(ctx context.Context) (err error) {
	if t.target, err = openTarget(ctx, targetConfig{dial: t.Target, mode: t.Mode, rate: t.Rate, stop: t.Stop, notice: t.Notice}); err != nil {
		return err
	}
	defer func() { t.target.Close() }()
	t.target.taken = t.done.Stored+t.done.count(reasonKept) > 0
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	parcels := make(chan *parcel, 2)
	sink := &Sink{t: t, ctx: reading, parcels: parcels, parcel: &parcel{}, left: time.Now()}
	go func() { // nobody waits for it: it may wait for standard input
		defer close(parcels)
		err := t.Source.Read(reading, t.State.Place, sink)
		if err = cmp.Or(err, sink.send()); err != nil {
			stop(err)
		}
	}()
	err = t.storeAll(ctx, parcels)
	if err == nil {
		err = context.Cause(reading)
	}
	return errors.Join(err, t.save(true))
}

// storeAll stores parcels up to the last one. What waits when it is told to end is left to the next run.
func (t *transfer) storeAll(ctx context.Context, parcels <-chan *parcel) error {
	for {
		select {
		case p, ok := <-parcels:
			if !ok {
				return nil
			}
			if err := t.store(ctx, p); err != nil {
				return err
			}
		case <-t.Stop:
			return ErrInterrupted
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// store brings a parcel to the node and accounts for it.
func (t *transfer) store(ctx context.Context, p *parcel) error {
	err := t.target.put(ctx, p.items, &p.tally)
	if left := p.tally.unaccounted(); left > 0 {
		p.tally.Failed = note(p.tally.Failed, "not stored when it ended", left)
	}
	t.done.add(&p.tally)
	if err != nil {
		return err
	}
	if p.place != "" {
		t.State.Place, t.unsaved = p.place, true
		t.State.Done = t.done.clone()
		t.State.Done.Seconds += time.Since(t.began).Seconds()
	}
	if t.Progress != nil && p.total > 0 {
		t.Progress(p.done, max(p.done, p.total))
	}
	return t.save(false)
}

// save writes the state, unless it was written a moment ago.
func (t *transfer) save(now bool) error {
	if !t.unsaved || t.done.DryRun || !now && time.Since(t.saved) < saveEvery {
		return nil
	}
	t.saved, t.unsaved = time.Now(), false
	return t.State.Save()
}

func (t *transfer) notice(text string) {
	if t.Notice != nil {
		t.Notice(text)
	}
}

// parcel is some records, what came of others between them, and where the source was behind them.
type parcel struct {
	items       []tyrant.Item
	size        int
	tally       Summary
	place       string // "": none to go on from
	done, total int64
}

// Sink takes what a source has. It is for the goroutine that reads.
type Sink struct {
	t       *transfer
	ctx     context.Context
	parcels chan<- *parcel
	parcel  *parcel
	left    time.Time // when a parcel left last
	// unplaced says that it left without a place: the next place is worth one of its own.
	unplaced bool
}

// MaxValue is the size of the largest value that the node takes, in bytes.
func (s *Sink) MaxValue() int64 { return s.t.target.maxValue }

// Prefix is that of the keys which are wanted. The source may leave out others, or give them to the sink, which counts them.
func (s *Sink) Prefix() []byte { return s.t.TransferConfig.Prefix }

// Put takes a record, whose bytes become its own.
func (s *Sink) Put(i tyrant.Item) error {
	if !s.wants(&i) {
		return nil
	}
	size := itemSize(&i)
	if s.parcel.size+size > parcelBytes && len(s.parcel.items) > 0 || s.full() {
		if err := s.send(); err != nil {
			return err
		}
	}
	s.read()
	s.parcel.items = append(s.parcel.items, i)
	s.parcel.size += size
	return nil
}

// wants reports whether a record is to be stored. Others are accounted for.
func (s *Sink) wants(i *tyrant.Item) bool {
	switch why := s.t.target.misfit(i); {
	case i.Damaged:
		s.Fail("damaged in the source", keyName(i.Key))
	case !bytes.HasPrefix(i.Key, s.Prefix()):
		s.Skip("of another prefix", keyName(i.Key))
	case why != "":
		s.Fail(why, keyName(i.Key))
	case i.Expires != 0 && i.Expires <= time.Now().UnixMilli():
		s.Skip(reasonExpired, keyName(i.Key))
	default:
		return true
	}
	return false
}

// read counts a record. It lies behind the place that was told last.
func (s *Sink) read() *Summary {
	s.parcel.place = ""
	s.parcel.tally.Read++
	return &s.parcel.tally
}

// Skip accounts for something that is not to be stored.
func (s *Sink) Skip(reason, name string) { s.read().skip(reason, name) }

// Fail accounts for something that cannot be stored.
func (s *Sink) Fail(reason, name string) { s.read().fail(reason, name) }

// At says that the sink has all before the place, "" for none to go on from, and that this is so much of so much; a total of 0 is not known.
func (s *Sink) At(place string, done, total int64) error {
	s.parcel.place, s.parcel.done, s.parcel.total = place, done, total
	enough := s.full() || len(s.parcel.items) >= placeItems || s.unplaced || time.Since(s.left) >= saveEvery
	if !enough {
		return nil
	}
	return s.send()
}

// Notice tells the user.
func (s *Sink) Notice(text string) { s.t.notice(text) }

// Anew says that the source cannot go on from the place that it was given, and begins with the first record: nothing counts yet.
func (s *Sink) Anew() { s.parcel.tally.Anew = true }

// full reports whether the parcel should leave.
func (s *Sink) full() bool {
	return len(s.parcel.items) >= s.t.target.most || s.parcel.size >= parcelBytes || s.parcel.tally.Read >= 16*parcelItems
}

func (s *Sink) send() error {
	p := s.parcel
	s.parcel, s.left, s.unplaced = &parcel{}, time.Now(), p.place == ""
	return send(s.ctx, s.parcels, p)
}
