package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrStopped says that Config.Stop ended a run before anything was measured.
var ErrStopped = errors.New("stopped before anything was measured")

// ReplyError says that a reply does not follow the protocol of the run.
type ReplyError struct{ err error }

// Error is the rule that was broken.
func (e *ReplyError) Error() string { return e.err.Error() }

// Unwrap returns the same.
func (e *ReplyError) Unwrap() error { return e.err }

// stopPatience is how long a window that is cut short waits for a first reply.
const stopPatience = time.Second

// stopper ends a run in its order when it is told to: the window where there is one, the whole run before.
type stopper struct {
	cancel    context.CancelCauseFunc
	until     chan struct{}       // closed: the window ends
	measuring atomic.Pointer[run] // nil before the load that is measured
}

func newStopper(cancel context.CancelCauseFunc) *stopper {
	return &stopper{cancel: cancel, until: make(chan struct{})}
}

// watch waits for stop until the func that it returns is called.
func (s *stopper) watch(stop <-chan struct{}) (end func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-over:
			return
		case <-stop:
		}
		if r := s.measuring.Load(); r == nil || r.begin.Load() == 0 || int64(time.Since(r.start)) < r.begin.Load() {
			s.cancel(ErrStopped)
			return
		}
		close(s.until)
		select {
		case <-over:
		case <-time.After(stopPatience):
			s.cancel(ErrStopped)
		}
	}()
	return func() { close(over); <-ended }
}

// stopped reports whether the window was cut short.
func (s *stopper) stopped() bool {
	select {
	case <-s.until:
		return true
	default:
		return false
	}
}
