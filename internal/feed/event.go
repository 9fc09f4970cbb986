package feed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/futago/futago/internal/record"
)

// Event is one server-sent event of a stream of changes, as a client reads it. Without data it only tells a position.
type Event struct {
	ID   string // position; empty: none is told
	Name string // "change", or empty
	Data []byte // the document of the change
}

// ErrLarge says that a line of an event is longer than allowed.
var ErrLarge = errors.New("a change is larger than allowed")

// ReadEvent reads up to the end of an event, whose lines have at most limit bytes, or a buffer more; ErrLarge. alive is called whenever bytes came.
func ReadEvent(in *bufio.Reader, limit int64, alive func()) (e Event, err error) {
	for {
		line, err := readEventLine(in, limit, alive)
		if err != nil {
			return e, err
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch string(name) {
		case "":
			if len(line) == 0 {
				return e, nil
			}
		case "id":
			e.ID = string(value)
		case "event":
			e.Name = string(value)
		case "data":
			e.Data = value
		}
	}
}

func readEventLine(in *bufio.Reader, limit int64, alive func()) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		alive()
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case int64(len(line)) > limit:
			return nil, ErrLarge
		}
	}
}

// Told is what a client needs to know of a change to look at the key itself.
type Told struct {
	Op  string // set, delete, evict, flush
	Key []byte // of a flush: nil
	At  int64  // of a flush: from when on, Unix milliseconds
}

type toldDocument struct {
	Op        string `json:"op"`
	Key       string `json:"key"`
	KeyBase64 []byte `json:"key_base64"`
	At        int64  `json:"at"`
}

func (d *toldDocument) told() (Told, error) {
	t := Told{Op: d.Op, Key: []byte(d.Key), At: d.At}
	if len(d.KeyBase64) > 0 {
		t.Key = d.KeyBase64
	}
	switch {
	case d.Op == "flush" && d.At >= 0:
		t.Key = nil
	case d.Op == "flush" || len(t.Key) == 0 || len(t.Key) > record.MaxKey:
		return t, errors.New("this is no change")
	}
	return t, nil
}

// ParseChange reads the data of an event.
func ParseChange(data []byte) (Told, error) {
	var d toldDocument
	if err := json.Unmarshal(data, &d); err != nil {
		return Told{}, fmt.Errorf("read a change: %w", err)
	}
	return d.told()
}

// Answer is what a long poll is answered with.
type Answer struct {
	Changes  []Told
	End      bool   // nothing followed them
	Position string // behind them
}

// ReadAnswer reads the answer to a long poll, of at most limit bytes.
func ReadAnswer(r io.Reader, limit int64) (a Answer, err error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = ErrLarge
	}
	var d struct {
		Changes  []toldDocument `json:"changes"`
		End      bool           `json:"end"`
		Position string         `json:"position"`
	}
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err == nil && d.Position == "" {
		err = errors.New("it has no position")
	}
	for i := 0; err == nil && i < len(d.Changes); i++ {
		var t Told
		if t, err = d.Changes[i].told(); err == nil {
			a.Changes = append(a.Changes, t)
		}
	}
	if err != nil {
		return Answer{}, fmt.Errorf("read changes: %w", err)
	}
	a.End, a.Position = d.End, d.Position
	return a, nil
}
