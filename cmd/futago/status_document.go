package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// A statusDocument is what a node says about itself, flattened: the command shows whatever a node
// reports, so that nodes of different versions can be compared.
type statusDocument struct {
	// admin is the address that was asked.
	admin string
	// raw is the document on one line.
	raw []byte
	// names are the paths of the document's items, such as peer.state, in its order.
	names []string
	// items holds the values by name, as text.
	items map[string]string
}

// maxStatusDepth bounds the nesting of a document.
const maxStatusDepth = 32

func decodeStatus(body []byte) (statusDocument, error) {
	d := statusDocument{items: map[string]string{}}
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		return d, fmt.Errorf("parse JSON: %w", err)
	}
	d.raw = line.Bytes()
	if d.raw[0] != '{' {
		return d, errors.New("no JSON object")
	}
	decoder := json.NewDecoder(bytes.NewReader(d.raw))
	decoder.UseNumber()
	return d, d.read(decoder, "", 0)
}

// read takes the next value of decoder into the items below path.
func (d *statusDocument) read(decoder *json.Decoder, path string, depth int) error {
	if depth > maxStatusDepth {
		return fmt.Errorf("nested deeper than %d", maxStatusDepth)
	}
	token, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("parse JSON: %w", err)
	}
	delim, isDelim := token.(json.Delim)
	if !isDelim {
		text := "-"
		if token != nil {
			text = plain(fmt.Sprint(token))
		}
		d.put(path, text)
		return nil
	}
	for i := 0; decoder.More(); i++ {
		name := strconv.Itoa(i)
		if delim == '{' {
			token, err := decoder.Token()
			if err != nil {
				return fmt.Errorf("parse JSON: %w", err)
			}
			name = plain(token.(string))
		}
		if path != "" {
			name = path + "." + name
		}
		if err := d.read(decoder, name, depth+1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing delimiter
		return fmt.Errorf("parse JSON: %w", err)
	}
	return nil
}

// put keeps the last of two items of one name, as readers of JSON do.
func (d *statusDocument) put(name, text string) {
	if _, ok := d.items[name]; !ok {
		d.names = append(d.names, name)
	}
	d.items[name] = text
}

func printStatusJSON(w io.Writer, documents []statusDocument) error {
	for _, d := range documents {
		if _, err := fmt.Fprintf(w, "%s\n", d.raw); err != nil {
			return err
		}
	}
	return nil
}

// printStatusSummary prints what matters most.
func printStatusSummary(w io.Writer, documents []statusDocument) error {
	short := make([]statusDocument, len(documents))
	for i := range documents {
		short[i] = documents[i].summary()
	}
	names := slices.DeleteFunc(statusNames(short), func(name string) bool { return emptyItem(short, name) })
	return printStatusTable(w, short, names, statusEvents)
}

// printStatusAll prints everything.
func printStatusAll(w io.Writer, documents []statusDocument) error {
	return printStatusTable(w, documents, statusNames(documents), statusEventsAll)
}

// printStatusTable prints a column for each document and a line for each name, below them what is wrong, and the last events.
func printStatusTable(w io.Writer, documents []statusDocument, names []string, events int) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprint(table, "admin")
	for _, d := range documents {
		fmt.Fprintf(table, "\t%s", d.admin)
	}
	fmt.Fprintln(table)
	for _, name := range names {
		if isEvent(name) || isWarning(name) {
			continue
		}
		fmt.Fprint(table, name)
		for _, d := range documents {
			text, ok := d.items[name]
			if !ok {
				text = "-"
			}
			fmt.Fprintf(table, "\t%s", text)
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printStatusWarnings(w, documents); err != nil {
		return err
	}
	return printStatusEvents(w, documents, events)
}

// statusNames merges the names of all documents: a name that only later ones have comes after the name
// that it follows there.
func statusNames(documents []statusDocument) []string {
	var names []string
	for _, d := range documents {
		at := 0
		for _, name := range d.names {
			if i := slices.Index(names, name); i >= 0 {
				at = i + 1
				continue
			}
			names = slices.Insert(names, at, name)
			at++
		}
	}
	return names
}
