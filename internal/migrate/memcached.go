package migrate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/futago/futago/internal/memcache"
	"github.com/futago/futago/internal/tyrant"
)

// ErrNoList says that a memcached does not list its keys.
var ErrNoList = errors.New("the server does not list its keys")

// Memcached is a Source: all records of a server that speaks memcached's text protocol, 1.6 or later. It has no places: to go on is to
// begin anew.
type Memcached struct {
	// Dial connects to it.
	Dial func(ctx context.Context) (net.Conn, error)
	// Timeout is the longest wait for bytes, and for another one who lists its keys.
	Timeout time.Duration
}

const (
	// memcachedLine bounds a line that a memcached sends, in bytes.
	memcachedLine = 8 << 10
	// busyPause is how long it is waited while another one lists keys.
	busyPause = time.Second
	// listPasses bounds how often all keys are asked for.
	listPasses = 10
)

// Read gives all records to the sink.
func (m *Memcached) Read(ctx context.Context, _ string, to *Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c, err := m.connect(ctx)
	if err != nil {
		return err
	}
	total, err := c.items()
	if err != nil {
		return err
	}
	pages := make(chan [][]byte, 4)
	go func() {
		defer close(pages)
		if err := m.list(ctx, pages); err != nil {
			cancel(fmt.Errorf("list keys: %w", err))
		}
	}()
	done := int64(0)
	for page := range pages {
		wanted := page[:0]
		for _, key := range page {
			if bytes.HasPrefix(key, to.Prefix()) {
				wanted = append(wanted, key)
			} else {
				to.Skip("of another prefix", keyName(key))
			}
		}
		if err := c.read(ctx, wanted, to); err != nil {
			return err
		}
		done += int64(len(page))
		if err := to.At("", done, total); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// memcachedConn is one connection.
type memcachedConn struct {
	nc net.Conn
	r  *bufio.Reader
	w  *bufio.Writer
}

// connect connects until ctx ends.
func (m *Memcached) connect(ctx context.Context) (*memcachedConn, error) {
	nc, err := m.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the source: %w", err)
	}
	context.AfterFunc(ctx, func() { nc.Close() })
	p := patientConn{nc, m.Timeout}
	return &memcachedConn{nc, bufio.NewReaderSize(p, memcachedLine), bufio.NewWriter(p)}, nil
}

// patientConn gives each read and write the whole timeout.
type patientConn struct {
	net.Conn
	timeout time.Duration
}

func (c patientConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c patientConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// line reads a line without its end, valid until the next read.
func (c *memcachedConn) line() ([]byte, error) {
	text, err := c.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("a line of more than %d bytes, it begins with %.40q", memcachedLine, text)
	case err == io.EOF:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(text[:len(text)-1], []byte("\r")), nil
}

func (c *memcachedConn) send(command string) error {
	c.w.WriteString(command)
	return c.w.Flush()
}

// items asks how many records there are.
func (c *memcachedConn) items() (n int64, err error) {
	if err := c.send("stats\r\n"); err != nil {
		return 0, fmt.Errorf("ask the source: %w", err)
	}
	for {
		line, err := c.line()
		if err != nil {
			return 0, fmt.Errorf("read stats of the source: %w", err)
		}
		if text, ok := bytes.CutPrefix(line, []byte("STAT curr_items ")); ok {
			n, _ = strconv.ParseInt(string(text), 10, 64)
		}
		if string(line) == "END" {
			return n, nil
		}
		if !bytes.HasPrefix(line, []byte("STAT ")) {
			return 0, fmt.Errorf("read stats of the source: it says %.80q", line)
		}
	}
}

// keySet knows keys by their hashes: 8 bytes of each, and of ten million keys two are taken for one once in 300,000 sets.
type keySet struct {
	seed maphash.Seed
	has  map[uint64]struct{}
}

// add reports whether the key is new.
func (s *keySet) add(key []byte) bool {
	before := len(s.has)
	s.has[maphash.Bytes(s.seed, key)] = struct{}{}
	return len(s.has) > before
}

// list sends all keys, each once. A memcached lists its queues one after another, and a record that moves from one to the other
// meanwhile, as it does when it is read, may be in none of them or in two. So it is asked until it names no new key. (Its list by hash
// table has no such gap, but can stop a memcached 1.6.18 for ever when the table grows.)
func (m *Memcached) list(ctx context.Context, pages chan<- [][]byte) error {
	seen := keySet{maphash.MakeSeed(), make(map[uint64]struct{})}
	for range listPasses {
		before := len(seen.has)
		err := m.dump(ctx, "lru_crawler metadump all", "END", parseMetaDump, &seen, pages)
		if errors.Is(err, ErrNoList) {
			if second := m.dump(ctx, "lru_crawler mgdump all", "EN", parseMgDump, &seen, pages); !errors.Is(second, ErrNoList) {
				err = second
			}
		}
		if err != nil || len(seen.has) == before {
			return err
		}
	}
	return nil
}

// dump sends those keys of a list that are new.
func (m *Memcached) dump(ctx context.Context, command, end string, parse func(line []byte) ([]byte, error), seen *keySet, pages chan<- [][]byte) error {
	c, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	line, err := c.begin(ctx, command, m.Timeout)
	var page [][]byte
	for first := true; err == nil; first = false {
		if string(line) == end {
			return send(ctx, pages, page)
		}
		key, problem := parse(line)
		switch {
		case problem != nil && first && refusesList(line):
			return fmt.Errorf("%w: it says %.80q", ErrNoList, line)
		case problem != nil:
			return problem
		}
		if seen.add(key) {
			page = append(page, key)
		}
		if len(page) == batchKeys {
			if err := send(ctx, pages, page); err != nil {
				return err
			}
			page = nil
		}
		line, err = c.line()
	}
	return err
}

// refusesList reports whether a line is the answer to an unknown or forbidden command.
func refusesList(line []byte) bool {
	return bytes.HasPrefix(line, []byte("ERROR")) || bytes.HasPrefix(line, []byte("CLIENT_ERROR")) || bytes.HasPrefix(line, []byte("SERVER_ERROR"))
}

// begin asks for a list until nobody else is given one, and returns its first line.
func (c *memcachedConn) begin(ctx context.Context, command string, patience time.Duration) ([]byte, error) {
	for until := time.Now().Add(patience); ; {
		if err := c.send(command + "\r\n"); err != nil {
			return nil, err
		}
		line, err := c.line()
		if err != nil || !bytes.HasPrefix(line, []byte("BUSY")) {
			return line, err
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("it says %.80q for %v", line, patience)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(busyPause):
		}
	}
}

// parseMetaDump returns the key of a line of lru_crawler metadump.
func parseMetaDump(line []byte) ([]byte, error) {
	text, ok := bytes.CutPrefix(line, []byte("key="))
	text, _, more := bytes.Cut(text, []byte(" "))
	key, err := unescape(text)
	if !ok || !more || err != nil || len(key) == 0 {
		return nil, fmt.Errorf("line of metadump %.80q: want key=, an escaped key and more", line)
	}
	return key, nil
}

// unescape replaces %XX in a copy of the text.
func unescape(text []byte) ([]byte, error) {
	key := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			key = append(key, text[i])
			continue
		}
		if i+3 > len(text) {
			return nil, strconv.ErrSyntax
		}
		b, err := strconv.ParseUint(string(text[i+1:i+3]), 16, 8)
		if err != nil {
			return nil, err
		}
		key = append(key, byte(b))
		i += 2
	}
	return key, nil
}

// parseMgDump returns the key of a line of lru_crawler mgdump.
func parseMgDump(line []byte) (key []byte, err error) {
	text, ok := strings.CutPrefix(string(line), "mg ")
	text, flag, binary := strings.Cut(text, " ")
	if key = []byte(text); binary {
		key, err = base64.StdEncoding.DecodeString(text)
	}
	if !ok || err != nil || len(key) == 0 || binary && flag != "b" {
		return nil, fmt.Errorf("line of mgdump %.80q: want mg and a key", line)
	}
	return key, nil
}

// read gives what the source has under the keys to the sink.
func (c *memcachedConn) read(ctx context.Context, keys [][]byte, to *Sink) error {
	var request []byte
	asked := keys[:0:0]
	for _, key := range keys {
		with := len(request)
		if request = appendMetaGet(request, key); len(request) == with {
			to.Fail("key that the source cannot be asked for", keyName(key))
			continue
		}
		asked = append(asked, key)
	}
	sent := make(chan error, 1)
	go func() { // the server may wait for somebody to read before it takes all of it
		_, err := c.w.Write(request)
		sent <- errors.Join(err, c.w.Flush())
	}()
	for _, key := range asked {
		if err := c.readItem(key, to); err != nil {
			c.nc.Close()
			<-sent
			return fmt.Errorf("read %.64q: %w", key, reason(ctx, err))
		}
	}
	return <-sent
}

// metaGet is what stands behind the key: the value, the flags, the time left, and that it does not count as a read.
const metaGet = " v f t u"

// appendMetaGet appends the request for a record, or nothing for a key that no request can carry.
func appendMetaGet(dst, key []byte) []byte {
	switch {
	case memcache.ValidKey(string(key)):
		dst = append(append(append(dst, "mg "...), key...), metaGet...)
	case base64.StdEncoding.EncodedLen(len(key)) > memcache.MaxKeyLength:
		return dst
	default:
		dst = append(base64.StdEncoding.AppendEncode(append(dst, "mg "...), key), metaGet+" b"...)
	}
	return append(dst, '\r', '\n')
}

// readItem reads the answer for a key.
func (c *memcachedConn) readItem(key []byte, to *Sink) error {
	line, err := c.line()
	if err != nil {
		return err
	}
	if string(line) == "EN" {
		to.Skip(reasonGone, keyName(key))
		return nil
	}
	if bytes.HasPrefix(line, []byte("SERVER_ERROR")) {
		to.Fail(fmt.Sprintf("the source says %.80q", line), keyName(key))
		return nil
	}
	i := tyrant.Item{Key: key}
	size, err := parseMetaValue(line, &i, time.Now())
	if err != nil {
		return err
	}
	if size > to.MaxValue() {
		if _, err := io.CopyN(io.Discard, c.r, size); err != nil {
			return err
		}
		to.Fail(reasonValue, keyName(key))
		return c.end()
	}
	if i.Value, err = readValue(c.r, size); err != nil {
		return err
	}
	if err := c.end(); err != nil {
		return err
	}
	return to.Put(i)
}

// readValue reads so many bytes, taking memory as they arrive.
func readValue(r io.Reader, size int64) ([]byte, error) {
	var b bytes.Buffer
	if size <= batchReply {
		b.Grow(int(size) + bytes.MinRead)
	}
	n, err := io.CopyN(&b, r, size)
	if n < size && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b.Bytes(), err
}

// end reads the end of the line behind a value.
func (c *memcachedConn) end() error {
	line, err := c.line()
	if err == nil && len(line) > 0 {
		err = fmt.Errorf("%.40q stands behind the value", line)
	}
	return err
}

// parseMetaValue reads flags and expiry from the line before a value, which has size bytes.
func parseMetaValue(line []byte, i *tyrant.Item, now time.Time) (size int64, err error) {
	fields := strings.Fields(string(line))
	if len(fields) < 2 || fields[0] != "VA" {
		return 0, fmt.Errorf("the source says %.80q to mg, which memcached has since 1.6", line)
	}
	if size, err = strconv.ParseInt(fields[1], 10, 64); err != nil || size < 0 {
		return 0, fmt.Errorf("the source says %.80q: size", line)
	}
	for _, f := range fields[2:] {
		switch f[0] {
		case 'f':
			flags, err := strconv.ParseUint(f[1:], 10, 32)
			if err != nil {
				return 0, fmt.Errorf("the source says %.80q: flags", line)
			}
			i.Flags = uint32(flags)
		case 't':
			left, err := strconv.ParseInt(f[1:], 10, 64)
			if err != nil || left < -1 || left > lastExpiry/1000 {
				return 0, fmt.Errorf("the source says %.80q: time to live", line)
			}
			if left >= 0 {
				i.Expires = min(now.UnixMilli()+left*1000, lastExpiry)
			}
		}
	}
	return size, nil
}
