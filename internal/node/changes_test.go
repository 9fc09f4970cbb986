package node

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/feed"
	"github.com/futago/futago/internal/users"
)

// changes asks a node for what changed; login is name:password or empty.
func (r *running) changes(t *testing.T, login, query string) (code int, body string) {
	t.Helper()
	resp := r.followChanges(t, login, query, "")
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (r *running) followChanges(t *testing.T, login, query, accept string) *http.Response {
	t.Helper()
	return r.ask(t, login, "/changes?"+query, accept)
}

// ask makes a request to the admin port as name:password.
func (r *running) ask(t *testing.T, login, path, accept string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+r.admin.addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	if name, password, ok := strings.Cut(login, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func positionOf(t *testing.T, body string) string {
	t.Helper()
	var d struct{ Position string }
	if err := json.Unmarshal([]byte(body), &d); err != nil || d.Position == "" {
		t.Fatalf("no position in %s: %v", body, err)
	}
	return d.Position
}

// Users of the client port see on the admin port what they may see there.
func TestChangesAskWhoReads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	line := func(name string, rights users.Rights, prefixes ...string) string {
		t.Helper()
		hash, err := users.Hash([]byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := users.Format(&users.User{Name: name, Hash: hash, Rights: rights, Prefixes: prefixes})
		if err != nil {
			t.Fatal(err)
		}
		return text + "\n"
	}
	all, some, writer := line("all", users.Read), line("some", users.Read, "mine:"), line("writer", users.Write)
	write(all, some, writer)
	c := testConfig(t, 1)
	c.Users = file
	n := start(t, c)
	n.waitReady(t)
	for login, want := range map[string]int{"": 401, "all:wrong": 401, "nobody:secret": 401, "writer:secret": 403, "all:secret": 200} {
		if code, body := n.changes(t, login, ""); code != want {
			t.Errorf("login %q: got %d %s, want %d", login, code, body, want)
		}
	}
	for login, want := range map[string]int{"": 401, "all:wrong": 401, "writer:secret": 403, "some:secret": 403, "all:secret": 200} {
		resp := n.ask(t, login, "/key?key=theirs:k", "")
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("login %q looks at a key: got %d, want %d", login, resp.StatusCode, want)
		}
	}
	_, body := n.changes(t, "all:secret", "")
	from := "from=" + positionOf(t, body)
	n.set(t, "mine:k", "v")
	n.set(t, "theirs:k", "v")
	told := func(login string) string {
		_, body := n.changes(t, login, "wait=0s&"+from)
		return fmt.Sprint(strings.Contains(body, "mine:k"), strings.Contains(body, "theirs:k"))
	}
	if all, some := told("all:secret"), told("some:secret"); all != "true true" || some != "true false" {
		t.Errorf("all: %s, some: %s", all, some)
	}
	// Whoever is taken out of the file while following is told of nothing more.
	resp := n.followChanges(t, "all:secret", "", "text/event-stream")
	defer resp.Body.Close()
	events := bufio.NewReader(resp.Body)
	// upTo returns what is told until the client is behind the end of the log as it is now.
	upTo := func() (told string) {
		t.Helper()
		end := n.store.Log().Last()
		for {
			line, err := events.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			told += line
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				if p, err := feed.ParsePosition(strings.TrimSpace(id)); err != nil {
					t.Fatal(err)
				} else if p.At.Seq >= end {
					line, _ := events.ReadString('\n')
					data, _ := events.ReadString('\n')
					return told + line + data
				}
			}
		}
	}
	n.set(t, "one", "v")
	if got := upTo(); !strings.Contains(got, `"one"`) {
		t.Errorf("told %s", got)
	}
	write(some, writer)
	n.Reload()
	n.set(t, "two", "v")
	if got := upTo(); strings.Contains(got, `"two"`) {
		t.Errorf("a user that is gone was told %s", got)
	}
	if code, _ := n.changes(t, "all:secret", ""); code != 401 {
		t.Errorf("a user that is gone got %d", code)
	}
}

// Streams end when the process stood still and when the node stops, and a node that is not ready tells nothing.
func TestChangesEnd(t *testing.T) {
	a, b := pairConfigs(t)
	n, other := start(t, a), start(t, b)
	n.waitReady(t)
	other.waitReady(t)
	ended := make(chan error, 1)
	follow := func() {
		t.Helper()
		resp := n.followChanges(t, "", "", "text/event-stream")
		if resp.StatusCode != 200 {
			t.Fatalf("got %s", resp.Status)
		}
		go func() {
			defer resp.Body.Close()
			_, err := io.Copy(io.Discard, resp.Body)
			ended <- err
		}()
	}
	wait := func(why string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("%s: the stream ended with %v", why, err)
			}
		case <-ctx.Done():
			t.Fatalf("%s: the stream goes on", why)
		}
	}
	follow()
	long := time.Now().Add(-time.Minute)
	n.beat.Store(&long)
	n.noticeFreeze()
	wait("stood still")
	n.waitReadyAgain(t)
	follow()
	n.setState(CatchingUp, "a test says so")
	if code, body := n.changes(t, "", ""); code != 503 || !strings.Contains(body, "a test says so") {
		t.Errorf("a node that is not ready answered %d %s", code, body)
	}
	n.end(t)
	wait("drain")
}
