package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// hung takes connections and says nothing, as the kernel of a machine whose process stands still does.
func hung(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// A node that hangs is left for the next one, and who waits for one that is alone is told.
func TestHungNode(t *testing.T) {
	dir := t.TempDir()
	client, admin := "unix:"+filepath.Join(dir, "client"), "unix:"+filepath.Join(dir, "admin")
	startServe(t, "--data", "none", "--listen", client, "--admin-listen", admin)
	if code, _, stderr := command("set", "k", "v", "--addr", client); code != exitOK {
		t.Fatal(stderr)
	}
	silent := hung(t)
	file := filepath.Join(dir, "futago.fbk")
	for _, c := range []struct {
		args []string
		out  string
	}{
		{[]string{"export", "--addr", silent + "," + client}, `"key":"k"`},
		{[]string{"backup", "-o", file, "--admin", silent + "," + admin}, "full backup of node 1: 1 record"},
	} {
		code, stdout, stderr := command(c.args...)
		if want := fmt.Sprintf("futago: %s has said nothing for 2s; the next node is asked\n", silent); code != exitOK || !strings.Contains(stdout, c.out) || strings.Count(stderr, want) != 1 {
			t.Errorf("%q: exit code %d, %q, %q, want once %q", c.args, code, stdout, stderr, want)
		}
	}
	for _, args := range [][]string{
		{"export", "--addr", silent, "--timeout", "3s"},
		{"backup", "-o", file + "2", "--admin", silent, "--timeout", "3s"},
		{"export", "--addr", silent + "," + closed(t), "--timeout", "3s"},
		{"backup", "-o", file + "2", "--admin", closed(t) + "," + silent, "--timeout", "3s"},
	} {
		code, _, stderr := command(args...)
		if want := fmt.Sprintf("futago: waiting for %s, which has said nothing for 2s\n", silent); code == exitOK || strings.Count(stderr, want) != 1 {
			t.Errorf("%q: exit code %d, %q, want once %q", args, code, stderr, want)
		}
	}
}
