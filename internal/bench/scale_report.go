package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// ScaleResult is one measurement.
type ScaleResult struct {
	// Case is one of ScaleCases.
	Case string `json:"case"`
	// Records and ValueSize are those that the server had, at first.
	Records   int `json:"records"`
	ValueSize int `json:"value_size"`
	// Server is futago, memcached or redis.
	Server string `json:"server"`
	// What was measured, the same for each number of records.
	What string `json:"what"`
	// Values by the columns of the table, which have their units.
	Values map[string]float64 `json:"values"`
	// OtherCores is the processors that others than the server and this program used meanwhile.
	OtherCores float64 `json:"other_cores"`
	// Doubts are the reasons why the values may not be what they say.
	Doubts []string `json:"doubts,omitempty"`
	// Ended is when the measurement was complete.
	Ended time.Time `json:"ended"`
	// Series is there once for each time that a node was watched.
	Series *ScaleSeries `json:"series,omitempty"`
}

// ScaleSeries is what was seen as time passed.
type ScaleSeries struct {
	// GetsP99Micros and SetsP99Micros have one value for each second; 0 where nothing was due.
	GetsP99Micros []float64   `json:"gets_p99_us"`
	SetsP99Micros []float64   `json:"sets_p99_us"`
	Disk          []ScaleDisk `json:"disk"`
	// Marks say what began when, in seconds.
	Marks map[string]float64 `json:"marks"`
}

// ScaleDisk is what a node held at a time.
type ScaleDisk struct {
	Seconds    float64 `json:"s"`
	DiskBytes  int64   `json:"disk_bytes"`
	LiveBytes  int64   `json:"live_bytes"` // of the entries in the log that are not superseded
	Items      int     `json:"items"`
	Tombstones int     `json:"tombstones"`
}

// ScaleReport is what was measured of growing data.
type ScaleReport struct {
	Config ScaleConfig `json:"config"`
	// Begun is when the measurement began.
	Begun time.Time `json:"begun"`
	// System and Processors describe this machine.
	System     string   `json:"system"`
	Processors int      `json:"processors"`
	Tables     []*Table `json:"tables"`
	// Growth has each value of the tables for all numbers of records, when there are several.
	Growth []*ScaleGrowth `json:"growth,omitempty"`
	// Skipped are measurements that were not possible, and why.
	Skipped []string `json:"skipped,omitempty"`

	results []*ScaleResult
}

// ScaleGrowth is how one value grows with the number of records.
type ScaleGrowth struct {
	Case   string `json:"case"`
	Server string `json:"server"`
	What   string `json:"what"`
	Column string `json:"column"`
	// Records and Values are medians of the rounds; they belong together.
	Records []int     `json:"records"`
	Values  []float64 `json:"values"`
}

func newScaleReport(c ScaleConfig) *ScaleReport {
	return &ScaleReport{Config: c, Begun: time.Now(), System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU()}
}

// table returns the table with a title, which it adds if there is none.
func (r *ScaleReport) table(benchCase, title string, columns ...string) *Table {
	for _, t := range r.Tables {
		if t.Case == benchCase && t.Title == title {
			return t
		}
	}
	t := &Table{Case: benchCase, Title: title, Columns: columns}
	r.Tables = append(r.Tables, t)
	return t
}

// add notes a measurement and writes it out at once: what follows takes long, and may fail.
func (r *scaleRun) add(t *Table, server, what string, round Round, series *ScaleSeries) error {
	t.add(strings.TrimSpace(what+" "+server+" "+count(r.records.n)), round)
	result := &ScaleResult{Case: t.Case, Records: r.records.n, ValueSize: r.records.valueSize, Server: server, What: what,
		Values: make(map[string]float64), OtherCores: round.OtherCores, Doubts: round.Doubts, Ended: time.Now(), Series: series}
	for i, name := range t.Columns {
		result.Values[name] = round.Values[i]
	}
	r.report.results = append(r.report.results, result)
	if r.config.Raw == nil {
		return nil
	}
	line, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	if _, err := r.config.Raw.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write raw results: %w", err)
	}
	return nil
}

// skip notes what is not possible.
func (r *scaleRun) skip(reason error) {
	text := fmt.Sprintf("%s, %s records: %v", r.benchCase, count(r.records.n), reason)
	r.report.Skipped = append(r.report.Skipped, text)
	r.config.logf("skip %s", text)
}

// finish fills in what follows from the measurements.
func (r *ScaleReport) finish() {
	r.Tables = finished(r.Tables)
	if len(r.Config.Records) < 2 {
		return
	}
	type thing struct{ benchCase, server, what, column string }
	growth := make(map[thing]*ScaleGrowth)
	for _, t := range r.Tables {
		for _, column := range t.Columns {
			values := make(map[thing]map[int][]float64)
			for _, result := range r.results {
				v, ok := result.Values[column]
				if result.Case != t.Case || !ok {
					continue
				}
				at := thing{result.Case, result.Server, result.What, column}
				if values[at] == nil {
					values[at] = make(map[int][]float64)
				}
				values[at][result.Records] = append(values[at][result.Records], v)
				if growth[at] == nil {
					growth[at] = &ScaleGrowth{Case: t.Case, Server: result.Server, What: result.What, Column: column}
					r.Growth = append(r.Growth, growth[at])
				}
			}
			for at, of := range values {
				g := growth[at]
				if len(g.Records) > 0 {
					continue // another table of the case has such a column
				}
				for _, n := range r.Config.Records {
					if rounds := of[n]; len(rounds) > 0 {
						g.Records, g.Values = append(g.Records, n), append(g.Values, median(rounds))
					}
				}
			}
		}
	}
}

// Write prints the report for people: a table with a section for each of Tables, and one of the growth.
func (r *ScaleReport) Write(w io.Writer) error {
	text := &strings.Builder{}
	fmt.Fprintf(text, "Data of growing size on this machine: %s, %d processors, keys of %d bytes, values of %d\n",
		r.System, r.Processors, scaleKeySize, r.Config.ValueSize)
	writeTables(text, r.Tables)
	r.writeGrowth(text)
	for _, reason := range r.Skipped {
		fmt.Fprintf(text, "\nnot measured: %s\n", reason)
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// untold are columns whose growth only the JSON shows: they say little beside the others of their tables.
var untold = []string{"p50 us", "p99.9 us", "file-mapped B/record", "before MiB", "value B", "limit MiB"}

// writeGrowth prints a line for each value by the number of records.
func (r *ScaleReport) writeGrowth(text *strings.Builder) {
	if len(r.Growth) == 0 {
		return
	}
	sizes := r.Config.Records
	fmt.Fprintf(text, "\ngrowth: the values above by the number of records; the last column is that of %s by that of %s\n",
		count(sizes[len(sizes)-1]), count(sizes[0]))
	tw := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "\t\t")
	for _, n := range sizes {
		fmt.Fprintf(tw, "%s\t", count(n))
	}
	fmt.Fprintln(tw, "x\t")
	for _, g := range r.Growth {
		paced := slices.Contains([]string{"overwrite", "delete", "expire"}, g.Case) && g.Column == "ops/s" // as many as were asked for
		if paced || slices.Contains(untold, g.Column) {
			continue
		}
		fmt.Fprintf(tw, "%s: %s\t%s\t", g.Case, strings.TrimSpace(g.What+" "+g.Server), g.Column)
		values := make(map[int]float64)
		for i, n := range g.Records {
			values[n] = g.Values[i]
		}
		for _, n := range sizes {
			if v, ok := values[n]; ok {
				fmt.Fprintf(tw, "%s\t", short(v))
			} else {
				fmt.Fprint(tw, "-\t")
			}
		}
		if first, last := values[sizes[0]], values[sizes[len(sizes)-1]]; first > 0 && last > 0 {
			fmt.Fprintf(tw, "%s\t\n", short(last/first))
		} else {
			fmt.Fprintln(tw, "-\t")
		}
	}
	tw.Flush() // into a strings.Builder, which takes everything
}

// count shows a number of records: 1000000 is 1M.
func count(n int) string {
	switch {
	case n >= 1e6 && n%1e5 == 0:
		return strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) + "M"
	case n >= 1e3 && n%1e3 == 0:
		return strconv.Itoa(n/1e3) + "k"
	}
	return strconv.Itoa(n)
}
