package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = `goos: linux
pkg: example.org/codec
BenchmarkHotDecode/op=get   	   20000	        40.00 ns/op	         8.000 cal/op	       0 B/op	       0 allocs/op
BenchmarkHotDecode/op=get   	   20000	        30.00 ns/op	         9.000 cal/op	       0 B/op	       0 allocs/op
BenchmarkHotDecode/op=set   	   20000	        50.00 ns/op	        10.00 cal/op	      16 B/op	       1 allocs/op
PASS
ok  	example.org/codec	0.1s
pkg: example.org/store
BenchmarkHotCommit   	   20000	        90.00 ns/op	        20.00 cal/op	       0 B/op	       0 allocs/op
PASS
`

var (
	get    = name{"example.org/codec", "HotDecode/op=get"}
	set    = name{"example.org/codec", "HotDecode/op=set"}
	commit = name{"example.org/store", "HotCommit"}
)

func sampleFigures() figures {
	return figures{get: {time: 8}, set: {time: 10, bytes: 16, allocs: 1}, commit: {time: 20}}
}

func TestRead(t *testing.T) {
	got := figures{}
	if err := got.read(strings.NewReader(sample), "sample"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleFigures(), got, cmp.AllowUnexported(name{}, figure{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	without := strings.Replace(sample, "20.00 cal/op", "20.00 x/op", 1)
	if err := (figures{}).read(strings.NewReader(without), "sample"); err == nil || !strings.Contains(err.Error(), "store HotCommit has no cal/op") {
		t.Errorf("without a time: got %v", err)
	}
	if err := (figures{}).read(strings.NewReader("BenchmarkHotX many\n"), "sample"); err == nil {
		t.Error("a line that is cut: got no error")
	}
}

func TestWriteAndRead(t *testing.T) {
	var text bytes.Buffer
	if err := sampleFigures().write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"date: 2", "machine: ", "toolchain: go", "pkg: example.org/codec\n", "pkg: example.org/store\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the baseline lacks %q:\n%s", want, text.String())
		}
	}
	got := figures{}
	if err := got.read(&text, "baseline"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleFigures(), got, cmp.AllowUnexported(name{}, figure{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCompare(t *testing.T) {
	tests := []struct {
		name    string
		change  func(figures)
		problem string // the beginning of the only one; "" is none
		again   bool   // a measurement may clear it
	}{
		{"the same", func(figures) {}, "", false},
		{"within the margin", func(f figures) { f[get] = figure{time: 15.9} }, "", false},
		{"faster", func(f figures) { f[get] = figure{time: 1} }, "", false},
		{"three times slower", func(f figures) { f[get] = figure{time: 24} }, "codec HotDecode/op=get takes 3.0 times as long", true},
		{"an allocation", func(f figures) { f[get] = figure{time: 8, allocs: 1} }, "codec HotDecode/op=get is worse than the baseline: 1 allocs/op, was 0", true},
		{"a byte", func(f figures) { f[set] = figure{time: 8, bytes: 17, allocs: 1} }, "codec HotDecode/op=set is worse than the baseline: 17 B/op, was 16", true},
		{"bytes of other goroutines", func(f figures) { f[get] = figure{time: 8, bytes: 13} }, "", false},
		{"too many bytes for that", func(f figures) { f[get] = figure{time: 8, bytes: 65} }, "codec HotDecode/op=get is worse than the baseline: 65 B/op, was 0", true},
		{"a byte less", func(f figures) { f[set] = figure{time: 8, bytes: 15, allocs: 1} }, "codec HotDecode/op=set is better than the baseline: 15 B/op", true},
		{"one is gone", func(f figures) { delete(f, commit) }, "store HotCommit is in the baseline and was not measured", false},
		{"one is new", func(f figures) { f[name{"example.org/store", "HotApply"}] = figure{time: 1} }, "store HotApply is not in the baseline", false},
	}
	for _, tt := range tests {
		got := sampleFigures()
		tt.change(got)
		problems := compare(sampleFigures(), got)
		switch {
		case tt.problem == "" && len(problems) == 0:
		case tt.problem == "" || len(problems) != 1 || !strings.HasPrefix(problems[0].String(), tt.problem):
			t.Errorf("%s: got %v, want %q", tt.name, problems, tt.problem)
		case problems[0].mayPass() != tt.again:
			t.Errorf("%s: may pass another time: got %v, want %v", tt.name, !tt.again, tt.again)
		}
	}
}

// TestMeasuredAgain checks that a second measurement clears what was disturbed, and not what is slow.
func TestMeasuredAgain(t *testing.T) {
	want, got := sampleFigures(), figures{}
	add := func(text string) {
		t.Helper()
		if err := got.read(strings.NewReader(text), "sample"); err != nil {
			t.Fatal(err)
		}
	}
	add(strings.NewReplacer(" 8.000 cal", " 30.00 cal", " 9.000 cal", " 30.00 cal", "20.00 cal", "60.00 cal").Replace(sample))
	packages, benches := suspects(compare(want, got))
	if diff := cmp.Diff([][]string{{get.pkg, commit.pkg}, {commit.bench, get.bench}}, [][]string{packages, benches}); diff != "" {
		t.Errorf("suspects -want +got:\n%s", diff)
	}
	add(strings.Replace(sample, "20.00 cal", "61.00 cal", 1))
	problems := compare(want, got)
	if len(problems) != 1 || problems[0].name != commit || problems[0].got != 60 {
		t.Errorf("got %v, want %v with 60", problems, commit)
	}
}

func TestPattern(t *testing.T) {
	p := pattern([]string{"HotDecode/op=get", "HotDecode/op=merge+x", "HotCommit"})
	if want := `^(BenchmarkHotDecode|BenchmarkHotCommit)$/^(op=get|op=merge\+x)$`; p != want {
		t.Errorf("got %s want %s", p, want)
	}
	for _, level := range strings.Split(p, "/") {
		if _, err := regexp.Compile(level); err != nil {
			t.Error(err)
		}
	}
}

// TestBaseline checks that the baseline that is committed can be read and has every package.
func TestBaseline(t *testing.T) {
	f, err := readFile("testdata/baseline.txt")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for n := range f {
		have[strings.TrimPrefix(n.pkg, "github.com/futago/futago/internal/")] = true
	}
	for _, pkg := range []string{"index", "memcache", "record", "replication", "server", "store", "tyrant", "ulog"} {
		if !have[pkg] {
			t.Errorf("no benchmark of internal/%s", pkg)
		}
	}
}
