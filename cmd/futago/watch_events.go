package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// maxWatchLine bounds what is taken for one change, in bytes: the largest value in base64, and what stands around it.
const maxWatchLine = int64(maxClientValue)/3*4 + 1<<20

// follow prints what a node tells until that ends, which is an error.
func (w *watch) follow(ctx context.Context, n *adminNode) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A node says something every few seconds.
	silence := time.AfterFunc(n.timeout, cancel)
	defer silence.Stop()
	explain := func(err error) error {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // without the URL
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("it said nothing for %v", n.timeout)
		}
		return fmt.Errorf("watch %s: %w", n.addr, err)
	}
	query := url.Values{"prefix": w.prefixes}
	if !w.values {
		query.Set("values", "false")
	}
	if w.position != "" {
		query.Set("from", w.position)
	}
	request, err := n.question(ctx, http.MethodGet, "/changes?"+query.Encode(), nil)
	if err != nil {
		return explain(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := n.client.Do(request)
	if err != nil {
		return explain(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return explain(refusalOf(response))
	}
	in := bufio.NewReaderSize(response.Body, 64<<10)
	defer w.out.Flush() // whole lines, before anything is noted
	for {
		e, err := readEvent(in, func() { silence.Reset(n.timeout) })
		if err != nil {
			return explain(err)
		}
		if err := w.take(e); err != nil {
			return err
		}
		if in.Buffered() > 0 {
			continue
		}
		if err := w.out.Flush(); err != nil {
			return outputError{fmt.Errorf("print changes: %w", err)}
		}
	}
}

// event is one server-sent event. Without data it only tells a position.
type event struct {
	id, name string
	data     []byte
}

// take prints a change and remembers where the node is.
func (w *watch) take(e event) (err error) {
	switch {
	case e.name == "change" && len(e.data) > 2:
		// In front of the closing brace.
		_, err = fmt.Fprintf(w.out, "%s,\"position\":%q}\n", e.data[:len(e.data)-1], e.id)
	case w.position == "" && e.id != "":
		_, err = fmt.Fprintf(w.out, "{\"op\":\"start\",\"position\":%q}\n", e.id)
	}
	if err != nil {
		return outputError{fmt.Errorf("print changes: %w", err)}
	}
	if e.id != "" {
		w.position, w.followed = e.id, true
	}
	return nil
}

// readEvent reads up to the end of an event. alive is called whenever bytes came.
func readEvent(in *bufio.Reader, alive func()) (e event, err error) {
	for {
		line, err := readWatchLine(in, alive)
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
			e.id = string(value)
		case "event":
			e.name = string(value)
		case "data":
			e.data = value
		}
	}
}

func readWatchLine(in *bufio.Reader, alive func()) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		alive()
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case int64(len(line)) > maxWatchLine:
			return nil, fmt.Errorf("a change has more than %s: leave values out with --values=false", formatSize(maxWatchLine))
		}
	}
}
