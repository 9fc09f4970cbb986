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

// maxLine bounds a line that is read, in bytes: the largest key and value of the original.
const maxLine = 512 << 20

// Exported is what was written.
type Exported struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"bytes"`
	// Unfit are the records that a line cannot express: a TAB, LF or NUL is in the key or the value.
	Unfit int64 `json:"unfit"`
	// Keys are the first ones.
	Keys [][]byte `json:"unfit_keys,omitempty"`
}

// Export writes the records of a server whose keys begin with prefix as lines of key, TAB and value. progress gets the number of
// keys seen, of about so many.
func Export(ctx context.Context, dial Dial, prefix []byte, to io.Writer, progress func(done, total int64)) (*Exported, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := &Exported{}
	c, err := connect(ctx, dial, 0)
	if err != nil {
		return done, err
	}
	r, err := openReader(ctx, dial)
	if err != nil {
		return done, err
	}
	total, err := c.RNum()
	if err != nil {
		return done, err
	}
	w := bufio.NewWriterSize(to, 256<<10)
	seen := int64(0)
	err = cursorKeys(ctx, c, func(keys [][]byte) error {
		seen += int64(len(keys))
		wanted := keys[:0]
		for _, key := range keys {
			if bytes.HasPrefix(key, prefix) {
				wanted = append(wanted, key)
			}
		}
		if len(wanted) > 0 {
			records, err := r.read(ctx, wanted)
			if err != nil {
				return err
			}
			for i := range records {
				if err := done.write(w, &records[i]); err != nil {
					return err
				}
			}
		}
		if progress != nil {
			progress(seen, max(int64(total), seen))
		}
		return nil
	})
	if err != nil {
		return done, reason(ctx, err)
	}
	if err := w.Flush(); err != nil {
		return done, fmt.Errorf("write records: %w", err)
	}
	return done, nil
}

// fits reports whether a field of a line can express b.
func fits(b []byte) bool { return !bytes.ContainsAny(b, "\t\n\x00") }

func (d *Exported) write(w *bufio.Writer, r *tyrant.Record) error {
	if !fits(r.Key) || !fits(r.Value) {
		d.Unfit++
		if len(d.Keys) < maxRefused {
			d.Keys = append(d.Keys, r.Key)
		}
		return nil
	}
	w.Write(r.Key)
	w.WriteByte('\t')
	w.Write(r.Value)
	if err := w.WriteByte('\n'); err != nil { // an earlier one comes again
		return fmt.Errorf("write records: %w", err)
	}
	d.Records++
	d.Bytes += int64(len(r.Key) + len(r.Value) + 2)
	return nil
}

// Loaded is what was read from lines and stored.
type Loaded struct {
	Stored int64 `json:"stored"`
	Bytes  int64 `json:"bytes"`
	// Skipped are the lines without a TAB.
	Skipped int64 `json:"skipped_lines"`
	Refusals
}

// Load stores the records of lines of key, TAB and value. progress gets the number of bytes read.
func Load(ctx context.Context, dial Dial, from io.Reader, progress func(done int64)) (*Loaded, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := &Loaded{}
	w, err := openWriter(ctx, dial)
	if err != nil {
		return done, err
	}
	r := bufio.NewReaderSize(from, 256<<10)
	var records []tyrant.Record
	size := 0
	flush := func() error {
		stored, err := w.put(records)
		done.Stored += stored
		done.Refusals = w.Refusals
		if err != nil {
			return fmt.Errorf("store records: %w", err)
		}
		records, size = records[:0], 0
		if progress != nil {
			progress(done.Bytes)
		}
		return nil
	}
	for {
		line, err := readLine(r)
		if err != nil && err != io.EOF {
			return done, fmt.Errorf("read records: %w", reason(ctx, err))
		}
		last := err == io.EOF
		done.Bytes += int64(len(line))
		key, value, found := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte("\t"))
		switch {
		case found:
			records = append(records, tyrant.Record{Key: key, Value: value})
			size += len(line)
		case len(line) > 0:
			done.Skipped++
		}
		if len(records) >= batchKeys || size > batchReply || last {
			if err := flush(); err != nil {
				return done, reason(ctx, err)
			}
		}
		if last {
			return done, nil
		}
	}
}

// readLine reads a line into memory of its own, with its LF. The last one has none, and comes with io.EOF.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
		if len(line) > maxLine {
			return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
		}
	}
}
