//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	os.Exit(mainExit())
}

func mainExit() int {
	var o options
	var record string
	flag.DurationVar(&o.length, "time", 10*time.Minute, "how long the nodes are troubled")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "decides what happens")
	flag.StringVar(&o.program, "futago", "bin/futago", "the program under test")
	flag.StringVar(&record, "record", "", "folder for torture.html and torture.md of a run without violations")
	flag.BoolVar(&o.plain, "plain", false, "use no namespaces, devices and mounts even where they are possible")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "torture: unexpected argument %q\n", flag.Arg(0))
		return 2
	}
	if o.seed == 0 {
		o.seed = rand.Uint64() // what make gives where nobody chose one
	}
	// A second signal ends this program, and the kernel the nodes with it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	o.tell = progressTo(os.Stdout)
	page := ""
	if record != "" {
		page = filepath.Join(record, "torture.html")
	}
	rep, err := torture(ctx, o, os.Stdout, page)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "torture: %v\n", err)
		return 2
	case rep.Violations > 0:
		return 1
	case record != "":
		if err := rep.writeSummary(filepath.Join(record, "torture.md")); err != nil {
			fmt.Fprintf(os.Stderr, "torture: %v\n", err)
			return 2
		}
	}
	return 0
}

// torture does one run and prints its report. The page goes to the given path, or into a new file, or where promises were
// broken beside the data that is kept.
func torture(ctx context.Context, o options, out io.Writer, page string) (rep *report, err error) {
	if o.program, err = filepath.Abs(o.program); err != nil {
		return nil, err
	}
	if o.dir, err = os.MkdirTemp("", "futago-torture-"); err != nil {
		return nil, err
	}
	keep := false
	defer func() {
		if !keep {
			os.RemoveAll(o.dir)
		}
	}()
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "seed %d\n%s", o.seed, r.facilities())
	err = r.play(ctx)
	o.tell("")
	if err != nil {
		keep = true
		r.keepData()
		return nil, fmt.Errorf("run with seed %d, files in %s: %w", o.seed, o.dir, err)
	}
	rep = r.newReport(r.judge())
	fmt.Fprint(out, rep.text())
	switch {
	case rep.Violations > 0:
		keep, page = true, filepath.Join(o.dir, "torture.html")
		r.keepData()
		if err := rep.keepKeys(filepath.Join(o.dir, "keys.txt")); err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "data folders, logs and all operations on the keys concerned: %s\n", o.dir)
	case page == "":
		f, err := os.CreateTemp("", "futago-torture-*.html")
		if err != nil {
			return nil, err
		}
		page = f.Name()
		f.Close()
	}
	if err := rep.writePage(page); err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "report: %s\n", page)
	return rep, nil
}

// facilities says with what the run works, and what is not possible here.
func (r *run) facilities() string {
	var b strings.Builder
	fmt.Fprintf(&b, "network: %s\n", r.link.name())
	for _, n := range r.nodes {
		fmt.Fprintf(&b, "disk of node %s: %v\n", n.name, n.disk.kind)
	}
	for _, text := range r.missing() {
		fmt.Fprintf(&b, "not possible here: %s\n", text)
	}
	return b.String()
}

// missing lists the faults that cannot be made here, with the reason.
func (r *run) missing() []string {
	var list []string
	for _, f := range faults {
		if f.missing == nil {
			continue
		}
		if err := f.missing(r); err != nil {
			list = append(list, fmt.Sprintf("%s: %v", f.name, err))
		}
	}
	if r.notIsolated != nil {
		list = append(list, fmt.Sprintf("a link that loses what was sent: %v; a cut holds it back instead", r.notIsolated))
	}
	return list
}

// keepData copies the nodes' data out of their disks, which go away with this process.
func (r *run) keepData() {
	for _, n := range r.nodes {
		if n.disk.kind == folder {
			continue
		}
		to := filepath.Join(r.dir, "data-"+n.name)
		if err := n.disk.keep(to); err != nil {
			fmt.Fprintf(os.Stderr, "torture: keep the data of node %s: %v\n", n.name, err)
		}
		os.Remove(n.disk.image)
	}
}

// progressTo returns a function that shows a line that replaces the one before on a terminal. Elsewhere it shows one each
// ten seconds. An empty line ends that.
func progressTo(out *os.File) func(string) {
	info, err := out.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	var last time.Time
	return func(text string) {
		switch {
		case terminal && text == "":
			fmt.Fprint(out, "\r\x1b[K")
		case terminal:
			fmt.Fprintf(out, "\r\x1b[K%s", text)
		case text != "" && time.Since(last) >= 10*time.Second:
			last = time.Now()
			fmt.Fprintln(out, text)
		}
	}
}
