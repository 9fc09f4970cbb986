package node

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/futago/futago/internal/listing"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/users"
)

// keysOf asks for keys once.
func keysOf(t *testing.T, r *running, query string) (d listing.Document) {
	t.Helper()
	code, body := fetch(t, r, "/keys?"+query)
	if code != 200 {
		t.Fatalf("list keys %s: status %d, %s", query, code, body)
	}
	if err := json.Unmarshal([]byte(body), &d); err != nil {
		t.Fatalf("list keys %s: %v", query, err)
	}
	return d
}

func TestListKeys(t *testing.T) {
	r := start(t, testConfig(t, 3))
	r.waitReady(t)
	want := map[string]bool{}
	for i := range 2500 {
		key := fmt.Sprintf("user:%d", i)
		want[key] = true
		r.set(t, key, "v")
		if i%100 == 0 {
			r.set(t, fmt.Sprintf("rare:%d", i), "v")
		}
	}
	soon := uint64(r.store.Now()) + 3_600_000
	for _, req := range []store.Request{
		{Op: store.Set, Key: []byte("one\xff"), Value: []byte("four"), Flags: 7, Expires: soon},
		{Op: store.Set, Key: []byte("past"), Value: []byte("v"), Expires: 1},
	} {
		if err := r.store.Commit(&req, new(store.Result)); err != nil {
			t.Fatal(err)
		}
	}
	got, pages := map[string]bool{}, 0
	for cursor := ""; ; {
		d := keysOf(t, r, "prefix=user:&limit=400&cursor="+cursor)
		// Keys that share a hash come together.
		if pages++; d.Node != 3 || len(d.Keys) > 410 {
			t.Errorf("got node %d, %d keys, want 3 and about 400", d.Node, len(d.Keys))
		}
		for _, k := range d.Keys {
			if got[string(k.Key)] {
				t.Errorf("key %q came twice", k.Key)
			}
			got[string(k.Key)] = true
		}
		if cursor = d.Cursor; cursor == "" {
			break
		}
	}
	if len(got) != len(want) || pages < 7 {
		t.Errorf("got %d keys with the prefix in %d answers, want %d in 7 or more", len(got), pages, len(want))
	}
	for key := range got {
		if !want[key] {
			t.Errorf("key %q has not the prefix", key)
		}
	}
	all := 0
	for cursor := ""; ; {
		d := keysOf(t, r, "limit=10000&cursor="+cursor)
		all += len(d.Keys)
		if cursor = d.Cursor; cursor == "" {
			break
		}
	}
	if all != 2500+25+1 {
		t.Errorf("got %d keys in all, want 2526: the expired one is none", all)
	}
	d := keysOf(t, r, "prefix="+url.QueryEscape("one\xff"))
	for d.Cursor != "" && len(d.Keys) == 0 {
		d = keysOf(t, r, "prefix="+url.QueryEscape("one\xff")+"&cursor="+d.Cursor)
	}
	if len(d.Keys) != 1 || d.Keys[0].Size != 4 || d.Keys[0].Flags != 7 || d.Keys[0].Expires == nil ||
		d.Keys[0].Token != look(t, r, "key="+url.QueryEscape("one\xff")).Token {
		t.Errorf("what is told of a key: got %+v", d.Keys)
	}
	for _, query := range []string{"limit=0", "limit=x", "limit=10001", "cursor=1", "cursor=2000-0-" + strings.Repeat("0", 32)} {
		if code, body := fetch(t, r, "/keys?"+query); code != 400 {
			t.Errorf("list keys %s: got status %d and %.100q, want 400", query, code, body)
		}
	}
}

// A long list is made in pieces: a key of the largest size fills an answer soon.
func TestListKeysBoundsAnswers(t *testing.T) {
	r := start(t, testConfig(t, 1))
	r.waitReady(t)
	for i := range 40 {
		r.set(t, fmt.Sprint(i)+strings.Repeat("k", 60_000), "v")
	}
	n := 0
	for cursor, answers := "", 0; ; answers++ {
		d := keysOf(t, r, "cursor="+cursor)
		n += len(d.Keys)
		if len(d.Keys)*60_000 > 1<<20+200_000 {
			t.Errorf("got %d keys of 60,000 bytes in one answer", len(d.Keys))
		}
		if cursor = d.Cursor; cursor == "" {
			if answers < 2 {
				t.Errorf("got all in %d answers", answers+1)
			}
			break
		}
	}
	if n != 40 {
		t.Errorf("got %d keys, want 40", n)
	}
}

// Users are told of the keys that they may read.
func TestListKeysAsksWhoReads(t *testing.T) {
	file, lines := filepath.Join(t.TempDir(), "users"), ""
	for _, u := range []users.User{{Name: "all", Rights: users.Read}, {Name: "some", Rights: users.Read, Prefixes: []string{"mine:"}}, {Name: "writer", Rights: users.Write}} {
		var err error
		if u.Hash, err = users.Hash([]byte("secret")); err != nil {
			t.Fatal(err)
		}
		line, err := users.Format(&u)
		if err != nil {
			t.Fatal(err)
		}
		lines += line + "\n"
	}
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, 1)
	c.Users = file
	r := start(t, c)
	r.waitReady(t)
	r.set(t, "mine:k", "v")
	r.set(t, "theirs:k", "v")
	for login, want := range map[string]string{"": "401", "all:wrong": "401", "writer:secret": "403", "all:secret": "200 mine:k theirs:k", "some:secret": "200 mine:k"} {
		resp := r.ask(t, login, "/keys", "")
		got := fmt.Sprint(resp.StatusCode)
		if resp.StatusCode == 200 {
			var d listing.Document
			if err := json.NewDecoder(resp.Body).Decode(&d); err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, k := range d.Keys {
				keys = append(keys, string(k.Key))
			}
			slices.Sort(keys)
			got += " " + strings.Join(keys, " ")
		}
		resp.Body.Close()
		if got != want {
			t.Errorf("login %q: got %s, want %s", login, got, want)
		}
	}
}
