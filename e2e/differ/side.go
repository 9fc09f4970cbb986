//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

const (
	// patience is how long a server may think before what was sent counts as the beginning of a request. A server that
	// is slower by chance differs once, and not each time.
	patience = 250 * time.Millisecond
	// endPatience is how long it may take to close a connection that the client has ended.
	endPatience = 20 * time.Second
	// cutPause makes it likely that a server reads what came so far.
	cutPause = 100 * time.Microsecond
	// maxCuts bounds the writes of a request.
	maxCuts = 40
)

// side is one of the two servers and the connections to it.
type side struct {
	name    string
	start   func() (*server, error)
	server  *server // nil before the first stream
	streams int     // that the server has played
	conns   [allConns]net.Conn
	control net.Conn
	vars    map[string]string // uniques that its replies had
	serial  int
}

// outcome is what came of a batch.
type outcome struct {
	bytes  string
	closed bool // the server ended the connection
	waits  bool // the last request is not complete for it
}

// streamsOfServer is how many streams a server lives for, so that what it collects stays small.
const streamsOfServer = 3000

// reset ends all connections and empties the store. A stream that lasts has a server of its own.
func (s *side) reset(lasts bool) error {
	s.vars = map[string]string{}
	if s.server == nil || lasts || s.streams >= streamsOfServer {
		if err := s.restart(); err != nil {
			return err
		}
	}
	s.streams++
	if lasts {
		s.streams = streamsOfServer
	}
	s.closeConns()
	_, err := s.ask("flush_all\r\nstats reset\r\n")
	return err
}

func (s *side) restart() (err error) {
	s.stop()
	if s.server, err = s.start(); err != nil {
		return err
	}
	s.streams = 0
	s.control, err = net.Dial("tcp", s.server.addr)
	return err
}

func (s *side) stop() {
	s.closeConns()
	if s.control != nil {
		s.control.Close()
		s.control = nil
	}
	if s.server != nil {
		s.server.stop()
		s.server = nil
	}
}

func (s *side) closeConns() {
	for i, c := range s.conns {
		if c != nil {
			c.Close()
			s.conns[i] = nil
		}
	}
}

// ask sends commands on the connection of its own, which no request has put out of step.
func (s *side) ask(commands string) (string, error) {
	end := s.mark(0)
	s.control.SetDeadline(time.Now().Add(endPatience))
	if _, err := io.WriteString(s.control, commands+end.ask); err != nil {
		return "", fmt.Errorf("ask %s: %w", s.name, err)
	}
	got, ended, err := readUntil(s.control, end.answer)
	if !ended {
		return "", fmt.Errorf("ask %s: %w after %q", s.name, err, got)
	}
	return got, nil
}

// mark is a request whose answer ends a batch.
type mark struct{ ask, answer string }

func (s *side) mark(conn int) mark {
	s.serial++
	if conn == binaryConn {
		opaque := []byte{0xff, byte(s.serial >> 16), byte(s.serial >> 8), byte(s.serial)}
		frame := func(magic string) string {
			return magic + "\x0a" + strings.Repeat("\x00", 10) + string(opaque) + strings.Repeat("\x00", 8)
		}
		// Two, so that a whole header follows what is out of step.
		return mark{frame("\x80") + frame("\x80"), frame("\x81") + frame("\x81")}
	}
	return mark{fmt.Sprintf("md %s O%09d\r\n", markKey, s.serial), fmt.Sprintf("NF O%09d\r\n", s.serial)}
}

// markKey is a key that no stream stores.
const markKey = "mark"

// do sends a batch and returns what came back.
func (s *side) do(batch stream) (outcome, error) {
	conn := batch[0].conn
	if s.conns[conn] == nil {
		c, err := net.Dial("tcp", s.server.addr)
		if err != nil {
			return outcome{}, fmt.Errorf("connect to %s: %w", s.name, err)
		}
		s.conns[conn] = c
	}
	c := s.conns[conn]
	end := s.mark(conn)
	var b []byte
	var cuts []int
	for i := range batch {
		r := batch[i].bytes(s.vars)
		for at := batch[i].cut; at > 0 && at < len(r) && at <= maxCuts*batch[i].cut; at += batch[i].cut {
			cuts = append(cuts, len(b)+at)
		}
		b = append(b, r...)
	}
	b = append(b, end.ask...)
	// A server that has closed the connection is not to be written to; its replies tell that.
	c.SetDeadline(time.Now().Add(endPatience))
	from := 0
	for _, at := range append(cuts, len(b)) {
		if _, err := c.Write(b[from:at]); err != nil {
			break
		}
		if from = at; at < len(b) {
			time.Sleep(cutPause)
		}
	}
	c.SetReadDeadline(time.Now().Add(patience))
	got, ended, err := readUntil(c, end.answer)
	o := outcome{bytes: got}
	switch {
	case ended:
		return o, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.waits = true
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(endPatience))
		rest, _, err := readUntil(c, "")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return o, fmt.Errorf("%s keeps a connection whose client has ended it", s.name)
		}
		o.bytes += rest
		if late, ok := strings.CutSuffix(o.bytes, end.answer); ok {
			o.bytes, o.waits = late, false // it was only slow
		}
	default:
		o.closed = true
	}
	c.Close()
	s.conns[conn] = nil
	return o, nil
}

// maxReply bounds what is read; no stream asks for more.
const maxReply = 256 << 20

// readUntil reads up to end, which is not part of what it returns, or to the end of the connection.
func readUntil(c net.Conn, end string) (got string, ended bool, err error) {
	var b []byte
	buf := make([]byte, 64<<10)
	for len(b) < maxReply {
		n, err := c.Read(buf)
		b = append(b, buf[:n]...)
		if end != "" && bytes.HasSuffix(b, []byte(end)) {
			return string(b[:len(b)-len(end)]), true, nil
		}
		if err != nil {
			return string(b), false, err
		}
	}
	return string(b), false, errors.New("endless reply")
}

// learn keeps the uniques of a reply.
func (s *side) learn(lines []line) {
	for i := range lines {
		l := &lines[i]
		for j, f := range l.fields {
			if k, at := l.kind(j); k == unique {
				s.vars["last"] = f[at:]
				if key, ok := l.key(); ok {
					s.vars[uniqueOf(key)] = f[at:]
				}
			}
		}
	}
}

// uniqueOf names the variable of the unique that a key was last seen with.
func uniqueOf(key int) string { return fmt.Sprintf("u%d", key) }
