// Charts draws the figures of `futago bench compare --json` as SVG files into a folder, and prints the targets as a table
// in Markdown; or the results of `futago bench scale --raw`, lines of JSON, as one file. `RECORD=1 make bench` and
// `RECORD=1 make bench-scale` run it for docs/performance.md.
//
//	go run ./scripts/charts docs/performance/figures.json docs/performance
//	go run ./scripts/charts scale.jsonl docs/performance
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/futago/futago/internal/bench"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: charts FIGURES.json|SCALE.jsonl FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "charts:", err)
		os.Exit(1)
	}
}

func run(path, folder string, out io.Writer) error {
	if filepath.Ext(path) == ".jsonl" {
		results, err := readScale(path)
		if err != nil {
			return err
		}
		svg, err := scale(results)
		if err != nil {
			return fmt.Errorf("draw %s: %w", path, err)
		}
		return write(folder, "scale.svg", svg)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	var f bench.Figures
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("read figures %s: %w", path, err)
	}
	for name, svg := range map[string]string{
		"ratios.svg": ratios(&f),
		"connections.svg": lines(&f, "connections", "connections", func(c *bench.CaseFigure) string {
			return thousands(c.Connections)
		}),
		"sizes.svg": lines(&f, "sizes", "size of a value", func(c *bench.CaseFigure) string { return c.Case }),
	} {
		if svg == "" {
			continue // the group was not measured
		}
		if err := write(folder, name, svg); err != nil {
			return err
		}
	}
	_, err = io.WriteString(out, targets(&f))
	return err
}

func write(folder, name, svg string) error {
	if err := os.WriteFile(filepath.Join(folder, name), []byte(svg), 0o644); err != nil {
		return fmt.Errorf("write a chart: %w", err)
	}
	return nil
}

// targets is a table in Markdown.
func targets(f *bench.Figures) string {
	b := &strings.Builder{}
	fmt.Fprintf(b, "Measured on %s. Ratios of futago to the peer; above 1 is better.\n\n", f.Begun.UTC().Format("2006-01-02"))
	b.WriteString("| case | of | peer | must | aim | measured | reached |\n|---|---|---|---|---|---|---|\n")
	for _, t := range f.Targets {
		doubt := ""
		if !t.Quiet {
			doubt = "~"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %.2f | %.2f | %s%.2f | %s |\n", t.Case, t.Of, t.Peer, t.Must, t.Aim, doubt, t.Ratio, t.Reached)
	}
	return b.String()
}

// thousands writes 10000 as 10,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
