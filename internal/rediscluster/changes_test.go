package rediscluster

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestReadExecuted(t *testing.T) {
	long := strings.Repeat("k", 70000)
	for _, tt := range []struct {
		words []string
		keys  string
		floor int64
	}{
		{[]string{"SET", "f:k:a", "value"}, "a", 0},
		{[]string{"del", "f:k:a", "f:k:b", "other", "f:k:"}, "a b", 0},
		{[]string{"SET", "f:k:" + long, "x"}, "", 0}, // no key of ours is so long
		{[]string{"SET", "f:flush:3", "7 8 9"}, "", 7},
		{[]string{"SET", "f:flush:3", "7 8 x"}, "", 0},
		{[]string{"SET", "f:flush:3"}, "", 0},
		{[]string{"SET", "f:", strings.Repeat("v", 1<<20)}, "", 0},
		{[]string{"PING"}, "", 0},
	} {
		text := appendCommand(nil, tt.words...)
		c, err := readExecuted(bufio.NewReader(bytes.NewReader(append(text, "more"...))), "f:")
		if err != nil || c.size != uint64(len(text)) || c.name != strings.ToUpper(tt.words[0]) || string(bytes.Join(c.keys, []byte(" "))) != tt.keys {
			t.Errorf("%.60q: got %q %q, %d of %d bytes, %v", tt.words, c.name, c.keys, c.size, len(text), err)
		}
		if tt.floor != 0 && (len(c.floors) != 1 || c.floors[0].version != tt.floor) || tt.floor == 0 && len(c.floors) > 0 {
			t.Errorf("%q: got floors %v", tt.words, c.floors)
		}
		for n := range min(len(text), 200) {
			if _, err := readExecuted(bufio.NewReader(bytes.NewReader(text[:n])), "f:"); err == nil {
				t.Errorf("%.60q: the first %d bytes were enough", tt.words, n)
			}
		}
	}
	for _, text := range []string{"+OK\r\n", "*0\r\n", "*9999999\r\n", "*1\r\n$-1\r\n", "*1\r\n$3\r\nSETxx", "*1\r\n3\r\nSET\r\n", "$3\r\nSET\r\n"} {
		if c, err := readExecuted(bufio.NewReader(strings.NewReader(text)), "f:"); err == nil {
			t.Errorf("%q: got %+v", text, c)
		}
	}
	if c, err := readExecuted(bufio.NewReader(strings.NewReader("\r\n")), "f:"); err != nil || c.size != 2 || c.name != "" {
		t.Errorf("an empty line: got %+v, %v", c, err)
	}
}

// What is no stream ends in an error, and takes no memory in advance.
func FuzzReadExecuted(f *testing.F) {
	f.Add(appendCommand(nil, "SET", "f:k:a", "value"))
	f.Add(appendCommand(nil, "SET", "f:flush:0", "1 2 3"))
	f.Add([]byte("*2\r\n$3\r\nDEL\r\n$99999999999\r\nf:k:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bufio.NewReaderSize(bytes.NewReader(b), 4096)
		taken := uint64(0)
		for {
			c, err := readExecuted(in, "f:")
			if err != nil {
				return
			}
			if taken += c.size; taken > uint64(len(b)) {
				t.Fatalf("took %d of %d bytes", taken, len(b))
			}
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	p := position{sum: 7, masters: []offset{{id: [20]byte{1}, at: 5}, {replication: [20]byte{9}, at: 1 << 40}}}
	f.Add(p.text())
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePosition(text)
		if err == nil && p.text() != text {
			t.Fatalf("%q became %q", text, p.text())
		}
	})
}

func TestParsePosition(t *testing.T) {
	text := (&position{sum: 7, masters: []offset{{id: [20]byte{1}, at: 5}}}).text()
	for n := range len(text) {
		if p, err := parsePosition(text[:n]); err == nil {
			t.Errorf("the first %d of %d characters: got %+v", n, len(text), p)
		}
	}
	if _, err := parsePosition(strings.Repeat("A", maxPosition+1)); err == nil {
		t.Error("a position that is too long was taken")
	}
}

// The mark that RESP3 puts before a text is no part of an id, wherever the line of the node that was asked stands.
func TestParseMyself(t *testing.T) {
	const id = "0e71c494139be8b9ffac44ba09065e427ba5afde"
	mine := id + " 127.0.0.1:1@2 myself,master - 0 0 3 connected 0-99 [100->-x]\n"
	other := "6cf029982799f8760ca3ca25ac17abd702b27dea 127.0.0.1:3@4 master - 0 0 1 connected 100-16383\n"
	for _, text := range []string{mine + other, other + mine, "txt:" + mine + other, "txt:" + other + mine} {
		if got, claim, moving, n := parseMyself(text); got != id || claim != "3 0-99 " || !moving || n != 100 {
			t.Errorf("%q: got %q, %q, %v, %d", text, got, claim, moving, n)
		}
		met := "ffff029982799f8760ca3ca25ac17abd702b27de 127.0.0.1:5@6 handshake - 0 0 0 connected\n"
		if ids := parseIDs(text + met); len(ids) != 2 || !slices.Contains(ids, id) || !slices.Contains(ids, other[:40]) {
			t.Errorf("%q: ids %q", text, ids)
		}
	}
}
