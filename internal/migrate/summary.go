package migrate

import (
	"slices"
	"strconv"
)

// Summary is what came of the records of a source: Read = Stored + Removed + all that was skipped + all that has failed.
type Summary struct {
	Read   int64 `json:"read"`
	Stored int64 `json:"stored"` // in a dry run: would be
	Bytes  int64 `json:"bytes"`  // of their keys and values
	// Removed are those that the source has deleted, and the node had.
	Removed int64 `json:"removed,omitempty"`
	// Skipped was not to be stored, Failed could not be.
	Skipped []Reason `json:"skipped,omitempty"`
	Failed  []Reason `json:"failed,omitempty"`
	DryRun  bool     `json:"dry_run,omitempty"`
	Seconds float64  `json:"seconds"`

	// Anew says that what was accounted for before does not count.
	Anew bool `json:"-"`
}

// Reason is why some records were not stored.
type Reason struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
	// Examples name the first ones: quoted keys, or lines.
	Examples []string `json:"examples"`
}

// The reasons that several places give.
const (
	reasonKept    = "in the node already"
	reasonExpired = "expired"
	reasonGone    = "gone before it was read"
	reasonAbsent  = "deleted in the source, and not in the node"
	reasonRefused = "refused by the node"
	reasonKey     = "key is empty or longer than 65,535 bytes"
	reasonValue   = "value is larger than the node's max-value"
	reasonType    = "content type is longer than 255 bytes"
)

const (
	maxKey  = 1<<16 - 1
	maxType = 1<<8 - 1
	// maxExamples is how many records of a reason are named, maxNamed how much of a key, in bytes.
	maxExamples = 5
	maxNamed    = 64
)

// keyName is a key as it is shown.
func keyName(key []byte) string {
	if len(key) > maxNamed {
		return strconv.Quote(string(key[:maxNamed])) + "..."
	}
	return strconv.Quote(string(key))
}

func (s *Summary) skip(reason, name string) { s.Skipped = note(s.Skipped, reason, 1, name) }
func (s *Summary) fail(reason, name string) { s.Failed = note(s.Failed, reason, 1, name) }

// note adds to the count of a reason.
func note(list []Reason, reason string, count int64, names ...string) []Reason {
	i := slices.IndexFunc(list, func(r Reason) bool { return r.Reason == reason })
	if i < 0 {
		list = append(list, Reason{Reason: reason})
		i = len(list) - 1
	}
	r := &list[i]
	r.Count += count
	for _, name := range names {
		if len(r.Examples) < maxExamples && !slices.Contains(r.Examples, name) { // a log names a key again and again
			r.Examples = append(r.Examples, name)
		}
	}
	return list
}

// add adds what came of further records.
func (s *Summary) add(o *Summary) {
	if o.Anew {
		*s = Summary{DryRun: s.DryRun}
	}
	s.Read, s.Stored, s.Bytes, s.Removed = s.Read+o.Read, s.Stored+o.Stored, s.Bytes+o.Bytes, s.Removed+o.Removed
	for _, r := range o.Skipped {
		s.Skipped = note(s.Skipped, r.Reason, r.Count, r.Examples...)
	}
	for _, r := range o.Failed {
		s.Failed = note(s.Failed, r.Reason, r.Count, r.Examples...)
	}
}

// count is how many records were skipped or have failed for a reason.
func (s *Summary) count(reason string) (n int64) {
	for _, r := range slices.Concat(s.Skipped, s.Failed) {
		if r.Reason == reason {
			n += r.Count
		}
	}
	return n
}

// unaccounted is how many records were read of which nothing is known.
func (s *Summary) unaccounted() int64 {
	return s.Read - s.Stored - s.Removed - s.AllSkipped() - s.AllFailed()
}

// AllSkipped and AllFailed are the sums over the reasons.
func (s *Summary) AllSkipped() int64 { return sum(s.Skipped) }

// AllFailed is how many records could not be stored.
func (s *Summary) AllFailed() int64 { return sum(s.Failed) }

func sum(list []Reason) (n int64) {
	for _, r := range list {
		n += r.Count
	}
	return n
}

func (s *Summary) clone() *Summary {
	c := *s
	c.Skipped, c.Failed = nil, nil
	for _, r := range s.Skipped {
		c.Skipped = note(c.Skipped, r.Reason, r.Count, r.Examples...)
	}
	for _, r := range s.Failed {
		c.Failed = note(c.Failed, r.Reason, r.Count, r.Examples...)
	}
	return &c
}
