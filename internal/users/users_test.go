package users

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// write puts a file of users at path.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, text string) (u *Users, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "users")
	write(t, path, text)
	u, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return u, path
}

func TestVerify(t *testing.T) {
	u, _ := open(t, "foo:"+cheapHash(t, "bar"))
	ctx := t.Context()
	for _, pair := range [][2]string{{"foo", "baz"}, {"foo", ""}, {"foo", "bar "}, {"", "bar"}, {"fo", "obar"}, {"foo", strings.Repeat("x", MaxPassword+1)}} {
		for range 2 { // computed, then known
			if user, err := u.Verify(ctx, "h", pair[0], []byte(pair[1])); !errors.Is(err, ErrWrong) || user != nil {
				t.Errorf("Verify(%q): got %v and %v, want ErrWrong", pair, user, err)
			}
		}
		if user, decided, err := u.Known("h", pair[0], []byte(pair[1])); user != nil || !decided || !errors.Is(err, ErrWrong) {
			t.Errorf("Known(%q): got %v, %v, %v, want that it is wrong", pair, user, decided, err)
		}
	}
	if _, decided, _ := u.Known("h", "foo", []byte("bar")); decided {
		t.Error("Known before Verify: got decided")
	}
	user, err := u.Verify(ctx, "h", "foo", []byte("bar"))
	if err != nil || user.Name != "foo" {
		t.Fatalf("Verify: got %v and %v", user, err)
	}
	if again, decided, _ := u.Known("h", "foo", []byte("bar")); again != user || !decided {
		t.Errorf("Known after Verify: got %v, %v", again, decided)
	}
}

// bcrypt takes 72 bytes and no more: what differs behind them is another password.
func TestLongPassword(t *testing.T) {
	long := strings.Repeat("x", MaxPassword)
	u, _ := open(t, "foo:"+cheapHash(t, long))
	if _, err := u.Verify(t.Context(), "h", "foo", []byte(long+"y")); !errors.Is(err, ErrWrong) {
		t.Errorf("got %v, want ErrWrong", err)
	}
	if _, err := u.Verify(t.Context(), "h", "foo", []byte(long)); err != nil {
		t.Errorf("got %v", err)
	}
}

// The hash that stands for nobody's is computed like any other.
func TestNobodysHash(t *testing.T) {
	u, _ := open(t, "foo:"+cheapHash(t, "bar"))
	_, hash := u.find("nobody")
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("bar")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("got %v, want a mismatch", err)
	}
	if !hashForm.MatchString(hash) {
		t.Errorf("%q is no hash", hash)
	}
}

func TestReload(t *testing.T) {
	hash := cheapHash(t, "bar")
	u, path := open(t, "foo:"+hash+" rights=read\nold:"+hash)
	user := func(name string) *User {
		t.Helper()
		got, err := u.Verify(t.Context(), "h", name, []byte("bar"))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	foo, old := user("foo"), user("old")
	write(t, path, "nonsense")
	if err := reread(u); err == nil || u.Current(foo) != foo {
		t.Errorf("a bad file: got %v and %v, want an error and the old user", err, u.Current(foo))
	}
	write(t, path, "foo:"+hash+" rights=write")
	if err := reread(u); err != nil {
		t.Fatal(err)
	}
	if now := u.Current(foo); now == nil || now.Rights != Write {
		t.Errorf("changed rights: got %+v, want write", now)
	}
	if now, decided, _ := u.Known("h", "foo", []byte("bar")); !decided || now.Rights != Write {
		t.Errorf("a password that did not change: got %+v and %v, want that it is still known", now, decided)
	}
	if now := u.Current(old); now != nil {
		t.Errorf("removed user: got %+v", now)
	}
	if _, err := u.Verify(t.Context(), "h", "old", []byte("bar")); !errors.Is(err, ErrWrong) {
		t.Errorf("removed user: got %v, want ErrWrong", err)
	}
	write(t, path, "foo:"+cheapHash(t, "new"))
	if err := reread(u); err != nil {
		t.Fatal(err)
	}
	if now := u.Current(foo); now != nil {
		t.Errorf("changed password: got %+v, want that the user must authenticate again", now)
	}
	if _, err := u.Verify(t.Context(), "h", "foo", []byte("bar")); !errors.Is(err, ErrWrong) {
		t.Errorf("the old password: got %v, want ErrWrong", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := reread(u); err == nil || u.Table().User("foo") == nil {
		t.Error("a missing file: want an error and the old users")
	}
}

func TestReadableFileWarns(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o620: true, 0o602: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		if _, err := Open(path, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "chmod 600"); got != want {
			t.Errorf("mode %v: warned %v, want %v", mode, got, want)
		}
	}
}

func TestOpenSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{filepath.Join(dir, "missing"): "futago users add", dir: "is a directory"} {
		if _, err := Open(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): got %v, want %q", path, err, want)
		}
	}
}

func TestEmptyFileWarns(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "users")
	for text, want := range map[string]bool{"": true, "# nobody\n": true, "foo:" + cheapHash(t, "bar"): false} {
		write(t, path, text)
		log.Reset()
		if _, err := Open(path, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "nobody can log in"); got != want {
			t.Errorf("file %.20q: warned %v, want %v", text, got, want)
		}
	}
}

// Many who give the same password cost one hash; who goes away is not waited for.
func TestVerifyTogether(t *testing.T) {
	u, _ := open(t, "foo:"+cheapHash(t, "bar"))
	u.mu.Lock()
	u.queue.busy = u.queue.most // no worker begins
	u.mu.Unlock()
	var all sync.WaitGroup
	results := make(chan error, 50)
	for range 50 {
		all.Go(func() {
			_, err := u.Verify(context.Background(), "h", "foo", []byte("bar"))
			results <- err
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.Verify(ctx, "h", "foo", []byte("bar")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	u.mu.Lock()
	size := u.queue.size
	u.mu.Unlock()
	if size != 1 {
		t.Errorf("%d attempts wait, want 1", size)
	}
	u.work()
	all.Wait()
	close(results)
	for err := range results {
		if err != nil {
			t.Errorf("got %v", err)
		}
	}
}

// Hosts take turns, and none may make others wait for more than its share.
func TestHostsTakeTurns(t *testing.T) {
	u, _ := open(t, "foo:"+cheapHash(t, "bar"))
	u.queue.busy = u.queue.most
	put := func(host, password string) error {
		_, err := u.enqueue(&attempt{mac: u.mac("foo", "h", []byte(password)), from: host, hash: "h"}, []byte(password))
		return err
	}
	for i := range maxWaitingHost {
		if err := put("flood", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := put("flood", "more"); !errors.Is(err, ErrBusy) {
		t.Errorf("one more of the same host: got %v, want ErrBusy", err)
	}
	if err := put("flood", "0"); err != nil {
		t.Errorf("one that waits already: got %v", err)
	}
	if err := put("other", "x"); err != nil {
		t.Errorf("another host: got %v", err)
	}
	var got []string
	for a := u.queue.next(); a != nil; a = u.queue.next() {
		got = append(got, string(a.password))
	}
	if len(got) != maxWaitingHost+1 || got[0] != "0" || got[1] != "x" || got[2] != "1" {
		t.Errorf("order: got %q, want the other host second", got)
	}
	if u.queue.size != 0 || len(u.queue.hosts) != 0 || len(u.queue.turns) != 0 {
		t.Errorf("afterwards: got %+v, want nothing", u.queue)
	}
	for i := range maxWaiting {
		if err := put(fmt.Sprint("host ", i), fmt.Sprint("p", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := put("last", "last"); !errors.Is(err, ErrBusy) {
		t.Errorf("over the limit of all: got %v, want ErrBusy", err)
	}
}

// What is remembered of wrong passwords is bounded.
func TestFailuresAreBounded(t *testing.T) {
	u, _ := open(t, "")
	for i := range maxFailed + 10 {
		a := &attempt{mac: u.mac("x", "", []byte(fmt.Sprint(i))), done: make(chan struct{})}
		u.finish(a)
	}
	if n := len(u.failed); n > maxFailed {
		t.Errorf("got %d, want at most %d", n, maxFailed)
	}
}

// reread puts the users of the file in force.
func reread(u *Users) error {
	take, err := u.Prepare()
	if err != nil {
		return err
	}
	take()
	return nil
}
