package migrate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// overlap is how much earlier than needed a log is followed from, in microseconds: entries of several writers may be out of order, and
// to read a key once more does no harm.
const overlap = 60_000_000

var (
	// ErrInterrupted says that an import was told to end before it could: it can be taken up.
	ErrInterrupted = errors.New("interrupted before everything was carried over")
	// ErrGap says that the source's log does not reach back to where it was left.
	ErrGap = errors.New("the source's update log has lost entries that are needed")
	// ErrStalled says that the source takes writes and logs them, but does not send them.
	ErrStalled = errors.New("the source does not send its update log any more")
	// ErrOtherSource says that the source is not the one that the state is of.
	ErrOtherSource = errors.New("the source is not the one of the state")
	// ErrRefused says that the target took nothing at all.
	ErrRefused = errors.New("the node refuses every record")
)

// ImportConfig says what to import.
type ImportConfig struct {
	Source, Target Dial
	// DryRun says that the copy is checked, and that neither source nor node nor state are changed.
	DryRun bool
	// Rate is how many records a second are stored or removed at most, 0 for no bound.
	Rate int
	// State is where the import begins; it is saved as the import goes on.
	State *StateFile
	// ByPrefix lists the keys without the cursor of the source.
	ByPrefix bool
	// UntilCaughtUp ends it as soon as the target has what the source had when the copy was complete.
	UntilCaughtUp bool
	// CutOver is closed to end it when the target has what the source has then.
	CutOver <-chan struct{}
	// Progress is called now and then, from one goroutine at a time, if it is not nil.
	Progress func(Progress)
	// Notice is told in words what is not an error, if it is not nil.
	Notice func(text string)
}

// Progress is how far an import has come.
type Progress struct {
	Following bool
	// Records are those that were copied, of about so many.
	Records, Total int64
	// Entries are those of the log that were carried over, the newest being of this time.
	Entries int64
	Time    time.Time
}

// Imported is what an import has done since it was called.
type Imported struct {
	// HasLog says that the source has an update log.
	HasLog bool `json:"has_log"`

	// Summary is of the records of the copy and of those that were read again because of the log.
	Summary

	// Entries of the log: those that named keys, those that cleared everything, those without an effect, and those whose keys
	// are not known.
	Entries  int64 `json:"entries"`
	Named    int64 `json:"entries_applied"`
	Cleared  int64 `json:"entries_vanish"`
	NoEffect int64 `json:"entries_without_effect"`
	Unknown  int64 `json:"entries_unknown"`

	CaughtUp bool `json:"caught_up"`
	// Position is the time of the newest entry that was carried over with all before it, by the source's clock.
	Position time.Time `json:"position,omitzero"`

	SourceRecords uint64 `json:"source_records"`
	TargetRecords uint64 `json:"target_records"`
}

// importer is an import at work.
type importer struct {
	ImportConfig
	done Imported
	asks *tyrant.Client // the source, about itself
}

// Import copies all records of a source, and follows its log until it is told to end. What it has done is returned with an error, too.
func Import(ctx context.Context, c ImportConfig) (*Imported, error) {
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Notice == nil {
		c.Notice = func(string) {}
	}
	m := &importer{ImportConfig: c}
	begin := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err := m.run(ctx)
	m.done.Seconds = time.Since(begin).Seconds()
	if at := c.State.Time; at != 0 {
		m.done.Position = time.UnixMicro(at).UTC()
	}
	return &m.done, reason(ctx, err)
}

func (m *importer) run(ctx context.Context) (err error) {
	if m.asks, err = connect(ctx, m.Source, 0); err != nil {
		return fmt.Errorf("connect to the source: %w", err)
	}
	info, err := readInfo(m.asks)
	if err != nil {
		return fmt.Errorf("ask the source who it is: %w", err)
	}
	if m.ByPrefix && info.kind == "fixed-length" {
		return errors.New("the source is a fixed-length database, whose keys have no prefixes")
	}
	m.tellKind(&info)
	if m.done.HasLog, err = m.findLog(ctx, &info); err != nil {
		return err
	}
	switch {
	case m.DryRun:
		return m.check(ctx, &info)
	case m.State.Begun():
		err = m.checkState(&info)
	default:
		err = m.begin(&info)
	}
	if err != nil {
		return err
	}
	if m.State.Copied {
		m.Notice("the copy is complete already")
	} else if err := m.copy(ctx, &info); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if m.State.SID != 0 {
		if err := m.keepFollowing(ctx); err != nil {
			return fmt.Errorf("follow the update log: %w", err)
		}
	}
	return m.count(ctx)
}

// check is a dry run: of the copy alone, for what the log will name is read again when it does.
func (m *importer) check(ctx context.Context, info *serverInfo) error {
	if err := m.copy(ctx, info); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return m.count(ctx)
}

// tellKind says what of a source cannot be carried over as it is.
func (m *importer) tellKind(i *serverInfo) {
	if i.kind == "table" {
		m.Notice("the source is a table database: rows become values as get returns them, names and values with a NUL between")
	}
	if i.kind == "B+ tree" {
		m.Notice("the source is a B+ tree: of several values of a key only the first one is copied")
	}
	if i.bigEndian {
		m.Notice("the source is a big-endian machine: numbers of addint and adddouble are copied as they are, and mean something else here")
	}
}

// findLog asks for the log as a slave does. A server with an id and without a log closes the connection.
func (m *importer) findLog(ctx context.Context, i *serverInfo) (bool, error) {
	if i.sid == 0 || i.ownCursors() {
		return false, nil
	}
	c, err := connect(ctx, m.Source, 0)
	if err != nil {
		return false, fmt.Errorf("connect to the source: %w", err)
	}
	defer c.Close()
	s, err := c.Repl(max(i.now, 1), followerID)
	if err == nil {
		err = s.Next(&tyrant.Entry{})
	}
	return err == nil, nil
}

// begin writes down where the log is before the copy begins.
func (m *importer) begin(i *serverInfo) error {
	s := m.State
	if !m.done.HasLog {
		m.Notice("the source has no update log: it is copied, and what changes meanwhile may be missed")
		return s.Save()
	}
	mark, err := m.mark()
	if err != nil {
		return err
	}
	s.SID, s.Start, s.Mark = i.sid, max(i.now-overlap, 1), mark
	return s.Save()
}

// checkState refuses a state that the source does not go on with.
func (m *importer) checkState(i *serverInfo) error {
	s := m.State
	switch {
	case s.SID == 0 && !s.Copied:
		m.Notice("the copy begins anew: records that the source has deleted since the first attempt stay")
	case s.SID != 0 && !m.done.HasLog:
		return fmt.Errorf("%w: that had an update log", ErrOtherSource)
	case s.SID != 0 && s.SID != i.sid:
		return fmt.Errorf("%w: that had the id %d, this one has %d", ErrOtherSource, s.SID, i.sid)
	case i.now < max(s.Start, s.Time-overlap):
		return fmt.Errorf("%w: its clock was set back behind %v", ErrGap, time.UnixMicro(max(s.Start, s.Time)).UTC())
	case s.SID != 0 && !s.Copied:
		m.Notice("the copy begins anew, with the log from where it was at the first attempt")
	}
	return nil
}

// markFunction is a function that no server has: a call of it changes nothing, and is in the log.
const markFunction = "futago_import"

// mark writes to the log of the source something to find there again. It returns "" if the source does not allow that, because its
// mask forbids to write.
func (m *importer) mark() (string, error) {
	mark := rand.Text()
	_, err := m.asks.Misc(markFunction, 0, []byte(mark))
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, tyrant.CodeMisc):
		return mark, nil
	}
	return "", fmt.Errorf("mark the update log: %w", err)
}

// count asks both ends how many records they have.
func (m *importer) count(ctx context.Context) error {
	for _, end := range []struct {
		dial Dial
		n    *uint64
	}{{m.Source, &m.done.SourceRecords}, {m.Target, &m.done.TargetRecords}} {
		c, err := connect(ctx, end.dial, 0)
		if err == nil {
			*end.n, err = c.RNum()
			c.Close()
		}
		if err != nil {
			return fmt.Errorf("count records: %w", err)
		}
	}
	return nil
}
