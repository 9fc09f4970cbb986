package server

import (
	"cmp"
	"net"
	"slices"
	"strings"
)

// Client is a machine from which there are connections, or the processes behind a socket of this one.
type Client struct {
	Host        string  `json:"host"`        // its address; of a socket its path
	Listen      string  `json:"listen"`      // the address that it came to
	Connections int     `json:"connections"` //
	Oldest      float64 `json:"oldest_seconds"`
	Idle        float64 `json:"idle_seconds"` // since the last bytes on any of them
}

// Clients lists who is connected, those with the most connections first, at most limit of them, and how many there are.
func (s *Server) Clients(limit int) (list []Client, all int) {
	type place struct{ host, listen string }
	now, found := s.store.Now(), map[place]*Client{}
	seconds := func(since int64) float64 { return float64(max(now-since, 0)) / 1000 }
	s.peers.mu.Lock()
	for _, c := range s.peers.open {
		at := place{hostOf(c.remote), c.listen}
		client := found[at]
		if client == nil {
			client = &Client{Host: at.host, Listen: at.listen, Idle: seconds(0)}
			found[at] = client
		}
		client.Connections++
		client.Oldest = max(client.Oldest, seconds(c.since))
		client.Idle = min(client.Idle, seconds(c.last.Load()))
	}
	s.peers.mu.Unlock()
	list = make([]Client, 0, len(found))
	for _, c := range found {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Client) int {
		return cmp.Or(b.Connections-a.Connections, cmp.Compare(a.Host, b.Host), cmp.Compare(a.Listen, b.Listen))
	})
	return list[:min(limit, len(list))], len(list)
}

// hostOf is the address in a label without its port: who connects again has another one.
func hostOf(label string) string {
	network, address, _ := strings.Cut(label, ":")
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return network + ":" + address
}
