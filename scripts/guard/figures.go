package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"

	"github.com/futago/futago/internal/guard"
)

// A name is a benchmark: its package, and its name without Benchmark.
type name struct{ pkg, bench string }

func (n name) String() string { return n.pkg[strings.LastIndexByte(n.pkg, '/')+1:] + " " + n.bench }

// A figure is the best that was measured of a benchmark, each value by itself.
type figure struct {
	time   float64 // in guard.TimeUnit
	bytes  float64 // allocated, for each operation
	allocs float64
}

// figures holds the benchmarks of a baseline or a measurement.
type figures map[name]figure

// read adds benchmark results in Go's format, and keeps what is better. A benchmark without one of the three figures is an error.
func (f figures) read(r io.Reader, what string) error {
	results := benchfmt.NewReader(r, what)
	for results.Scan() {
		switch result := results.Result().(type) {
		case *benchfmt.SyntaxError:
			return fmt.Errorf("read %s: %w", what, result)
		case *benchfmt.Result:
			n := name{result.GetConfig("pkg"), result.Name.String()}
			var one figure
			for unit, v := range map[string]*float64{guard.TimeUnit: &one.time, "B/op": &one.bytes, "allocs/op": &one.allocs} {
				var ok bool
				if *v, ok = result.Value(unit); !ok {
					return fmt.Errorf("read %s: %s has no %s: measure it with guard.Measure", what, n, unit)
				}
			}
			if best, ok := f[n]; ok {
				one = figure{min(one.time, best.time), min(one.bytes, best.bytes), min(one.allocs, best.allocs)}
			}
			f[n] = one
		}
	}
	if err := results.Err(); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

func readFile(path string) (figures, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	defer file.Close()
	f := figures{}
	if err := f.read(file, path); err != nil {
		return nil, err
	}
	if len(f) == 0 {
		return nil, fmt.Errorf("read baseline %s: no benchmark in it", path)
	}
	return f, nil
}

// write writes f in Go's format, in order of packages and names.
func (f figures) write(w io.Writer) error {
	out := benchfmt.NewWriter(w)
	config := []benchfmt.Config{
		{Key: "date", Value: []byte(time.Now().UTC().Format(time.DateOnly)), File: true},
		{Key: "machine", Value: []byte(machine()), File: true},
		{Key: "toolchain", Value: []byte(runtime.Version()), File: true},
		{Key: "pkg", File: true},
	}
	names := slices.SortedFunc(maps.Keys(f), func(a, b name) int {
		if c := strings.Compare(a.pkg, b.pkg); c != 0 {
			return c
		}
		return strings.Compare(a.bench, b.bench)
	})
	for _, n := range names {
		config[len(config)-1].Value = []byte(n.pkg)
		one := f[n]
		err := out.Write(&benchfmt.Result{Config: config, Name: benchfmt.Name(n.bench), Iters: 1, Values: []benchfmt.Value{
			{Value: one.time, Unit: guard.TimeUnit}, {Value: one.bytes, Unit: "B/op"}, {Value: one.allocs, Unit: "allocs/op"},
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes the baseline, all or nothing.
func (f figures) writeFile(path string) error {
	var text bytes.Buffer
	if err := f.write(&text); err != nil {
		return fmt.Errorf("write baseline: %w", err)
	}
	if err := os.WriteFile(path+".new", text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write baseline: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write baseline: %w", err)
	}
	fmt.Printf("%d benchmarks in %s\n", len(f), path)
	return nil
}

// machine says what processor this is, and what system.
func machine() string {
	text := fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if model, ok := strings.CutPrefix(line, "model name"); ok {
				text += ", " + strings.TrimSpace(strings.TrimLeft(model, "\t :"))
				break
			}
		}
	}
	if release, err := exec.Command("uname", "-sr").Output(); err == nil {
		text += ", " + strings.TrimSpace(string(release))
	}
	return text
}
