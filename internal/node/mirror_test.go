package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// tyrantClient is a client of Tokyo Tyrant's protocol.
func tyrantClient(t *testing.T, r *running) *tyrant.Client {
	t.Helper()
	c, err := tyrant.Dial(t.Context(), r.Addrs()[0], tyrant.ClientConfig{Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func value(r *running, key string) string {
	var v store.View
	if !r.store.Acquire([]byte(key), &v) {
		return "(none)"
	}
	defer v.Release()
	return string(v.Value)
}

// Two single nodes that follow each other by Tokyo Tyrant's protocol, as a node and a ttserver do: over the client port, with setmst,
// through stops of either.
func TestMirror(t *testing.T) {
	ca, cb := testConfig(t, 1), testConfig(t, 2)
	cb.Allow = []string{allowRepl, allowSetMst}
	b := start(t, cb)
	b.waitReady(t)
	ca.Allow, ca.TyrantMaster = []string{allowRepl}, b.Addrs()[0]
	a := start(t, ca)
	a.waitReady(t)
	host, port, err := net.SplitHostPort(a.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	onA, onB := tyrantClient(t, a), tyrantClient(t, b)
	n := 0
	for _, c := range port {
		n = n*10 + int(c-'0')
	}
	if err := onB.SetMst(host, int32(n), 0, 0); err != nil {
		t.Fatal(err)
	}
	follows := func(r *running) bool {
		s := r.Status().TyrantMaster
		return s != nil && s.State == "following"
	}
	eventually(t, "both follow", func() bool { return follows(a) && follows(b) })
	if err := onA.Put([]byte("a"), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := onB.Put([]byte("b"), []byte("2")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each has the other's", func() bool { return value(a, "b") == "2" && value(b, "a") == "1" })
	for range 100 {
		if _, err := onA.AddInt([]byte("sum"), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := onB.AddInt([]byte("sum"), 1000); err != nil {
			t.Fatal(err)
		}
	}
	const sum = "\x04\x87\x01\x00" // 100,100
	eventually(t, "all increments count on both", func() bool { return value(a, "sum") == sum && value(b, "sum") == sum })
	stat, err := onB.Stat()
	if err != nil || !strings.Contains(string(stat), "mhost\t"+host+"\nmport\t"+port+"\nrts\t") || !strings.Contains(string(stat), "\nulogts\t") {
		t.Errorf("stat of b: %v\n%s", err, stat)
	}
	a.end(t)
	for range 50 {
		if _, err := onB.AddInt([]byte("sum"), 10); err != nil {
			t.Fatal(err)
		}
	}
	a = start(t, ca)
	a.waitReady(t)
	const later = "\xf8\x88\x01\x00" // 500 more
	eventually(t, "what was missed comes, once", func() bool { return value(a, "sum") == later })
	if err := onB.SetMst("", 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if s := b.Status().TyrantMaster; s != nil {
		t.Errorf("b still follows: %+v", s)
	}
}

// What is for administrators is off unless it is allowed.
func TestTyrantAdministration(t *testing.T) {
	dir := t.TempDir()
	copied := filepath.Join(dir, "copy")
	log, err := tyrant.OpenLogWriter(filepath.Join(dir, "log"), 1<<20)
	if err != nil {
		if err = os.Mkdir(filepath.Join(dir, "log"), 0o750); err != nil {
			t.Fatal(err)
		}
		if log, err = tyrant.OpenLogWriter(filepath.Join(dir, "log"), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range []tyrant.Request{
		{Command: tyrant.Put, Key: []byte("old"), Value: []byte("x")}, {Command: tyrant.Put, Key: []byte("k"), Value: []byte("v")},
		{Command: tyrant.AddInt, Key: []byte("n"), Num: 7}, {Command: tyrant.Misc, Name: []byte("get"), Args: [][]byte{[]byte("k")}},
	} {
		if err := log.Append(&tyrant.Entry{Time: int64(i+1) * 60_000_000, SID: 9, Payload: tyrant.AppendPayload(nil, &r, true)}); err != nil {
			t.Fatal(err)
		}
	}
	log.Close()
	refused := start(t, testConfig(t, 1))
	refused.waitReady(t)
	c := tyrantClient(t, refused)
	if c.Copy(copied) == nil || c.Restore(filepath.Join(dir, "log"), 0, 0) == nil || c.SetMst("127.0.0.1", 1, 0, 0) == nil {
		t.Error("what is not allowed is done")
	}
	if _, err := tyrantClient(t, refused).Repl(1, 5); err == nil {
		t.Error("the log is served although that is not allowed")
	}

	cfg := testConfig(t, 1)
	cfg.Data = filepath.Join(dir, "data")
	cfg.Allow = []string{allowCopy, allowRestore}
	r := start(t, cfg)
	r.waitReady(t)
	c = tyrantClient(t, r)
	if err := c.Restore(filepath.Join(dir, "log"), 100_000_000, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Restore(t.TempDir(), 0, 0); err == nil {
		t.Error("restored from a folder without an update log")
	}
	if value(r, "k") != "v" || value(r, "n") != "\x07\x00\x00\x00" || value(r, "old") != "(none)" {
		t.Errorf("restored are %q, %q and %q", value(r, "k"), value(r, "n"), value(r, "old"))
	}
	for _, path := range []string{"@touch " + filepath.Join(dir, "ran"), "relative", filepath.Join(dir, "no", "parent")} {
		if err := c.Copy(path); err == nil {
			t.Errorf("copied to %s", path)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a command was run")
	}
	if err := c.Copy(copied); err != nil {
		t.Fatal(err)
	}
	r.end(t)
	again := cfg
	again.Data = copied
	back := start(t, again)
	back.waitReady(t)
	if value(back, "k") != "v" || value(back, "n") != "\x07\x00\x00\x00" {
		t.Errorf("the copy has %q and %q", value(back, "k"), value(back, "n"))
	}
}
