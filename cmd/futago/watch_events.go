package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/futago/futago/internal/feed"
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
		return explain(n.refusal(ctx, response))
	}
	in := bufio.NewReaderSize(response.Body, 64<<10)
	defer w.out.Flush() // whole lines, before anything is noted
	for {
		e, err := feed.ReadEvent(in, maxWatchLine, func() { silence.Reset(n.timeout) })
		if errors.Is(err, feed.ErrLarge) {
			err = fmt.Errorf("a change has more than %s: leave values out with --values=false", formatSize(maxWatchLine))
		}
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

// take prints a change and remembers where the node is.
func (w *watch) take(e feed.Event) (err error) {
	switch {
	case e.Name == "change" && len(e.Data) > 2:
		// In front of the closing brace.
		_, err = fmt.Fprintf(w.out, "%s,\"position\":%q}\n", e.Data[:len(e.Data)-1], e.ID)
	case w.position == "" && e.ID != "":
		_, err = fmt.Fprintf(w.out, "{\"op\":\"start\",\"position\":%q}\n", e.ID)
	}
	if err != nil {
		return outputError{fmt.Errorf("print changes: %w", err)}
	}
	if e.ID != "" {
		w.position, w.followed = e.ID, true
	}
	return nil
}
