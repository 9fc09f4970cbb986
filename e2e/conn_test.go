//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replyLimit is how long a test waits for one reply.
const replyLimit = 20 * time.Second

// conn is one connection of a client that speaks memcached text.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, replyLimit)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 64<<10)}, nil
}

// dial connects to the node for as long as the test runs.
func (n *node) dial(t *testing.T) *conn {
	t.Helper()
	c, err := dial(n.client)
	if err != nil {
		t.Fatalf("connect to node %s: %v", n.name, err)
	}
	t.Cleanup(func() { c.Close() })
	if n.login != "" {
		c.expect(t, setCommand("auth", n.login), "STORED")
	}
	return c
}

// line reads one reply line, without its end.
func (c *conn) line() (string, error) {
	c.SetReadDeadline(time.Now().Add(replyLimit))
	s, err := c.r.ReadString('\n')
	return strings.TrimRight(s, "\r\n"), err
}

// do sends text and returns the first line of the reply.
func (c *conn) do(text string) (string, error) {
	c.SetWriteDeadline(time.Now().Add(replyLimit))
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	return c.line()
}

// expect sends text and demands the reply line.
func (c *conn) expect(t *testing.T, text, want string) {
	t.Helper()
	if got, err := c.do(text); err != nil || got != want {
		t.Fatalf("%.100q to %v: got %.200q and error %v, want %q", text, c.RemoteAddr(), got, err, want)
	}
}

func setCommand(key, value string) string {
	return fmt.Sprintf("set %s 0 0 %d\r\n%s\r\n", key, len(value), value)
}

func (c *conn) set(t *testing.T, key, value string) {
	t.Helper()
	c.expect(t, setCommand(key, value), "STORED")
}

// pipeline sends commands in groups and demands the same reply line to each.
func (c *conn) pipeline(t *testing.T, want string, commands []string) {
	t.Helper()
	for group := range slices.Chunk(commands, 200) {
		c.SetWriteDeadline(time.Now().Add(replyLimit))
		if _, err := io.WriteString(c, strings.Join(group, "")); err != nil {
			t.Fatal(err)
		}
		for _, command := range group {
			if got, err := c.line(); err != nil || got != want {
				t.Fatalf("%.100q: got %q and error %v, want %q", command, got, err, want)
			}
		}
	}
}

// item is a record as a client sees it.
type item struct {
	value string
	token string // the CAS unique
}

// read returns the records of keys; absent ones are not in the map.
func (c *conn) read(keys []string) (map[string]item, error) {
	items := make(map[string]item, len(keys))
	for group := range slices.Chunk(keys, 100) {
		line, err := c.do("gets " + strings.Join(group, " ") + "\r\n")
		for ; err == nil && line != "END"; line, err = c.line() {
			f := strings.Fields(line)
			if len(f) != 5 || f[0] != "VALUE" {
				return nil, fmt.Errorf("reply to gets: got %q", line)
			}
			size, err := strconv.Atoi(f[3])
			if err != nil {
				return nil, err
			}
			value := make([]byte, size+2)
			if _, err := io.ReadFull(c.r, value); err != nil {
				return nil, err
			}
			if !bytes.HasSuffix(value, []byte("\r\n")) {
				return nil, fmt.Errorf("value of %s does not end where it must", f[1])
			}
			items[f[1]] = item{string(value[:size]), f[4]}
		}
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}

// get returns a value, and whether the key is there.
func (c *conn) get(key string) (string, bool, error) {
	items, err := c.read([]string{key})
	got, ok := items[key]
	return got.value, ok, err
}

// readAll is read on a connection of its own, and fails the test on errors.
func (n *node) readAll(t *testing.T, keys []string) map[string]item {
	t.Helper()
	c := n.dial(t)
	defer c.Close()
	items, err := c.read(keys)
	if err != nil {
		t.Fatalf("read from node %s: %v", n.name, err)
	}
	return items
}

// names returns n keys.
func names(prefix string, n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return keys
}

// setAll stores all keys with one value through one node.
func (n *node) setAll(t *testing.T, keys []string, value string) {
	t.Helper()
	c := n.dial(t)
	defer c.Close()
	commands := make([]string, len(keys))
	for i, key := range keys {
		commands[i] = setCommand(key, value)
	}
	c.pipeline(t, "STORED", commands)
}

func (n *node) deleteAll(t *testing.T, keys []string) {
	t.Helper()
	c := n.dial(t)
	defer c.Close()
	commands := make([]string, len(keys))
	for i, key := range keys {
		commands[i] = "delete " + key + "\r\n"
	}
	c.pipeline(t, "DELETED", commands)
}

// expectValues demands of a node that every key of want has its value, and that keys with an empty one are absent.
func (n *node) expectValues(t *testing.T, want map[string]string) {
	t.Helper()
	got := n.readAll(t, slices.Collect(maps.Keys(want)))
	wrong, example := 0, ""
	for key, value := range want {
		if got[key].value != value {
			wrong++
			example = fmt.Sprintf("%s is %.40q, want %.40q", key, got[key].value, value)
		}
	}
	if wrong > 0 {
		t.Errorf("node %s: %d of %d records are wrong, such as: %s", n.name, wrong, len(want), example)
	}
}

// differing counts the keys whose record, token included, is not the same on both nodes.
func differing(t *testing.T, p [2]*node, keys []string) int {
	t.Helper()
	a, b := p[0].readAll(t, keys), p[1].readAll(t, keys)
	n := 0
	for _, key := range keys {
		if a[key] != b[key] {
			n++
		}
	}
	return n
}

// waitEqual waits until both nodes hold the same records for keys.
func waitEqual(t *testing.T, p [2]*node, keys []string, limit time.Duration) {
	t.Helper()
	n := 0
	if !within(limit, func() bool { n = differing(t, p, keys); return n == 0 }) {
		t.Errorf("%d of %d records differ after %v, want 0", n, len(keys), busy*limit)
	}
}
