package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/futago/futago/internal/migrate"
	"github.com/futago/futago/internal/tyrant"
	"github.com/futago/futago/internal/tyrant/tyranttest"
)

// startMaster starts a server of Tokyo Tyrant's protocol with a log in dir.
func startMaster(t *testing.T, dir string) *tyranttest.Master {
	t.Helper()
	m, err := tyranttest.Listen("", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// startTarget starts a node without records and returns its client address.
func startTarget(t *testing.T, flags ...string) string {
	t.Helper()
	addr := "unix:" + filepath.Join(t.TempDir(), "client")
	startServe(t, append(flags, "--data", "none", "--listen", addr, "--admin-listen", "none")...)
	return addr
}

// importing is a command that imports, as a process of its own.
type importing struct {
	cmd    *exec.Cmd
	output bytes.Buffer // after it has ended
	ended  chan struct{}
}

func startImport(t *testing.T, args ...string) *importing {
	t.Helper()
	p := &importing{cmd: exec.Command("futago", append([]string{"import"}, args...)...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *importing) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// end waits for the process to end by itself.
func (p *importing) end(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.kill()
		t.Fatalf("the import does not end:\n%s", p.output.String())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Fatalf("the import ended with code %d:\n%s", code, p.output.String())
	}
}

// changeSource executes one of all kinds of requests on some keys.
func changeSource(m *tyranttest.Master, r *rand.Rand) {
	n := r.IntN(30_000)
	key, value := fmt.Appendf(nil, "key %d", n), fmt.Appendf(nil, "<%d>", r.IntN(1000))
	number := fmt.Appendf(nil, "number %d", n%100)
	m.Do([]tyrant.Request{
		{Command: tyrant.Put, Key: key, Value: value},
		{Command: tyrant.PutKeep, Key: key, Value: value},
		{Command: tyrant.PutCat, Key: key, Value: value},
		{Command: tyrant.PutShl, Key: key, Value: value, Width: 10},
		{Command: tyrant.Out, Key: key},
		{Command: tyrant.AddInt, Key: number, Num: 1},
		{Command: tyrant.AddDouble, Key: append([]byte("real "), number...), Double: tyrant.DoubleOf(0.25)},
		{Command: tyrant.Misc, Name: []byte("putlist"), Args: [][]byte{key, value, []byte("another"), value}},
		{Command: tyrant.Misc, Name: []byte("outlist"), Args: [][]byte{key, []byte("another")}},
	}[r.IntN(9)])
}

// recordsOf reads all that a node holds.
func recordsOf(t *testing.T, addr string) map[string]string {
	t.Helper()
	c, err := tyrant.Dial(t.Context(), addr, tyrant.ClientConfig{Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	keys, err := c.FwmKeys(nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	records, err := c.MGet(keys)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range records {
		all[string(r.Key)] = string(r.Value)
	}
	return all
}

// TestImportKilled imports a server that changes all the time. The process is killed in the copy and while it follows.
func TestImportKilled(t *testing.T) {
	source, target := startMaster(t, t.TempDir()), startTarget(t)
	for i := range 20_000 {
		source.Do(tyrant.Request{Command: tyrant.Put, Key: fmt.Appendf(nil, "key %d", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
	r := rand.New(rand.NewPCG(1, 1))
	args := []string{"tyrant://" + source.Addr, "--addr", target, "--state", filepath.Join(t.TempDir(), "state")}
	for _, reads := range []int{1, 20, 50, 90, 120, 200, 30} { // the copy takes about 80
		before, deadline := source.Count(tyrant.MGet), time.Now().Add(3*time.Minute)
		p := startImport(t, args...)
		for source.Count(tyrant.MGet) < before+reads {
			changeSource(source, r)
			if time.Now().After(deadline) {
				p.kill()
				t.Fatalf("the import has read %d times, want %d:\n%s", source.Count(tyrant.MGet)-before, reads, p.output.String())
			}
		}
		p.kill()
	}
	p := startImport(t, args...)
	for range 5000 {
		changeSource(source, r)
	}
	marks := source.Count(tyrant.Misc)
	for deadline := time.Now().Add(3 * time.Minute); source.Count(tyrant.Misc) == marks && time.Now().Before(deadline); { // until it follows
		<-time.After(time.Millisecond)
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.end(t)
	if diff := cmp.Diff(source.Records(), recordsOf(t, target)); diff != "" {
		t.Errorf("the records differ (-source +node):\n%.3000s\n%s", diff, p.output.String())
	}
	if !strings.Contains(p.output.String(), ", caught up\n") {
		t.Errorf("the import printed:\n%s", p.output.String())
	}
}

// TestImportUlogKilled replays a log; the process is killed again and again.
func TestImportUlogKilled(t *testing.T) {
	dir := t.TempDir()
	source, target := startMaster(t, dir), startTarget(t)
	r := rand.New(rand.NewPCG(2, 2))
	for range 100_000 {
		changeSource(source, r)
	}
	state := filepath.Join(t.TempDir(), "state")
	args := []string{"ulog", dir, "--addr", target, "--state", state}
	for range 6 {
		begun := modified(state)
		p := startImport(t, args...)
		for done := false; !done; {
			select {
			case <-p.ended:
				done = true
			case <-time.After(time.Millisecond):
				done = modified(state) != begun // a step was written down, and is at work
			}
		}
		p.kill()
	}
	startImport(t, args...).end(t)
	if diff := cmp.Diff(source.Records(), recordsOf(t, target)); diff != "" {
		t.Errorf("the records differ (-source +node):\n%.3000s", diff)
	}
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// TestImportRefused has records that the node does not take.
func TestImportRefused(t *testing.T) {
	source, target := startMaster(t, t.TempDir()), startTarget(t, "--max-value", "1KiB")
	large := make([]byte, 2000)
	for key, value := range map[string][]byte{"small": []byte("1"), "large": large, "": []byte("no key")} {
		source.Do(tyrant.Request{Command: tyrant.Put, Key: []byte(key), Value: value})
	}
	var out, told bytes.Buffer
	code := run([]string{"import", "tyrant://" + source.Addr, "--addr", target, "--until-caught-up", "--json"}, strings.NewReader(""), &out, &told)
	if code != exitFailure || !strings.Contains(out.String(), `"\"large\""`) || !strings.Contains(told.String(), "--max-value") || !strings.Contains(out.String(), `"stored": 2,`) {
		t.Errorf("code %d, printed %s, told %s", code, out.String(), told.String())
	}
	if diff := cmp.Diff(map[string]string{"small": "1"}, recordsOf(t, target)); diff != "" {
		t.Errorf("the records differ (-want +got):\n%s", diff)
	}
}

// TestImportTyrantDryRun asks what an import and a replay would do, and then has them do it slowly.
func TestImportTyrantDryRun(t *testing.T) {
	dir := t.TempDir()
	source, target := startMaster(t, dir), startTarget(t)
	for i := range 30 {
		source.Do(tyrant.Request{Command: tyrant.Put, Key: fmt.Append(nil, i%20), Value: fmt.Append(nil, i)})
	}
	source.Do(tyrant.Request{Command: tyrant.Out, Key: []byte("19")})
	command := func(want string, args ...string) {
		t.Helper()
		var out, told bytes.Buffer
		code := run(append([]string{"import", "--addr", target, "--rate", "1000"}, args...), strings.NewReader(""), &out, &told)
		if code != exitOK || !strings.Contains(out.String(), want) {
			t.Errorf("%q: code %d, printed %s, told %s, want %q", args, code, out.String(), told.String(), want)
		}
	}
	from := "tyrant://" + source.Addr
	command("would store 19 of 19 records read", from, "--dry-run")
	command("would store 19 of 20 records read", "ulog", dir, "--dry-run")
	if got := recordsOf(t, target); len(got) > 0 {
		t.Errorf("a dry run has stored %v", got)
	}
	command("stored    19 of 20 records read", "ulog", dir)
	if diff := cmp.Diff(source.Records(), recordsOf(t, target)); diff != "" {
		t.Errorf("the records differ (-source +node):\n%s", diff)
	}
	source.Do(tyrant.Request{Command: tyrant.Out, Key: []byte("18")})
	command("removed   1 record that", from, "--until-caught-up")
	if diff := cmp.Diff(source.Records(), recordsOf(t, target)); diff != "" {
		t.Errorf("the records differ (-source +node):\n%s", diff)
	}
	var told bytes.Buffer
	if code := run([]string{"import", from, "--rate", "-1"}, strings.NewReader(""), io.Discard, &told); code != exitUsage || !strings.Contains(told.String(), "--rate -1") {
		t.Errorf("a rate below 0: code %d, %s", code, told.String())
	}
}

// Who interrupts an import is told how it goes on, and nothing of certificates.
func TestImportInterruptedHint(t *testing.T) {
	err, hinted := errors.AsType[hintError](importHint(fmt.Errorf("import: %w", migrate.ErrInterrupted), "the.state"))
	if !hinted || err.hint != "Run the same command again: it goes on where the.state says." {
		t.Errorf("got %q", err.hint)
	}
}

// TestExport writes records of a node to a file and reads them back into another node.
func TestExport(t *testing.T) {
	from, to := startTarget(t), startTarget(t)
	file := filepath.Join(t.TempDir(), "records.tsv")
	command := func(want int, stdin string, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := run(args, strings.NewReader(stdin), io.Discard, &out); code != want {
			t.Fatalf("futago %q: code %d, want %d; %s", args, code, want, out.String())
		}
		return out.String()
	}
	command(exitOK, "a\t1\nb\t2\nno field\nab\t\n", "import", "tsv", "-", "--addr", from)
	command(exitOK, "", "export", "--addr", from, "-o", file)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	command(exitOK, "", "import", "tsv", file, "--addr", to)
	want := map[string]string{"a": "1", "b": "2", "ab": ""}
	if diff := cmp.Diff(want, recordsOf(t, to)); diff != "" {
		t.Errorf("the records differ (-want +got):\n%s", diff)
	}
	c, err := tyrant.Dial(t.Context(), from, tyrant.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Put([]byte("unfit"), []byte("two\nlines")); err != nil {
		t.Fatal(err)
	}
	// One that ends in the middle leaves what was there.
	command(exitFailure, "", "export", "--addr", closed(t), "-o", file)
	if names, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); err != nil || len(names) != 1 {
		t.Errorf("the folder holds %q, %v", names, err)
	}
	if left, err := os.ReadFile(file); err != nil || !bytes.Equal(left, whole) {
		t.Errorf("after an export that failed the file holds %q, %v", left, err)
	}
	if told := command(exitFailure, "", "export", "--addr", from, "-o", file); !strings.Contains(told, `"unfit"`) {
		t.Errorf("told %q", told)
	}
	command(exitOK, "", "export", "--skip-unfit", "--prefix", "a", "--addr", from, "-o", file)
	if text, err := os.ReadFile(file); err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("the file holds %q, %v", text, err)
	}
}
