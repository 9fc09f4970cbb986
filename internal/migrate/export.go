package migrate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/futago/futago/internal/tyrant"
)

// Exported is what was written.
type Exported struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"` // of lines
	// Unfit are the records that a line cannot express, and those that the disk of the node has spoilt; Keys are the first ones.
	Unfit int64    `json:"unfit"`
	Keys  [][]byte `json:"unfit_keys,omitempty"`
	// Damaged is how many of them are spoilt.
	Damaged int64 `json:"damaged,omitempty"`
}

// ExportConfig says what is written, and how.
type ExportConfig struct {
	Source Dial
	Prefix []byte // of the keys
	Limit  int64  // most records, 0 for all
	// Write writes a record as a line; ErrUnfit. WriteJSON and WriteTSV are such functions.
	Write func(w io.Writer, i *tyrant.Item) error
	// Progress gets the number of records written, of at most about so many; nil for nobody.
	Progress func(done, total int64)
}

// maxUnfit is how many keys are kept of records that were not written.
const maxUnfit = 20

// ErrUnfit says that a line cannot express a record.
var ErrUnfit = errors.New("a line cannot express the record")

// WriteJSON writes a record as a JSON object.
func WriteJSON(w io.Writer, i *tyrant.Item) error { return writeJSONLine(w, i) }

// WriteTSV writes key, TAB and value. Everything else of the record is left out.
func WriteTSV(w io.Writer, i *tyrant.Item) error {
	if !fits(i.Key) || !fits(i.Value) {
		return ErrUnfit
	}
	var err error
	for _, b := range [][]byte{i.Key, []byte("\t"), i.Value, []byte("\n")} {
		_, err = w.Write(b) // a writer with a buffer gives an earlier error again
	}
	return err
}

// fits reports whether a field of a line can express b.
func fits(b []byte) bool { return !bytes.ContainsAny(b, "\t\n\x00") }

// Export writes the records of a node as lines. A record that is there all the time is written once, as it was at some moment; the order
// is that of the node and stays the same as long as the records do. It holds a few thousand records, or one, in memory.
func Export(ctx context.Context, c ExportConfig, to io.Writer) (*Exported, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := &Exported{}
	client, err := connect(ctx, c.Source, exportReply)
	if err != nil {
		return done, reason(ctx, err)
	}
	total, err := client.RNum()
	if err != nil {
		return done, reason(ctx, err)
	}
	counted := &countingWriter{w: to}
	w := bufio.NewWriterSize(counted, 256<<10)
	for place := ""; c.Limit == 0 || done.Records < c.Limit; {
		most := exportItems
		if c.Limit > 0 {
			most = int(min(c.Limit-done.Records, exportItems))
		}
		items, next, err := client.Export(place, c.Prefix, most)
		if err != nil {
			return done, reason(ctx, err)
		}
		for i := range items {
			if c.Limit > 0 && done.Records == c.Limit {
				break
			}
			if err := done.write(w, &items[i], c.Write); err != nil {
				return done, fmt.Errorf("write records: %w", err)
			}
		}
		if c.Progress != nil {
			c.Progress(done.Records, max(int64(total), done.Records))
		}
		if place = next; place == "" {
			break
		}
	}
	err = w.Flush()
	done.Bytes = counted.n
	if err != nil {
		return done, fmt.Errorf("write records: %w", err)
	}
	return done, nil
}

const (
	// exportItems is how many records are asked for in one go.
	exportItems = 4096
	// exportReply is the size of the largest reply, in bytes: a node's largest value, and what else is in its list.
	exportReply = 1<<30 + 16<<20
)

func (d *Exported) write(w io.Writer, i *tyrant.Item, write func(w io.Writer, i *tyrant.Item) error) error {
	err := ErrUnfit
	if i.Damaged {
		d.Damaged++
	} else {
		err = write(w, i)
	}
	switch {
	case errors.Is(err, ErrUnfit):
		d.Unfit++
		if len(d.Keys) < maxUnfit {
			d.Keys = append(d.Keys, i.Key)
		}
		return nil
	case err != nil:
		return err
	}
	d.Records++
	return nil
}

// countingWriter counts what it writes.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
