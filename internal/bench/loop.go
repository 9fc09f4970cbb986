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
	buf    []byte    // what was read
	out    []byte    // a batch, until it is written
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
	// idle are the connections with room in their pipelines, the one that waits longest first. Only in a paced loop.
	idle queue[int32]

	counts    counts
	histogram histogram
	// done counts all replies since the start, for the progress report of another thread; glimpse shows it the rest.
	done    atomic.Uint64
	glimpse glimpse
}

func (l *loop) now() int64 { return int64(time.Since(l.start)) }

// connect opens n connections.
func (l *loop) connect(ctx context.Context, d *dialer, n int) error {
	var err error
	if l.conns, err = d.dialAll(ctx, n); err != nil {
		return err
	}
	for i, c := range l.conns {
		if err := l.poller.watch(unix.EPOLL_CTL_ADD, c.fd, i, false); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) close() {
	l.disconnect()
	l.poller.close()
}

func (l *loop) disconnect() {
	for _, c := range l.conns {
		c.close()
	}
	l.conns = nil
}

// fill makes the sets from fillNext to before fillEnd.
func (l *loop) fill(ctx context.Context) error {
	l.filling = true
	l.depth = min(fillPipeline, max(1, fillBytes/(len(l.load.value)+l.config.KeySize+32)))
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
	} else {
		for i := range l.conns {
			l.rest(i)
		}
	}
	counting := false
	for {
		now := l.now()
		if !counting && now >= begin {
			counting = true
			end += now - begin // to send the first batches may take longer than the warm-up
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
		if counting {
			l.glimpse.update(&l.histogram, l.counts.errors)
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
			if err := c.flush(l.poller, int(events[i].Fd)); err != nil {
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

// receive reads what is there, counts the replies, and in a closed loop sends the next batch.
func (l *loop) receive(c *conn, index int) error {
	for {
		n, err := c.read(l.buf)
		if err == errAgain {
			return nil
		}
		if err == nil {
			err = l.take(c, index, l.buf[:n])
		}
		// Of a plain socket the poller tells when there is more.
		if err != nil || c.tls == nil {
			return err
		}
	}
}

// take counts the replies in b.
func (l *loop) take(c *conn, index int, b []byte) error {
	errorsBefore := l.counts.errors
	replies, err := c.scan.scan(b, &l.counts)
	if err != nil {
		return &ReplyError{err}
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
	if l.interval > 0 && !l.filling {
		l.rest(index)
		return nil
	}
	if c.pending > 0 {
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
	out := l.out[:0]
	for range l.depth {
		at := len(out)
		if l.filling {
			if l.fillNext == l.fillEnd {
				break
			}
			out, l.random = l.load.appendFill(out, l.fillNext, l.random)
			l.fillNext++
		} else {
			out, l.random = l.load.appendRandom(out, l.random)
		}
		c.push(out[at:], now)
		l.pending++
	}
	l.out = out
	return c.send(out, l.poller, index)
}

// pace sends every request that is due by now. blocked says that all connections have a full pipeline.
func (l *loop) pace(now int64) (blocked bool, err error) {
	for l.due <= float64(now) {
		if l.idle.empty() {
			return true, nil
		}
		index := int(l.idle.pop())
		c := l.conns[index]
		c.idle = false
		l.out, l.random = l.load.appendRandom(l.out[:0], l.random)
		if l.pending == 0 {
			l.heard = now // the server had nothing to answer
		}
		c.push(l.out, int64(l.due))
		l.pending++
		l.due += l.interval
		if err := c.send(l.out, l.poller, index); err != nil {
			return false, err
		}
		l.rest(index)
	}
	return false, nil
}

// rest lists a connection as idle if its pipeline has room.
func (l *loop) rest(index int) {
	if c := l.conns[index]; !c.idle && c.pending < l.depth {
		c.idle = true
		l.idle.push(int32(index))
	}
}

// late is the number of requests that were due and not sent when the window ended.
func (l *loop) late() uint64 {
	if behind := float64(l.now()) - l.due; l.interval > 0 && behind > 0 {
		return uint64(behind / l.interval)
	}
	return 0
}
