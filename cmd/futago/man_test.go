package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// eachCommand calls f with every command that help shows, the root included.
func eachCommand(cmd *cobra.Command, f func(cmd *cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			eachCommand(sub, f)
		}
	}
}

func TestMan(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1577836800")
	first, second := filepath.Join(t.TempDir(), "man"), t.TempDir()
	for _, dir := range []string{first, second} {
		if code, _, errOut := command("man", dir); code != exitOK {
			t.Fatal(errOut)
		}
	}
	eachCommand(newRootCommand(), func(cmd *cobra.Command) {
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		text, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Error(err)
			return
		}
		if again, err := os.ReadFile(filepath.Join(second, name)); err != nil || string(again) != string(text) {
			t.Errorf("%s is another one the second time: %v", name, err)
		}
		if !strings.Contains(string(text), "Jan 2020") {
			t.Errorf("%s has not the date that was asked for", name)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(string(text), `\fB--`+f.Name+`\fP`) {
				t.Errorf("%s lacks the flag --%s", name, f.Name)
			}
		})
	})
	text, err := os.ReadFile(filepath.Join(first, "futago.1"))
	if err != nil || !strings.Contains(string(text), "\n1  the operation failed\n") || !strings.Contains(string(text), "FUTAGO_MAX_VALUE") {
		t.Errorf("futago.1: %v, the list of exit codes or a name with underscores is not as it was:\n%s", err, text)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := command("man", file); code != exitFailure || !strings.Contains(errOut, "make folder for man pages") {
		t.Errorf("a file in the way: exit code %d, %s", code, errOut)
	}
}

func TestMarkdown(t *testing.T) {
	for text, want := range map[string]string{
		"a <b> *c* d_e [f]\nnext\n\nlast": "a \\<b> \\*c\\* d\\_e \\[f\\]\nnext\n\nlast",
		"list:\n  0  a_b\n  1  c\nend":    "list:\n\n    0  a_b\n    1  c\n\nend",
	} {
		if got := markdown(text); got != want {
			t.Errorf("markdown(%q):\n got %q\nwant %q", text, got, want)
		}
	}
}
