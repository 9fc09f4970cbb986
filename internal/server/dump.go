package server

import (
	"bytes"
	"context"
	"strconv"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/users"
)

const (
	// dumpStep is how much of a list of keys is made at once, in bytes.
	dumpStep = 64 << 10
	// cachedumpSize is the longest reply to stats cachedump, its end included, in bytes. Source: memcached 1.6.18, items.c.
	cachedumpSize = 2 << 20
)

// dump is a list of all keys that is being sent. It is made in small steps by goroutines; between them it holds nothing of the
// store, and no step is made before the client has taken most of what there is.
type dump struct {
	format memcache.DumpFormat
	user   *users.User // who sees only keys that it reaches
	cursor store.Cursor
	items  uint64 // of cachedump: keys still to list
	room   int    // of cachedump: bytes still to send
}

// dumpKeys answers lru_crawler metadump and mgdump.
func (s *session) dumpKeys(w *worker) {
	s.audit(w, nil)
	s.dump = &dump{format: w.mreq.Dump, user: s.user}
	s.dumpOn(w)
}

// cachedump answers stats cachedump with a class and a number of keys.
func (s *session) cachedump(w *worker, arg []byte) (goOn bool) {
	class, items, refusal := parseCachedump(arg)
	if refusal != "" {
		s.out = append(s.out, refusal...)
		return true
	}
	if class != memcache.SlabClass {
		s.out = append(s.out, memcache.ReplyEnd...)
		return true
	}
	if items == 0 {
		items-- // all
	}
	s.audit(w, nil)
	s.dump = &dump{
		format: memcache.DumpItems, user: s.user, items: items, room: cachedumpSize - len(memcache.ReplyEnd) - 1,
	}
	s.dumpOn(w)
	return false
}

func parseCachedump(arg []byte) (class, items uint64, refusal string) {
	fields := bytes.Fields(arg)
	if len(fields) < 2 {
		return 0, 0, memcache.ReplyBadCommandLine
	}
	class, err := strconv.ParseUint(string(fields[0]), 10, 32)
	if err != nil {
		return 0, 0, memcache.ReplyBadFormat
	}
	if items, err = strconv.ParseUint(string(fields[1]), 10, 32); err != nil {
		return 0, 0, memcache.ReplyBadFormat
	}
	if class > memcache.MaxSlabClass {
		return 0, 0, memcache.ReplyIllegalSlab
	}
	return class, items, ""
}

// dumpOn has the next step of the list made, unless the client must read first: then more is set.
func (s *session) dumpOn(w *worker) {
	if s.more = s.stuffed(w.srv); s.more {
		return
	}
	d, srv := s.dump, w.srv
	s.slow = func(context.Context) func(*session, *worker) {
		text, more := d.step(srv)
		return func(s *session, _ *worker) {
			s.out = append(s.out, text...)
			if !more {
				s.dump = nil
			}
		}
	}
}

// step returns the next part of the list, with its end, or the fault that ends it, if there is no more.
func (d *dump) step(srv *Server) (out []byte, goOn bool) {
	// One at a time, or many lists would take the processors from the loops.
	srv.dumping.Lock()
	defer srv.dumping.Unlock()
	out = make([]byte, 0, dumpStep+dumpStep/8)
	more, err := srv.store.List(&d.cursor, func(r *store.Listed) bool {
		if srv.allowed(d.user, users.Admin, r.Key) {
			out = d.append(out, r)
		}
		return len(out) < dumpStep && !d.full()
	})
	switch {
	case err != nil:
		return append(out, faultLine(err)...), false
	case more && !d.full():
		return out, true
	case d.format == memcache.DumpMg:
		return append(out, memcache.ReplyMetaEnd...), false
	}
	return append(out, memcache.ReplyEnd...), false
}

// full reports whether a cachedump may list no more.
func (d *dump) full() bool { return d.format == memcache.DumpItems && (d.items == 0 || d.room <= 0) }

// append appends the line for a record, or nothing if the format has none for its key.
func (d *dump) append(out []byte, r *store.Listed) []byte {
	before := len(out)
	switch d.format {
	case memcache.DumpMeta:
		return memcache.AppendMetaDump(out, &memcache.MetaDump{
			Key: r.Key, Expires: unixExpiry(r.Expires, -1), Accessed: hlc.Epoch.Unix() + r.Accessed, CAS: r.Token, Fetched: r.Read, Size: r.Stored,
		})
	case memcache.DumpMg:
		return memcache.AppendMgDump(out, r.Key)
	}
	if d.full() || !memcache.IsTextKey(r.Key) {
		return out
	}
	out = memcache.AppendItem(out, r.Key, r.Size, unixExpiry(r.Expires, 0))
	d.items--
	if d.room -= len(out) - before; d.room < 0 {
		return out[:before] // memcached ends the list before the first line too many, too
	}
	return out
}

// unixExpiry turns the store's time into Unix time, or into never for none.
func unixExpiry(expires uint64, never int64) int64 {
	if expires == 0 {
		return never
	}
	return hlc.Epoch.Unix() + int64(expires/1000)
}
