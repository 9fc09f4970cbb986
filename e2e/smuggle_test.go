//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// smuggled are writes in the languages that a server of this kind may speak. Each stores a key if it is run.
var smuggled = map[string]func(key string) string{
	"memcached": func(key string) string { return setCommand(key, "evil") },
	"http": func(key string) string {
		return "PUT /" + key + " HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nevil"
	},
	"memcached binary": func(key string) string {
		head := make([]byte, 24, 24+8)
		head[0], head[1], head[4] = 0x80, 0x01, 8
		binary.BigEndian.PutUint16(head[2:], uint16(len(key)))
		binary.BigEndian.PutUint32(head[8:], uint32(8+len(key)+4))
		return string(head) + strings.Repeat("\x00", 8) + key + "evil"
	},
	"tyrant": func(key string) string {
		head := []byte{0xC8, 0x10}
		head = binary.BigEndian.AppendUint32(head, uint32(len(key)))
		head = binary.BigEndian.AppendUint32(head, 4)
		return string(head) + key + "evil"
	},
	"meta": func(key string) string { return "ms " + key + " 4\r\nevil\r\n" },
}

// A write in the body of another request is never run: neither directly, nor through the gateway, nor through nginx
// with the article's own configuration, through which the original server ran all of them.
func TestSmuggledWritesAreNotRun(t *testing.T) {
	p := startPair(t)
	p[0].setAll(t, []string{"count_there"}, "1")
	var keys []string
	doors := map[string]func(*testing.T, [2]*node) *front{
		"direct": func(t *testing.T, p [2]*node) *front { return &front{addr: p[0].client} },
	}
	for name, start := range fronts {
		doors[name] = start
	}
	for door, start := range doors {
		f := start(t, p)
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "DELETE", "POST", "PATCH", "PROPFIND"} {
			for language, write := range smuggled {
				for _, framing := range []string{"length", "chunked", "both"} {
					key := fmt.Sprintf("count_smuggled-%d", len(keys))
					keys = append(keys, key)
					if err := f.sendBody(method, framing, write(key)); err != nil {
						t.Errorf("%s %s with %s in a body (%s): %v", door, method, language, framing, err)
					}
				}
			}
		}
		if f.proc != nil {
			f.proc.kill()
		}
	}
	// All that was on the way has been judged when no connection is left.
	for _, n := range p {
		eventually(t, "the connections to node "+n.name+" end", 10*time.Second, func() bool {
			return n.connections(t) == 0
		})
		if got := n.readAll(t, keys); len(got) > 0 {
			t.Errorf("node %s: %d of %d smuggled writes were run: %v", n.name, len(got), len(keys), got)
		}
		n.expectValues(t, map[string]string{"count_there": "1"})
	}
	// The same bytes do write where they are a request of their own.
	for language, want := range map[string]string{"memcached": "STORED", "http": "HTTP/1.1 201 Created"} {
		p[0].dial(t).expect(t, smuggled[language]("count_own-"+language), want)
		p[1].expectValues(t, map[string]string{"count_own-" + language: "evil"})
	}
}

// sendBody sends a request with a body and reads the reply to it. What becomes of the connection after it is the
// server's choice, but no second reply may come.
func (f *front) sendBody(method, framing, body string) error {
	c, err := dial(f.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	path := "/count_there"
	if method == "DELETE" {
		path = "/count_deleted"
	}
	head := method + " " + path + " HTTP/1.1\r\nHost: h\r\n"
	switch framing {
	case "length":
		head += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
	case "chunked":
		head += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	case "both": // a classic of its kind: who believes the length takes the body for a request
		head += fmt.Sprintf("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	c.SetDeadline(time.Now().Add(replyLimit))
	if _, err := io.WriteString(c, head); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	resp.Body.Close()
	return noMore(c)
}

// noMore demands that nothing follows on a connection whose client is done. A server that keeps it open has read all
// that was sent when it answers one more request.
func noMore(c *conn) error {
	if _, err := io.WriteString(c, "GET /count_none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		return nil // closed by the server
	}
	resp, err := http.ReadResponse(c.r, &http.Request{Method: "GET"})
	if err != nil {
		return nil // the same
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusBadRequest {
		return fmt.Errorf("the next request was answered with %s", resp.Status)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil
	}
	if left, _ := io.ReadAll(c.r); len(left) > 0 {
		return fmt.Errorf("more replies than requests: %.200q", left)
	}
	return nil
}
