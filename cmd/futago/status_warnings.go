package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// statusWarning says what is wrong with a node by its status, "" for nothing: that it keeps its promises to clients in part
// only, or refuses them.
func statusWarning(d statusDocument) string {
	switch refusal := d.items["store.refusal"]; {
	case refusal != "":
		return "writes are refused: " + refusal
	case d.items["acknowledgement.solo"] == "true":
		return "SOLO: writes are acknowledged without a peer: " + d.items["acknowledgement.solo_reason"]
	}
	return ""
}

// printStatusWarnings prints a line for each document that has a warning.
func printStatusWarnings(w io.Writer, documents []statusDocument) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	title := "\nwarnings\n"
	for _, d := range documents {
		if text := statusWarning(d); text != "" {
			fmt.Fprintf(table, "%s%s\t%s\n", title, d.admin, text)
			title = ""
		}
	}
	return table.Flush()
}
