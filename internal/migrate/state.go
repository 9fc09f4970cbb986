package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/futago/futago/internal/tyrant"
)

// stateVersion is that of the state file.
const stateVersion = 1

// maxState bounds a state file, in bytes.
const maxState = 4 << 30

// State is how far an import or a move has come. The zero value is one that has not begun.
type State struct {
	Version int `json:"version"`
	// Source and Target are what it is from and to. A state is not for others.
	Source string    `json:"source"`
	Target string    `json:"target"`
	Saved  time.Time `json:"saved"`
	// SourceIDs and TargetIDs are by what a move knows them again, for their addresses may change; see Side.
	SourceIDs []string `json:"source_ids,omitempty"`
	TargetIDs []string `json:"target_ids,omitempty"`

	// SID is the id of the source whose log is followed, 0 if it has none.
	SID int `json:"sid,omitempty"`
	// Start is the time of the source's clock before the copy, in microseconds.
	Start int64 `json:"start,omitempty"`
	// Mark is what was written to the source's log then, to find again.
	Mark string `json:"mark,omitempty"`
	// Copied says that the copy is complete: the log is followed.
	Copied bool `json:"copied,omitempty"`
	// Time is that of the newest entry that was carried over with all before it, in microseconds; 0 as long as there is none.
	Time int64 `json:"time,omitempty"`

	// From is the time from which a log is replayed, in microseconds.
	From int64 `json:"from,omitempty"`
	// Log is the place in the files of a log up to which all was carried over.
	Log tyrant.LogPosition `json:"log,omitzero"`
	// Step is what was begun and may have been carried over in part, nil for nothing.
	Step *Step `json:"step,omitempty"`

	// Place is how far a transfer has come, in the words of its source, and Done what came of the records up to there.
	Place string   `json:"place,omitempty"`
	Done  *Summary `json:"done,omitempty"`

	// Position is that in the change feed of a source, which was read at the node of this index. What it covers the target has, but for what
	// Copied says. Flushes are those that the feed told of and that have yet to come, in Unix milliseconds.
	Position string  `json:"position,omitempty"`
	Node     int     `json:"node,omitempty"`
	Flushes  []int64 `json:"flushes,omitempty"`
	// Switched says that clients may use the target: nothing of the source is to be stored there any more.
	Switched bool `json:"switched,omitempty"`
}

// Step is a part of a log, with what the target held before it of the keys whose value it changes.
type Step struct {
	Entries int `json:"entries"`
	// Before is without the keys that are stored or removed before anything depends on their value.
	Before []Before `json:"before,omitempty"`
}

// Before is what the target held under a key.
type Before struct {
	Key    []byte `json:"key"`
	Value  []byte `json:"value"`
	Exists bool   `json:"exists"`
}

// StateFile keeps a State on disk. Without a path it keeps nothing.
type StateFile struct {
	Path string
	State
}

// OpenState reads the state of an import from source to target, if there is one. The folder of the file must exist.
func OpenState(path, source, target string) (*StateFile, error) {
	f := &StateFile{Path: path, State: State{Version: stateVersion, Source: source, Target: target}}
	if err := f.load(); err != nil {
		return nil, err
	}
	if f.Source != source || f.Target != target {
		return nil, fmt.Errorf("read state %s: it is of an import from %s to %s", path, f.Source, f.Target)
	}
	return f, nil
}

// OpenMove reads the state of a move between these sides, whatever their addresses were then, if there is one.
func OpenMove(path string, from, to *Side) (*StateFile, error) {
	f := &StateFile{Path: path, State: State{Version: stateVersion, SourceIDs: from.IDs, TargetIDs: to.IDs}}
	if err := f.load(); err != nil {
		return nil, err
	}
	for _, side := range []struct {
		what string
		then []string
		now  *Side
	}{{"source", f.SourceIDs, from}, {"target", f.TargetIDs, to}} {
		if f.Begun() && !slices.ContainsFunc(side.then, func(id string) bool { return slices.Contains(side.now.IDs, id) }) {
			return nil, fmt.Errorf("read state %s: it is of a move from %s to %s, and %s is another %s", path, f.Source, f.Target, side.now.Name, side.what)
		}
	}
	f.Source, f.SourceIDs, f.Target, f.TargetIDs = from.Name, from.IDs, to.Name, to.IDs
	return f, nil
}

// load reads the file, if there is one.
func (f *StateFile) load() error {
	if f.Path == "" {
		return nil
	}
	text, err := readState(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		f.SourceIDs, f.TargetIDs = nil, nil
		err = json.Unmarshal(text, &f.State)
	}
	if err == nil && f.Version != stateVersion {
		err = fmt.Errorf("it has version %d, want %d", f.Version, stateVersion)
	}
	if err != nil {
		return fmt.Errorf("read state %s: %w", f.Path, err)
	}
	return nil
}

func readState(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxState {
		err = fmt.Errorf("it is %d bytes long, the limit is %d", info.Size(), int64(maxState))
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Begun reports whether there is something to go on with.
func (f *StateFile) Begun() bool { return !f.Saved.IsZero() }

// Save writes the state and returns when it is on the disk: the file holds the old or the new one at any moment.
func (f *StateFile) Save() error {
	f.Saved = time.Now().UTC()
	if f.Path == "" {
		return nil
	}
	text, err := json.Marshal(&f.State)
	if err == nil {
		err = replaceFile(f.Path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("save state %s: %w", f.Path, err)
	}
	return nil
}

func replaceFile(path string, text []byte) error {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
