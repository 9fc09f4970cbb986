package server

import (
	"bytes"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/users"
)

// allowed is the one place that decides what a user may do: it must have all the rights, and be allowed to touch the key
// where there is one. Without a file of users everybody may do everything.
func (s *Server) allowed(u *users.User, rights users.Rights, key []byte) bool {
	if s.cfg.Users == nil {
		return true
	}
	return u != nil && u.Has(rights) && (key == nil || u.Reaches(key))
}

// permitted reports whether the session's user may run the request in w.mreq. A get is refused as a whole when one of its
// keys is: no value leaves before all were looked at.
func (s *session) permitted(w *worker) bool {
	r := &w.mreq
	rights := textRights(r)
	if !w.srv.allowed(s.user, rights, r.Key) {
		return false
	}
	if s.user == nil || len(s.user.Prefixes) == 0 {
		return true
	}
	keys := r.Keys // a copy: the command walks over it again
	for key, ok := keys.Next(); ok; key, ok = keys.Next() {
		if !w.srv.allowed(s.user, rights, key) {
			return false
		}
	}
	return true
}

// textRights are what a text command needs. What shows a value or changes it needs both rights for a command that does
// both: incr answers with the number, gat sets the time.
func textRights(r *memcache.Request) users.Rights {
	switch r.Op {
	case memcache.OpVersion, memcache.OpQuit, memcache.OpMetaNoop:
		return 0
	case memcache.OpGet, memcache.OpGets, memcache.OpMetaDebug:
		return users.Read
	case memcache.OpMetaGet:
		if m := r.Meta; m.Has('T') || m.Has('N') || m.Has('R') {
			return users.Read | users.Write
		}
		return users.Read
	case memcache.OpMetaArith:
		if r.Meta.Has('v') {
			return users.Read | users.Write
		}
		return users.Write
	case memcache.OpGat, memcache.OpGats, memcache.OpIncr, memcache.OpDecr:
		return users.Read | users.Write
	case memcache.OpSet, memcache.OpAdd, memcache.OpReplace, memcache.OpAppend, memcache.OpPrepend, memcache.OpCAS,
		memcache.OpDelete, memcache.OpTouch, memcache.OpMetaSet, memcache.OpMetaDelete:
		return users.Write
	case memcache.OpStats:
		return statsRights(r.Arg)
	case memcache.OpError:
		if r.Drop {
			return users.Write
		}
		return 0
	}
	return users.Admin // flush_all, verbosity, refresh_certs, and what is not listed
}

// statsRights are what stats with this argument needs. The binary protocol looks at the beginning alone.
func statsRights(arg []byte) users.Rights {
	for _, name := range []string{"reset", "detail", "cachedump", "conns"} {
		if bytes.HasPrefix(arg, []byte(name)) {
			return users.Admin
		}
	}
	return users.Read
}
