package server

import (
	"bytes"

	"github.com/futago/futago/internal/memcache"
)

const (
	// leastMemLimit is the smallest cache_memlimit of memcached, and mostMemLimit the largest, in megabytes.
	leastMemLimit = 8
	mostMemLimit  = 1_000_000_000
)

// memLimit answers cache_memlimit, which bounds the memory of this node until it is started again.
func (s *session) memLimit(w *worker) {
	r, st := &w.mreq, w.store
	least := max(uint64(st.LeastMemory()+1<<20-1)>>20, leastMemLimit)
	switch {
	case r.Delta > mostMemLimit:
		s.reply(r, memcache.ReplyMemLimitBytes)
		return
	case r.Delta < least:
		if !r.Noreply {
			s.out = memcache.AppendMemLimitTooSmall(s.out, least)
		}
		return
	}
	err := st.SetMaxMemory(int64(r.Delta) << 20)
	s.audit(w, err)
	if err != nil {
		s.reply(r, memcache.ReplyMemLimitFailed)
		return
	}
	s.reply(r, memcache.ReplyOK)
}

// shutdown answers the command; false when the node stops. Graceful or not, it drains.
func (s *session) shutdown(w *worker) (goOn bool) {
	mode := bytes.Fields(w.mreq.Arg)
	switch {
	case w.srv.cfg.Stop == nil:
		s.audit(w, errOff)
		s.out = append(s.out, memcache.ReplyShutdownDisabled...)
		return true
	case len(mode) > 1 || len(mode) == 1 && string(mode[0]) != "graceful":
		s.out = append(s.out, memcache.ReplyShutdownMode...)
		return true
	}
	s.audit(w, nil)
	w.srv.cfg.Stop()
	s.closing = true
	return false
}
