package reload

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type config struct{ a, b, secret string }

var table = Table[config]{
	"a": func(to, from *config) { to.a = from.a },
	"b": func(to, from *config) { to.b = from.b },
}

// What may change does, what may not is named, the rest stays what it was; nothing happens before Take.
func TestPlan(t *testing.T) {
	inForce := []Setting{{Name: "a", Values: []string{"1"}, Source: "default"}, {Name: "b", Values: []string{"2"}, Source: "default"},
		{Name: "c", Values: []string{}, Source: "f"}, {Name: "d", Hidden: []string{"x"}, Secret: true}}
	reread := func() (config, []Setting, error) {
		return config{"3", "4", "5"}, []Setting{{Name: "a", Values: []string{"3"}, Source: "f"}, {Name: "b", Values: []string{"2"}, Source: "f"},
			{Name: "c", Values: []string{"6", "7"}, Source: "f"}, {Name: "d", Hidden: []string{"y"}, Secret: true, Source: "f"}, {Name: "new"}}, nil
	}
	taken := 0
	plan, err := table.Plan(config{"1", "2", "0"}, inForce, reread, []File{{"users", func() (func(), error) { return func() { taken++ }, nil }}})
	if err != nil {
		t.Fatal(err)
	}
	if taken != 0 || inForce[0].Values[0] != "1" {
		t.Error("something happened before Take")
	}
	want := Report{
		Changed: []Change{{Name: "a", Old: []string{"1"}, New: []string{"3"}, Source: "f"}},
		Restart: []Change{{Name: "c", Old: []string{}, New: []string{"6", "7"}, Source: "f"}, {Name: "d", Source: "f", Secret: true}},
		Read:    []string{"users"},
	}
	if diff := cmp.Diff(want, plan.Report); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
	if got := plan.Take(); got != (config{"3", "2", "0"}) || taken != 1 {
		t.Errorf("got %+v, and the file taken %d times", got, taken)
	}
	if plan.Settings[0].Values[0] != "3" || len(plan.Settings[2].Values) != 0 || plan.Settings[3].Hidden[0] != "x" {
		t.Errorf("settings in force: got %+v", plan.Settings)
	}
	var log bytes.Buffer
	plan.Report.Log(slog.New(slog.NewTextHandler(&log, nil)))
	for _, part := range []string{"setting=a old=1 new=3 source=f", `level=WARN msg="setting needs a restart" setting=c old="" new="6 7"`, `needs a restart" setting=d source=f`, "changed=1 needs_restart=2 read_again=users"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %q in the log:\n%s", part, &log)
		}
	}
	if got := table.Names(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("names: got %q", got)
	}
}

// The error names all that is wrong, and nothing is taken.
func TestPlanOfWrongSources(t *testing.T) {
	bad := func(text string) error { return errors.New(text) }
	_, err := table.Plan(config{}, nil, func() (config, []Setting, error) { return config{}, nil, bad("unknown key") },
		[]File{{"users", func() (func(), error) { return nil, bad("line 3") }}, {"certificates", func() (func(), error) { return func() { t.Error("taken") }, nil }}})
	if err == nil || Line(err) != "unknown key; line 3" {
		t.Errorf("got %v, want both problems", err)
	}
	var log bytes.Buffer
	Refused(slog.New(slog.NewTextHandler(&log, nil)), err)
	if !strings.Contains(log.String(), `level=ERROR msg="reload refused, everything stays what it was" err="unknown key; line 3"`) {
		t.Errorf("log: %s", &log)
	}
	// Without sources files alone are read.
	plan, err := table.Plan(config{a: "1"}, []Setting{{Name: "a"}}, nil, nil)
	if err != nil || len(plan.Report.Changed) != 0 || plan.Take().a != "1" {
		t.Errorf("no sources: got %+v, %v", plan, err)
	}
}
