package bench

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// PairReport is what was measured of a pair.
type PairReport struct {
	Config PairConfig `json:"config"`
	// Begun is when the measurement began.
	Begun time.Time `json:"begun"`
	// System and Processors describe this machine.
	System     string   `json:"system"`
	Processors int      `json:"processors"`
	Tables     []*Table `json:"tables"`
}

// Table has a row for each thing that was measured in the same way.
type Table struct {
	// Case is the one that the table belongs to.
	Case  string `json:"case"`
	Title string `json:"title"`
	// Columns name the values of a round, with their unit.
	Columns []string `json:"columns"`
	// Summed of the last columns are summed over all rounds where others have a median.
	Summed int `json:"summed,omitempty"`
	// Ratios name what the first column of a row is compared with; none in most tables.
	Ratios []string `json:"ratios,omitempty"`
	Rows   []*Row   `json:"rows"`

	// refs names, for a row and each of Ratios, the row that its first column is compared with; "" for none.
	refs func(row string) []string
}

// Row is one thing that was measured in rounds.
type Row struct {
	Name   string  `json:"name"`
	Rounds []Round `json:"rounds"`
	// Quiet is the number of rounds without much other work. Medians are of those, or when there are none, of all.
	Quiet int `json:"quiet"`
	// Medians are a value for each column; a sum where that is Summed.
	Medians []float64 `json:"medians"`
	// Least and Largest are those of the first column, of all rounds.
	Least   float64 `json:"least"`
	Largest float64 `json:"largest"`
	// Ratios are medians of the rounds' own ratios; 0 where there is none.
	Ratios []float64 `json:"ratios,omitempty"`
}

// Round is what one round found.
type Round struct {
	// Values are in the order of the table's columns.
	Values []float64 `json:"values"`
	// OtherCores is the processors that others than the servers and this program used meanwhile.
	OtherCores float64 `json:"other_cores"`
	// Doubts are the reasons why the values may not be what they say.
	Doubts []string `json:"doubts,omitempty"`
}

func newPairReport(c PairConfig) *PairReport {
	return &PairReport{Config: c, Begun: time.Now(), System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU()}
}

// table adds an empty table.
func (r *PairReport) table(benchCase, title string, columns ...string) *Table {
	t := &Table{Case: benchCase, Title: title, Columns: columns}
	r.Tables = append(r.Tables, t)
	return t
}

// add appends a round to a row, which it adds if there is none of that name.
func (t *Table) add(name string, round Round) {
	row := t.row(name)
	if row == nil {
		row = &Row{Name: name}
		t.Rows = append(t.Rows, row)
	}
	row.Rounds = append(row.Rounds, round)
}

// row returns nil when there is none of that name.
func (t *Table) row(name string) *Row {
	i := slices.IndexFunc(t.Rows, func(r *Row) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return t.Rows[i]
}

// finish fills in what follows from the rounds.
func (r *PairReport) finish() { r.Tables = finished(r.Tables) }

// finished drops empty tables, and fills in what follows from the rounds of the others.
func finished(tables []*Table) []*Table {
	tables = slices.DeleteFunc(tables, func(t *Table) bool { return len(t.Rows) == 0 })
	for _, t := range tables {
		for _, row := range t.Rows {
			row.finish(len(t.Columns), t.Summed)
			if t.refs == nil {
				continue
			}
			row.Ratios = make([]float64, len(t.Ratios))
			for i, name := range t.refs(row.Name) {
				if ref := t.row(name); ref != nil {
					row.Ratios[i] = ratioOfRounds(row.Rounds, ref.Rounds)
				}
			}
		}
	}
	return tables
}

func (r *Row) finish(columns, summed int) {
	counted := slices.DeleteFunc(slices.Clone(r.Rounds), func(round Round) bool { return round.OtherCores > quietCores })
	if r.Quiet = len(counted); r.Quiet == 0 {
		counted = r.Rounds
	}
	r.Medians = make([]float64, columns)
	for i := range columns {
		values := make([]float64, len(counted))
		for j, round := range counted {
			values[j] = round.Values[i]
		}
		r.Medians[i] = median(values)
	}
	for i := columns - summed; i < columns; i++ {
		r.Medians[i] = 0
		for _, round := range r.Rounds {
			r.Medians[i] += round.Values[i]
		}
	}
	firsts := make([]float64, len(r.Rounds))
	for i, round := range r.Rounds {
		firsts[i] = round.Values[0]
	}
	r.Least, r.Largest = slices.Min(firsts), slices.Max(firsts)
}

// ratioOfRounds is the median of the ratios of first values in the rounds in which both were quiet, or in all when
// there is none.
func ratioOfRounds(a, b []Round) float64 {
	var all, undisturbed []float64
	for i := range min(len(a), len(b)) {
		if b[i].Values[0] <= 0 {
			continue
		}
		ratio := a[i].Values[0] / b[i].Values[0]
		all = append(all, ratio)
		if max(a[i].OtherCores, b[i].OtherCores) <= quietCores {
			undisturbed = append(undisturbed, ratio)
		}
	}
	if len(undisturbed) > 0 {
		return median(undisturbed)
	}
	return median(all)
}

// Write prints the report for people: one table with a section for each of Tables.
func (r *PairReport) Write(w io.Writer) error {
	text := &strings.Builder{}
	fmt.Fprintf(text, "A pair of futago nodes on this machine: %s, %d processors, %d rounds\n", r.System, r.Processors, r.Config.Rounds)
	writeTables(text, r.Tables)
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// writeTables prints tables and explains their columns.
func writeTables(text *strings.Builder, tables []*Table) {
	for _, t := range tables {
		t.write(text)
	}
	fmt.Fprintf(text, "\nFigures are medians of the quiet rounds, in which other work took at most %.2f processors; where none was quiet (~), of\n"+
		"all. range is the least and the largest of the first column in all rounds. other is the median of the other work.\n", quietCores)
}

func (t *Table) write(text *strings.Builder) {
	fmt.Fprintf(text, "\n%s: %s\n", t.Case, t.Title)
	tw := tabwriter.NewWriter(text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "\t%s\trange\t", t.Columns[0])
	for _, name := range slices.Concat(t.Columns[1:], t.Ratios, []string{"other", "quiet"}) {
		fmt.Fprintf(tw, "%s\t", name)
	}
	fmt.Fprintln(tw)
	var doubts []string
	for _, row := range t.Rows {
		row.write(tw)
		for i, round := range row.Rounds {
			for _, d := range round.Doubts {
				doubts = append(doubts, fmt.Sprintf("! %s, round %d: %s\n", row.Name, i+1, d))
			}
		}
	}
	tw.Flush() // into a strings.Builder, which takes everything
	text.WriteString(strings.Join(doubts, ""))
}

// write prints one line. A mark before the name says that a note below the table doubts it.
func (r *Row) write(w io.Writer) {
	name, mark := r.Name, ""
	if slices.ContainsFunc(r.Rounds, func(round Round) bool { return len(round.Doubts) > 0 }) {
		name = "! " + name
	}
	if r.Quiet == 0 {
		mark = "~"
	}
	fmt.Fprintf(w, "%s\t%s\t%s..%s\t", name, short(r.Medians[0]), short(r.Least), short(r.Largest))
	for _, v := range r.Medians[1:] {
		fmt.Fprintf(w, "%s\t", short(v))
	}
	for _, v := range r.Ratios {
		text := "-"
		if v > 0 {
			text = short(v)
		}
		fmt.Fprintf(w, "%s\t", text)
	}
	others := make([]float64, len(r.Rounds))
	for i, round := range r.Rounds {
		others[i] = round.OtherCores
	}
	fmt.Fprintf(w, "%.2f\t%s%d/%d\t\n", median(others), mark, r.Quiet, len(r.Rounds))
}

// short shows three digits, or all those before the point.
func short(v float64) string {
	if v >= 100 || v <= -100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
