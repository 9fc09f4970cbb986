package main

import (
	"strings"
	"testing"
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
