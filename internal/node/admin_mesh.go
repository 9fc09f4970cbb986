package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
	"github.com/zeebo/xxh3"
)

// RecordLine is what GET /records tells of a record, one JSON object a line.
type RecordLine struct {
	Key     []byte    `json:"key"`
	Stamp   hlc.Stamp `json:"stamp"`
	Node    int       `json:"node"` // of its newest write
	Kind    string    `json:"kind"`
	Expires uint64    `json:"expires"` // milliseconds since 2020-01-01 UTC, 0 = never
	Size    int       `json:"size"`    // of the value as clients read it
	Digest  uint64    `json:"digest"`  // of everything but the value
	Value   uint64    `json:"value"`   // hash of the value
}

// DigestDocument is what GET /digest tells.
type DigestDocument struct {
	Node   int           `json:"node"`
	Seq    uint64        `json:"seq"` // end of the log when it was taken
	Items  int64         `json:"items"`
	Digest *store.Digest `json:"digest"`
}

type httpError struct {
	code int
	error
}

func (n *Node) serveConflicts(w http.ResponseWriter, r *http.Request) error {
	if err := n.lister(r); err != nil {
		return err
	}
	limit := 100
	if text := r.FormValue("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 0 {
			return httpError{http.StatusBadRequest, fmt.Errorf("limit %q: want a number", text)}
		}
	}
	list, err := n.store.Conflicts(limit)
	if err != nil {
		return fmt.Errorf("read conflicts: %w", err)
	}
	return writeJSON(w, map[string]any{"node": n.cfg.Node, "count": n.store.Stats().Conflicts, "conflicts": append([]store.Conflict{}, list...)})
}

func (n *Node) serveDigest(w http.ResponseWriter, r *http.Request) error {
	seq := n.store.Log().Last()
	d, built := n.store.Digest()
	if !built {
		return httpError{http.StatusServiceUnavailable, errors.New("the digest is being built: ask again")}
	}
	return writeJSON(w, DigestDocument{n.cfg.Node, seq, n.store.Stats().Items, d})
}

// serveRecords lists the records of the ranges that are asked for, deletes included.
func (n *Node) serveRecords(w http.ResponseWriter, r *http.Request) error {
	if err := n.lister(r); err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return httpError{http.StatusBadRequest, fmt.Errorf("read question: %w", err)}
	}
	var diff store.Difference
	if err := json.Unmarshal(body, &diff); err != nil {
		return httpError{http.StatusBadRequest, fmt.Errorf("read question: %w", err)}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	var lines []byte
	var text []byte
	n.store.BeginScan()
	defer n.store.EndScan()
	for _, part := range diff.Parts() {
		ok := n.store.ScanPart(part, func(r *record.Record) bool {
			if !diff.Touches(r.Key) {
				return false
			}
			text = r.AppendVisible(text[:0])
			line, _ := json.Marshal(RecordLine{r.Key, r.Stamp, r.Stamp.Node(), r.Kind.String(), r.Expires, len(text), r.Digest(xxh3.Hash(r.Key)), xxh3.Hash(text)})
			lines = append(append(lines, line...), '\n')
			return len(lines) > 64<<10
		}, func() bool {
			_, err := w.Write(lines)
			lines = lines[:0]
			return err == nil
		})
		if !ok {
			return nil // nobody reads on
		}
	}
	return nil
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(v)
}
