package backup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/futago/futago/internal/feed"
)

// ContentType is that of a backup.
const ContentType = "application/vnd.futago.backup"

// Serve answers a request for a backup with the backup. from is the position at which an incremental one begins and parent the
// backup that ends there; hold is for how long the log is kept for the next one. The answer ends abruptly where something fails
// after its beginning, and the file then has no end.
func (s *Source) Serve(w http.ResponseWriter, r *http.Request) {
	req, err := parse(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	leave, err := s.enter()
	if err != nil {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	defer leave()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	control := http.NewResponseController(w)
	// The server's own bound on reading a request would end a long answer.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	out := &patient{w: w, control: control, s: s}
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { // no reader that is slow may hold up the end
		select {
		case <-s.ended:
			cancel(errEnded)
			control.SetWriteDeadline(time.Now().Add(hurried))
		case <-over:
		}
	})
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("Cache-Control", "no-store")
	t, err := s.write(ctx, out, req)
	if err == nil {
		err = control.Flush()
	}
	close(over)
	watch.Wait()
	logger := s.cfg.Logger.With("remote", r.RemoteAddr)
	switch {
	case err == nil:
		s.mu.Lock()
		s.last = Last{t.Time, kindOf(req)}
		s.mu.Unlock()
		logger.Info("backup taken", "kind", kindOf(req), "items", t.Records(), "bytes", t.Bytes, "took", time.Duration(t.Took*float64(time.Second)).Round(time.Millisecond))
	case out.any: // half a backup must not look whole
		logger.Warn("backup ended too early", "kind", kindOf(req), "err", err)
		panic(http.ErrAbortHandler)
	case errors.Is(err, feed.ErrGone):
		refuse(w, http.StatusGone, err)
	default:
		logger.Warn("backup did not begin", "kind", kindOf(req), "err", err)
		refuse(w, http.StatusInternalServerError, err)
	}
}

func kindOf(req Request) Kind {
	if req.From == nil {
		return Full
	}
	return Incremental
}

func parse(r *http.Request) (req Request, err error) {
	q := r.URL.Query()
	if text := q.Get("from"); text != "" {
		p, err := feed.ParsePosition(text)
		if err != nil {
			return req, err
		}
		req.From = &p
		if err := req.Parent.UnmarshalText([]byte(q.Get("parent"))); err != nil || req.Parent == (ID{}) {
			return req, fmt.Errorf("parent %q: want the id of the backup that ends at the position", q.Get("parent"))
		}
	}
	if text := q.Get("hold"); text != "" {
		if req.Hold, err = time.ParseDuration(text); err != nil || req.Hold < 0 || req.Hold > MaxHold {
			return req, fmt.Errorf("hold %q: allowed is 0s to %v", text, MaxHold)
		}
	}
	return req, nil
}

func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, err)
}

// patient gives the reader the same time for every piece.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	s       *Source
	any     bool // something was written
}

func (p *patient) Write(b []byte) (int, error) {
	p.any = true
	for n := 0; ; {
		piece := b[n:min(len(b), n+64<<10)]
		if err := p.control.SetWriteDeadline(time.Now().Add(p.s.slowest)); err != nil {
			return n, err
		}
		select {
		case <-p.s.ended: // the deadline may have come before this one
			return n, errEnded
		default:
		}
		k, err := p.w.Write(piece)
		if n += k; err != nil || n == len(b) {
			return n, err
		}
	}
}
