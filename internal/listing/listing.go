// Package listing tells over HTTP which keys there are, some at a time, from a place that the answer before named. It only reads.
package listing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// The limits of one answer. It may end before its limit, as soon as one of these is reached.
const (
	defaultKeys = 1000
	maxKeys     = 10_000
	maxSize     = 1 << 20 // of the keys, bytes
	// patience bounds the search for keys with a rare prefix.
	patience = 500 * time.Millisecond
	// maxTime is the last millisecond that has a form in JSON, at the end of the year 9999.
	maxTime = 253402300799999
)

// Document is the answer: some keys, in no order, and where the next ones are.
type Document struct {
	Node   int    `json:"node"` // that was asked; 0: a front of a cluster
	Keys   []Key  `json:"keys"`
	Cursor string `json:"cursor"` // for the next question, to any node; empty: these were the last
}

// Key is a live record. Numbers of 64 bits are text, for JavaScript has none.
type Key struct {
	Key     []byte     `json:"key"`
	Size    int        `json:"size"`              // of the value as clients read it, bytes
	Flags   uint32     `json:"flags"`             // of memcached's clients
	Expires *time.Time `json:"expires,omitempty"` // absent: never
	Token   string     `json:"token"`             // CAS unique, ETag
}

// Store is what has the keys: the store of a node, or a cluster. Its methods are those of store.Store.
type Store interface {
	ParseCursor(text string) (store.Cursor, error)
	CursorText(c store.Cursor) string
	List(c *store.Cursor, show func(r *store.Listed) bool) (more bool, err error)
}

// Lister answers who asks for keys. Between its steps it holds nothing of the store, and lists take turns: none keeps clients
// waiting, however long it is.
type Lister struct {
	// Node is told in each answer.
	Node int
	// Store has the keys.
	Store Store

	step sync.Mutex // held while a step of a list is made
}

// Serve answers with keys from the cursor of the query on: those that begin with its prefix, as far as sees says yes to them; nil:
// to all.
func (l *Lister) Serve(w http.ResponseWriter, r *http.Request, sees func(key []byte) bool) {
	query := r.URL.Query()
	limit := defaultKeys
	if text := query.Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxKeys {
			http.Error(w, fmt.Sprintf("limit %.40q: want 1 to %d", text, maxKeys), http.StatusBadRequest)
			return
		}
	}
	var cursor store.Cursor
	if text := query.Get("cursor"); text != "" {
		var err error
		if cursor, err = l.Store.ParseCursor(text); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	d := Document{Node: l.Node, Keys: []Key{}}
	prefix, size := []byte(query.Get("prefix")), 0
	show := func(record *store.Listed) bool {
		if bytes.HasPrefix(record.Key, prefix) && (sees == nil || sees(record.Key)) {
			d.Keys = append(d.Keys, keyOf(record))
			size += len(record.Key)
		}
		return len(d.Keys) < limit && size < maxSize
	}
	for end := time.Now().Add(patience); ; {
		l.step.Lock()
		more, err := l.Store.List(&cursor, show)
		l.step.Unlock()
		switch full := len(d.Keys) >= limit || size >= maxSize || time.Now().After(end); {
		case r.Context().Err() != nil:
			return // nobody waits for the keys
		case errors.Is(err, store.ErrMoved):
			http.Error(w, err.Error(), http.StatusConflict)
			return
		case err != nil:
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		case more && !full:
			continue
		case more:
			d.Cursor = l.Store.CursorText(cursor)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(d) // who asked has gone
		return
	}
}

func keyOf(l *store.Listed) Key {
	k := Key{Key: bytes.Clone(l.Key), Size: l.Size, Flags: l.Flags, Token: strconv.FormatUint(l.Token, 10)}
	if l.Expires != 0 {
		k.Expires = new(Expiry(l.Expires))
	}
	return k
}

// Expiry is when a record expires, or the last time that has a form in JSON.
func Expiry(expires uint64) time.Time {
	return time.UnixMilli(min(hlc.Epoch.UnixMilli()+int64(expires), maxTime)).UTC()
}
