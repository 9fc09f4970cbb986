//go:build linux

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is everything that is told about a run. Its exported fields are for the page.
type report struct {
	r *run

	Seed        uint64
	Command     string // that repeats the run
	Date        string
	Machine     string
	Network     string
	Disks       string
	Length      time.Duration
	Rounds      int
	Succeeded   int
	Failed      int
	Joint       int // acknowledged writes that both nodes certainly had at their reply
	Writes      int // acknowledged writes
	Returns     int
	Exempt      int
	Violations  int
	Verdicts    []verdict
	Faults      []faultCount
	FaultTotal  int
	Missing     []string
	StripCharts []strip
}

type faultCount struct {
	Name  string
	Times int
}

// For the page.
func (v verdict) Name() string   { return v.name }
func (v verdict) Rule() string   { return v.rule }
func (v verdict) Checked() int   { return v.checked }
func (v verdict) Unit() string   { return v.unit }
func (v verdict) Exempt() int    { return v.exempt }
func (v verdict) Note() string   { return v.note }
func (v verdict) Wrong() int     { return v.wrong }
func (v verdict) Hidden() int    { return v.wrong - len(v.violations) }
func (x violation) Text() string { return x.text }
func (x violation) At() string   { return x.at.Round(time.Millisecond).String() }

func (v verdict) Violations() []violation { return v.violations }

func (r *run) newReport(verdicts []verdict) *report {
	rep := &report{r: r, Seed: r.seed, Date: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Network: r.link.name(),
		Length: r.end().Round(time.Second), Rounds: r.rounds, Returns: r.returns, Verdicts: verdicts, Violations: failed(verdicts), Missing: r.missing()}
	rep.Command = fmt.Sprintf("make torture TORTURE_TIME=%v TORTURE_SEED=%d", r.length, r.seed)
	rep.Disks = r.nodes[0].disk.kind.String()
	if b := r.nodes[1].disk.kind.String(); b != rep.Disks {
		rep.Disks += ", and " + b
	}
	rep.Succeeded, rep.Failed = r.load.traffic.totals()
	e := r.evidence()
	e.index()
	rep.Joint, rep.Writes = r.jointShare(e)
	for _, v := range verdicts {
		rep.Exempt += v.exempt
	}
	times := map[string]int{}
	for _, ev := range r.events {
		times[ev.fault]++
	}
	for _, name := range slices.Sorted(maps.Keys(times)) {
		rep.Faults = append(rep.Faults, faultCount{name, times[name]})
	}
	rep.FaultTotal = len(r.events)
	rep.StripCharts = r.strips(verdicts)
	return rep
}

// machine says where the run was made, without naming it.
func machine() string {
	cpu := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	var u unix.Utsname
	unix.Uname(&u)
	return fmt.Sprintf("Linux %s, %d x %s", unix.ByteSliceToString(u.Release[:]), runtime.NumCPU(), cpu)
}

// text is the report for a terminal.
func (rep *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v, rounds: %d, %d faults; %d operations succeeded, %d failed or have an unknown effect\n",
		rep.Length, rep.Rounds, rep.FaultTotal, rep.Succeeded, rep.Failed)
	fmt.Fprintf(&b, "%d writes acknowledged, %d of them certainly by both nodes; %d fall under an exemption: acknowledged by a node\n"+
		"  whose disk was lost afterwards, and not known to be at the other one before\n", rep.Writes, rep.Joint, rep.Exempt)
	fmt.Fprintf(&b, "%d times a node was asked for everything as soon as it was ready again\n", rep.Returns)
	for _, f := range rep.Faults {
		fmt.Fprintf(&b, "  %4d x %s\n", f.Times, f.Name)
	}
	for _, v := range rep.Verdicts {
		fmt.Fprintf(&b, "%-4s %-20s %8d %s", v.word(), v.name, v.checked, v.unit)
		if v.exempt > 0 {
			fmt.Fprintf(&b, ", %d writes exempt", v.exempt)
		}
		if v.note != "" {
			fmt.Fprintf(&b, ", %s", v.note)
		}
		if v.wrong > 0 {
			fmt.Fprintf(&b, ", %d violations", v.wrong)
		}
		b.WriteString("\n")
		for _, x := range v.violations {
			fmt.Fprintf(&b, "     at %v: %s\n", x.at.Round(time.Millisecond), x.text)
		}
	}
	return b.String()
}

func (v verdict) word() string {
	if v.wrong > 0 {
		return "FAIL"
	}
	return "ok"
}

// keepKeys writes all operations on the keys of violations to a file.
func (rep *report) keepKeys(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("keep operations: %w", err)
	}
	defer f.Close()
	seen := map[*key]bool{}
	for _, v := range rep.Verdicts {
		for _, x := range v.violations {
			if x.key == nil || seen[x.key] {
				continue
			}
			seen[x.key] = true
			fmt.Fprintf(f, "%s: %s\n", x.key.name, x.text)
			for i := range x.key.ops {
				fmt.Fprintf(f, "  %v\n", &x.key.ops[i])
			}
		}
	}
	return nil
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

func (rep *report) writePage(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	err = pageTemplate.Execute(f, rep)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// writeSummary writes the report as a page of the documentation.
func (rep *report) writeSummary(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	rep.markdown(f)
	if err := f.Close(); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

func (rep *report) markdown(w io.Writer) {
	fmt.Fprint(w, `# A run of `+"`make torture`"+`

Two real nodes with the defaults of a pair, clients on both, and faults at random. Every operation is recorded and compared with the
guarantees of [ARCHITECTURE.md](../ARCHITECTURE.md). [torture.html](torture.html) has the timeline. Both are written by
`+"`make torture`"+`; do not edit them. How it works is in [the package comment](../e2e/torture/doc.go).

`)
	fmt.Fprintf(w, "| | |\n|---|---|\n| command | `%s` |\n| date | %s |\n| machine | %s |\n| network | %s |\n| disks | %s |\n", rep.Command, rep.Date, rep.Machine, rep.Network, rep.Disks)
	fmt.Fprintf(w, "| length | %v, rounds: %d |\n| operations | %d succeeded, %d failed or have an unknown effect |\n", rep.Length, rep.Rounds, rep.Succeeded, rep.Failed)
	fmt.Fprintf(w, "| writes acknowledged | %d, of which %d certainly by both nodes |\n", rep.Writes, rep.Joint)
	fmt.Fprintf(w, "| exempt | %d: acknowledged by a node whose disk was lost afterwards, and not known to be at the other one before |\n", rep.Exempt)
	fmt.Fprintf(w, "| returns | %d times a node was asked for everything as soon as it was ready again |\n", rep.Returns)
	var list []string
	for _, f := range rep.Faults {
		list = append(list, fmt.Sprintf("%d %s", f.Times, f.Name))
	}
	fmt.Fprintf(w, "| faults | %d: %s |\n", rep.FaultTotal, strings.Join(list, ", "))
	for _, text := range rep.Missing {
		fmt.Fprintf(w, "| not possible there | %s |\n", text)
	}
	fmt.Fprint(w, "\n| promise | checked | exempt writes | violations |\n|---|---|---|---|\n")
	for _, v := range rep.Verdicts {
		rule := v.rule
		if v.note != "" {
			rule += " (" + v.note + ")"
		}
		fmt.Fprintf(w, "| **%s**: %s | %d %s | %d | %d |\n", v.name, rule, v.checked, v.unit, v.exempt, v.wrong)
	}
}
