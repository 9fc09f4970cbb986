package permit

import (
	"bytes"
	"errors"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/users"
)

// ReplyDenied answers a text command that the user may not run.
const ReplyDenied = "CLIENT_ERROR permission denied\r\n"

// Text reports whether u may run a text command. A get is refused as a whole when one of its keys is: no value leaves before all
// were looked at. The keys of r are not walked over.
func Text(u *users.User, r *memcache.Request) bool {
	rights := textRights(r)
	if !u.May(rights, r.Key) {
		return false
	}
	if len(u.Prefixes) == 0 {
		return true
	}
	keys := r.Keys // a copy: the command walks over it again
	for key, ok := keys.Next(); ok; key, ok = keys.Next() {
		if !u.May(rights, key) {
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

// AppendLogin appends the answer to an authentication by the text protocol, of which came err: nil, or an error of users.Users.
func AppendLogin(dst []byte, err error) []byte {
	switch {
	case err == nil:
		return append(dst, memcache.ReplyStored...)
	case errors.Is(err, users.ErrWrong):
		return append(dst, memcache.ReplyAuthFailure...)
	}
	return append(append(append(dst, "SERVER_ERROR "...), err.Error()...), '\r', '\n')
}
