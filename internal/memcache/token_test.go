package memcache

import (
	"fmt"
	"testing"
)

func TestArgListSplit(t *testing.T) {
	for _, c := range []struct {
		text string
		want string
	}{
		{"", "[]"}, {"   ", "[]"}, {"a", "[a]"}, {"  a  b\t c ", "[a b\t c]"},
		{"1 2 3 4 5 6 7", "[1 2 3 4 5 6 7]"}, {"1 2 3 4 5 6 7 8 9", "[1 2 3 4 5 6 7]"},
	} {
		var args argList
		n := args.split([]byte(c.text))
		if got := fmt.Sprintf("%s", args[:n]); got != c.want {
			t.Errorf("split %q: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestNextToken(t *testing.T) {
	for _, c := range []struct{ text, token, rest string }{
		{"", "", ""}, {"  ", "", ""}, {"a", "a", ""}, {" a ", "a", " "}, {"a  b", "a", "  b"}, {"a\tb c", "a\tb", " c"},
	} {
		token, rest := nextToken([]byte(c.text))
		if string(token) != c.token || string(rest) != c.rest {
			t.Errorf("nextToken(%q) = %q, %q; want %q, %q", c.text, token, rest, c.token, c.rest)
		}
	}
}
