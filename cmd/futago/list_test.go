package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// command runs one command line and returns what it prints, and its exit code.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errOut bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errOut)
	return code, out.String(), errOut.String()
}

func TestList(t *testing.T) {
	dir := t.TempDir()
	client, admin := "unix:"+filepath.Join(dir, "client"), "unix:"+filepath.Join(dir, "admin")
	startServe(t, "--data", "none", "--listen", client, "--admin-listen", admin)
	set := func(key string, args ...string) {
		t.Helper()
		if code, _, stderr := command(append([]string{"set", key, "value", "--addr", client}, args...)...); code != exitOK {
			t.Fatal(stderr)
		}
	}
	for i := range 30 {
		set(fmt.Sprintf("user:%d", i))
	}
	set("other", "--flags", "7", "--ttl", "1h")
	// A node that is gone costs nothing but its refusal.
	list := func(args ...string) (string, string) {
		t.Helper()
		code, stdout, stderr := command(append([]string{"list", "--admin", closed(t) + "," + admin}, args...)...)
		if code != exitOK {
			t.Fatalf("list %q: exit code %d: %s", args, code, stderr)
		}
		return stdout, stderr
	}
	out, errOut := list("user:")
	if n := len(strings.Fields(out)); n != 30 || errOut != "" || strings.Contains(out, "other") {
		t.Errorf("got %d keys, want 30: %q %q", n, out, errOut)
	}
	out, _ = list("--long", "oth")
	if !regexp.MustCompile(`^ +5  +7  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  other\n$`).MatchString(out) {
		t.Errorf("long form: got %q", out)
	}
	person, program := openTerminal(t)
	if code := run([]string{"list", "--long", "oth", "--admin", admin}, strings.NewReader(""), program, program); code != exitOK {
		t.Errorf("on a terminal: exit code %d", code)
	}
	lineOf := bufio.NewReader(person)
	for _, want := range []string{`^ +SIZE  +FLAGS  EXPIRES  +KEY\r\n$`, `^ +5  +7  \S+  other\r\n$`} {
		if line, err := lineOf.ReadString('\n'); err != nil || !regexp.MustCompile(want).MatchString(line) {
			t.Errorf("on a terminal: got %q, %v, want %s", line, err, want)
		}
	}
	out, _ = list("--json", "other")
	var key struct {
		Key, Expires, CAS string
		Size, Flags       int
	}
	if err := json.Unmarshal([]byte(out), &key); err != nil || key.Key != "other" || key.Size != 5 || key.Flags != 7 || key.Expires == "" || key.CAS == "" {
		t.Errorf("JSON: got %+v, %v from %q", key, err, out)
	}
	// Pages by hand, by the cursor that each tells.
	var all []string
	cursor, pages := "", 0
	for more := true; more; pages++ {
		out, errOut = list("--limit", "8", "--cursor", cursor)
		all = append(all, strings.Fields(out)...)
		if _, cursor, more = strings.Cut(strings.TrimSpace(errOut), "--cursor "); pages > 31 {
			t.Fatal("the pages do not end")
		}
	}
	slices.Sort(all)
	if n := len(all); n != 31 || len(slices.Compact(all)) != 31 || pages < 3 {
		t.Errorf("got %d keys in %d pages, want 31 in about 4", n, pages)
	}
	out, _ = list("--json", "--limit", "3")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if last := lines[len(lines)-1]; len(lines) < 4 || !strings.HasPrefix(last, `{"cursor":"`) {
		t.Errorf("pages in JSON: got %q", out)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--admin", admin, "--cursor", "x"}, exitFailure, `cursor "x": want what a list gave`},
		{[]string{"--admin", closed(t)}, exitFailure, adminHint},
		{[]string{"--limit", "-1"}, exitUsage, "--limit -1: allowed is 0 or more"},
		{[]string{"a", "b"}, exitUsage, `unexpected argument "b"`},
	} {
		if code, _, errOut := command(append([]string{"list"}, c.args...)...); code != c.code || !strings.Contains(errOut, c.want) {
			t.Errorf("list %q: exit code %d, %s want %d, %s", c.args, code, errOut, c.code, c.want)
		}
	}
}
