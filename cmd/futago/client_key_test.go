package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago"
)

// oddKeys are those that the text protocol cannot name.
var oddKeys = []string{"a key", " ", "tab\tkey", "x\r\nflush_all", "nul\x00", "\x7f", strings.Repeat("k ", 93)}

// The tools reach every key up to 186 bytes, and a part of one is never taken for a command.
func TestToolsWithOddKeys(t *testing.T) {
	client := "unix:" + filepath.Join(t.TempDir(), "client")
	startServe(t, "--data", "none", "--listen", client, "--admin-listen", "none")
	expect := func(code int, want string, args ...string) {
		t.Helper()
		if got, stdout, stderr := command(append(args, "--addr", client)...); got != code || stdout != want {
			t.Errorf("%q: exit code %d, %q, %q, want %d and %q", args, got, stdout, stderr, code, want)
		}
	}
	expect(exitOK, "", "set", "plain", "v")
	for _, key := range oddKeys {
		expect(exitNo, "", "get", key)
		expect(exitNo, "", "delete", key)
		expect(exitNo, "", "touch", key, "--ttl", "1h")
		expect(exitNo, "", "incr", key)
		expect(exitOK, "", "add", key, "41", "--flags", "7")
		expect(exitNo, "", "add", key, "x")
		expect(exitOK, "42\n", "incr", key)
		expect(exitOK, "39\n", "decr", key, "3")
		expect(exitOK, "39", "get", key)
		expect(exitOK, "plain\tv\n"+plain(key)+"\t39\n", "mget", "plain", key)
		expect(exitOK, "", "touch", key, "--ttl", "1h")
		expect(exitOK, "", "set", key, "a\r\nvalue")
		expect(exitNo, "", "incr", key)
		expect(exitOK, "a\r\nvalue", "get", key)
		expect(exitOK, "", "delete", key)
		expect(exitNo, "", "get", key)
	}
	expect(exitOK, "v", "get", "plain")
	code, _, stderr := command("get", strings.Repeat("k ", 94), "--addr", client)
	if code != exitUsage || !strings.Contains(stderr, "at most 186") {
		t.Errorf("188 bytes: exit code %d, %q", code, stderr)
	}
}

// The Go client has every operation for such keys, with flags, CAS and expiration.
func TestClientWithOddKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client")
	startServe(t, "--data", "none", "--listen", "unix:"+path, "--admin-listen", "none")
	c, err := futago.New(futago.Config{Servers: []futago.Server{{Addr: "unix://" + path, Timeout: time.Minute}}, AnyKey: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	want := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	want("set of a plain key", c.Set(ctx, &futago.Item{Key: "plain"}), nil)
	for _, key := range oddKeys {
		value := func(v string) *futago.Item { return &futago.Item{Key: key, Value: []byte(v), Flags: 9} }
		want("replace what is not there", c.Replace(ctx, value("x")), futago.ErrNotStored)
		want("append to nothing", c.Append(ctx, value("x")), futago.ErrNotStored)
		want("cas of nothing", c.CompareAndSwap(ctx, value("x")), futago.ErrCacheMiss)
		want("set", c.Set(ctx, value("b")), nil)
		want("append", c.Append(ctx, value("c")), nil)
		want("prepend", c.Prepend(ctx, value("a")), nil)
		item, err := c.Gets(ctx, key)
		if err != nil || item.Key != key || string(item.Value) != "abc" || item.Flags != 9 || item.CAS == 0 {
			t.Fatalf("gets %q: got %+v, %v", key, item, err)
		}
		stale := *item
		item.Value = []byte("d")
		want("cas", c.CompareAndSwap(ctx, item), nil)
		want("cas again", c.CompareAndSwap(ctx, &stale), futago.ErrCASConflict)
		want("replace", c.Replace(ctx, value("")), nil)
		if item, err := c.GetAndTouch(ctx, key, time.Hour); err != nil || len(item.Value) != 0 || item.CAS == 0 {
			t.Errorf("gat %q: got %+v, %v", key, item, err)
		}
		_, err = c.Increment(ctx, key, 1)
		want("incr of no number", err, futago.ErrNotNumeric)
		want("touch to the past", c.Touch(ctx, key, -time.Second), nil)
		_, err = c.Get(ctx, key)
		want("get of what has expired", err, futago.ErrCacheMiss)
		want("set again", c.Set(ctx, value("x")), nil)
		all, err := c.GetMulti(ctx, []string{key, "plain", "no such"})
		if err != nil || len(all) != 2 || string(all[key].Value) != "x" {
			t.Errorf("get several: got %+v, %v", all, err)
		}
	}
	want("too long", c.Delete(ctx, strings.Repeat("k ", 94)), futago.ErrKeyInvalid)
}
