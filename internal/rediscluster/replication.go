package rediscluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	// maxWords is how many words a command of a replication stream may have; a DEL of many keys is the longest.
	maxWords = 1 << 20
	// maxLine is the longest line of Redis' protocol that is read here.
	maxLine = 4 << 10
	// maxFloorText is how much of the word behind a key of flush_all is kept.
	maxFloorText = 64
	// ackInterval is how often a master hears that its replica lives: it cuts off one that says nothing for repl-timeout, a minute.
	ackInterval = 15 * time.Second
)

// errReplication says that what a master sends is no replication stream.
var errReplication = errors.New("read the replication stream")

// errFull says that a master does not go on behind an offset: it would send everything.
var errFull = errors.New("the master does not know what follows any more")

// attach asks a master for what follows an offset, as a replica does. It acknowledges nothing, so that it does not count for WAIT.
func (s *Store) attach(ctx context.Context, addr string, o *offset) (net.Conn, *bufio.Reader, error) {
	nc, in, err := s.dialReplication(ctx, addr)
	if err != nil {
		return nil, nil, err
	}
	line, err := ask(nc, in, "PSYNC", hex.EncodeToString(o.replication[:]), strconv.FormatUint(o.at+1, 10))
	word, id, _ := strings.Cut(line, " ")
	switch {
	case err != nil:
	case word == "+FULLRESYNC":
		err = errFull
	case word != "+CONTINUE":
		err = fmt.Errorf("%w: %q", errReplication, line)
	case id != "" && id != hex.EncodeToString(o.replication[:]):
		err = errFull // a replica that has taken over: what it lacks is not known
	}
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, in, nil
}

// dialReplication opens a connection of its own to a server.
func (s *Store) dialReplication(ctx context.Context, addr string) (_ net.Conn, _ *bufio.Reader, err error) {
	d := net.Dialer{Timeout: min(s.cfg.Timeout, time.Second), KeepAlive: time.Second}
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	if s.cfg.TLS != nil {
		if nc, err = s.cfg.TLS.Client(ctx, nc, addr); err != nil {
			return nil, nil, err
		}
	}
	if err := nc.SetDeadline(time.Now().Add(s.cfg.Timeout)); err != nil {
		nc.Close()
		return nil, nil, err
	}
	in := bufio.NewReaderSize(nc, 64<<10)
	steps := [][]string{{"REPLCONF", "capa", "eof", "capa", "psync2"}}
	if password := s.cfg.Password.Text(); password != "" {
		login := []string{"AUTH", password}
		if s.cfg.User != "" {
			login = []string{"AUTH", s.cfg.User, password}
		}
		steps = append([][]string{login}, steps...)
	}
	for _, words := range steps {
		if line, err := ask(nc, in, words...); err != nil || line != "+OK" {
			nc.Close()
			return nil, nil, fmt.Errorf("%s: %q: %w", words[0], line, errors.Join(err, errReplication))
		}
	}
	return nc, in, nil
}

// ask sends a command and returns the line that comes. Empty ones keep a connection alive.
func ask(w io.Writer, in *bufio.Reader, words ...string) (line string, err error) {
	if _, err := w.Write(appendCommand(nil, words...)); err != nil {
		return "", err
	}
	for line == "" && err == nil {
		line, _, err = readLine(in)
	}
	return line, err
}

func appendCommand(b []byte, words ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, word := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b
}

// readLine reads a line, and says how many bytes it took.
func readLine(in *bufio.Reader) (line string, n uint64, err error) {
	b, err := in.ReadSlice('\n')
	if err != nil {
		return "", 0, err
	}
	if len(b) > maxLine {
		return "", 0, fmt.Errorf("%w: a line of %d bytes", errReplication, len(b))
	}
	return string(bytes.TrimRight(b, "\r\n")), uint64(len(b)), nil
}

// executed is what a master has executed, as far as it matters here.
type executed struct {
	name string   // in upper case
	keys [][]byte // of records that it names, without the prefix
	// floors are what it may have stored under the keys of flush_all.
	floors []floor
	size   uint64 // bytes of the stream
}

// readExecuted reads a command of a replication stream. Of values it keeps nothing: a word that does not begin as our keys do is passed over. A
// value that does so by chance names a key that has not changed, which does no harm.
func readExecuted(in *bufio.Reader, prefix string) (c executed, err error) {
	records, floors := []byte(prefix+"k:"), []byte(prefix+"flush:")
	line, n, err := readLine(in)
	if err != nil {
		return c, err
	}
	c.size = n
	if line == "" {
		return c, nil
	}
	words, err := strconv.Atoi(strings.TrimPrefix(line, "*"))
	if err != nil || line[0] != '*' || words < 1 || words > maxWords {
		return c, fmt.Errorf("%w: %.40q in the place of a command", errReplication, line)
	}
	atFloor := false
	for i := range words {
		line, n, err := readLine(in)
		if err != nil {
			return c, unexpected(err)
		}
		size, err := strconv.ParseInt(strings.TrimPrefix(line, "$"), 10, 64)
		if err != nil || line == "" || line[0] != '$' || size < 0 || size > 1<<40 {
			return c, fmt.Errorf("%w: %.40q in the place of a word", errReplication, line)
		}
		c.size += n + uint64(size) + 2
		word, err := keepWord(in, size, func(begin []byte) int64 {
			switch {
			case i == 0 || atFloor:
				return maxFloorText
			case bytes.HasPrefix(begin, records):
				return int64(len(records)) + maxKey
			case bytes.HasPrefix(begin, floors):
				return maxFloorText + int64(len(floors))
			}
			return 0
		}, max(len(records), len(floors)))
		if err != nil {
			return c, unexpected(err)
		}
		if atFloor {
			if f, err := parseFloor(string(word)); err == nil {
				c.floors = append(c.floors, f)
			}
		}
		atFloor = false
		switch {
		case i == 0:
			c.name = strings.ToUpper(string(word))
		case len(word) > len(records) && bytes.HasPrefix(word, records):
			c.keys = append(c.keys, word[len(records):])
		case bytes.HasPrefix(word, floors):
			atFloor = true
		}
	}
	return c, nil
}

// maxKey is the size of the longest key of a record.
const maxKey = 1<<16 - 1

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// keepWord reads a word of size bytes and the end of its line. It is kept, nil else, if it is not longer than want says of its first bytes.
func keepWord(in *bufio.Reader, size int64, want func(begin []byte) int64, look int) (word []byte, err error) {
	begin, err := in.Peek(int(min(size, int64(look))))
	if err != nil {
		return nil, err
	}
	left := size
	if size <= want(begin) {
		word, left = make([]byte, size), 0
		if _, err := io.ReadFull(in, word); err != nil {
			return nil, err
		}
	}
	if _, err := io.CopyN(io.Discard, in, left); err != nil {
		return nil, err
	}
	var end [2]byte
	if _, err := io.ReadFull(in, end[:]); err != nil {
		return nil, err
	}
	if string(end[:]) != "\r\n" {
		return nil, errReplication
	}
	return word, nil
}
