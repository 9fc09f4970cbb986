package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// isWarning reports whether an item belongs to the warnings, which are sentences.
func isWarning(name string) bool { return strings.HasPrefix(name, "warnings.") }

// printStatusWarnings prints what the nodes say is wrong with them, and what to do.
func printStatusWarnings(w io.Writer, documents []statusDocument) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	title := "\nwarnings\n"
	if p := painter(coloured(w)); p {
		title = "\n" + p.paint(warnTone, "warnings") + "\n"
	}
	for _, d := range documents {
		for i := 0; ; i++ {
			prefix := fmt.Sprintf("warnings.%d.", i)
			text, ok := d.items[prefix+"text"]
			if !ok {
				break
			}
			fmt.Fprintf(table, "%s%s\t%s\n", title, d.admin, text)
			fmt.Fprintf(table, "\t%s\n", d.items[prefix+"advice"])
			title = ""
		}
	}
	return table.Flush()
}
