//go:build linux

package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestKnownDifferencesAreDocumented keeps the table from letting through what docs/compat.md does not say.
func TestKnownDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Concat(knownDifferences, clusterDifferences) {
		if !strings.Contains(string(text), "\n| "+k.row+" |") {
			t.Errorf("docs/compat.md has no row %q", k.row)
		}
		if k.normalise == nil && k.behind == nil && k.avoid == nil && k.alone == nil && k.echoes == nil && k.uncounted == nil && !k.drops {
			t.Errorf("the row %q does nothing", k.row)
		}
	}
}

// TestEqual shows what is a difference, and what is none.
func TestEqual(t *testing.T) {
	for _, c := range []struct {
		name, memcached, futago string
		equal                   bool
	}{
		{"same", "VALUE t0 0 1\r\na\r\nEND\r\n", "VALUE t0 0 1\r\na\r\nEND\r\n", true},
		{"value", "VALUE t0 0 1\r\na\r\nEND\r\n", "VALUE t0 0 1\r\nb\r\nEND\r\n", false},
		{"flags", "VALUE t0 0 1\r\na\r\nEND\r\n", "VALUE t0 1 1\r\na\r\nEND\r\n", false},
		{"a line less", "STORED\r\nSTORED\r\n", "STORED\r\n", false},
		{"no line end", "STORED\r\n", "STORED", false},
		{"uniques", "HD c1\r\nHD c2\r\nHD c1\r\n", "HD c900\r\nHD c700\r\nHD c900\r\n", true},
		{"a unique came again", "HD c1\r\nHD c2\r\n", "HD c900\r\nHD c900\r\n", false},
		{"a unique changed", "HD c1\r\nHD c1\r\n", "HD c900\r\nHD c901\r\n", false},
		{"no unique", "HD c0\r\n", "HD c1\r\n", false},
		{"near", "HD t30\r\n", "HD t29\r\n", true},
		{"far", "HD t30\r\n", "HD t27\r\n", false},
		{"for ever", "HD t-1\r\n", "HD t0\r\n", false},
		{"past", "HD t4294967200\r\n", "HD t0\r\n", true},
		{"padded", "VALUE n0 0 2 5\r\n9 \r\n", "VALUE n0 0 1 77\r\n9\r\n", true},
		{"not padded", "VA 2\r\na \r\n", "VA 1\r\na\r\n", false},
		{"version", "VERSION 1.6.18\r\n", "VERSION 1.6.18 futago-1.0.0\r\n", true},
		{"me", "ME k exp=-9 la=1 cas=3 fetch=no cls=1 size=70\r\n", "ME k exp=9 la=0 cas=8 fetch=no cls=1 size=9\r\n", true},
		{"fetched", "ME k exp=-9 la=1 cas=3 fetch=no cls=1 size=70\r\n", "ME k exp=9 la=0 cas=8 fetch=yes cls=1 size=9\r\n", false},
	} {
		if got := newPairing().equal(normalise(parseText(c.memcached)), normalise(parseText(c.futago))); got != c.equal {
			t.Errorf("%s: equal is %v, want %v", c.name, got, c.equal)
		}
	}
}

// TestMessages shows which requests the table takes for what.
func TestMessages(t *testing.T) {
	kinds := map[string]func(message) bool{"flushes": message.flushes, "flushesLater": message.flushesLater, "joins": message.joins,
		"grows": message.grows, "marks": message.marks, "newFlags": message.newFlags}
	for _, c := range []struct {
		request request
		is      string
	}{
		{request{text: "flush_all\r\n"}, "flushes"},
		{request{text: "flush_all 0 noreply\r\n"}, "flushes"},
		{request{text: "flush_all -1\r\n"}, "flushes"},
		{request{text: "flush_all 3 noreply\n"}, "flushes flushesLater"},
		{request{text: "flush_all ${now+3}\r\n"}, "flushes flushesLater"},
		{request{conn: binaryConn, packet: &packet{op: 0x18}}, "flushes"},
		{request{conn: binaryConn, packet: &packet{op: 8, extras: []byte{0, 0, 0, 2}}}, "flushes flushesLater"},
		{request{text: "append t0 0 0 1\r\na\r\n"}, "joins"},
		{request{text: "ms t0 1 MP\r\na\r\n"}, "joins"},
		{request{text: "ms t0 1 MS N0\r\na\r\n"}, ""},
		{request{text: "ms t0 1 MA N0\r\na\r\n"}, "joins newFlags"},
		{request{text: "ms t0 1 s\r\na\r\n"}, "newFlags"},
		{request{text: "mg t0 C${last}\r\n"}, "newFlags"},
		{request{text: "mg t0 Cx\r\n"}, ""},
		{request{text: "mg t0 Ex\r\n"}, "newFlags"},
		{request{text: "ma t0 E1\r\n"}, "grows newFlags"},
		{request{text: "ma t0 E1\t\r\n"}, "grows newFlags"},
		{request{text: "ma t0 Ex\r\n"}, "grows"},
		{request{text: "ma n0 D5 MD\r\n"}, ""},
		{request{text: "ma n0 D0 MI\r\n"}, ""},
		{request{text: "mg n0 N30\r\n"}, "marks"},
		{request{text: "md n0 I\r\n"}, "marks"},
		{request{text: "md t0 x Ex\r\n"}, ""},
		{request{text: "me t0 x E1\r\n"}, ""},
	} {
		for name, kind := range kinds {
			if got, want := kind(messageOf(&c.request)), slices.Contains(strings.Fields(c.is), name); got != want {
				t.Errorf("%s of %s is %v, want %v", name, c.request.line(nil), got, want)
			}
		}
	}
}
