package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/futago/futago/internal/bench"
)

// scalePanels are what the chart of growing data shows: a column of what was measured in some cases, divided by scale.
var scalePanels = []struct {
	title, unit, column string
	scale               float64
	of                  []scaleSeries
}{
	{"Records set a second", "records/s", "records/s", 1, []scaleSeries{
		{"futago", "load", "futago", ""}, {"Redis", "load", "redis", ""}, {"memcached", "load", "memcached", ""},
	}},
	{"Anonymous memory for a record", "bytes", "anonymous B/record", 1, []scaleSeries{
		{"futago", "load", "futago", ""}, {"Redis", "load", "redis", ""}, {"memcached", "load", "memcached", ""},
	}},
	{"From the start of the process to its first answer", "seconds", "s", 1, []scaleSeries{
		{"futago, killed", "start", "futago", "kill -9, warm"}, {"Redis, RDB", "start", "redis", "RDB, warm"},
		{"futago, cold", "start", "futago", "kill -9, cold"},
	}},
	{"Gets meanwhile: 99 % are faster", "p99, ms", "p99 us", 1000, []scaleSeries{
		{"overwriting", "overwrite", "futago", "gets overwriting"}, {"deleting", "delete", "futago", "gets deleting"},
		{"expiring", "expire", "futago", "gets expiring"},
	}},
}

// scaleSeries names the results that are one line.
type scaleSeries struct{ name, benchCase, server, what string }

// scale draws the results of `futago bench scale --raw` by the number of records. It fails when a file has none.
func scale(results []bench.ScaleResult) (string, error) {
	const width, height, gap = 900.0, 360.0, 20.0
	var sizes []int
	for _, r := range results {
		if !slices.Contains(sizes, r.Records) {
			sizes = append(sizes, r.Records)
		}
	}
	if len(sizes) == 0 {
		return "", fmt.Errorf("no results")
	}
	slices.Sort(sizes)
	var places []string
	for _, n := range sizes {
		places = append(places, thousands(n))
	}
	d := newDrawing(width, 2*height, "A node as its data grows")
	half := (width - gap) / 2
	for i, p := range scalePanels {
		left, top := float64(i%2)*(half+gap), float64(i/2)*height
		var all []series
		for _, s := range p.of {
			line := series{name: s.name, values: make([]float64, len(sizes))}
			for j, n := range sizes {
				line.values[j] = typical(results, s, n, p.column) / p.scale
			}
			if slices.Max(line.values) > 0 { // it was measured
				all = append(all, line)
			}
		}
		d.panel(left, top, half, height, p.title, p.unit, "records", places, all)
		d.legend(left+60, top+height-14, 125, all)
	}
	return d.end(), nil
}

// typical is the median of the rounds; 0 when there was none.
func typical(results []bench.ScaleResult, s scaleSeries, records int, column string) float64 {
	var rounds []float64
	for _, r := range results {
		v, ok := r.Values[column]
		if ok && r.Case == s.benchCase && r.Server == s.server && r.What == s.what && r.Records == records {
			rounds = append(rounds, v)
		}
	}
	if len(rounds) == 0 {
		return 0
	}
	slices.Sort(rounds)
	return rounds[len(rounds)/2]
}

// readScale reads lines of JSON.
func readScale(path string) ([]bench.ScaleResult, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	var all []bench.ScaleResult
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r bench.ScaleResult
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("read results %s: %w", path, err)
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read results %s: %w", path, err)
	}
	return all, nil
}
