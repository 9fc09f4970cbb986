package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// streamSilence ends a stream whose server does not answer at all. A server under a memory limit may be slow.
const streamSilence = time.Minute

// stream sends requests on connections of its own, from one thread, and keeps the latencies of each second apart.
// The load of Config has one histogram and makes its requests of keys that are all in memory; this one is for long
// runs in which something happens, over very many records.
type stream struct {
	protocol, address string
	connections       int
	depth             int     // requests under way on each connection
	rate              float64 // requests a second; 0 is depth at once on each connection, again and again
	burst             int     // requests that are due at once, with a rate; at most depth
	// next appends a request; more is false, and nothing appended, at their end.
	next func(dst []byte) (request []byte, more bool)
	// scanner makes that of a connection; nil is the one for get and set.
	scanner func() scanner
	// epoch is the zero of all times.
	epoch time.Time

	seconds []second
	counts  counts
	done    atomic.Uint64 // replies, for other threads

	poller  *poller
	conns   []*conn
	buf     []byte
	out     []byte  // requests that are put together
	ended   bool    // nothing more is sent
	pending int     // requests under way
	due     float64 // ns of the next burst
	cursor  int     // connection that is asked first for it
	heard   int64   // ns of the last reply, or of when one was first waited for
}

// second is what was due in one second since the epoch.
type second struct {
	latency histogram
}

func (s *stream) now() int64 { return int64(time.Since(s.epoch)) }

// run returns when all requests are answered, and none is left or until is closed.
func (s *stream) run(ctx context.Context, until <-chan struct{}) (err error) {
	runtime.LockOSThread() // the poller's short waits must not wait for the Go scheduler
	defer runtime.UnlockOSThread()
	if err := s.connect(ctx); err != nil {
		return err
	}
	defer s.close()
	s.heard = s.now()
	s.due = float64(s.heard)
	if s.rate == 0 {
		for i := range s.conns {
			if err := s.send(i, s.heard, s.depth); err != nil {
				return err
			}
		}
	}
	for !s.ended || s.pending > 0 {
		select {
		case <-until:
			s.ended = true
		default:
		}
		wait := pollInterval
		if s.rate > 0 && !s.ended {
			if wait, err = s.pace(); err != nil {
				return err
			}
		}
		if err := s.turn(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) connect(ctx context.Context) (err error) {
	if s.poller, err = newPoller(); err != nil {
		return err
	}
	s.buf = make([]byte, readSize)
	for i := range s.connections {
		c, err := dial(ctx, &Config{Protocol: s.protocol, Address: s.address, MultiGet: 1}, s.depth)
		if err == nil {
			s.conns = append(s.conns, c)
			err = s.poller.watch(unix.EPOLL_CTL_ADD, c.fd, i, false)
		}
		if err != nil {
			s.close()
			return err
		}
		if s.scanner != nil {
			c.scan = s.scanner()
		}
	}
	return nil
}

func (s *stream) close() {
	for _, c := range s.conns {
		c.close()
	}
	s.poller.close()
}

// pace sends what is due and returns the time until more is.
func (s *stream) pace() (time.Duration, error) {
	for now := s.now(); s.due <= float64(now) && !s.ended; {
		i, ok := s.available()
		if !ok {
			return pollInterval, nil // until a reply makes room
		}
		if err := s.send(i, int64(s.due), s.burst); err != nil {
			return 0, err
		}
		s.due += float64(s.burst) * 1e9 / s.rate
	}
	return min(time.Duration(s.due)-time.Duration(s.now()), pollInterval), nil
}

// available finds the next connection that has room for a burst.
func (s *stream) available() (i int, ok bool) {
	for range s.conns {
		i := s.cursor
		s.cursor = (s.cursor + 1) % len(s.conns)
		if s.conns[i].pending+s.burst <= s.depth {
			return i, true
		}
	}
	return 0, false
}

// send sends n requests that are due at a time, or what is left of them.
func (s *stream) send(i int, due int64, n int) error {
	c := s.conns[i]
	s.out = s.out[:0]
	for range n {
		if s.ended {
			break
		}
		at := len(s.out)
		var more bool
		if s.out, more = s.next(s.out); !more {
			s.ended = true
			break
		}
		if s.pending == 0 {
			s.heard = s.now() // the server had nothing to answer
		}
		c.push(s.out[at:], due)
		s.pending++
	}
	return c.send(s.out, s.poller, i)
}

// turn waits for events and handles them.
func (s *stream) turn(ctx context.Context, wait time.Duration) error {
	events, err := s.poller.wait(wait)
	if err != nil {
		return err
	}
	for _, e := range events {
		i := int(e.Fd)
		if e.Events&unix.EPOLLOUT != 0 {
			if err := s.conns[i].flush(s.poller, i); err != nil {
				return err
			}
		}
		if e.Events&^unix.EPOLLOUT != 0 {
			if err := s.receive(i); err != nil {
				return err
			}
		}
	}
	if s.pending > 0 && s.now()-s.heard > int64(streamSilence) {
		return fmt.Errorf("no reply for %v with %d requests under way", streamSilence, s.pending)
	}
	return context.Cause(ctx)
}

// receive reads once, notes the replies, and without a rate sends the next requests.
func (s *stream) receive(i int) error {
	c := s.conns[i]
	n, errno := sysRead(c.fd, s.buf)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil
	case errno != 0:
		return fmt.Errorf("read: %w", errno)
	case n == 0:
		return ErrServerClosed
	}
	replies, err := c.scan.scan(s.buf[:n], &s.counts)
	if err != nil {
		return err
	}
	if replies > c.pending {
		return errUnasked
	}
	now := s.now()
	s.heard = now
	s.pending -= replies
	s.counts.replies += uint64(replies)
	s.done.Add(uint64(replies))
	for range replies {
		due := c.pop()
		at := int(due / int64(time.Second))
		if grow := at + 1 - len(s.seconds); grow > 0 {
			s.seconds = append(s.seconds, make([]second, grow)...)
		}
		s.seconds[at].latency.record(now - due)
	}
	if c.pending > 0 || s.rate > 0 {
		return nil
	}
	return s.send(i, now, s.depth)
}

// failure tells of error replies, which are none of a measurement's.
func (s *stream) failure() error {
	if s.counts.errors == 0 {
		return nil
	}
	return fmt.Errorf("%d error replies of %d, the first %s", s.counts.errors, s.counts.replies, s.counts.firstError)
}

// span is latency over whole seconds.
type span struct {
	all     histogram
	seconds int
	worst   time.Duration // the largest p99 of a second
}

// between sums up the whole seconds from one time to another; without any, those that they touch.
func (s *stream) between(from, to time.Duration) *span {
	first, end := int((from+time.Second-1)/time.Second), int(to/time.Second)
	if end <= first {
		first, end = int(from/time.Second), int((to+time.Second-1)/time.Second)
	}
	sum := &span{}
	for i := max(first, 0); i < min(end, len(s.seconds)); i++ {
		h := &s.seconds[i].latency
		sum.all.add(h)
		sum.seconds++
		sum.worst = max(sum.worst, h.quantile(0.99))
	}
	return sum
}

// p99s are those of all seconds, in microseconds.
func (s *stream) p99s() []float64 {
	p99s := make([]float64, len(s.seconds))
	for i := range s.seconds {
		p99s[i] = micros(s.seconds[i].latency.quantile(0.99))
	}
	return p99s
}

// latencyColumns name the values of a span.
var latencyColumns = []string{"p50 us", "p99 us", "p99.9 us", "max us", "worst second's p99 us", "ops/s"}

func (p *span) values() []float64 {
	return []float64{micros(p.all.quantile(0.5)), micros(p.all.quantile(0.99)), micros(p.all.quantile(0.999)), micros(time.Duration(p.all.max)),
		micros(p.worst), float64(p.all.n) / float64(max(p.seconds, 1))}
}

// runStreams runs all at once; the first error ends the others.
func runStreams(ctx context.Context, until <-chan struct{}, streams ...*stream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan error, len(streams))
	for _, s := range streams {
		go func() {
			err := s.run(ctx, until)
			if err != nil {
				cancel(err)
			}
			ended <- err
		}()
	}
	var errs []error
	for range streams {
		if err := <-ended; err != nil {
			errs = append(errs, err)
		}
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, context.Canceled) }); i >= 0 {
		return errs[i]
	}
	return errors.Join(errs...)
}
