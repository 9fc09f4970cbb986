package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/access"
	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/tyrant"
)

// openAudit returns an audit log and what reads its lines: command, arguments, user, outcome, error and number of repetitions.
func openAudit(t testing.TB) (*access.Audit, func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit")
	log, err := access.OpenAudit(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log, func() (lines []string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var l struct {
				Level, Msg, Command, Args, User, Remote, Outcome, Err string
				Audit                                                 bool
				Again                                                 int
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			if !l.Audit || !strings.HasPrefix(l.Msg, "a client's action") || l.Remote == "" || (l.Level == "INFO") != strings.HasPrefix(l.Command, "lru_crawler") {
				t.Errorf("line %s", line)
			}
			lines = append(lines, strings.Join(strings.Fields(fmt.Sprint(l.Command, " ", l.Args, " ", l.User, " ", l.Outcome, " ", l.Err)), " "))
		}
		return lines
	}
}

func TestAudit(t *testing.T) {
	misc := func(name string) string { return ask(tyrant.Request{Command: tyrant.Misc, Name: []byte(name)}) }
	post := func(user, name string) string {
		return strings.Replace(put("/", "X-TT-MNAME: "+name+"\r\n"+basic(user+":secret"), ""), "PUT", "POST", 1)
	}
	restore := ask(tyrant.Request{Command: tyrant.Restore, Text: []byte("/some/folder"), Time: 5})
	for _, tt := range []struct {
		name, user, requests, replies string
		want                          []string
	}{
		{"text", "root", "flush_all\r\nget a\r\nflush_all 10 noreply\r\nset a 0 0 1\r\n1\r\ncache_memlimit 4096\r\nshutdown\r\nstats reset\r\nstats detail on\r\nlru_crawler metadump all\r\nverbosity 1\r\n",
			"OK\r\nEND\r\nSTORED\r\nOK\r\nSERVER_ERROR: shutdown not enabled\r\nRESET\r\nOK\r\n",
			[]string{"flush_all root done", "cache_memlimit 4096 root done", "shutdown root refused not enabled: see --allow", "stats reset root done", "stats detail on root done",
				"lru_crawler metadump root done"}},
		{"text without the right", "foo", "flush_all 7\r\nset a 0 0 1\r\n1\r\nshutdown\r\nstats conns\r\n",
			"CLIENT_ERROR permission denied\r\nSTORED\r\nCLIENT_ERROR permission denied\r\nCLIENT_ERROR permission denied\r\n",
			[]string{"flush_all 7 foo refused no right", "shutdown foo refused no right"}},
		{"tyrant", "root", from("c8 72") + restore + misc("vanish") + misc("optimize") + misc("iterinit"), from("00 01 00 00000000 00 00000000 00 00000000"),
			[]string{"vanish root done", "restore /some/folder 5 root failed no such log", "misc vanish root done", "misc optimize root done"}},
		{"tyrant without the right", "foo", from("c8 72") + restore + misc("vanish") + from(`c8 10 00000001 00000001 "kv"`), from("01 01 01 00000000 00"),
			[]string{"vanish foo refused no right", "restore /some/folder 5 foo refused no right", "misc vanish foo refused no right"}},
		{"tyrant, not enabled", "root", ask(tyrant.Request{Command: tyrant.Copy, Text: []byte("/copy")}), from("01"), []string{"copy /copy root refused not enabled: see --allow"}},
		{"binary", "root", saslPacket(opFlush, 1, "\x00\x00\x00\x09", "", "") + saslPacket(opStat, 2, "", "reset", ""), "", []string{"flush 9 root done", "stats reset root done"}},
		{"binary without the right", "foo", saslPacket(opFlush, 1, "", "", ""), "", []string{"flush foo refused no right"}},
		{"http", "root", post("root", "vanish"), "", []string{"misc vanish root done"}},
		{"http without the right", "foo", post("foo", "vanish") + post("foo", "iterinit"), "", []string{"misc vanish foo refused no right"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			people, _ := openUsers(t, "foo rights=read,write", "root rights=read,write,admin")
			log, lines := openAudit(t)
			s := startServer(t, openStore(t, func(c *store.Config) { c.InMemory = true }), func(c *Config) {
				c.Users, c.Audit = people, log
				c.Restore = func(context.Context, string, int64, bool) error { return errors.New("no such log") }
			})
			c := dial(t, s)
			switch {
			case strings.HasPrefix(tt.name, "tyrant"):
				c.send(login(tt.user, "secret"))
				c.expect(from("00 00000000"))
			case strings.HasPrefix(tt.name, "binary"):
				c.send(saslPacket(opAuth, 9, "", "PLAIN", "\x00"+tt.user+"\x00secret"))
				c.expectPacket(opAuth, 9, 0, "Authenticated")
			case !strings.HasPrefix(tt.name, "http"):
				c.send(authSet(tt.user + " secret"))
				c.expect("STORED\r\n")
			}
			c.send(tt.requests)
			c.expect(tt.replies)
			eventually(t, "all lines", func() bool { return len(lines()) >= len(tt.want) })
			if got := lines(); strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// Who repeats a command fills no log, and no repetition is lost from it.
func TestAuditCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer // slog writes a line at a time
		log, err := access.OpenAudit("", slog.New(slog.NewTextHandler(&out, nil)))
		if err != nil {
			t.Fatal(err)
		}
		a := &auditor{log: log}
		count := func(what string, of ...string) {
			t.Helper()
			synctest.Wait()
			lines := slices.Collect(strings.Lines(out.String()))
			out.Reset()
			for _, text := range of {
				found := 0
				for _, l := range lines {
					if strings.Contains(l, text) {
						found++
					}
				}
				if found != 1 {
					t.Errorf("%s: %d lines have %q, want 1:\n%s", what, found, text, strings.Join(lines, ""))
				}
			}
			if len(lines) != len(of) {
				t.Errorf("%s: got %d lines, want %d:\n%s", what, len(lines), len(of), strings.Join(lines, ""))
			}
		}
		flush := action{command: "flush_all", user: "foo", remote: "127.0.0.1:1"}
		for i := range 1000 {
			flush.remote = fmt.Sprintf("127.0.0.1:%d", i+1)
			a.note(flush, errNoRight)
		}
		a.note(flush, nil)
		a.note(action{}, nil)
		count("at once", "remote=127.0.0.1:1 outcome=refused", "outcome=done")
		time.Sleep(2 * auditWindow)
		count("later", "again=999")
		a.note(flush, errNoRight)
		a.note(flush, errNoRight)
		count("anew", "outcome=refused")
		a.flush()
		count("at the end", "again=1")
		time.Sleep(2 * auditWindow)
		count("after the end")
		for i := range 2 * maxAudited {
			a.note(action{command: "vanish", user: "-", remote: fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)}, nil)
		}
		if len(a.open) > maxAudited+1 {
			t.Errorf("%d are remembered, want at most %d", len(a.open), maxAudited+1)
		}
		a.flush()
	})
}
