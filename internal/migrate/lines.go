package migrate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/futago/futago/internal/tyrant"
)

// Lines is a Source: records in lines of text.
type Lines struct {
	from  io.Reader
	size  int64
	parse func(text []byte) (tyrant.Item, error)
	// longest is how long a line of a record with so large a value can be, in bytes.
	longest func(maxValue int64) int64
	// blank says that an empty line is nothing.
	blank bool
}

// JSONLines are the records in lines of JSON, as ExportJSON writes them. size is how many bytes there are, 0 if that is not known.
func JSONLines(from io.Reader, size int64) *Lines {
	return &Lines{from: from, size: size, parse: parseJSONLine, blank: true, longest: func(maxValue int64) int64 {
		return 6*(maxValue+maxKey+maxType) + 4<<10 // \u0000 is the longest form of a byte
	}}
}

// errNoTab is the reason for a line that is none of tab-separated values.
var errNoTab = errors.New("line without a TAB")

// TSVLines are the records in lines of key, TAB and value.
func TSVLines(from io.Reader, size int64) *Lines {
	parse := func(text []byte) (i tyrant.Item, err error) {
		key, value, found := bytes.Cut(text, []byte("\t"))
		if !found {
			return i, errNoTab
		}
		return tyrant.Item{Key: key, Value: value}, nil
	}
	return &Lines{from: from, size: size, parse: parse, longest: func(maxValue int64) int64 { return maxValue + maxKey + 2 }}
}

// linesPlace is behind a line: a number of lines, of bytes, and the checksum of these.
type linesPlace struct {
	lines, bytes int64
	sum          uint32
}

func (p linesPlace) String() string { return fmt.Sprintf("%d %d %08x", p.lines, p.bytes, p.sum) }

// Read gives the records behind the place to the sink.
func (l *Lines) Read(ctx context.Context, place string, to *Sink) error {
	r := &lineReader{r: bufio.NewReaderSize(l.from, 256<<10), limit: l.longest(to.MaxValue())}
	if place != "" {
		if err := r.skip(place); err != nil {
			return err
		}
	}
	for {
		text, err := r.next()
		switch {
		case errors.Is(err, errLong):
			to.Fail(errLong.Error(), r.name())
		case err == io.EOF:
			return to.At(r.String(), r.bytes, l.size)
		case err != nil:
			return fmt.Errorf("read line %d: %w", r.lines+1, reason(ctx, err))
		case len(text) == 0 && l.blank:
		default:
			if err := l.take(text, r, to); err != nil {
				return err
			}
		}
		if err := to.At(r.String(), r.bytes, l.size); err != nil {
			return err
		}
	}
}

// take gives the record in a line to the sink.
func (l *Lines) take(text []byte, r *lineReader, to *Sink) error {
	i, err := l.parse(text)
	op, isOp := errors.AsType[otherOp](err)
	switch {
	case isOp:
		to.Skip(op.Error(), r.name())
	case err == errNoTab:
		to.Skip(err.Error(), r.name())
	case err != nil:
		to.Fail("line that is no record", fmt.Sprintf("%s: %.200s", r.name(), err.Error()))
	default:
		return to.Put(i)
	}
	return nil
}

// errLong says that a line is longer than that of any record.
var errLong = errors.New("line is longer than that of the largest record that the node takes")

// lineReader reads lines and knows where it is.
type lineReader struct {
	r     *bufio.Reader
	limit int64
	linesPlace
}

func (r *lineReader) name() string { return fmt.Sprintf("line %d", r.lines) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// next returns a line without its LF, in memory of its own; errLong, and io.EOF after the last one.
func (r *lineReader) next() (text []byte, err error) {
	long := false
	for {
		part, err := r.r.ReadSlice('\n')
		r.bytes += int64(len(part))
		r.sum = crc32.Update(r.sum, castagnoli, part)
		if long = long || int64(len(text)+len(part)) > r.limit; long {
			text = nil
		} else {
			text = append(text, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && (len(text) > 0 || long): // a last line without an LF
		case err != nil:
			return nil, err
		}
		r.lines++
		if long {
			return nil, errLong
		}
		return bytes.TrimSuffix(text, []byte("\n")), nil
	}
}

// skip passes over what was read before, if it is that.
func (r *lineReader) skip(place string) error {
	var want linesPlace
	if _, err := fmt.Sscanf(place, "%d %d %x", &want.lines, &want.bytes, &want.sum); err != nil || want.lines < 0 || want.bytes < 0 {
		return fmt.Errorf("%w: place %.64q in the state", ErrOtherSource, place)
	}
	sum := crc32.New(castagnoli)
	n, err := io.CopyN(sum, r.r, want.bytes)
	if err != nil && err != io.EOF {
		return fmt.Errorf("pass over %d bytes: %w", want.bytes, err)
	}
	if n != want.bytes || sum.Sum32() != want.sum {
		return fmt.Errorf("%w: its first %d bytes are others", ErrOtherSource, want.bytes)
	}
	r.linesPlace = want
	return nil
}
