package server

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/futago/futago/internal/memcache"
)

// statList builds a reply to stats: lines, or packets if it answers a packet.
type statList struct {
	out    []byte
	packet *memcache.Echo
}

func (l *statList) text(name, value string) {
	if l.packet != nil {
		l.out = memcache.AppendBinaryText(l.out, *l.packet, name, value)
		return
	}
	l.out = memcache.AppendStat(l.out, name, value)
}

func (l *statList) num(name string, n uint64) { l.text(name, strconv.FormatUint(n, 10)) }

// stats answers the stats command; false when the reply goes on later.
func (s *session) stats(w *worker) (goOn bool) {
	w.tally.publish(w.totals)
	l := statList{out: s.out}
	name, rest, _ := bytes.Cut(w.mreq.Arg, []byte(" "))
	rest = bytes.Trim(rest, " ")
	switch string(name) {
	case "conns":
		w.srv.peers.appendStats(&l, w.store.Now())
	case "reset":
		w.srv.resetCounters()
		s.audit(w, nil)
		s.out = append(s.out, memcache.ReplyReset...)
		return true
	case "detail":
		s.audit(w, nil)
		s.out = w.srv.statsDetail(s.out, rest)
		return true
	case "cachedump":
		return s.cachedump(w, rest)
	default:
		if !w.listStats(&l, string(name)) {
			s.out = append(s.out, memcache.ReplyError...)
			return true
		}
	}
	s.out = append(l.out, memcache.ReplyEnd...)
	return true
}

// listStats appends the list of a name that both protocols have; false when there is none.
func (w *worker) listStats(l *statList, name string) bool {
	switch name {
	case "":
		w.srv.generalStats(l, w.store.Now())
	case "settings":
		w.srv.settingsStats(l)
	case "items":
		w.srv.itemStats(l)
	case "slabs":
		w.srv.slabStats(l)
	case "sizes":
		l.text("sizes_status", "disabled")
	default:
		return false
	}
	return true
}

// generalStats follows memcached's names and order.
func (s *Server) generalStats(l *statList, now int64) {
	n, st := s.sinceReset(), s.store.Stats()
	user, system := cpuTime()
	l.num("pid", uint64(os.Getpid()))
	l.num("uptime", uint64(max(now-s.started, 0)/1000))
	l.num("time", uint64(s.wall(now).Unix()))
	l.text("version", s.cfg.Version)
	l.num("pointer_size", 64)
	l.text("rusage_user", seconds(user))
	l.text("rusage_system", seconds(system))
	l.num("max_connections", uint64(s.maxConns.Load()))
	l.num("curr_connections", uint64(s.conns.Load()))
	l.num("total_connections", n[connsAccepted])
	l.num("rejected_connections", n[connsRejected])
	l.num("connection_structures", uint64(s.conns.Load()))
	for _, c := range []struct {
		name  string
		value counter
	}{
		{"cmd_get", cmdGet}, {"cmd_set", cmdSet}, {"cmd_flush", cmdFlush}, {"cmd_touch", cmdTouch}, {"cmd_meta", cmdMeta},
		{"get_hits", getHits}, {"get_misses", getMisses},
	} {
		l.num(c.name, n[c.value])
	}
	// An expired or flushed record is a miss here: it is not told from one that never was.
	l.num("get_expired", 0)
	l.num("get_flushed", 0)
	for _, c := range []struct {
		name  string
		value counter
	}{
		{"delete_misses", deleteMisses}, {"delete_hits", deleteHits}, {"incr_misses", incrMisses}, {"incr_hits", incrHits},
		{"decr_misses", decrMisses}, {"decr_hits", decrHits}, {"cas_misses", casMisses}, {"cas_hits", casHits},
		{"cas_badval", casBadval}, {"touch_hits", touchHits}, {"touch_misses", touchMisses},
		{"store_too_large", storeTooLarge}, {"store_no_memory", storeNoMemory},
	} {
		l.num(c.name, n[c.value])
	}
	l.num("auth_cmds", n[authCmds])
	l.num("auth_errors", n[authErrors])
	l.num("idle_kicks", n[idleKicks])
	l.num("bytes_read", n[bytesRead])
	l.num("bytes_written", n[bytesWritten])
	l.num("limit_maxbytes", uint64(s.store.MaxMemory()))
	l.num("accepting_conns", 1)
	l.num("threads", uint64(max(len(s.loops), 1)))
	l.num("bytes", uint64(st.Bytes))
	l.num("curr_items", uint64(st.Items))
	l.num("total_items", n[itemsStored])
	l.num("evictions", uint64(st.Evicted))
	l.num("reclaimed", 0)
	s.tlsStats(l, n)
	s.ackStats(l)
}

// ackStats says what a positive reply to a write means now.
func (s *Server) ackStats(l *statList) {
	a, solo := s.store.Acknowledgement(), uint64(0)
	if a.Solo {
		solo = 1
	}
	if durability := s.store.Durability(); durability != "" {
		l.text("futago_durability", durability)
		return
	}
	l.text("futago_ack", a.Mode)
	l.num("futago_solo", solo)
	l.num("futago_solo_seconds", uint64(a.SoloSeconds))
	l.num("futago_solo_count", uint64(a.SoloCount))
	l.num("futago_unconfirmed", a.Unconfirmed)
	l.num("futago_refused", a.Refused)
}

func (s *Server) settingsStats(l *statList) {
	l.num("maxbytes", uint64(s.store.MaxMemory()))
	l.num("maxconns", uint64(s.maxConns.Load()))
	port := "0"
	for _, a := range s.Addrs() {
		if _, p, ok := cutPort(a); ok {
			port = p
			break
		}
	}
	l.text("tcpport", port)
	l.num("udpport", 0)
	l.num("verbosity", 0)
	evictions := "off"
	if s.cfg.Evict {
		evictions = "on"
	}
	l.text("evictions", evictions)
	l.num("num_threads", uint64(max(len(s.loops), 1)))
	l.text("detail_enabled", yesNo(s.prefixes.on.Load()))
	l.text("cas_enabled", "yes")
	l.text("auth_enabled_sasl", yesNo(s.cfg.Users != nil))
	l.text("auth_enabled_ascii", yesNo(s.cfg.Users != nil))
	l.num("item_size_max", uint64(s.cfg.MaxValue))
	l.text("maxconns_fast", "yes")
	l.text("flush_enabled", "yes")
	l.text("dump_enabled", "yes")
	l.num("idle_timeout", uint64(s.limits.Load().IdleTimeout/time.Second))
	l.text("binding_protocol", "auto-negotiate")
	l.text("ssl_enabled", yesNo(s.cfg.TLS != nil))
	l.num("client_flags_size", 4)
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func cpuTime() (user, system time.Duration) {
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &ru) != nil {
		return 0, 0
	}
	return time.Duration(ru.Utime.Nano()), time.Duration(ru.Stime.Nano())
}

// seconds has six digits behind the point, as in memcached.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }
