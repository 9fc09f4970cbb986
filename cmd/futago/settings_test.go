package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// sample is a table with one setting of each kind.
type sample struct {
	Names  []string
	Word   string
	Count  int
	Limit  int64
	On     bool
	Secret string
	table  *settings
}

func newSample() *sample {
	s := &sample{Names: []string{"a"}, Word: "w", Count: 1, Limit: 1 << 20, table: &settings{}}
	s.table.add("names", listValue(&s.Names), "names")
	s.table.add("word", textValue(&s.Word), "a word")
	s.table.add("count", intValue(&s.Count), "a count")
	s.table.add("limit", sizeValue(&s.Limit), "a limit")
	s.table.add("on", boolValue(&s.On), "a switch")
	s.table.add("secret", textValue(&s.Secret), "a secret").secret = true
	s.table.addRare("depth", intValue(new(int)), "rarely changed")
	return s
}

func problemsText(problems []error) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.Error())
	}
	return strings.Join(lines, "\n")
}

func TestParseFile(t *testing.T) {
	s := newSample()
	problems := s.table.parseFile("f.toml", "names = ['b', 'c']\nword = 'x'\ncount = 7\nlimit = '2KiB'\non = true\ndepth = 3\n")
	if len(problems) > 0 {
		t.Fatal(problemsText(problems))
	}
	if diff := cmp.Diff([]any{[]string{"b", "c"}, "x", 7, int64(2048), true}, []any{s.Names, s.Word, s.Count, s.Limit, s.On}); diff != "" {
		t.Errorf("values differ (-want +got):\n%s", diff)
	}
}

func TestParseFileOneForList(t *testing.T) {
	s := newSample()
	if problems := s.table.parseFile("f.toml", "names = 'only'\nlimit = 12"); len(problems) > 0 {
		t.Fatal(problemsText(problems))
	}
	if len(s.Names) != 1 || s.Names[0] != "only" || s.Limit != 12 {
		t.Errorf("names %q, limit %d, want [only] and 12", s.Names, s.Limit)
	}
}

func TestParseFileProblems(t *testing.T) {
	for text, want := range map[string]string{
		"coutn = 1":             "f.toml: unknown key coutn (did you mean count?)",
		"[word]\nx = 1":         "f.toml: word: is no string: put it in quotes",
		"[other]\nx = 1\ny = 2": "f.toml: unknown key other",
		"[[names]]\nx = 1":      "f.toml: names: is no string: put it in quotes",
		"names = [['a']]":       "f.toml: names: is no string: put it in quotes",
		"names = [1]":           "f.toml: names: is no string: put it in quotes",
		"word = ['a']":          "f.toml: word: is an array, want one value",
		"word = 1979-05-27":     "f.toml: word: is no string: put it in quotes",
		"count = 1.5":           "f.toml: count: is no number, or one that is not whole",
		"count = 'x'":           `f.toml: count: "x" is not a whole number`,
		"count = true":          "f.toml: count: is no number, or one that is not whole",
		"limit = '3MB'":         `f.toml: limit: "3MB" is not a size: want bytes, or a whole number with KiB, MiB, GiB or TiB, such as 64MiB`,
		"on = 1":                "f.toml: on: is neither true nor false",
		"on = 'yes'":            `f.toml: on: "yes" is neither true nor false`,
		"count = 'x'\non = 1":   "f.toml: count: \"x\" is not a whole number\nf.toml: on: is neither true nor false",
	} {
		if got := problemsText(newSample().table.parseFile("f.toml", text)); got != want {
			t.Errorf("parse %q:\n got %s\nwant %s", text, got, want)
		}
	}
	for _, text := range []string{"count = ", "count = 1\ncount = 2", "\x00", "= 1"} {
		if got := problemsText(newSample().table.parseFile("f.toml", text)); !strings.HasPrefix(got, "parse config file f.toml: toml: line ") {
			t.Errorf("parse %q: %q, want a syntax error with its line", text, got)
		}
	}
}

func TestFlags(t *testing.T) {
	s := newSample()
	cmd := &cobra.Command{Use: "x"}
	s.table.bind(cmd)
	if f := cmd.Flags().Lookup("depth"); f != nil {
		t.Error("a rare setting has a flag")
	}
	if err := cmd.ParseFlags([]string{"--names=b c", "--names", "d", "--count", "2", "--count", "3", "--on"}); err != nil {
		t.Fatal(err)
	}
	if s.Count != 1 {
		t.Errorf("count %d before load, want the default 1", s.Count)
	}
	if err := s.table.load(cmd); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{[]string{"b c", "d"}, 3, true}, []any{s.Names, s.Count, s.On}); diff != "" {
		t.Errorf("values differ (-want +got):\n%s", diff)
	}
}

func TestSecretIsHidden(t *testing.T) {
	s := newSample()
	if problems := s.table.parseFile("f.toml", "secret = 'hunter2'"); len(problems) > 0 {
		t.Fatal(problemsText(problems))
	}
	var out bytes.Buffer
	if err := s.table.show(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "# secret is hidden") {
		t.Errorf("show printed:\n%s", out.String())
	}
}

// FuzzParseFile: whatever a file holds, it is refused with a problem or taken; and what show prints of
// the values taken means the same values.
func FuzzParseFile(f *testing.F) {
	f.Add("names = ['b', 'c']\nword = \"\\u0001\\n\\\"\"\ncount = 7\nlimit = '2KiB'\non = true\n")
	f.Add("[names]\n[[word]]\ncount = 1.5")
	f.Add("names = []\nlimit = 9223372036854775807")
	f.Fuzz(func(t *testing.T, text string) {
		first := newSample()
		if len(first.table.parseFile("f", text)) > 0 {
			return
		}
		var shown bytes.Buffer
		if err := first.table.show(&shown); err != nil {
			t.Fatal(err)
		}
		second := newSample()
		if problems := second.table.parseFile("f", shown.String()); len(problems) > 0 {
			t.Fatalf("parse what show printed: %s\n%s", problemsText(problems), shown.String())
		}
		second.Secret = first.Secret // not shown
		first.table, second.table = nil, nil
		if len(first.Names) == 0 && len(second.Names) == 0 {
			first.Names, second.Names = nil, nil
		}
		if diff := cmp.Diff(first, second, cmp.AllowUnexported(sample{})); diff != "" {
			t.Fatalf("values differ after show (-first +second):\n%s\n%s", diff, shown.String())
		}
	})
}

// What a node tells of its settings has where they came from, and no secrets.
func TestSettingsInForce(t *testing.T) {
	s := newSample()
	s.Names, s.Secret = []string{"a", "b"}, "open sesame"
	list := s.table.inForce()
	if len(list) != len(s.table.list) {
		t.Fatalf("got %d settings, want %d", len(list), len(s.table.list))
	}
	for _, got := range list {
		want := got
		want.Source = "default"
		switch got.Name {
		case "names":
			want.Values = []string{"a", "b"}
		case "secret":
			want.Values, want.Secret = []string{}, true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("setting %s differs (-want +got):\n%s", got.Name, diff)
		}
	}
}
