package node

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/store"
)

// The limits of one answer to GET /keys. It may end before its limit, as soon as one of these is reached.
const (
	defaultListed = 1000
	maxListed     = 10_000
	maxListedSize = 1 << 20 // of the keys, bytes
	// listPatience bounds the search for keys with a rare prefix.
	listPatience = 500 * time.Millisecond
)

// KeysDocument is what GET /keys tells: some keys, in no order, and where the next ones are.
type KeysDocument struct {
	Node   int         `json:"node"` // that was asked
	Keys   []ListedKey `json:"keys"`
	Cursor string      `json:"cursor"` // for the next question, to any node; empty: these were the last
}

// ListedKey is a live record. Numbers of 64 bits are text, for JavaScript has none.
type ListedKey struct {
	Key     []byte     `json:"key"`
	Size    int        `json:"size"`              // of the value as clients read it, bytes
	Flags   uint32     `json:"flags"`             // of memcached's clients
	Expires *time.Time `json:"expires,omitempty"` // absent: never
	Token   string     `json:"token"`             // CAS unique, ETag
}

// serveKeys lists keys from the cursor of the query on: those that begin with its prefix, as far as who asks may read them.
// Between its steps it holds nothing of the store, and lists take turns: none keeps clients waiting, however long it is.
func (n *Node) serveKeys(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	limit := defaultListed
	if text := query.Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxListed {
			return httpError{http.StatusBadRequest, fmt.Errorf("limit %.40q: want 1 to %d", text, maxListed)}
		}
	}
	var cursor store.Cursor
	if text := query.Get("cursor"); text != "" {
		var err error
		if cursor, err = n.store.ParseCursor(text); err != nil {
			return httpError{http.StatusBadRequest, err}
		}
	}
	if state, reason, _ := n.current(); state != Ready {
		w.Header().Set("Retry-After", "1")
		return httpError{http.StatusServiceUnavailable, fmt.Errorf("%s: %s: ask another node", state, reason)}
	}
	sees, err := n.reader(r)
	if err != nil {
		return err
	}
	d := KeysDocument{Node: n.cfg.Node, Keys: []ListedKey{}}
	prefix, size := []byte(query.Get("prefix")), 0
	show := func(l *store.Listed) bool {
		if bytes.HasPrefix(l.Key, prefix) && (sees == nil || sees(l.Key)) {
			d.Keys = append(d.Keys, listedKey(l))
			size += len(l.Key)
		}
		return len(d.Keys) < limit && size < maxListedSize
	}
	for end := time.Now().Add(listPatience); ; {
		n.listing.Lock()
		more, _ := n.store.List(&cursor, show)
		n.listing.Unlock()
		switch {
		case r.Context().Err() != nil:
			return errors.New("nobody waits for the keys")
		case !more:
			return writeJSON(w, d)
		case len(d.Keys) >= limit, size >= maxListedSize, time.Now().After(end):
			d.Cursor = n.store.CursorText(cursor)
			return writeJSON(w, d)
		}
	}
}

func listedKey(l *store.Listed) ListedKey {
	k := ListedKey{Key: bytes.Clone(l.Key), Size: l.Size, Flags: l.Flags, Token: strconv.FormatUint(l.Token, 10)}
	if l.Expires != 0 {
		k.Expires = new(expiryTime(l.Expires))
	}
	return k
}

// expiryTime is when a record expires, or the last time that has a form in JSON.
func expiryTime(expires uint64) time.Time {
	return time.UnixMilli(min(hlc.Epoch.UnixMilli()+int64(expires), maxTime)).UTC()
}
