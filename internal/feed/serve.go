package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Serve answers GET /changes. sees says which keys the client may be told of, nil: all.
func (f *Feed) Serve(w http.ResponseWriter, r *http.Request, sees func(key []byte) bool) {
	req, err := parse(r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	req.sees = sees
	ended, leave, err := f.enter()
	if err != nil {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c, err := f.open(ctx, req.from)
	if err != nil {
		code := http.StatusServiceUnavailable
		switch {
		case errors.Is(err, ErrPosition):
			code, err = http.StatusBadRequest, fmt.Errorf("from: %w", err)
		case errors.Is(err, ErrGone):
			code = http.StatusGone
			err = fmt.Errorf("%w: follow another node from it; if none knows it, take a new position, list the keys of that node, then follow from the position", err)
		}
		refuse(w, code, err)
		return
	}
	defer c.Close()
	a := &answer{who: f.who, req: req, from: c, control: http.NewResponseController(w), ctx: ctx, ended: ended, rose: make(chan struct{}, 1)}
	a.out = bufio.NewWriterSize(patient{w, a, f.slowest}, 32<<10)
	defer a.hurry()()
	defer c.OnMore(func() {
		select {
		case a.rose <- struct{}{}:
		default:
		}
	})()
	// The server's own bound on reading a request would end a long answer.
	if err := a.control.SetReadDeadline(time.Time{}); err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if req.stream {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
		_ = a.stream()                            // the client sees the end
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if a.document() != nil {
		panic(http.ErrAbortHandler) // half a document must not look whole
	}
}

func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	fmt.Fprintln(w, err)
}

// patient gives the client the same time for every piece.
type patient struct {
	w       io.Writer
	a       *answer
	slowest time.Duration
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.a.control.SetWriteDeadline(time.Now().Add(p.slowest)); err != nil {
		return 0, err
	}
	select {
	case <-p.a.ended: // the deadline may have come before this one
		p.a.control.SetWriteDeadline(time.Now().Add(hurried))
	default:
	}
	return p.w.Write(b)
}

// hurry lets no client that reads slowly hold up the end, until stop is called.
func (a *answer) hurry() (stop func()) {
	over := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		select {
		case <-a.ended:
			a.control.SetWriteDeadline(time.Now().Add(hurried))
		case <-over:
		}
	})
	return func() {
		close(over)
		done.Wait()
	}
}

// answer is one answer on its way.
type answer struct {
	who     string
	req     *request
	from    Stream
	out     *bufio.Writer
	control *http.ResponseController
	ctx     context.Context // of the client
	ended   <-chan struct{}
	rose    chan struct{} // more may be told
}

// over reports whether the answer must end.
func (a *answer) over() bool {
	select {
	case <-a.ctx.Done():
		return true
	case <-a.ended:
		return true
	default:
		return false
	}
}

// next returns the next change that the client wants, nil when there is none yet, or many were passed that it does not want.
func (a *answer) next() (c Entry, more bool, err error) {
	for range stretch {
		c, err = a.from.Next()
		if err != nil || c == nil || a.req.wants(c) {
			return c, false, err
		}
	}
	return nil, true, nil
}

// await waits for more, until the timer fires; false when the answer must end.
func (a *answer) await(until <-chan time.Time) (more, goOn bool) {
	select {
	case <-a.ctx.Done():
		return false, false
	case <-a.ended:
		return false, false
	case <-until:
		return false, true
	case <-a.rose:
		return true, true
	}
}

func (a *answer) flush() error {
	if err := a.out.Flush(); err != nil {
		return err
	}
	return a.control.Flush()
}

// document answers with what there is, once there is anything or the client has waited for long enough.
func (a *answer) document() error {
	wait := a.req.wait
	if a.req.from == "" {
		wait = 0 // who begins wants to know where
	}
	patience, until := time.NewTimer(wait), time.Now().Add(wait)
	defer patience.Stop()
	a.out.WriteString(`{"changes":[`)
	size, end := int64(0), false
	for told := 0; told < a.req.limit && size < maxAnswer && !a.over(); {
		c, more, err := a.next()
		switch {
		case errors.Is(err, ErrGone) && told > 0: // the next question is answered so
		case err != nil:
			return err
		}
		if c == nil {
			if end = !more && told > 0; end || more && time.Now().After(until) {
				break
			}
			if more {
				continue
			}
			var goOn bool
			if more, goOn = a.await(patience.C); !more {
				end = goOn
				break
			}
			continue
		}
		if told++; told > 1 {
			a.out.WriteByte(',')
		}
		if key, _ := c.Names(); a.req.values {
			size += c.Bytes()
		} else {
			size += int64(len(key))
		}
		if err := c.Encode(a.out, a.req.values); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.out, `],"end":%v,"position":%q}`+"\n", end, a.from.Position())
	return a.flush()
}

// stream tells changes as server-sent events, until the client has enough.
func (a *answer) stream() error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	fmt.Fprintf(a.out, ": changes of %s\nretry: 1000\nid: %s\n\n", a.who, a.from.Position())
	if err := a.flush(); err != nil {
		return err
	}
	for !a.over() {
		c, more, err := a.next()
		switch {
		case err != nil:
			return err // connected anew, the client is told why
		case c != nil:
			fmt.Fprintf(a.out, "id: %s\nevent: change\ndata: ", a.from.Position())
			if err := c.Encode(a.out, a.req.values); err != nil {
				return err
			}
			if _, err := a.out.WriteString("\n\n"); err != nil {
				return err
			}
			select {
			case <-beat.C: // a change is one as well
			default:
			}
			continue
		case !more:
			if err := a.flush(); err != nil {
				return err
			}
			if more, goOn := a.await(beat.C); !goOn || more {
				continue
			}
		default:
			select {
			case <-beat.C:
			default:
				continue
			}
		}
		fmt.Fprintf(a.out, ": here\nid: %s\n\n", a.from.Position())
		if err := a.flush(); err != nil {
			return err
		}
	}
	return a.flush()
}
