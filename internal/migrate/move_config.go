package migrate

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"
)

// End is a node of a pair, or a front of a cluster.
type End struct {
	// Name is how messages call it.
	Name string
	// Dial connects to its client port.
	Dial Dial
	// Changes asks it for its change feed, with these parameters, as a stream of events or as a document; feed.ErrGone.
	Changes func(ctx context.Context, query url.Values, stream bool) (io.ReadCloser, error)
}

// Side is one of the two stores that records move between.
type Side struct {
	// Name is how messages call it: the addresses that were given.
	Name string
	// IDs are by what it is known again: those of logs, or of the nodes of a cluster. Two sides that share one are the same store: nodes may
	// come and go, and be named in any order, or not at all.
	IDs  []string
	Ends []End
	// Settled returns nil when each node holds what the others acknowledged before the call; nil: one store is behind all of them.
	Settled func(ctx context.Context) error
}

// MoveConfig says what moves where.
type MoveConfig struct {
	From, To Side
	// Rate is how many records a second are stored or removed at most, 0 for no bound.
	Rate int
	// DryRun says that everything is read and checked, and nothing stored, removed, or saved.
	DryRun bool
	// Replace says that a target with records in it is made equal to the source: what the source does not have is removed.
	Replace bool
	// State is where it begins; it is saved as it goes on.
	State *StateFile
	// Proxies are cut over when both sides are equal, and end it; nil: nobody is.
	Proxies *Proxies
	// UntilEqual ends it as soon as both sides were found equal.
	UntilEqual bool
	// Late is for how long the source is looked at after the proxies are cut over.
	Late time.Duration
	// Stop ends it in order when it is closed; nil never does.
	Stop <-chan struct{}
	// Progress is called now and then, from one goroutine; nil for nobody.
	Progress func(MoveProgress)
	// Notice gets what somebody should know meanwhile; nil for nobody. Any goroutine may call it.
	Notice func(text string)
}

// MoveProgress is how far it is.
type MoveProgress struct {
	// Phase is copying, comparing, following or cutting over.
	Phase string
	// Done of about Total records are copied, or compared.
	Done, Total int64
	// Changes of the source were told, of which Waiting keys are to be carried over, the oldest for as long as Lag.
	Changes, Waiting int64
	Lag              time.Duration
}

// Moved is what a move has done since it was called.
type Moved struct {
	// Read are the records of the source that were looked at, Stored and Removed what that changed in the target.
	Read    int64 `json:"read"`
	Bytes   int64 `json:"bytes"` // of their keys and values
	Stored  int64 `json:"stored"`
	Removed int64 `json:"removed"`
	// Changes were told by the source.
	Changes int64 `json:"changes"`
	// Unfit are records that the target cannot take, by key, and why.
	Unfit     int64    `json:"unfit"`
	UnfitKeys []Reason `json:"unfit_keys,omitempty"`

	// Compared are the records of the last whole comparison; of them Differing did, without a change that explains it, and were mended;
	// Moving changed all the time, and are compared once more before the proxies are cut over.
	Compared  int64    `json:"compared"`
	Differing int64    `json:"differing"`
	Moving    int64    `json:"moving"`
	Examples  []string `json:"differing_keys,omitempty"`
	Equal     bool     `json:"equal"`
	// Passes are how often everything was gone through, the copy included.
	Passes int `json:"passes"`

	// CutOver says that all proxies send to the target. Pause is for how long they were held.
	CutOver bool          `json:"cut_over"`
	Pause   time.Duration `json:"pause_ns,omitempty"`
	// Late are writes that still came to the source afterwards: LateCarried of them are in the target, the others were kept out, for it has
	// something under the key. LateGone are records that went from the source then, and are in the target.
	Late        int64    `json:"late"`
	LateCarried int64    `json:"late_carried"`
	LateGone    int64    `json:"late_gone"`
	LateKeys    []string `json:"late_keys,omitempty"`

	DryRun bool `json:"dry_run,omitempty"`
	// Surplus is in a dry run how many records the target has that the source has not.
	Surplus int64   `json:"surplus,omitempty"`
	Seconds float64 `json:"seconds"`
}

var (
	// ErrNotEmpty says that there are records in the target, and no state that says why.
	ErrNotEmpty = errors.New("the target has records already")
	// ErrUnequal says that both sides do not become equal.
	ErrUnequal = errors.New("the sides do not become equal")
	// ErrSwitched says that an earlier run has cut the clients over, or died in the middle of that.
	ErrSwitched = errors.New("clients may use the target already")
	// ErrUnfitRecords says that the target does not take all records.
	ErrUnfitRecords = errors.New("the target does not take all records")
)
