// Guard runs the benchmarks of the hot paths, those whose names begin with BenchmarkHot, and compares them with a baseline:
// allocations and their bytes must be the same, times, expressed by internal/guard's calibration, within a wide margin. A time
// beyond it is measured again before it counts.
//
//	go run ./scripts/guard                       compares; exit status 1 when something is worse
//	go run ./scripts/guard ./internal/memcache   only the packages named
//	go run ./scripts/guard --write               writes the baseline anew
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

const (
	defaultBaseline = "scripts/guard/testdata/baseline.txt"
	// iterations of each benchmark in a run. It is fixed, so that allocations are the same in every run.
	iterations = "10000x"
	// runs of each benchmark in a measurement, of which the best counts.
	runs = "5"
	// remeasured is how often what is too slow is measured again.
	remeasured = 3
)

func main() {
	baseline := flag.String("baseline", defaultBaseline, "the `file` of the baseline")
	write := flag.Bool("write", false, "write the baseline instead of comparing with it")
	flag.Parse()
	if err := run(*baseline, *write, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "guard: %v\n", err)
		os.Exit(1)
	}
}

// run measures the packages that the words name, all without any.
func run(path string, write bool, words []string) error {
	if write && len(words) > 0 {
		return fmt.Errorf("write baseline of %s: it has all packages, name none", strings.Join(words, " "))
	}
	packages, err := hotPackages(words)
	if err != nil {
		return err
	}
	got := figures{}
	if err := measure(got, packages, "^BenchmarkHot"); err != nil {
		return err
	}
	if write {
		return got.writeFile(path)
	}
	want, err := readFile(path)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		maps.DeleteFunc(want, func(n name, _ figure) bool { return !slices.Contains(packages, n.pkg) })
	}
	problems := compare(want, got)
	for n := 0; n < remeasured && slices.ContainsFunc(problems, problem.mayPass); n++ {
		again, names := suspects(problems)
		fmt.Printf("measuring %d benchmarks again\n", len(names))
		if err := measure(got, again, pattern(names)); err != nil {
			return err
		}
		problems = compare(want, got)
	}
	fmt.Printf("%d benchmarks, the slowest in comparison with %s: %s\n", len(got), path, slowest(want, got))
	var errs []error
	for _, p := range problems {
		errs = append(errs, errors.New(p.String()))
	}
	if len(errs) > 0 {
		errs = append(errs, errors.New("if it is meant so, run make guard-baseline and commit the file with the reason"))
	}
	return errors.Join(errs...)
}

// hotPackages returns the packages among the words, all without any, whose tests import internal/guard.
func hotPackages(words []string) ([]string, error) {
	if len(words) == 0 {
		words = []string{"./..."}
	}
	out, err := goCommand(append([]string{"list", "-f", `{{$p := .ImportPath}}{{range .TestImports}}{{if eq . "github.com/futago/futago/internal/guard"}}{{$p}}{{"\n"}}{{end}}{{end}}`}, words...)...)
	if err != nil {
		return nil, err
	}
	packages := strings.Fields(string(out))
	if len(packages) == 0 {
		return nil, errors.New("list packages: none has a test that imports internal/guard")
	}
	return packages, nil
}

// measure runs the benchmarks of the packages that match and adds what it finds to f. Packages run one after another. One
// processor is used: what the others do would be in the figures.
func measure(f figures, packages []string, bench string) error {
	out, err := goCommand(append([]string{"test", "-vet=off", "-ldflags=-w", "-run", "^$", "-bench", bench, "-benchtime", iterations, "-count", runs, "-cpu", "1"}, packages...)...)
	if err != nil {
		return err
	}
	return f.read(bytes.NewReader(out), "output of go test")
}

// pattern matches the benchmarks of these names and, as go test matches each level by itself, some others beside.
func pattern(names []string) string {
	levels := [][]string{}
	for _, name := range names {
		for i, part := range strings.Split("Benchmark"+name, "/") {
			if i == len(levels) {
				levels = append(levels, nil)
			}
			if part = regexp.QuoteMeta(part); !slices.Contains(levels[i], part) {
				levels[i] = append(levels[i], part)
			}
		}
	}
	var words []string
	for _, parts := range levels {
		words = append(words, "^("+strings.Join(parts, "|")+")$")
	}
	return strings.Join(words, "/")
}

// goCommand runs the go command and returns what it prints.
func goCommand(words ...string) ([]byte, error) {
	name := os.Getenv("GO")
	if name == "" {
		name = "go"
	}
	cmd := exec.Command(name, words...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, words[0], err, out)
	}
	return out, nil
}
