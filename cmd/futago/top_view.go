package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// topColumn is a figure that the view shows. Of columns that a terminal has no room for those of the lowest rank are left out.
type topColumn struct {
	name, title, json string
	rank              int
	show              func(v float64) string
}

// topColumns are the figures in the order of the view, between state and address.
var topColumns = []topColumn{
	{"ops", "OPS/S", "ops_per_second", 10, roundCount},
	{"p50", "P50", "latency_p50_seconds", 8, roundTime},
	{"p99", "P99", "latency_p99_seconds", 9, roundTime},
	{"gets", "GETS/S", "gets_per_second", 4, roundCount},
	{"sets", "SETS/S", "sets_per_second", 5, roundCount},
	{"hits", "HITS", "hit_percent", 6, func(v float64) string { return fmt.Sprintf("%.1f%%", v) }},
	{"lag", "LAG", "lag_seconds", 7, func(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) + "s" }},
	{"clients", "CLIENTS", "connections", 3, roundCount},
	{"items", "ITEMS", "items", 2, roundCount},
	{"memory", "MEMORY", "memory_anonymous_bytes", 1, roundSize},
	{"log", "LOG", "log_bytes", 0, roundSize},
	{"free", "DISK FREE", "disk_free_bytes", 1, roundSize},
}

// topColumnNames are what the view can be sorted by: node comes first, the order of the addresses' nodes.
func topColumnNames() []string {
	names := []string{"node"}
	for _, c := range topColumns {
		names = append(names, c.name)
	}
	return names
}

func topColumnAt(name string) int { return slices.Index(topColumnNames(), name) }

// topView is how nodes are shown.
type topView struct {
	painter
	sort    string // name of a column
	reverse bool
	paused  bool
}

// press takes a key and reports whether it ends the view.
func (v *topView) press(key byte) (end bool) {
	const ctrlC = 3
	switch key {
	case 'q', 'Q', ctrlC:
		return true
	case 'p', ' ':
		v.paused = !v.paused
	case 's':
		names := topColumnNames()
		v.sort = names[(topColumnAt(v.sort)+1)%len(names)]
	case 'r':
		v.reverse = !v.reverse
	}
	return false
}

// mark says what the keys have done.
func (v *topView) mark() string {
	if v.paused {
		return "   " + v.paint(warnTone, "PAUSED")
	}
	return ""
}

// columnGap is between two columns, in characters.
const columnGap = 2

// fit leaves columns out until the table is no wider than width; 0 is any width. Node, state, address and the column that it is sorted by
// stay.
func (v *topView) fit(table [][]string, width int) (fitted [][]string, widths []int) {
	shown := slices.Clone(topColumns)
	widths = make([]int, len(table[0]))
	total := -columnGap
	for i := range widths {
		for _, line := range table {
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
		total += widths[i] + columnGap
	}
	for width > 0 && total > width {
		least := -1
		for i, c := range shown {
			if c.name != v.sort && (least < 0 || c.rank < shown[least].rank) {
				least = i
			}
		}
		if least < 0 {
			break
		}
		at := least + 2 // behind node and state
		total -= widths[at] + columnGap
		shown, widths = slices.Delete(shown, least, least+1), slices.Delete(widths, at, at+1)
		for i := range table {
			table[i] = slices.Delete(table[i], at, at+1)
		}
	}
	return table, widths
}

// render writes the table and what nodes warn of. Lines have at most width characters; 0 is any number.
func (v *topView) render(w io.Writer, rows []topRow, width int) {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, v.compare)
	// The largest figure comes first, the smallest node.
	if v.reverse {
		slices.Reverse(rows)
	}
	table := [][]string{{"NODE", "STATE"}}
	for _, c := range topColumns {
		table[0] = append(table[0], c.title)
	}
	table[0] = append(table[0], "ADMIN")
	for i := range rows {
		table = append(table, rows[i].cells())
	}
	table, widths := v.fit(table, width)
	for i, line := range table {
		var text strings.Builder
		for j, cell := range line {
			switch {
			case j == len(line)-1:
				text.WriteString(cell)
			case j < 2:
				fmt.Fprintf(&text, "%-*s  ", widths[j], cell)
			default:
				fmt.Fprintf(&text, "%*s  ", widths[j], cell)
			}
		}
		t := plainTone
		if i > 0 {
			t = rows[i-1].tone()
		}
		fmt.Fprintln(w, v.paint(t, cut(text.String(), width)))
	}
	first := true
	say := func(t tone, text string) {
		if first {
			fmt.Fprintln(w)
			first = false
		}
		fmt.Fprintln(w, v.paint(t, cut(text, width)))
	}
	for i := range rows {
		r := &rows[i]
		if r.problem != nil {
			say(badTone, r.problem.Error())
			continue
		}
		if !r.ready {
			say(warnTone, fmt.Sprintf("node %d: %s: %s", r.id, plain(r.state), plain(r.reason)))
		}
		for _, warning := range r.warnings {
			t := warnTone
			if warning.Level == "error" {
				t = badTone
			}
			say(t, fmt.Sprintf("node %d: %s. %s", r.id, plain(warning.Text), plain(warning.Advice)))
		}
	}
}

// compare puts what is largest first, nodes in the order of their ids, and what has no figure last.
func (v *topView) compare(a, b topRow) int {
	if v.sort != "node" {
		x, y := a.figure(v.sort), b.figure(v.sort)
		switch {
		case math.IsNaN(x) && math.IsNaN(y):
		case math.IsNaN(x):
			return 1
		case math.IsNaN(y):
			return -1
		case x != y:
			return cmp.Compare(y, x)
		}
	}
	if (a.problem == nil) != (b.problem == nil) {
		if a.problem == nil {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.id, b.id)
}

// cells are the row as the table has it.
func (r *topRow) cells() []string {
	id, state := strconv.Itoa(r.id), plain(r.state)
	if r.problem != nil {
		id, state = "?", "no answer"
	}
	cells := []string{id, state}
	for _, c := range topColumns {
		text := "-"
		if v := r.figure(c.name); !math.IsNaN(v) {
			text = c.show(v)
		}
		cells = append(cells, text)
	}
	return append(cells, r.admin)
}

func (r *topRow) tone() tone {
	switch {
	case r.problem != nil:
		return badTone
	case !r.ready:
		return warnTone
	}
	return plainTone
}

// cut is text of at most width characters; 0 is any number.
func cut(text string, width int) string {
	if width <= 0 || utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width])
}

// roundCount is a number with at most four digits, and a unit of thousands.
func roundCount(v float64) string { return rounded(v, 1000, []string{"", "k", "M", "G", "T"}) }

// roundTime is a time in seconds with two or three digits.
func roundTime(v float64) string {
	d := time.Duration(v * float64(time.Second))
	for unit := time.Duration(1); unit <= time.Second; unit *= 10 {
		if d < 100*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Second).String()
}

// roundSize is a number of bytes with at most four digits.
func roundSize(v float64) string { return rounded(v, 1024, []string{"B", "KiB", "MiB", "GiB", "TiB"}) }

func rounded(v, step float64, units []string) string {
	i := 0
	for v >= 9999.5 && i < len(units)-1 {
		v /= step
		i++
	}
	if i > 0 && v < 99.95 {
		return strconv.FormatFloat(v, 'f', 1, 64) + units[i]
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + units[i]
}
