package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/futago/futago/internal/node"
)

// topFirst is how far the first look goes back for figures of the last moments.
const topFirst = 3 * time.Second

// topNode is a node, and how far its past was read.
type topNode struct {
	node *adminNode
	seen int64 // milliseconds since 1970, by its clock; 0: not yet
	// The last latencies that it had, and when. Of requests a sample is timed, so a quiet second has none.
	latencies map[string]float64
	timed     int64
}

// latenciesLast is how long latencies are shown when no newer ones come.
const latenciesLast = 10 * time.Second

// topRow is what one look at a node found. Figures that it does not have are NaN.
type topRow struct {
	admin, state, reason string
	id                   int
	problem              error // why it did not answer; nil: it did
	ready                bool
	figures              map[string]float64 // by the names of columns
	warnings             []node.Warning
}

// ask looks at all nodes at once.
func (t *top) ask(ctx context.Context) []topRow {
	nodes := make([]*adminNode, len(t.nodes))
	for i, n := range t.nodes {
		nodes[i] = n.node
	}
	rows, _ := askAll(nodes, func(i int, n *adminNode) (topRow, error) {
		row, err := t.nodes[i].look(ctx)
		row.admin, row.problem = n.addr, err
		return row, nil
	})
	return rows
}

func (n *topNode) look(ctx context.Context) (topRow, error) {
	s, err := n.node.status(ctx)
	if err != nil {
		return topRow{}, err
	}
	row := topRow{id: s.Node, state: string(s.State), reason: s.Reason, ready: s.Ready, warnings: s.Warnings, figures: topFigures(&s)}
	if s.Store == nil {
		return row, nil // it reads its log
	}
	after := n.seen
	if after == 0 {
		after = s.Time.Add(-topFirst).UnixMilli()
	}
	var past map[string]json.RawMessage
	if err := n.node.get(ctx, "its figures", "/history?after="+url.QueryEscape(strconv.FormatInt(after, 10)), maxStatus, &past); err != nil {
		return topRow{}, err
	}
	if last := n.addRates(row.figures, past); last != 0 {
		n.seen = last
	}
	return row, nil
}

// topFigures are those of the status document.
func topFigures(s *node.Status) map[string]float64 {
	f := map[string]float64{}
	if s.Server != nil {
		f["clients"] = float64(s.Server.CurrConnections)
	}
	if s.Store != nil {
		f["items"], f["log"] = float64(s.Store.Items), float64(s.Store.LogBytes)
	}
	if s.Memory != nil {
		f["memory"] = float64(s.Memory.Anonymous)
	}
	if s.Disk != nil {
		f["free"] = float64(s.Disk.Free)
	}
	if s.Peer != nil {
		f["lag"] = s.Peer.LagSeconds
		for _, p := range s.OtherPeers {
			f["lag"] = max(f["lag"], p.LagSeconds)
		}
	}
	return f
}

// addRates adds the means of what the node noted of each second, and returns the time of the last of them, 0 for none.
func (n *topNode) addRates(figures map[string]float64, past map[string]json.RawMessage) (last int64) {
	var times []int64
	if json.Unmarshal(past["time_ms"], &times) != nil || len(times) == 0 {
		return 0
	}
	mean := func(name string) float64 {
		var values []*float64
		if json.Unmarshal(past[name+"_per_second"], &values) != nil || len(values) == 0 {
			return 0
		}
		sum := 0.0
		for _, v := range values {
			if v != nil {
				sum += *v
			}
		}
		return sum / float64(len(values))
	}
	figures["ops"] = 0
	for _, name := range []string{"gets", "sets", "deletes", "arithmetic", "touches", "other"} {
		figures["ops"] += mean(name)
	}
	figures["gets"], figures["sets"] = mean("gets"), mean("sets")
	if hits, misses := mean("hits"), mean("misses"); hits+misses > 0 {
		figures["hits"] = 100 * hits / (hits + misses)
	}
	last = times[len(times)-1]
	n.addLatencies(figures, past, last)
	return last
}

// addLatencies adds the median of the seconds' medians, and the worst of their 99th percentiles.
func (n *topNode) addLatencies(figures map[string]float64, past map[string]json.RawMessage, now int64) {
	of := func(name string) (values []float64) {
		var all []*float64
		_ = json.Unmarshal(past["latency_"+name+"_seconds"], &all) // a node that does not tell them has none
		for _, v := range all {
			if v != nil {
				values = append(values, *v)
			}
		}
		slices.Sort(values)
		return values
	}
	if p50, p99 := of("p50"), of("p99"); len(p50) > 0 && len(p99) > 0 {
		n.latencies, n.timed = map[string]float64{"p50": p50[len(p50)/2], "p99": p99[len(p99)-1]}, now
	}
	if now-n.timed <= latenciesLast.Milliseconds() {
		maps.Copy(figures, n.latencies)
	}
}

// figure is one of a row, NaN where there is none.
func (r *topRow) figure(name string) float64 {
	if v, ok := r.figures[name]; ok {
		return v
	}
	return math.NaN()
}

// topProblems are why nodes did not answer.
func topProblems(rows []topRow) error {
	var all []error
	for i := range rows {
		all = append(all, rows[i].problem)
	}
	return errors.Join(all...)
}

// round takes digits away that say nothing: times of requests have nine behind the point, others three.
func round(v float64, name string) float64 {
	unit := 1e3
	if name == "p50" || name == "p99" {
		unit = 1e9
	}
	return math.Round(v*unit) / unit
}

// printTopJSON prints an object for each node. Figures that it does not have are left out.
func printTopJSON(w io.Writer, rows []topRow) error {
	for i := range rows {
		r := &rows[i]
		line := map[string]any{"time": time.Now().UTC(), "admin": r.admin}
		if r.problem != nil {
			line["error"] = r.problem.Error()
		} else {
			line["node"], line["state"], line["reason"], line["ready"] = r.id, r.state, r.reason, r.ready
			for _, c := range topColumns {
				if v, ok := r.figures[c.name]; ok {
					line[c.json] = round(v, c.name)
				}
			}
		}
		if err := writeJSONLine(w, line); err != nil {
			return fmt.Errorf("print figures: %w", err)
		}
	}
	return nil
}
