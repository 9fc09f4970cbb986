package nearest

import (
	"strings"
	"testing"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"weight", "wieght", 2}, {"a", "a", 0}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: got %d, want %d", c.a, c.b, got, c.want)
		}
	}
	if got := Distance(strings.Repeat("x", 1<<20), "x"); got != maxName-1 {
		t.Errorf("long input: got %d", got)
	}
}

func TestName(t *testing.T) {
	known := []string{"weight", "max_fails", "fail_timeout"}
	for in, want := range map[string]string{"wieght": "weight", "maxfails": "max_fails"} {
		if got := Name(in, known); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	if got := Name("x", nil); got != "" {
		t.Errorf("nothing is known, got %q", got)
	}
}
