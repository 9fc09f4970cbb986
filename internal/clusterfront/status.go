package clusterfront

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/front"
	"github.com/futago/futago/internal/node/web"
	"github.com/futago/futago/internal/rediscluster"
	"github.com/futago/futago/internal/server"
)

// Status is the document of /status.
type Status struct {
	Version       string   `json:"version"`
	PID           int      `json:"pid"`
	State         string   `json:"state"` // ready, down or draining
	Reason        string   `json:"reason"`
	UptimeSeconds float64  `json:"uptime_seconds"`
	Listen        []string `json:"listen"`
	Store         string   `json:"store"`      // redis-cluster
	Durability    string   `json:"durability"` // what a positive reply to a write means: async, or wait=N replicas
	Promise       string   `json:"promise"`    // the same in words
	Masters       []string `json:"masters"`    // addresses of those with slots
	Nodes         []string `json:"nodes"`      // ids of all nodes of the cluster, replicas too: by them it is known again
	Prefix        string   `json:"prefix"`     // of the keys there
	Slots         int      `json:"slots"`      // of 16384 that are at a master
	Moving        bool     `json:"moving"`     // slots are being moved
	Items         int64    `json:"items"`      // keys of all masters, whoever wrote them
	Repeated      uint64   `json:"repeated"`   // commands that were repeated, for they had not been executed
	Unreached     uint64   `json:"unreached"`  // failures of which it is certain that nothing was changed
	Unknown       uint64   `json:"unknown"`    // writes of which it is not known whether they were executed

	Swept uint64 `json:"swept"` // dead records that this front removed after flush_all

	Clients server.Stats `json:"clients"` // since the start
	// Of the last ten seconds; null when there was nothing.
	RequestsPerSecond *float64 `json:"requests_per_second"`
	LatencyP50Seconds *float64 `json:"latency_p50_seconds"`
	LatencyP99Seconds *float64 `json:"latency_p99_seconds"`

	LastReload *front.LastReload `json:"last_reload"` // null before the first
}

// healthAge is for how long what the cluster said is said again.
const healthAge = time.Second

func (f *Front) currentHealth() rediscluster.Health {
	h := &f.health
	h.Lock()
	defer h.Unlock()
	if time.Since(h.at) >= healthAge {
		ctx, cancel := context.WithTimeout(context.Background(), f.cfg.Store.Timeout)
		defer cancel()
		h.Health, h.at = f.store.Health(ctx), time.Now()
	}
	return h.Health
}

// allSlots is how many slots a cluster has.
const allSlots = 16384

// state condenses what is known of the cluster.
func (f *Front) state() (state, reason string) {
	h := f.currentHealth()
	switch {
	case f.draining.Load():
		return "draining", "shutting down"
	case !f.serving.Load():
		return "down", "starting"
	case h.Err != nil:
		return "down", fmt.Sprintf("the cluster does not answer: %v", h.Err)
	case h.Slots < allSlots:
		return "ready", fmt.Sprintf("%d of %d slots have no master: requests for their keys fail", allSlots-h.Slots, allSlots)
	}
	return "ready", fmt.Sprintf("%d masters have all slots", len(h.Masters))
}

// Status returns a copy of the state.
func (f *Front) Status() Status {
	h, n := f.currentHealth(), f.store.Counts()
	s := Status{
		Version: f.cfg.Version, PID: os.Getpid(), UptimeSeconds: time.Since(f.started).Seconds(), Listen: f.server.Addrs(),
		Store: strings.TrimSuffix(rediscluster.Scheme, "://"), Durability: f.store.Durability(), Promise: f.store.Promise(), Masters: h.Masters, Nodes: h.Nodes, Prefix: f.cfg.Store.Prefix, Slots: h.Slots, Moving: h.Moving,
		Items: f.store.Stats().Items, Repeated: n.Repeated, Unreached: n.Unreached, Unknown: n.Unknown, Swept: n.Swept,
		Clients: f.server.Stats(), LastReload: f.reloads.Last(),
	}
	f.past.tell(&s)
	s.State, s.Reason = f.state()
	return s
}

// AdminHandler returns the handler of the page at /, and of /healthz, /readyz, /metrics, /status, /history, /changes and /keys.
func (f *Front) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	web.Handle(mux, "cluster.html")
	mux.HandleFunc("GET /history", f.serveHistory)
	mux.HandleFunc("GET /changes", f.toReaders(f.feed.Serve))
	mux.HandleFunc("GET /keys", f.toReaders(f.keys.Serve))
	mux.Handle("/", front.AdminHandler(f.cfg.AdminListen, f.state, func() any { return f.Status() }, f.reloads, f.gatherer, f.cfg.Profile))
	pages := f.guard.Guard(access.OwnPages(f.cfg.AdminListen, mux))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.Protect(w.Header())
		pages.ServeHTTP(w, r)
	})
}

// collector tells Prometheus of the cluster.
type collector struct{ f *Front }

var (
	descInfo      = prometheus.NewDesc("futago_cluster_info", "1; durability is what a positive reply to a write means.", []string{"store", "durability"}, nil)
	descSlots     = prometheus.NewDesc("futago_cluster_slots", "Slots that are at a master, of 16384.", nil, nil)
	descMasters   = prometheus.NewDesc("futago_cluster_masters", "Masters that have slots.", nil, nil)
	descRepeated  = prometheus.NewDesc("futago_cluster_repeated_total", "Commands that were repeated because they had not been executed.", nil, nil)
	descUnreached = prometheus.NewDesc("futago_cluster_unreached_total", "Failures of which it is certain that nothing was changed.", nil, nil)
	descUnknown   = prometheus.NewDesc("futago_cluster_unknown_total", "Writes of which it is not known whether they were executed.", nil, nil)
	descSwept     = prometheus.NewDesc("futago_cluster_swept_total", "Records that flush_all had made dead and this front removed.", nil, nil)
)

// Describe sends what Collect sends.
func (c *collector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

// Collect reads the figures.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	h, n := c.f.currentHealth(), c.f.store.Counts()
	to <- prometheus.MustNewConstMetric(descInfo, prometheus.GaugeValue, 1, strings.TrimSuffix(rediscluster.Scheme, "://"), c.f.store.Durability())
	to <- prometheus.MustNewConstMetric(descSlots, prometheus.GaugeValue, float64(h.Slots))
	to <- prometheus.MustNewConstMetric(descMasters, prometheus.GaugeValue, float64(len(h.Masters)))
	for _, m := range []struct {
		desc *prometheus.Desc
		n    uint64
	}{{descRepeated, n.Repeated}, {descUnreached, n.Unreached}, {descUnknown, n.Unknown}, {descSwept, n.Swept}} {
		to <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.n))
	}
}
