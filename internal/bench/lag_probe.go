package bench

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxPolled bounds the keys of one get. Of more probes the oldest are asked for.
	maxPolled = 64
	// probeExpiry is in seconds: longer than a probe is asked for, with clocks of the nodes a minute apart.
	probeExpiry = 300
)

// Indexes of a prober's connections.
const (
	toWrite = iota
	toRead
)

// probe is a key that was set and has not been seen at the other node.
type probe struct {
	number int
	sentAt int64 // ns
}

// prober sets new keys at one node and asks another one for them. One thread runs it.
type prober struct {
	config *LagConfig
	poller *poller
	conns  [2]*conn
	buf    []byte    // what was read
	out    []byte    // what is to be written
	start  time.Time // zero of all times in ns

	prefix string // of all keys; differs from run to run, so that no key is there before it is set
	set    string // a set after its key

	waiting  []probe // oldest first
	polling  bool    // a get is under way
	polledAt int64   // ns, when it was sent

	probes, timeouts uint64
	late             uint64    // probes that were not sent because this thread did not run when they were due
	lag, poll        histogram // of probes; of round trips of gets
	counts           counts
}

func newProber(ctx context.Context, c *LagConfig) (*prober, error) {
	poller, err := newPoller()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	p := &prober{
		config: c, poller: poller, start: start,
		buf:    make([]byte, readSize),
		prefix: "lag-" + strconv.FormatInt(start.UnixNano(), 36) + "-",
		set:    fmt.Sprintf(" 0 %d %d\r\n%s\r\n", probeExpiry, c.ValueSize, strings.Repeat("p", c.ValueSize)),
	}
	for i, address := range []string{toWrite: c.Write, toRead: c.Read} {
		// Times are kept with the probes, not with the connection.
		conn, err := dial(ctx, &Config{Protocol: Memcache, Address: address}, 0)
		if err != nil {
			p.close()
			return nil, err
		}
		p.conns[i] = conn
		if err := poller.watch(unix.EPOLL_CTL_ADD, conn.fd, i, false); err != nil {
			p.close()
			return nil, err
		}
	}
	p.conns[toRead].scan = &keyScanner{found: p.found}
	return p, nil
}

func (p *prober) close() {
	for _, c := range p.conns {
		if c != nil {
			c.close()
		}
	}
	p.poller.close()
}

func (p *prober) now() int64 { return int64(time.Since(p.start)) }

// run sends probes from begin to before end, and returns when each of them was seen or has timed out. When it
// was kept from running, it sends one probe for all that have become due: many at one moment would be one
// sample that counts many times.
func (p *prober) run(ctx context.Context, begin, end int64) error {
	interval := 1e9 / p.config.ProbeRate
	due := float64(begin)
	for {
		now := p.now()
		if due < float64(end) && due <= float64(now) {
			if err := p.sendProbe(); err != nil {
				return err
			}
			due += interval
			for ; due < float64(end) && due <= float64(now); due += interval {
				p.late++
			}
		}
		p.expire(now)
		if due >= float64(end) && len(p.waiting) == 0 {
			return nil
		}
		if len(p.waiting) > 0 && !p.polling {
			if err := p.sendPoll(); err != nil {
				return err
			}
		}
		until := now + int64(pollInterval)
		if due < float64(end) {
			until = min(until, int64(due))
		}
		if len(p.waiting) > 0 {
			until = min(until, p.waiting[0].sentAt+int64(p.config.Timeout))
		}
		if err := p.turn(ctx, time.Duration(until-p.now())); err != nil {
			return err
		}
	}
}

func (p *prober) sendProbe() error {
	out := append(p.out[:0], "set "...)
	out = p.appendKey(out, int(p.probes))
	p.out = append(out, p.set...)
	p.waiting = append(p.waiting, probe{int(p.probes), p.now()})
	p.probes++
	return p.conns[toWrite].send(p.out, p.poller, toWrite)
}

// sendPoll asks for all waiting probes, or for the oldest of many.
func (p *prober) sendPoll() error {
	out := append(p.out[:0], "get"...)
	for _, w := range p.waiting[:min(len(p.waiting), maxPolled)] {
		out = append(out, ' ')
		out = p.appendKey(out, w.number)
	}
	p.out = append(out, "\r\n"...)
	p.polling, p.polledAt = true, p.now()
	return p.conns[toRead].send(p.out, p.poller, toRead)
}

func (p *prober) appendKey(dst []byte, number int) []byte {
	dst = append(dst, p.prefix...)
	return strconv.AppendInt(dst, int64(number), 10)
}

// found takes a key of a get's reply.
func (p *prober) found(key []byte) {
	digits, ok := bytes.CutPrefix(key, []byte(p.prefix))
	number, err := strconv.Atoi(string(digits))
	if !ok || err != nil {
		return
	}
	for i, w := range p.waiting {
		if w.number == number {
			p.lag.record(p.now() - w.sentAt)
			p.waiting = slices.Delete(p.waiting, i, i+1)
			return
		}
	}
}

// expire gives up the probes that have waited too long. They count with the timeout: leaving them out would
// make a lag look better the worse it is.
func (p *prober) expire(now int64) {
	for len(p.waiting) > 0 && now-p.waiting[0].sentAt >= int64(p.config.Timeout) {
		p.lag.record(now - p.waiting[0].sentAt)
		p.timeouts++
		p.waiting = slices.Delete(p.waiting, 0, 1)
	}
}

// turn waits for events and handles them.
func (p *prober) turn(ctx context.Context, timeout time.Duration) error {
	events, err := p.poller.wait(timeout)
	if err != nil {
		return err
	}
	for _, e := range events {
		i := int(e.Fd)
		if e.Events&unix.EPOLLOUT != 0 {
			if err := p.conns[i].flush(p.poller, i); err != nil {
				return err
			}
		}
		if e.Events&^unix.EPOLLOUT != 0 {
			if err := p.receive(i); err != nil {
				return fmt.Errorf("probes at %s: %w", [...]string{p.config.Write, p.config.Read}[i], err)
			}
		}
	}
	return context.Cause(ctx)
}

func (p *prober) receive(i int) error {
	c := p.conns[i]
	n, err := c.read(p.buf)
	if err != nil {
		if err == errAgain {
			return nil
		}
		return err
	}
	replies, err := c.scan.scan(p.buf[:n], &p.counts)
	if err != nil || replies == 0 || i == toWrite {
		return err
	}
	if replies > 1 || !p.polling {
		return errUnasked
	}
	p.polling = false
	p.poll.record(p.now() - p.polledAt)
	return nil
}

// keyScanner reads replies of get in memcached's text protocol and tells their keys.
type keyScanner struct {
	lines
	// found is called with each key, which it must not keep, when the line before its value has arrived.
	found func(key []byte)
}

func (s *keyScanner) scan(b []byte, c *counts) (int, error) {
	replies := 0
	for {
		line, rest, ok, err := s.next(b)
		if !ok || err != nil {
			return replies, err
		}
		b = rest
		if words, isValue := bytes.CutPrefix(line, []byte("VALUE ")); isValue {
			size, err := valueSize(line)
			if err != nil {
				return replies, err
			}
			s.skip = size + len("\r\n")
			key, _, _ := bytes.Cut(words, []byte(" "))
			s.found(key)
			continue
		}
		if string(line) != "END" {
			c.failed(line)
		}
		replies++
	}
}
