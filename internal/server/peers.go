package server

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// peer is what others may know of a connection.
type peer struct {
	id       uint64
	remote   string // network:address
	listen   string
	protocol Protocol     // of the listener
	tls      TLSMode      // of the listener
	since    int64        // ms since hlc.Epoch
	last     atomic.Int64 // ms since hlc.Epoch of the last bytes
}

// peers are the open connections, for the list of them.
type peers struct {
	mu   sync.Mutex
	next uint64
	open map[uint64]*peer
}

func (p *peers) add(remote string, l *listener, now int64) *peer {
	c := &peer{remote: remote, listen: l.label, protocol: l.Protocols, tls: l.TLS, since: now}
	c.last.Store(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[uint64]*peer{}
	}
	p.next++
	c.id = p.next
	p.open[c.id] = c
	return c
}

func (p *peers) remove(c *peer) {
	p.mu.Lock()
	delete(p.open, c.id)
	p.mu.Unlock()
}

// name is the address of the client, without the network where that is TCP.
func (p *peer) name() string {
	if p == nil {
		return ""
	}
	return strings.TrimPrefix(p.remote, "tcp:")
}

// appendStats lists the connections in the order of their arrival.
func (p *peers) appendStats(l *statList, now int64) {
	p.mu.Lock()
	all := make([]*peer, 0, len(p.open))
	for _, c := range p.open {
		all = append(all, c)
	}
	p.mu.Unlock()
	slices.SortFunc(all, func(a, b *peer) int { return cmp.Compare(a.id, b.id) })
	for _, c := range all {
		id := strconv.FormatUint(c.id, 10)
		l.text(id+":addr", c.remote)
		l.text(id+":listen_addr", c.listen)
		l.text(id+":state", "conn_read")
		l.num(id+":secs_since_last_cmd", uint64(max(now-c.last.Load(), 0)/1000))
	}
}

// addrLabel is an address as memcached writes it.
func addrLabel(a net.Addr) string {
	if a == nil {
		return "unknown"
	}
	return a.Network() + ":" + a.String()
}

// cutPort returns the port of host:port.
func cutPort(address string) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	return host, port, err == nil
}
