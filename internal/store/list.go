package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/futago/futago/internal/index"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/ulog"
)

// listLook is how many records List looks at before it gives way, be they live or not.
const listLook = 2048

// Cursor is a place in a walk over all keys, which goes by hash. The zero Cursor is the beginning. It holds nothing of the
// store, so a walk may rest for as long as it likes.
type Cursor struct {
	part int
	tag  uint32 // the next one of the part

	Elsewhere string // the place in a store that is not this one
}

// CursorAt returns the place of the key, whether it is there or not. A walk from it shows the key after at most a few others.
func (s *Store) CursorAt(key []byte) Cursor {
	h := s.log.Hash(key)
	return Cursor{part: PartOf(h), tag: index.TagOf(h)}
}

// CursorText is the place as text, with which a walk goes on later, or on another node.
func (s *Store) CursorText(c Cursor) string {
	return fmt.Sprintf("%d-%x-%s", c.part, c.tag, s.log.Identity())
}

// ParseCursor reads what CursorText wrote. Tags mean something only in the log that they come from: of another log the walk
// goes on at the beginning of the part, and shows what was shown of it, a thousandth of all keys at most, once more.
func (s *Store) ParseCursor(text string) (Cursor, error) {
	wrong := fmt.Errorf("cursor %.80q: want what a list gave, or none to begin", text)
	fields := strings.Split(text, "-")
	if len(fields) != 3 {
		return Cursor{}, wrong
	}
	part, err := strconv.ParseUint(fields[0], 10, 16)
	if err != nil || part > shardCount {
		return Cursor{}, wrong
	}
	tag, err := strconv.ParseUint(fields[1], 16, 32)
	if err != nil || tag > index.Tags {
		return Cursor{}, wrong
	}
	var from ulog.Identity
	if err := from.UnmarshalText([]byte(fields[2])); err != nil {
		return Cursor{}, wrong
	}
	c := Cursor{part: int(part), tag: uint32(tag)}
	if from != s.log.Identity() {
		c.tag = 0
	}
	return c, nil
}

// Listed is a live record as List shows it.
type Listed struct {
	Key      []byte // valid during the call only
	Flags    uint32 // of memcached's clients
	Size     int    // of what clients read, bytes
	Stored   int    // of the record in the log, bytes
	Expires  uint64 // milliseconds since hlc.Epoch, 0 = never
	Token    uint64 // CAS unique
	Accessed int64  // when it was last read or written, as far as this node remembers; seconds since hlc.Epoch
	Read     bool   // since it was stored
}

// listing is one call of List.
type listing struct {
	store  *Store
	part   int
	show   func(r *Listed) bool
	goOn   bool
	tags   []uint32
	rec    record.Record
	listed Listed
	number [24]byte
}

// List goes on with a walk: it calls show with live records until that wants no more, or enough were looked at, and reports
// whether there may be others. After show has returned false it may be called a few times yet. It must not block, nor call
// the store. What is there during the whole walk is shown exactly once, whether or not it changes or is moved meanwhile;
// what comes or goes, once or not at all. It does not fail.
func (s *Store) List(c *Cursor, show func(r *Listed) bool) (more bool, err error) {
	l := &listing{store: s, show: show, goOn: true}
	for looked := 0; c.part < shardCount; {
		if looked >= listLook {
			return true, nil
		}
		l.part = c.part
		end := l.tagsFrom(c.tag)
		for _, tag := range l.tags {
			c.tag = tag + 1
			looked++
			if l.each(tag); !l.goOn {
				return true, nil
			}
		}
		if c.tag = end; end == index.Tags {
			c.part, c.tag = c.part+1, 0
		}
	}
	return false, nil
}

// tagsFrom finds the tags of the next records of the part, in order, and returns the end of the range that it looked at.
func (l *listing) tagsFrom(first uint32) (end uint32) {
	sh := &l.store.shards[l.part]
	sh.mu.Lock()
	// Tags are spread evenly: so wide a range has about listLook of them.
	width := index.Tags / uint64(1+sh.idx.Len()/listLook)
	end = uint32(min(uint64(first)+width, index.Tags))
	l.tags = sh.idx.AppendTags(l.tags[:0], first, end)
	sh.mu.Unlock()
	slices.Sort(l.tags)
	l.tags = slices.Compact(l.tags)
	return end
}

// each shows the live records of a tag.
func (l *listing) each(tag uint32) {
	sh := &l.store.shards[l.part]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.idx.EachOf(tag, func(loc uint64, read bool) {
		s, r := l.store, &l.rec
		if !s.at(l.part, loc, r) || !s.alive(r) {
			return
		}
		size := len(r.Value)
		if r.Kind == record.Counter {
			size = len(r.Bytes(l.number[:0]))
		}
		accessed := max(int64(s.accesses.last(s.log.Hash(r.Key))), r.Stamp.Millis()/1000)
		l.listed = Listed{
			Key: r.Key, Flags: r.Flags, Size: size, Stored: r.Size(), Expires: r.Expires, Token: r.Token(), Accessed: accessed, Read: read,
		}
		l.goOn = l.show(&l.listed) && l.goOn
	})
}
