package node

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/listing"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

const (
	// maxShown bounds the value that GET /key shows, bytes.
	maxShown = 64 << 10
	// maxContributions bounds the contributions to a counter that it shows.
	maxContributions = 100
)

// KeyDocument is what GET /key tells of a key. Numbers of 64 bits are text, for JavaScript has none.
type KeyDocument struct {
	Node    int        `json:"node"` // that was asked
	Key     []byte     `json:"key"`
	State   string     `json:"state"`             // live, expired, flushed, deleted, absent, damaged
	Kind    string     `json:"kind,omitempty"`    // value, counter, tombstone
	Value   []byte     `json:"value,omitempty"`   // as clients read it, its first 64 KiB
	Size    int        `json:"size"`              // of all of it, bytes
	Flags   uint32     `json:"flags"`             // of memcached's clients
	Type    string     `json:"type,omitempty"`    // HTTP Content-Type
	Expires *time.Time `json:"expires,omitempty"` // absent: never
	Write   *WriteInfo `json:"write,omitempty"`   // the newest in it
	Token   string     `json:"token,omitempty"`   // CAS unique, ETag
	Stale   bool       `json:"stale,omitempty"`   // by memcached's meta commands
	Created bool       `json:"created,omitempty"` // written because nothing was there

	Counter *CounterInfo `json:"counter,omitempty"`
	Peers   []PeerAnswer `json:"peers,omitempty"` // the same from the other nodes, with peers=1
}

// WriteInfo is who wrote, and when.
type WriteInfo struct {
	Stamp string    `json:"stamp"` // decimal
	Time  time.Time `json:"time"`
	Node  int       `json:"node"`
}

// CounterInfo is what a counter is the sum of.
type CounterInfo struct {
	Domain        string         `json:"domain"` // decimal, int32, float64
	Base          []byte         `json:"base"`   // its first 64 KiB
	BaseWrite     WriteInfo      `json:"base_write"`
	Contributions []Contribution `json:"contributions"` // at most 100
	All           int            `json:"all_contributions"`
}

// Contribution is what a node has added.
type Contribution struct {
	Write WriteInfo `json:"write"` // the last one
	Epoch string    `json:"epoch"` // of the node's log, hexadecimal
	Sum   string    `json:"sum"`
}

func writeInfo(s hlc.Stamp) WriteInfo {
	return WriteInfo{strconv.FormatUint(uint64(s), 10), s.Time(), s.Node()}
}

// serveKey looks up the key of the query, which is text, or with key64 base64 of any bytes.
func (n *Node) serveKey(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	key := []byte(query.Get("key"))
	if text := query.Get("key64"); text != "" {
		var err error
		if key, err = base64.StdEncoding.DecodeString(text); err != nil {
			return httpError{http.StatusBadRequest, fmt.Errorf("key64: want base64: %w", err)}
		}
	}
	if len(key) == 0 || len(key) > record.MaxKey {
		return httpError{http.StatusBadRequest, fmt.Errorf("a key of %d bytes: want 1 to %d, in key or, as base64, in key64", len(key), record.MaxKey)}
	}
	sees, err := n.reader(r)
	if err != nil {
		return err
	}
	if sees != nil && !sees(key) {
		return httpError{http.StatusForbidden, errors.New("permission denied")}
	}
	d, err := n.lookUp(key)
	if err != nil {
		return err
	}
	if query.Get("peers") == "1" {
		d.Peers = n.askPeers(r, "/key?key64="+url.QueryEscape(base64.StdEncoding.EncodeToString(key)))
	}
	return writeJSON(w, d)
}

func (n *Node) lookUp(key []byte) (KeyDocument, error) {
	d := KeyDocument{Node: n.cfg.Node, Key: key, State: "absent"}
	now := n.store.Now()
	err := n.store.Inspect(key, func(r *record.Record, live bool) {
		switch {
		case live:
			d.State = "live"
		case r.Kind == record.Tombstone:
			d.State = "deleted"
		case r.ExpiredAt(now):
			d.State = "expired"
		default:
			d.State = "flushed"
		}
		d.fill(r)
	})
	if errors.Is(err, store.ErrDamaged) {
		d.State, err = "damaged", nil
	}
	return d, err
}

// fill copies what is shown of a record.
func (d *KeyDocument) fill(r *record.Record) {
	value := r.Bytes(nil)
	d.Kind, d.Size, d.Value = r.Kind.String(), len(value), head(value)
	d.Flags, d.Type, d.Stale, d.Created = r.Flags, string(r.Type), r.Stale, r.Created
	d.Write = new(writeInfo(r.Stamp))
	if r.Expires != 0 {
		d.Expires = new(listing.Expiry(r.Expires))
	}
	if r.Kind == record.Tombstone {
		return
	}
	d.Token = strconv.FormatUint(r.Token(), 10)
	if r.Kind != record.Counter {
		return
	}
	c, err := record.DecodeCounter(r.Value)
	if err != nil {
		return // the log was checked when it was read
	}
	d.Counter = &CounterInfo{Domain: domainName(c.Domain), Base: head(c.Base), BaseWrite: writeInfo(c.BaseStamp), All: c.N(), Contributions: []Contribution{}}
	for i := range min(c.N(), maxContributions) {
		one := c.At(i)
		d.Counter.Contributions = append(d.Counter.Contributions,
			Contribution{writeInfo(one.Stamp), fmt.Sprintf("%016x", one.Epoch), sumText(c.Domain, one.Sum)})
	}
}

// head is a copy of the first bytes.
func head(b []byte) []byte { return append([]byte{}, b[:min(len(b), maxShown)]...) }

func domainName(d record.Domain) string {
	return [...]string{record.Decimal: "decimal", record.Int32: "int32", record.Float64: "float64"}[d]
}

func sumText(d record.Domain, sum int64) string {
	switch d {
	case record.Int32:
		return strconv.Itoa(int(int32(sum)))
	case record.Float64:
		return strconv.FormatFloat(math.Float64frombits(uint64(sum)), 'g', -1, 64)
	}
	return strconv.FormatInt(sum, 10)
}
