package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/futago/futago/internal/tyrant"
	"golang.org/x/time/rate"
)

const (
	// parcelItems and parcelBytes bound what is stored in one request, but for a record that is larger alone.
	parcelItems = 1000
	parcelBytes = 512 << 10
	// refusedEnough is how many records must be refused, and none stored, until nothing will be.
	refusedEnough = 8
)

// ErrFault says that the node can store nothing now.
var ErrFault = errors.New("the node takes no records")

// targetConfig says what records are brought to, and how.
type targetConfig struct {
	dial Dial
	// mode is how records are stored. A check stores and removes nothing.
	mode tyrant.StoreMode
	// rate is how many records a second are stored or removed at most, 0 for no bound.
	rate int
	// stop ends the wait for a node that was lost, with ErrInterrupted; nil never does.
	stop   <-chan struct{}
	notice func(text string)
}

// target is the node that records are brought to. Its connection is replaced when it is lost.
type target struct {
	targetConfig
	c        *tyrant.Client
	maxValue int64 // of the node, in bytes
	limiter  *rate.Limiter
	most     int   // records in a request
	taken    bool  // the node has taken a record
	refused  int64 // records that it has refused
}

// storeMode is how records are stored, or not.
func storeMode(dryRun bool) tyrant.StoreMode {
	if dryRun {
		return tyrant.CheckAll
	}
	return tyrant.StoreAll
}

func openTarget(ctx context.Context, c targetConfig) (*target, error) {
	t := &target{targetConfig: c, most: parcelItems}
	if t.notice == nil {
		t.notice = func(string) {}
	}
	if c.rate > 0 {
		t.most = min(parcelItems, max(c.rate/10, 1))
		t.limiter = rate.NewLimiter(rate.Limit(c.rate), t.most)
	}
	var err error
	if t.c, err = connect(ctx, c.dial, batchReply); err != nil {
		return nil, fmt.Errorf("connect to the node: %w", err)
	}
	if _, t.maxValue, _, err = t.c.Import(tyrant.CheckAll, nil); err != nil {
		t.Close()
		return nil, notNode(err)
	}
	return t, nil
}

// notNode says what it means that a server does not know how to store records with all that belongs to them.
func notNode(err error) error {
	if errors.Is(err, tyrant.CodeMisc) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("connect to the node: %w", err)
}

func (t *target) Close() { t.c.Close() }

// checks reports whether nothing is to be changed.
func (t *target) checks() bool { return t.mode == tyrant.CheckAll || t.mode == tyrant.CheckAbsent }

// misfit is why the node cannot take a record; "" if it can.
func (t *target) misfit(i *tyrant.Item) string {
	switch {
	case len(i.Key) == 0 || len(i.Key) > maxKey:
		return reasonKey
	case int64(len(i.Value)) > t.maxValue:
		return reasonValue
	case len(i.Type) > maxType:
		return reasonType
	}
	return ""
}

// itemSize is what a record counts for in a request, in bytes.
func itemSize(i *tyrant.Item) int { return len(i.Key) + len(i.Value) + len(i.Type) + 64 }

// putRecords stores records that have nothing but a value. They are counted as read.
func (t *target) putRecords(ctx context.Context, records []tyrant.Record, tally *Summary) error {
	items := make([]tyrant.Item, 0, len(records))
	for _, r := range records {
		tally.Read++
		i := tyrant.Item{Key: r.Key, Value: r.Value}
		if why := t.misfit(&i); why != "" {
			tally.fail(why, keyName(i.Key))
			continue
		}
		items = append(items, i)
	}
	return t.put(ctx, items, tally)
}

// put stores records, as many in a request as may be, and notes what came of each.
func (t *target) put(ctx context.Context, items []tyrant.Item, tally *Summary) error {
	for len(items) > 0 {
		n, size := 1, itemSize(&items[0])
		for n < min(len(items), t.most) && size+itemSize(&items[n]) <= parcelBytes {
			size += itemSize(&items[n])
			n++
		}
		err := t.wait(ctx, n)
		if err == nil {
			err = t.store(ctx, items[:n], tally)
		}
		if err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// wait keeps to the rate.
func (t *target) wait(ctx context.Context, n int) error {
	if t.limiter == nil {
		return nil
	}
	return reason(ctx, t.limiter.WaitN(ctx, n))
}

// store makes one request. Records that the node refuses as a group are tried in parts: one of them may be of a key that the user has no
// right to.
func (t *target) store(ctx context.Context, items []tyrant.Item, tally *Summary) error {
	var outcomes []tyrant.Outcome
	var fault error
	err := t.do(ctx, func() (err error) {
		outcomes, _, fault, err = t.c.Import(t.mode, items)
		return err
	})
	if errors.Is(err, tyrant.CodeMisc) {
		if len(items) > 1 {
			half := len(items) / 2
			if err := t.store(ctx, items[:half], tally); err != nil {
				return err
			}
			return t.store(ctx, items[half:], tally)
		}
		tally.fail(reasonRefused, keyName(items[0].Key))
		if t.refused++; !t.taken && t.refused >= refusedEnough {
			return ErrRefused
		}
		return nil
	}
	for i, o := range outcomes {
		key := items[i].Key
		switch o {
		case tyrant.OutcomeStored:
			tally.Stored++
			tally.Bytes += int64(len(key) + len(items[i].Value))
			t.taken = true
		case tyrant.OutcomeKept:
			tally.skip(reasonKept, keyName(key))
			t.taken = true
		case tyrant.OutcomeKey:
			tally.fail(reasonKey, keyName(key))
		case tyrant.OutcomeValue:
			tally.fail(reasonValue, keyName(key))
		case tyrant.OutcomeType:
			tally.fail(reasonType, keyName(key))
		default:
			tally.fail(fmt.Sprintf("the node says %.32q", string(o)), keyName(key))
		}
	}
	if err == nil && fault != nil {
		err = fmt.Errorf("%w: %w", ErrFault, fault)
	}
	return err
}

// out removes records. They are counted as read.
func (t *target) out(ctx context.Context, keys [][]byte, tally *Summary) error {
	for group := range slices.Chunk(keys, min(t.most, batchKeys)) {
		if err := t.wait(ctx, len(group)); err != nil {
			return err
		}
		tally.Read += int64(len(group))
		if err := t.remove(ctx, group, tally); err != nil {
			return err
		}
	}
	return nil
}

// remove makes one request.
func (t *target) remove(ctx context.Context, keys [][]byte, tally *Summary) error {
	failed := keys
	if !t.checks() {
		requests := make([]tyrant.Request, len(keys))
		for i, key := range keys {
			requests[i] = tyrant.Request{Command: tyrant.Out, Key: key}
		}
		var done []bool
		if err := t.do(ctx, func() (err error) { done, err = t.c.Batch(requests); return err }); err != nil {
			return err
		}
		failed = nil
		for i, ok := range done {
			if ok {
				tally.Removed++
			} else {
				failed = append(failed, keys[i])
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	// A refusal and a key that is not there have the same answer.
	r := &reader{t.dial, t.c}
	var left []tyrant.Record
	err := t.do(ctx, func() (err error) {
		r.c = t.c
		left, err = r.read(ctx, failed)
		t.c = r.c // a group that was too large for a reply has cost the connection
		return err
	})
	if err != nil {
		return err
	}
	for _, l := range left {
		if t.checks() {
			tally.Removed++
		} else {
			tally.fail(reasonRefused, keyName(l.Key))
		}
	}
	for _, key := range absent(failed, left) {
		tally.skip(reasonAbsent, keyName(key))
	}
	return nil
}

// vanish removes all records.
func (t *target) vanish(ctx context.Context) error {
	if t.checks() {
		return nil
	}
	if err := t.do(ctx, func() error { return t.c.Vanish() }); err != nil {
		return fmt.Errorf("remove all records of the node: %w", err)
	}
	return nil
}

// do asks the node for something that may be done twice, and once more after the connection was lost.
func (t *target) do(ctx context.Context, ask func() error) error {
	var until time.Time
	for {
		err := ask()
		if !lost(err) || ctx.Err() != nil {
			return reason(ctx, err)
		}
		if until.IsZero() {
			t.notice(fmt.Sprintf("lost the node, trying again for %v: %v", retryTime, err))
			until = time.Now().Add(retryTime)
		}
		t.c.Close()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.stop:
			return ErrInterrupted
		case <-time.After(retryPause):
		}
		c, problem := connect(ctx, t.dial, batchReply)
		if time.Now().After(until) {
			return cmp.Or(problem, err)
		}
		if problem == nil {
			t.c = c
		}
	}
}

// lost reports whether the connection to the node cannot be used any more.
func lost(err error) bool {
	return errors.Is(err, tyrant.CodeRecv) || errors.Is(err, tyrant.CodeSend) || errors.Is(err, tyrant.CodeInvalid)
}
