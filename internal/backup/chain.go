package backup

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Suffix ends the names of backups in a folder.
const Suffix = ".fbk"

// File is a backup on this machine.
type File struct {
	Path string `json:"file"`
	Size int64  `json:"size"`
	Info
}

// OpenFile reads header and trailer of a file.
func OpenFile(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	info, err := ReadInfo(f, st.Size())
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return File{path, st.Size(), info}, nil
}

// Folder reads header and trailer of every backup in a folder, the oldest first. Files that are none are left out, damaged ones
// are told in the error; the others are returned all the same.
func Folder(dir string) (list []File, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), Suffix) {
			continue
		}
		f, err := OpenFile(filepath.Join(dir, e.Name()))
		if err != nil {
			problems = append(problems, err)
			continue
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b File) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Path, b.Path)) })
	return list, errors.Join(problems...)
}

// Name is the name of a backup in a folder: sorted by name they are sorted by time.
func (h *Header) Name() string {
	return fmt.Sprintf("futago-%s-node%d-%s%s", h.Began.UTC().Format("20060102T150405.000Z"), h.Node, h.Kind, Suffix)
}

// ErrChain is wrapped when backups do not lead to the state that is wanted.
var ErrChain = errors.New("the backups do not lead there")

// Chain picks the backups that lead to the newest state, or to that of a time if it is not zero: a full one and the incremental
// ones that follow it.
func Chain(files []File, until time.Time) ([]File, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrChain)
	}
	byID := map[ID]File{}
	for _, f := range files {
		byID[f.ID] = f
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return a.Time.Compare(b.Time) })
	if until.IsZero() {
		return chainTo(files[len(files)-1], byID)
	}
	err := fmt.Errorf("%w: %s is behind the end of the newest one, at %s: leave out the time for all that there is, or take another backup", ErrChain, stamp(until), stamp(files[len(files)-1].Time))
	for _, f := range files {
		if f.Time.Before(until) {
			continue
		}
		var chain []File
		if chain, err = chainTo(f, byID); err != nil {
			continue
		}
		if settled := chain[0].settled(); settled.After(until) {
			err = fmt.Errorf("%w: %s is before the end of the full one, at %s, which has only the newest state of each record: name an earlier full one as well", ErrChain, stamp(until), stamp(settled))
			continue
		}
		return chain, nil
	}
	return nil, err
}

func chainTo(f File, byID map[ID]File) (chain []File, err error) {
	chain = []File{f}
	for f.Kind == Incremental {
		parent, ok := byID[f.Parent]
		if !ok || len(chain) > len(byID) {
			return nil, fmt.Errorf("%w: the one before %s is missing, its id is %v", ErrChain, f.Path, f.Parent)
		}
		f = parent
		chain = append(chain, f)
	}
	slices.Reverse(chain)
	return chain, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Verify reads a backup to its end and checks everything. progress, which may be nil, is told how many records were read.
func Verify(r io.Reader, progress func(records int64)) (Info, error) {
	b, err := NewReader(r)
	if err != nil {
		return Info{}, err
	}
	defer b.Close()
	if err := b.Each(progress, nil); err != nil {
		return Info{Header: b.header}, err
	}
	return Info{b.header, *b.trailer}, nil
}
