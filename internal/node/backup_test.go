package node

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/backup"
	"github.com/futago/futago/internal/users"
)

// postBackup asks a node for a backup as name:password.
func (r *running) postBackup(t *testing.T, login, query string, header bool) (code int, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+r.admin.addr()+"/backup?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header {
		req.Header.Set(access.ActionHeader, "1")
	}
	if name, password, ok := strings.Cut(login, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// Only who may see everything and has the right to do so gets a backup, which no page of another site can ask for.
func TestBackupAsksWhoReads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	hash, err := users.Hash([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, u := range []users.User{
		{Name: "all", Rights: users.Read | users.Admin}, {Name: "reader", Rights: users.Read | users.Write},
		{Name: "admin", Rights: users.Admin}, {Name: "some", Rights: users.Read | users.Admin, Prefixes: []string{"mine:"}},
	} {
		u.Hash = hash
		text, err := users.Format(&u)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, text+"\n")
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := testConfig(t, 1)
	c.Users = file
	n := start(t, c)
	n.waitReady(t)
	n.set(t, "k", "v")
	for login, want := range map[string]int{"": 401, "all:wrong": 401, "reader:secret": 403, "admin:secret": 403, "some:secret": 403, "all:secret": 200} {
		if code, body := n.postBackup(t, login, "", true); code != want {
			t.Errorf("login %q: got %d %.100q, want %d", login, code, body, want)
		}
	}
	if code, _ := n.postBackup(t, "all:secret", "", false); code != 403 {
		t.Errorf("without the header: got %d, want 403", code)
	}
	if last := n.backup.Last(); last.Kind != backup.Full || last.Time.IsZero() {
		t.Errorf("the last backup is %+v", last)
	}
}

func TestBackupRequests(t *testing.T) {
	n := start(t, testConfig(t, 1))
	n.waitReady(t)
	n.set(t, "k", "v")
	code, body := n.postBackup(t, "", "hold=1h", true)
	info, err := backup.Verify(bytes.NewReader(body), nil)
	if code != 200 || err != nil || info.Values != 1 || info.Node != 1 {
		t.Fatalf("got %d, %+v, %v", code, info, err)
	}
	n.set(t, "l", "v")
	next := "from=" + info.Position + "&parent=" + info.ID.String()
	code, body = n.postBackup(t, "", next, true)
	if info, err := backup.Verify(bytes.NewReader(body), nil); code != 200 || err != nil || info.Kind != backup.Incremental || info.Values != 1 {
		t.Errorf("what followed: %d, %+v, %v", code, info, err)
	}
	other := start(t, testConfig(t, 2))
	other.waitReady(t)
	if code, body := other.postBackup(t, "", next, true); code != 410 {
		t.Errorf("a node that does not know the position: got %d %.200q", code, body)
	}
	for _, query := range []string{"from=nonsense&parent=" + info.ID.String(), "from=" + info.Position, "from=" + info.Position + "&parent=12", "hold=1y", "hold=-1s", "hold=9999h"} {
		if code, body := n.postBackup(t, "", query, true); code != 400 {
			t.Errorf("%s: got %d %.200q, want 400", query, code, body)
		}
	}
}
