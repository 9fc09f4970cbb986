package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// silenceLimit ends a run whose server does not answer at all.
	silenceLimit = 10 * time.Second
	// pollInterval is how often a loop without events looks at the clock and at its context.
	pollInterval = 100 * time.Millisecond
	// readSize is above what a socket buffer of ordinary size holds.
	readSize = 256 << 10
	// fillPipeline and fillBytes bound the batch of one connection while keys are set for the first time.
	fillPipeline = 64
	fillBytes    = 64 << 10
)

// loop is one load thread: its connections, its random numbers, what it has counted.
type loop struct {
	config *Config
	load   *workload
	random random
	poller *poller
	conns  []*conn
	buf    []byte
	start  time.Time // zero of all times in ns

	depth    int           // requests under way per connection, in this phase
	pending  int           // over all connections
	silence  time.Duration // see silenceLimit
	fillNext uint64
	fillEnd  uint64
	filling  bool
	heard    int64 // ns of the last reply, or of the beginning of the phase

	interval float64 // ns between requests of this thread, 0 in a closed loop
	due      float64 // ns of the next request
	cursor   int     // connection that is asked first for the next paced request

	counts    counts
	histogram histogram
	// done counts all replies since the start, for the progress report of another thread.
	done atomic.Uint64
}

func (l *loop) now() int64 { return int64(time.Since(l.start)) }

// connect opens n connections.
func (l *loop) connect(ctx context.Context, n int) error {
	depth := max(l.config.Pipeline, fillPipeline)
	for i := range n {
		c, err := dial(ctx, l.config, depth)
		if err != nil {
			return err
		}
		l.conns = append(l.conns, c)
		if err := l.poller.watch(unix.EPOLL_CTL_ADD, c.fd, i, false); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		c.close()
	}
	l.poller.close()
}

// fill sets the keys from fillNext to before fillEnd once each.
func (l *loop) fill(ctx context.Context) error {
	l.filling = true
	l.depth = min(fillPipeline, max(1, fillBytes/(l.config.ValueSize+l.config.KeySize+32)))
	if err := l.startBatches(); err != nil {
		return err
	}
	for l.pending > 0 {
		if err := l.turn(ctx, pollInterval); err != nil {
			return fmt.Errorf("set every key once: %w", err)
		}
	}
	l.filling = false
	return nil
}

// measure makes load from now on and counts what is answered from time begin to end.
// It returns the time that the counted window really took: longer than asked for when nothing was answered in it.
func (l *loop) measure(ctx context.Context, begin, end int64) (window time.Duration, usage cpuTime, err error) {
	l.depth = l.config.Pipeline
	l.counts = counts{}
	l.heard = l.now()
	l.due = float64(l.heard)
	if l.interval == 0 {
		if err := l.startBatches(); err != nil {
			return 0, 0, err
		}
	}
	counting := false
	for {
		now := l.now()
		if !counting && now >= begin {
			counting = true
			begin = now
			usage = threadCPU()
			l.counts = counts{}
			l.histogram = histogram{}
		}
		select {
		case <-l.config.until:
			end = min(end, now)
		default:
		}
		// A window without a reply says nothing: it goes on to the first one, or to the limit of silence.
		if now >= end && counting && l.counts.replies > 0 {
			return time.Duration(now - begin), threadCPU() - usage, nil
		}
		until := end
		if !counting {
			until = begin
		} else if now >= end {
			until = now + int64(pollInterval)
		}
		if l.interval > 0 {
			blocked, err := l.pace(now)
			if err != nil {
				return 0, 0, err
			}
			if !blocked {
				until = min(until, int64(l.due))
			}
			now = l.now()
		}
		if err := l.turn(ctx, min(time.Duration(until-now), pollInterval)); err != nil {
			return 0, 0, err
		}
	}
}

// turn waits for events and handles them.
func (l *loop) turn(ctx context.Context, timeout time.Duration) error {
	events, err := l.poller.wait(timeout)
	if err != nil {
		return err
	}
	for i := range events {
		c := l.conns[events[i].Fd]
		if events[i].Events&unix.EPOLLOUT != 0 {
			if err := l.conns[events[i].Fd].send(l.poller, int(events[i].Fd)); err != nil {
				return err
			}
		}
		if events[i].Events&^unix.EPOLLOUT != 0 {
			if err := l.receive(c, int(events[i].Fd)); err != nil {
				return err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(events) == 0 && l.pending > 0 && l.now()-l.heard > int64(l.silence) {
		return fmt.Errorf("no reply for %v with %d requests under way", l.silence, l.pending)
	}
	return nil
}

// receive reads once, counts the replies, and in a closed loop sends the next batch.
func (l *loop) receive(c *conn, index int) error {
	n, errno := sysRead(c.fd, l.buf)
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return nil
	case errno != 0:
		return fmt.Errorf("read: %w", errno)
	case n == 0:
		return errServerClosed
	}
	errorsBefore := l.counts.errors
	replies, err := c.scan.scan(l.buf[:n], &l.counts)
	if err != nil {
		return err
	}
	if replies > c.pending {
		return errUnasked
	}
	now := l.now()
	l.heard = now
	l.counts.replies += uint64(replies)
	l.done.Add(uint64(replies))
	l.pending -= replies
	for range replies {
		l.histogram.record(now - c.pop())
	}
	if l.filling && l.counts.errors > errorsBefore {
		return fmt.Errorf("server refuses a set: %s", l.counts.firstError)
	}
	if c.pending > 0 || l.interval > 0 && !l.filling {
		return nil
	}
	return l.batch(c, index, now)
}

func (l *loop) startBatches() error {
	l.heard = l.now()
	for i, c := range l.conns {
		if err := l.batch(c, i, l.now()); err != nil {
			return err
		}
	}
	return nil
}

// batch sends depth requests, or what is left to fill.
func (l *loop) batch(c *conn, index int, now int64) error {
	for range l.depth {
		at := len(c.out)
		if l.filling {
			if l.fillNext == l.fillEnd {
				break
			}
			c.out = l.load.appendSet(c.out, l.fillNext)
			l.fillNext++
		} else {
			c.out, l.random = l.load.appendRandom(c.out, l.random)
		}
		c.push(at, now)
		l.pending++
	}
	return l.conns[index].send(l.poller, index)
}

// pace sends every request that is due by now. blocked says that all connections have a full pipeline.
func (l *loop) pace(now int64) (blocked bool, err error) {
	for l.due <= float64(now) {
		index, ok := l.available()
		if !ok {
			return true, nil
		}
		c := l.conns[index]
		at := len(c.out)
		c.out, l.random = l.load.appendRandom(c.out, l.random)
		if l.pending == 0 {
			l.heard = now // the server had nothing to answer
		}
		c.push(at, int64(l.due))
		l.pending++
		l.due += l.interval
		if err := l.conns[index].send(l.poller, index); err != nil {
			return false, err
		}
	}
	return false, nil
}

// available finds the next connection whose pipeline has room.
func (l *loop) available() (index int, ok bool) {
	for range l.conns {
		index := l.cursor
		if l.cursor++; l.cursor == len(l.conns) {
			l.cursor = 0
		}
		if l.conns[index].pending < l.depth {
			return index, true
		}
	}
	return 0, false
}

// late is the number of requests that were due and not sent when the window ended.
func (l *loop) late() uint64 {
	if behind := float64(l.now()) - l.due; l.interval > 0 && behind > 0 {
		return uint64(behind / l.interval)
	}
	return 0
}
