package proxy

import (
	"os"
	"strconv"
	"time"

	"github.com/futago/futago/internal/memcache"
)

// knownStats says whether stats takes the argument. The tools of memcached ask for the lists of its memory; here they
// are empty.
func knownStats(arg string) bool {
	switch arg {
	case "", "settings", "items", "slabs", "sizes", "conns":
		return true
	}
	return false
}

// clientVersion is the version that memcached clients are told.
func (p *Proxy) clientVersion() string { return memcache.ServerVersion(p.cfg.Version) }

// eachStat calls fn for every figure of the proxy's own.
func (p *Proxy) eachStat(arg string, fn func(name, value string)) {
	num := func(name string, n uint64) { fn(name, strconv.FormatUint(n, 10)) }
	switch arg {
	case "":
	case "settings":
		num("maxconns", uint64(p.conf().MaxConns))
		num("item_size_max", uint64(p.cfg.MaxValue))
		fn("choice", p.conf().Choice)
		users := "no"
		if p.guard.Users() != nil {
			users = "yes"
		}
		fn("auth_enabled_sasl", users)
		fn("auth_enabled_ascii", users)
		return
	default:
		return
	}
	s := p.Status()
	num("pid", uint64(os.Getpid()))
	num("uptime", uint64(s.UptimeSeconds))
	num("time", uint64(time.Now().Unix()))
	fn("version", p.clientVersion())
	num("max_connections", uint64(p.conf().MaxConns))
	num("curr_connections", uint64(s.Connections))
	num("total_connections", p.accepted.Load())
	num("rejected_connections", p.refused.Load())
	fn("state", s.State)
	for i, u := range s.Upstreams {
		prefix := "upstream_" + strconv.Itoa(i) + "_"
		fn(prefix+"addr", u.Addr)
		fn(prefix+"state", u.State)
		num(prefix+"requests", u.Requests)
		num(prefix+"failures", u.Failures)
		num(prefix+"failovers", u.Failovers)
		num(prefix+"unknown_effects", u.UnknownEffects)
	}
}

// stats answers a stats command of the text protocol.
func (c *client) stats(arg string) {
	k := c.add()
	if !knownStats(arg) {
		k.reply = append(k.reply, memcache.ReplyError...)
		return
	}
	c.p.eachStat(arg, func(name, value string) { k.reply = memcache.AppendStat(k.reply, name, value) })
	k.reply = append(k.reply, replyEnd...)
}
