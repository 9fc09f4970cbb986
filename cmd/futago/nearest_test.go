package main

import (
	"testing"

	spelling "github.com/futago/futago/internal/nearest"
)

func TestNearest(t *testing.T) {
	known := []string{"listen", "peer", "peer-listen", "max-value", "max-memory", "fsync", "fsync-interval"}
	for name, want := range map[string]string{
		"lisen":           "listen",
		"listen":          "listen",
		"peerlisten":      "peer-listen",
		"max-valeu":       "max-value",
		"fsync-intervall": "fsync-interval",
		"per":             "peer",
		"tls-certificate": "",
		"x":               "",
		"":                "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"kitten", "sitting", 3}, {"ab", "ba", 2}, {"flaw", "lawn", 2},
	} {
		if got := spelling.Distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
