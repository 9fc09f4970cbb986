package transcript

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	ioTimeout    = 10 * time.Second // for one step; a server that owes a reply fails then
	untilTimeout = 10 * time.Second // for all attempts of >?
	untilPause   = 20 * time.Millisecond
)

// Run replays file on the futago server at addr, a TCP host and port. The server must accept values up to 1 MiB less
// memcached's overhead and no larger ones, and nobody else may write to it. It differs from what the file says only as given.
func Run(t testing.TB, addr, file string, differences ...Difference) {
	t.Helper()
	run(t, addr, file, futago, differences...)
}

// Difference is where a server's replies are others than a file says.
type Difference struct {
	Behind  string // how what was sent last begins; empty: in any way
	Wanted  string // part of an expectation, as it stands in the file
	Instead string // what the expectation has there for this server
}

// RunMemcached is Run on memcached 1.6.18 with its default settings.
func RunMemcached(t testing.TB, addr, file string) {
	t.Helper()
	run(t, addr, file, memcached)
}

func run(t testing.TB, addr, file string, side server, differences ...Difference) {
	t.Helper()
	steps, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	differ(steps, differences)
	if err := replay(addr, steps, side); err != nil {
		t.Fatalf("%s:%v", file, err)
	}
}

// differ changes what is expected.
func differ(steps []step, differences []Difference) {
	sent := ""
	for i := range steps {
		s := &steps[i]
		if !s.kind.isExpectation() {
			sent = s.text
			continue
		}
		for _, d := range differences {
			if strings.HasPrefix(sent, d.Behind) {
				s.text = strings.ReplaceAll(s.text, d.Wanted, d.Instead)
			}
		}
	}
}

// replay runs the steps. The error begins with the number of the line that failed.
func replay(addr string, steps []step, side server) error {
	p := player{addr: addr, vars: map[string]string{}}
	defer p.closeAll()
	p.reset()
	last := 0
	for i := 0; i < len(steps); i++ {
		s := steps[i]
		last = s.line
		if s.only != anyServer && s.only != side {
			continue
		}
		var err error
		if s.kind == sendUntil {
			n := 1
			for i+n < len(steps) && steps[i+n].kind.isExpectation() {
				n++
			}
			err = p.until(s, steps[i+1:i+n], side)
			i += n - 1
		} else {
			err = p.play(s)
		}
		if err != nil {
			return fmt.Errorf("%d: %w", s.line, err)
		}
	}
	if err := p.finish(); err != nil {
		return fmt.Errorf("%d: at the end: %w", last, err)
	}
	return nil
}

// player is the state of a replay.
type player struct {
	addr  string
	vars  map[string]string
	conns map[int]*conn
	cur   int
	bin   bool             // the binary protocol is spoken in this section
	among []*regexp.Regexp // wanted among the lines of the next expectMany
}

func (p *player) reset() { p.conns, p.cur, p.among = map[int]*conn{}, 1, nil }

func (p *player) closeAll() {
	for _, c := range p.conns {
		c.Close()
	}
}

// finish checks that no connection holds a reply that nobody expected, and closes them.
func (p *player) finish() error {
	if len(p.among) > 0 {
		return errors.New("<& without <* after it")
	}
	for i, c := range p.conns {
		if c.closed {
			continue
		}
		p.cur = i
		extra, err := p.exchange("")
		if err == nil && len(extra) > 0 {
			err = fmt.Errorf("got %q, want nothing more", extra)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	p.closeAll()
	p.reset()
	return nil
}

func (p *player) play(s step) error {
	switch s.kind {
	case section, binarySection:
		err := p.finish()
		p.bin = s.kind == binarySection
		return err
	case connection:
		i, err := strconv.Atoi(s.text)
		p.cur = i
		return err
	}
	c, err := p.conn()
	if err != nil {
		return err
	}
	switch s.kind {
	case send:
		text, err := p.request(s.text)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c, text)
		return err
	case sendRaw:
		text, err := p.literal(s.text)
		if err != nil {
			return err
		}
		_, err = io.WriteString(c, text)
		return err
	case expect:
		want, err := p.literal(s.text)
		if err != nil {
			return err
		}
		want += "\r\n"
		got, err := c.readLine(want)
		return compare(got, want, err)
	case expectMatch:
		re, err := p.pattern(s.text)
		if err != nil {
			return err
		}
		got, err := c.readWhole()
		return p.match(re, got, err)
	case expectAmong:
		re, err := p.pattern(s.text)
		p.among = append(p.among, re)
		return err
	case expectMany:
		return p.many(c, s.text)
	case expectClose:
		c.closed = true
		// Closing with bytes unread resets the connection.
		if got, err := c.r.ReadString('\n'); got != "" || err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("got %q and %v, want the end of the connection", got, err)
		}
	}
	return nil
}

// conn returns the current connection, with a new deadline.
func (p *player) conn() (*conn, error) {
	c := p.conns[p.cur]
	if c == nil {
		var err error
		if c, err = dial(p.addr, p.bin); err != nil {
			return nil, err
		}
		p.conns[p.cur] = c
	}
	return c, c.SetDeadline(time.Now().Add(ioTimeout))
}

// many takes the lines that match. It looks at a line before it takes it, since the first other line is not its.
func (p *player) many(c *conn, text string) error {
	re, err := p.pattern(text)
	if err != nil {
		return err
	}
	missing := p.among
	p.among = nil
	for {
		line, err := c.peekLine()
		if err != nil {
			return err
		}
		if !re.MatchString(line) {
			break
		}
		for i := len(missing) - 1; i >= 0; i-- {
			if missing[i].MatchString(line) {
				missing = append(missing[:i:i], missing[i+1:]...)
			}
		}
		if _, err := c.r.Discard(len(line) + 2); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no line matches %v", missing)
	}
	return nil
}

// until repeats a command until its whole reply is as expected.
func (p *player) until(s step, wants []step, side server) error {
	text, err := p.request(s.text)
	if err != nil {
		return err
	}
	var want []string
	for _, w := range wants {
		if w.only != anyServer && w.only != side {
			continue
		}
		if w.kind != expect {
			return errors.New("after >? only < may follow")
		}
		line, err := p.literal(w.text)
		if err != nil {
			return err
		}
		want = append(want, line)
	}
	for deadline := time.Now().Add(untilTimeout); ; time.Sleep(untilPause) {
		got, err := p.exchange(text)
		if err != nil {
			return err
		}
		if strings.Join(got, "\r\n") == strings.Join(want, "\r\n") {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %v: got %q, want %q", untilTimeout, got, want)
		}
	}
}

// request is what the text of a send step puts on the wire.
func (p *player) request(text string) (string, error) {
	if p.bin {
		return p.packet(text)
	}
	text, err := p.literal(text)
	return text + "\r\n", err
}

// exchange sends text and a command whose reply is known, and returns the lines that come before that reply.
func (p *player) exchange(text string) (lines []string, err error) {
	c, err := p.conn()
	if err != nil {
		return nil, err
	}
	last, reply := "version\r\n", "VERSION "
	if p.bin {
		last, reply = lastPacket, lastReply
	}
	if _, err := io.WriteString(c, text+last); err != nil {
		return nil, err
	}
	for {
		line, err := c.readLine("")
		if err != nil {
			return lines, fmt.Errorf("wait for %q after %q and %q: %w", reply, lines, line, err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		if strings.HasPrefix(line, reply) {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

func compare(got, want string, err error) error {
	if got == want {
		return nil
	}
	if err != nil {
		return fmt.Errorf("got %q and then %w, want %q", cut(got), err, cut(want))
	}
	return fmt.Errorf("got %q, want %q", cut(got), cut(want))
}

// match compares a line with a pattern and keeps its named groups.
func (p *player) match(re *regexp.Regexp, got string, err error) error {
	line, ok := strings.CutSuffix(got, "\r\n")
	m := re.FindStringSubmatch(line)
	if err != nil || !ok || m == nil {
		return compare(got, re.String(), err)
	}
	for i, name := range re.SubexpNames() {
		if name != "" {
			p.vars[name] = m[i]
		}
	}
	return nil
}

// cut keeps failure messages readable when values are large.
func cut(s string) string {
	const limit = 300
	if len(s) <= limit {
		return s
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:limit], len(s))
}
