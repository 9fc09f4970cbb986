package futago

import (
	"slices"
	"strconv"
)

// pool is the servers and the order in which a key goes through them.
type pool struct {
	servers  []*server
	selector Selector
	cfg      *Config
}

// route is the way of one request through the servers. It is PHP's: the key's own server, then the servers of
// key-0, key-1, ... up to the limit of probes. The servers of healthy keys never change.
type route struct {
	pool *pool
	key  string
	// probes is how many of key-0, key-1, ... were asked for. The count belongs to the whole request.
	probes int
	tried  []*server
	// failures are those of the servers tried.
	failures []error
	// sent is true once a server may have executed the request without a word of it.
	sent bool
}

// number returns the number of the server that the selector gives to a key on the wire.
func (p *pool) number(key string) int {
	if p.cfg.HashWithoutPrefix {
		key = key[min(len(p.cfg.KeyPrefix), len(key)):]
	}
	return p.selector.Select(key)
}

func (p *pool) route(key string) route { return route{pool: p, key: key} }

// next returns the next server to try. When ok is false none is left; the server is then the last one that was
// looked at, which PHP's findServer would name.
func (r *route) next() (s *server, ok bool) {
	if len(r.tried) == 0 && r.probes == 0 {
		s = r.find(r.key)
		if s.usable() {
			r.tried = append(r.tried, s)
			return s, true
		}
	}
	if r.pool.cfg.NoFailover {
		r.pool.hurry()
		return s, false
	}
	for r.probes < r.pool.cfg.MaxFailoverAttempts {
		s = r.probe()
		if !slices.Contains(r.tried, s) && s.usable() {
			r.tried = append(r.tried, s)
			return s, true
		}
	}
	if !r.pool.cfg.PHPCompatible {
		for _, other := range r.others() {
			r.tried = append(r.tried, other)
			return other, true
		}
		r.pool.hurry()
	}
	return s, false
}

// hurry asks for early probes of all failed servers, because a request found none that works.
func (p *pool) hurry() {
	for _, s := range p.servers {
		s.hurry()
	}
}

// copies returns the servers that get the further copies of a redundant write whose first one went to s.
func (r *route) copies(s *server) []*server {
	want := min(r.pool.cfg.Redundancy, len(r.pool.servers))
	c := route{pool: r.pool, key: r.key, tried: []*server{s}}
	for len(c.tried) < want && c.probes < r.pool.cfg.MaxFailoverAttempts {
		// PHP lets a failed server stand for a copy; reads would not look beyond it either.
		if s := c.probe(); !slices.Contains(c.tried, s) && (s.usable() || r.pool.cfg.PHPCompatible) {
			c.tried = append(c.tried, s)
		}
	}
	if !r.pool.cfg.PHPCompatible {
		c.tried = append(c.tried, c.others()...)
	}
	return slices.DeleteFunc(c.tried[1:min(want, len(c.tried))], func(s *server) bool { return !s.usable() })
}

// others returns the working servers that were not tried, in an order that depends on the key alone, so that all
// clients agree on it.
func (r *route) others() []*server {
	var others []*server
	first := r.pool.number(r.key)
	for i := range r.pool.servers {
		s := r.pool.servers[(first+i)%len(r.pool.servers)]
		if !slices.Contains(r.tried, s) && s.usable() {
			others = append(others, s)
		}
	}
	return others
}

func (r *route) probe() *server {
	s := r.find(r.key + "-" + strconv.Itoa(r.probes))
	r.probes++
	return s
}

func (r *route) find(key string) *server {
	if len(r.pool.servers) == 1 {
		return r.pool.servers[0]
	}
	return r.pool.servers[r.pool.number(key)]
}
