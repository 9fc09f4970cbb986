package node

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector reads the status when it is scraped. The client port registers metrics of its own.
type collector struct{ n *Node }

var descs = struct {
	ready, items, tombstones, live, logBytes, segments, memory, last, written, durable, compactions, compactFailed, impossible, refused,
	solo, soloSeconds, soloEntered, unconfirmed, refusedWrites, lagEntries, lagSeconds, drift, caughtUp, linked, received, snapshots,
	followerLag, watchers, backup, conflicts, forgotten, evicted, horizon, damaged, lost, unequal, mended *prometheus.Desc
}{
	ready:         desc("node_ready", "1 when clients are served and nothing is wrong."),
	items:         desc("store_items", "Records that are no tombstones."),
	tombstones:    desc("store_tombstones", "Deleted keys that are still remembered."),
	live:          desc("store_live_bytes", "Bytes of live entries in the log."),
	logBytes:      desc("store_log_bytes", "Bytes of all log segments."),
	segments:      desc("store_log_segments", "Log segments."),
	memory:        desc("store_memory_bytes", "Memory that max-memory bounds."),
	last:          desc("store_last_sequence", "End of the log."),
	written:       desc("store_written_sequence", "Position handed to the operating system."),
	durable:       desc("store_durable_sequence", "Position on stable storage."),
	compactions:   desc("store_compactions_total", "Finished compactions."),
	compactFailed: desc("store_compactions_failed_total", "Compactions stopped by an error."),
	impossible:    desc("store_impossible_pairs_total", "Pairs of records that share a stamp but differ: a data folder was copied."),
	conflicts:     desc("store_conflicts_total", "Changes dropped whole because another node had changed the key without knowing of them."),
	forgotten:     desc("store_forgotten_total", "Deletes and expired records that are remembered no longer."),
	evicted:       desc("store_evicted_total", "Records given up for want of memory."),
	horizon:       desc("store_horizon_timestamp_seconds", "Time up to which deletes may be forgotten, 0 for none."),
	damaged:       desc("store_damaged_parts_total", "Parts of the keys of which the disk spoilt a record."),
	lost:          desc("store_lost_records_total", "Records that the disk spoilt and no peer had."),
	unequal:       desc("replication_unequal_ranges", "Ranges of keys in which the last comparison with the peer found a difference.", "peer"),
	mended:        desc("replication_mended_records_total", "Records that such a difference brought.", "peer"),
	refused:       desc("store_refusing_writes", "1 while client writes are refused."),
	solo:          desc("store_solo", "1 while writes are acknowledged without the peer although ack=peer."),
	soloSeconds:   desc("store_solo_seconds_total", "Seconds of that since the start."),
	soloEntered:   desc("store_solo_entered_total", "Times that this began, the start included."),
	unconfirmed:   desc("store_unconfirmed_writes_total", "Writes answered with effect unknown: no peer confirmed them although they asked for it."),
	refusedWrites: desc("store_refused_writes_total", "Writes not executed because no peer could confirm them although they asked for it."),
	lagEntries:    desc("replication_lag_entries", "Entries of the peer's log that are not applied here.", "peer"),
	lagSeconds:    desc("replication_lag_seconds", "Time since everything of the peer was applied here, as far as is known: it grows without a link.", "peer"),
	drift:         desc("replication_clock_drift_seconds", "The peer's clock ahead of this one.", "peer"),
	caughtUp:      desc("replication_caught_up", "1 when this node holds what the peer had when the present link came up, 0 without a link.", "peer"),
	linked:        desc("replication_links_total", "Links to the peer established since the start.", "peer"),
	received:      desc("replication_records_total", "Records received from the peer.", "peer"),
	snapshots:     desc("replication_snapshots_total", "Snapshots received completely.", "peer"),
	watchers:      desc("feed_followers", "Clients that follow the changes on the admin port."),
	backup:        desc("backup_last_timestamp_seconds", "Time of the last backup that this node gave whole since its start, 0 for none."),
	followerLag:   desc("replication_follower_lag_entries", "Entries of this log that a follower has not applied.", "peer"),
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("futago_"+name, help, labels, nil)
}

// seconds is a time as Prometheus has it, 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.n.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	flag := func(on bool) float64 {
		if on {
			return 1
		}
		return 0
	}
	gauge(descs.ready, flag(s.Ready))
	if s.Store == nil {
		return
	}
	gauge(descs.watchers, float64(c.n.feed.Followers()))
	gauge(descs.backup, seconds(c.n.backup.Last().Time))
	gauge(descs.items, float64(s.Store.Items))
	gauge(descs.tombstones, float64(s.Store.Tombstones))
	gauge(descs.live, float64(s.Store.Bytes))
	gauge(descs.logBytes, float64(s.Store.LogBytes))
	gauge(descs.segments, float64(s.Store.Segments))
	gauge(descs.memory, float64(s.Store.MemoryBytes))
	gauge(descs.last, float64(s.Store.LastSeq))
	gauge(descs.written, float64(s.Store.WrittenSeq))
	gauge(descs.durable, float64(s.Store.DurableSeq))
	counter(descs.compactions, float64(s.Store.Compactions))
	counter(descs.compactFailed, float64(s.Store.CompactFailed))
	counter(descs.impossible, float64(s.Store.Impossible))
	counter(descs.conflicts, float64(s.Store.Conflicts))
	counter(descs.forgotten, float64(s.Store.Forgotten))
	counter(descs.evicted, float64(s.Store.Evicted))
	counter(descs.damaged, float64(s.Store.Damaged))
	counter(descs.lost, float64(s.Store.Lost))
	horizon := 0.0
	if s.Horizon != nil {
		horizon = float64(s.Horizon.Unix())
	}
	gauge(descs.horizon, horizon)
	gauge(descs.refused, flag(s.Store.Refusal != ""))
	gauge(descs.solo, flag(s.Acknowledgement.Solo))
	counter(descs.soloSeconds, s.Acknowledgement.SoloSeconds)
	counter(descs.soloEntered, float64(s.Acknowledgement.SoloCount))
	counter(descs.unconfirmed, float64(s.Acknowledgement.Unconfirmed))
	counter(descs.refusedWrites, float64(s.Acknowledgement.Refused))
	for _, l := range c.n.pullers() {
		p := l.Status()
		if p.Node == 0 {
			continue // never met
		}
		id := strconv.Itoa(p.Node)
		gauge(descs.lagEntries, float64(p.LagEntries), id)
		gauge(descs.lagSeconds, p.LagSeconds, id)
		gauge(descs.drift, float64(p.DriftMs)/1000, id)
		gauge(descs.caughtUp, flag(p.CaughtUp), id)
		gauge(descs.unequal, float64(p.Unequal), id)
		counter(descs.linked, float64(p.Links), id)
		counter(descs.received, float64(p.Records), id)
		counter(descs.snapshots, float64(p.Snapshots), id)
		counter(descs.mended, float64(p.Mended), id)
	}
	for _, f := range s.Followers {
		gauge(descs.followerLag, float64(f.Lag), strconv.Itoa(f.Node))
	}
}
