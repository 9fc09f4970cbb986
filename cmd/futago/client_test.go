package main

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago"
)

func TestClientAddr(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1:11211":   "10.0.0.1:11211",
		"[::1]:11211":      "[::1]:11211",
		":11211":           "127.0.0.1:11211",
		"unix:/run/f.sock": "unix:///run/f.sock",
		"unix:///run/f":    "unix:///run/f",
	} {
		if got := clientAddr(addr); got != want {
			t.Errorf("clientAddr(%q) = %q, want %q", addr, got, want)
		}
	}
}

func TestClientHint(t *testing.T) {
	plainPort := func(reply string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, reply)
				c.Close()
			}
		}()
		return l.Addr().String()
	}
	const alert = "\x15\x03\x01\x00\x02\x02\x0a" // unexpected message
	for _, tt := range []struct {
		name, reply string
		secure      bool
		want        string
	}{
		{"an alert", alert, false, "The node speaks TLS there"},
		{"the end", "", false, "If that address speaks TLS"},
		{"the end of a handshake", "", true, "speak no TLS"},
		{"text for a handshake", "ERROR\r\n", true, "speak no TLS"},
		{"an answer", "END\r\n", false, ""},
		{"nonsense", "nonsense\r\n", false, ""},
		{"a stranger's certificate", "", true, "--tls-ca FILE"},
		{"a large value", "SERVER_ERROR object too large for cache\r\n", false, "--max-value"},
		{"a proxy alone", "SERVER_ERROR no upstream is up\r\n", false, "That is a proxy"},
		{"an admin port", "HTTP/1.1 400 Bad Request\r\n\r\n", false, "That address speaks HTTP"},
		{"another protocol", "-ERR unknown command\r\n", false, "does not speak memcached's protocol"},
		{"no right", "CLIENT_ERROR permission denied\r\n", false, "futago users list"},
	} {
		addr := plainPort(tt.reply)
		if tt.name == "a stranger's certificate" {
			stranger := httptest.NewUnstartedServer(nil)
			stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
			stranger.StartTLS()
			t.Cleanup(stranger.Close)
			addr = stranger.Listener.Addr().String()
		}
		config := futago.Config{Servers: []futago.Server{{Addr: addr}}}
		if tt.secure {
			config.TLS = &tls.Config{}
		}
		client, err := futago.New(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Get(t.Context(), "k")
		client.Close()
		got := ""
		if h, ok := errors.AsType[hintError](clientError(err)); ok {
			got = h.hint
		}
		if err == nil || !strings.Contains(got, tt.want) || tt.want == "" && strings.Contains(got, "TLS") {
			t.Errorf("%s: got %q for %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestClientAnswered: a node that answered is not said to be silent, and what became of a write that was sent is not known.
func TestClientAnswered(t *testing.T) {
	for _, tt := range []struct{ name, reply, want, hint string }{
		{"a full disk", "SERVER_ERROR disk is nearly full: 0 B are free\r\n", "disk is nearly full", ""},
		{"no peer", "SERVER_ERROR not stored: no peer is connected, ack=strict\r\n", "ack=strict", ""},
		{"no cluster", "SERVER_ERROR cluster does not answer: nothing was changed, try again\r\n", "nothing was changed", ""},
		{"no confirmation", "SERVER_ERROR effect unknown: stored here\r\n", "effect unknown", "Read the key"},
		{"nothing", "", "effect unknown: no working server", "Read the key to see whether it happened"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				if _, err := c.Read(make([]byte, 4096)); err == nil && tt.reply != "" {
					_, _ = io.WriteString(c, tt.reply)
				}
			}
		}()
		for name, write := range map[string]func(c *futago.Client) error{
			"set":    func(c *futago.Client) error { return c.Set(t.Context(), &futago.Item{Key: "k"}) },
			"delete": func(c *futago.Client) error { return c.Delete(t.Context(), "k") },
			"touch":  func(c *futago.Client) error { return c.Touch(t.Context(), "k", 0) },
			"add":    func(c *futago.Client) error { return c.Add(t.Context(), &futago.Item{Key: "k"}) },
		} {
			client, err := futago.New(futago.Config{Servers: []futago.Server{{Addr: l.Addr().String(), Timeout: 200 * time.Millisecond}}})
			if err != nil {
				t.Fatal(err)
			}
			err = clientError(write(client))
			client.Close()
			h, _ := errors.AsType[hintError](err)
			want := tt.want
			if name == "add" && tt.reply == "" {
				want = "effect unknown"
			}
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(h.hint, "The node was lost before it answered. "+tt.hint) && !strings.HasPrefix(h.hint, tt.hint) || tt.hint == "" && h.hint != "" {
				t.Errorf("%s, %s: got %v and hint %q, want %q and %q", name, tt.name, err, h.hint, want, tt.hint)
			}
		}
	}
}

func TestReadValue(t *testing.T) {
	if got, err := readValue(strings.NewReader("12345"), 5); err != nil || string(got) != "12345" {
		t.Errorf("read 5 of at most 5 bytes: %q, %v", got, err)
	}
	if _, err := readValue(strings.NewReader("123456"), 5); err == nil || !strings.Contains(err.Error(), "more than 5") {
		t.Errorf("read 6 of at most 5 bytes: %v, want an error", err)
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"":          "",
		"hello you": "hello you",
		"größe":     "größe",
		"a\tb":      `"a\tb"`,
		"\xff":      `"\xff"`,
		`"quoted"`:  `"\"quoted\""`,
		"a\u202eb":  `"a\u202eb"`,
	} {
		if got := plain(text); got != want {
			t.Errorf("plain(%q) = %s, want %s", text, got, want)
		}
	}
}
