package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

const (
	// A step has at most so many entries, and about so many bytes of them.
	stepEntries = 8192
	stepBytes   = 4 << 20
)

// ReplayConfig says what to replay.
type ReplayConfig struct {
	// Dir holds the files of the log.
	Dir    string
	Target Dial
	// DryRun says that everything is computed and checked, and that neither node nor state are changed. It takes memory for all that the
	// log changes.
	DryRun bool
	// Rate is how many records a second are stored or removed at most, 0 for no bound.
	Rate int
	// State is where it begins; it is saved as it goes on. Its time From is that of the first entry wanted.
	State *StateFile
	// Partial goes on where the log does not hold all that was asked for.
	Partial bool
	// Progress is called now and then with bytes, if it is not nil.
	Progress func(done, total int64)
	// Notice is told in words what is not an error, if it is not nil.
	Notice func(text string)
}

// Replayed is what was done since the call.
type Replayed struct {
	Entries  int64 `json:"entries"`
	Applied  int64 `json:"entries_applied"`
	Cleared  int64 `json:"entries_vanish"`
	NoEffect int64 `json:"entries_without_effect"`
	Unknown  int64 `json:"entries_unknown"`
	// Doubtful are those that have succeeded where the log was written, and could not have on what is here.
	Doubtful int64 `json:"entries_doubtful"`
	// Summary is of the records that followed from that.
	Summary
	// Torn says where the last file ends within an entry, which is not replayed.
	Torn     string             `json:"torn,omitempty"`
	Position tyrant.LogPosition `json:"position"`
	Time     time.Time          `json:"time,omitzero"` // of the newest entry
}

// ErrMissing says that files of a log are not there.
var ErrMissing = errors.New("files of the update log are missing")

// replayer is a replay at work.
type replayer struct {
	ReplayConfig
	done  Replayed
	log   *tyrant.LogReader
	r     *reader
	w     *target
	total int64 // bytes of the log
	// In a check: what the log has made of records so far, and whether nothing else is there.
	made    cells
	emptied bool
}

// Replay applies a log to a target. Where the log cannot be read on, it is a *tyrant.LogError, and all before it was applied.
func Replay(ctx context.Context, c ReplayConfig) (*Replayed, error) {
	if c.Progress == nil {
		c.Progress = func(_, _ int64) {}
	}
	if c.Notice == nil {
		c.Notice = func(string) {}
	}
	p := &replayer{ReplayConfig: c}
	begin := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := p.run(ctx)
	p.done.Read -= p.done.unaccounted() // what was on its way is computed again
	p.done.Position, p.done.Seconds = c.State.Log, time.Since(begin).Seconds()
	if c.State.Time != 0 {
		p.done.Time = time.UnixMicro(c.State.Time).UTC()
	}
	return &p.done, reason(ctx, err)
}

func (p *replayer) run(ctx context.Context) (err error) {
	if p.log, err = tyrant.OpenLogAt(p.Dir, p.State.Log, p.State.From); err != nil {
		return err
	}
	defer p.log.Close()
	if p.log.Missing != 0 {
		if !p.Partial {
			return fmt.Errorf("%w: number %d, behind which older entries may be", ErrMissing, p.log.Missing)
		}
		p.Notice(fmt.Sprintf("file number %d of the log is missing: it begins behind it", p.log.Missing))
	}
	if p.total, err = p.log.Left(); err != nil {
		return err
	}
	if p.r, err = openReader(ctx, p.Target); err != nil {
		return fmt.Errorf("connect to the node: %w", err)
	}
	if p.w, err = openTarget(ctx, targetConfig{dial: p.Target, mode: storeMode(p.ReplayConfig.DryRun), rate: p.Rate, notice: p.Notice}); err != nil {
		return err
	}
	p.done.DryRun = p.ReplayConfig.DryRun
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		end, err := p.step(ctx)
		if err != nil {
			return err
		}
		left, err := p.log.Left()
		if err != nil {
			return err
		}
		p.Progress(max(p.total-left, 0), p.total)
		if end == nil {
			continue
		}
		if err := p.save(); err != nil {
			return err
		}
		switch {
		case end == io.EOF:
			return nil
		case errors.Is(end, tyrant.ErrTorn):
			p.done.Torn = end.Error()
			return nil
		}
		return end
	}
}

// step replays some entries: those of the step that was begun, if there is one. end is why the log cannot be read on, io.EOF at its end.
func (p *replayer) step(ctx context.Context) (end, err error) {
	s := p.State
	again := s.Step
	var entries []entry
	if again == nil {
		entries, end = p.collect(stepEntries, stepBytes)
	} else if entries, end = p.collect(again.Entries, -1); len(entries) < again.Entries {
		return nil, fmt.Errorf("repeat the step that was begun: %w", end)
	}
	if len(entries) == 0 {
		return end, nil
	}
	if again == nil {
		before, err := p.read(ctx, needed(entries))
		if err != nil {
			return nil, fmt.Errorf("read what is there: %w", err)
		}
		s.Step = &Step{Entries: len(entries), Before: before}
		if err := p.save(); err != nil {
			return nil, err
		}
	}
	t := computeStep(entries, s.Step.Before)
	if err := p.store(ctx, t); err != nil {
		return nil, err
	}
	for i := range entries {
		s.Time = max(s.Time, entries[i].at)
	}
	s.Log, s.Step = p.log.Position(), nil
	p.tell(t)
	return end, nil
}

// entry is one of a log, with memory of its own.
type entry struct {
	at      int64
	payload []byte
}

// collect reads entries: at most so many, and so many bytes of them or a few more; -1 is any number.
func (p *replayer) collect(most, size int) (entries []entry, end error) {
	for len(entries) < most && size != 0 {
		var e tyrant.Entry
		if err := p.log.Next(&e); err != nil {
			return entries, err
		}
		entries = append(entries, entry{e.Time, bytes.Clone(e.Payload)})
		if size > 0 {
			size = max(size-len(e.Payload), 0)
		}
	}
	return entries, nil
}

// save writes the state, but in a check.
func (p *replayer) save() error {
	if p.done.DryRun {
		return nil
	}
	return p.State.Save()
}

// read returns what the target holds of the keys, or would hold.
func (p *replayer) read(ctx context.Context, keys [][]byte) (before []Before, err error) {
	var ask [][]byte
	for _, key := range keys {
		switch made := p.made[string(key)]; {
		case made != nil:
			before = append(before, Before{Key: key, Value: made.value, Exists: made.exists})
		case p.emptied:
			before = append(before, Before{Key: key})
		default:
			ask = append(ask, key)
		}
	}
	for group := range slices.Chunk(ask, batchKeys) {
		records, err := p.r.read(ctx, group)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			before = append(before, Before{Key: r.Key, Value: r.Value, Exists: true})
		}
		for _, key := range absent(group, records) {
			before = append(before, Before{Key: key})
		}
	}
	return before, nil
}

// store makes the target hold what was computed.
func (p *replayer) store(ctx context.Context, t *computed) error {
	if t.clear {
		if err := p.w.vanish(ctx); err != nil {
			return err
		}
		if p.done.DryRun {
			p.made, p.emptied = nil, true
		}
	}
	var puts []tyrant.Record
	var outs [][]byte
	for key, c := range t.cells {
		switch {
		case !c.touched:
		case c.exists:
			puts = append(puts, tyrant.Record{Key: []byte(key), Value: c.value})
		case !t.clear:
			outs = append(outs, []byte(key))
		}
	}
	if p.done.DryRun {
		outs = p.pretend(t.cells, outs)
	}
	if err := p.w.putRecords(ctx, puts, &p.done.Summary); err != nil {
		return fmt.Errorf("store records: %w", err)
	}
	if err := p.w.out(ctx, outs, &p.done.Summary); err != nil {
		return fmt.Errorf("remove records: %w", err)
	}
	return nil
}

// pretend notes what a step of a check would have made, and returns those keys to be removed of which only the target knows.
func (p *replayer) pretend(made cells, outs [][]byte) (ask [][]byte) {
	for _, key := range outs {
		switch old := p.made[string(key)]; {
		case old == nil && !p.emptied:
			ask = append(ask, key)
			continue
		case old != nil && old.exists:
			p.done.Removed++
		default:
			p.done.skip(reasonAbsent, keyName(key))
		}
		p.done.Read++
	}
	if p.made == nil {
		p.made = cells{}
	}
	for key, c := range made {
		if c.touched {
			p.made[key] = c
		}
	}
	return ask
}

// tell adds up what a step was.
func (p *replayer) tell(t *computed) {
	d := &p.done
	d.Entries += int64(t.entries)
	d.Applied += int64(t.counts[applied])
	d.Cleared += int64(t.counts[cleared])
	d.NoEffect += int64(t.counts[ignored])
	d.Unknown += int64(t.counts[unknown])
	d.Doubtful += int64(t.counts[doubtful])
	for _, text := range t.notes {
		p.Notice(text)
	}
}
