package users

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// guessing are users with a clock and a log of their own, and without rests after wrong passwords.
type guessing struct {
	*Users
	t   *testing.T
	at  time.Time
	log bytes.Buffer
}

func newGuessing(t *testing.T) *guessing {
	g := &guessing{t: t, at: time.Unix(1_800_000_000, 0)}
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, "foo:"+cheapHash(t, "bar")+"\nother:"+cheapHash(t, "bar"))
	var err error
	if g.Users, err = Open(path, slog.New(slog.NewTextHandler(&g.log, nil))); err != nil {
		t.Fatal(err)
	}
	g.now = func() time.Time { return g.at }
	return g
}

// wrong has n wrong passwords counted, as a worker does, without their hashes.
func (g *guessing) wrong(host, name string, n int) {
	for range n {
		a := &attempt{mac: g.mac(name, "", fmt.Append(nil, host, len(g.failed))), from: host, name: name, done: make(chan struct{})}
		g.finish(a)
	}
}

// expect tries a pair.
func (g *guessing) expect(what, host, name, password string, want error) {
	g.t.Helper()
	if _, err := g.Verify(g.t.Context(), host, name, []byte(password)); !errors.Is(err, want) {
		g.t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestGuessesAtAName(t *testing.T) {
	g := newGuessing(t)
	g.expect("the right password", "good", "foo", "bar", nil)
	for i := range maxGuessesName {
		g.expect("a guess", "bad", "foo", fmt.Sprint("guess ", i), ErrWrong)
	}
	g.expect("one more guess", "bad", "foo", "more", ErrLimited)
	g.expect("the right one from there, which is in use elsewhere", "bad", "foo", "bar", ErrLimited)
	g.expect("a guess that was wrong before", "bad", "foo", "guess 0", ErrWrong)
	g.expect("another name from there", "bad", "other", "bar", nil)
	g.expect("the right one from elsewhere", "good", "foo", "bar", nil)
	g.expect("the right one from a new host", "new", "foo", "bar", nil)
	if text := g.log.String(); strings.Count(text, "too many failed logins") != 1 || !strings.Contains(text, "host=bad user=foo failed=10") {
		t.Errorf("log: got %q, want one line", text)
	}
	if failed, limited := g.failures.Load(), g.limited.Load(); failed != maxGuessesName+1 || limited != 2 {
		t.Errorf("counted %d failed and %d limited, want %d and 2", failed, limited, maxGuessesName+1)
	}
	g.at = g.at.Add(guessWindow)
	g.expect("a minute later", "bad", "foo", "bar", nil)
}

// A program that repeats its mistake does not keep others of its host out.
func TestRepeatedMistakeIsOneGuess(t *testing.T) {
	g := newGuessing(t)
	for range 3 * maxGuessesName {
		g.expect("an old password", "h", "foo", "old", ErrWrong)
	}
	g.expect("the right one", "h", "foo", "bar", nil)
	g.wrong("h", "foo", maxGuessesName-1)
	g.expect("right after some guesses", "h", "foo", "bar", nil)
}

func TestGuessesOfAHost(t *testing.T) {
	g := newGuessing(t)
	g.expect("the right password", "bad", "foo", "bar", nil)
	for i := range maxGuessesHost {
		g.wrong("bad", fmt.Sprint("name ", i), 1)
	}
	g.expect("what is not known to be right", "bad", "other", "bar", ErrLimited)
	g.expect("what is", "bad", "foo", "bar", nil)
	g.expect("elsewhere", "good", "other", "bar", nil)
	g.wrong("bad", "foo", 1)
	g.expect("a name that was guessed at", "bad", "foo", "bar", ErrLimited)
}

func TestGuessesInAll(t *testing.T) {
	g := newGuessing(t)
	for i := range maxGuessesAll {
		g.wrong(fmt.Sprint("host ", i), "foo", 1)
	}
	g.expect("a second guess of one of them", "host 7", "other", "x", ErrLimited)
	g.expect("a first one", "new", "foo", "x", ErrWrong)
	g.expect("a second one", "new", "foo", "y", ErrLimited)
	g.expect("a host without guesses", "good", "foo", "bar", nil)
}

// The memory for guesses is bounded, and what is over goes first.
func TestGuessersAreBounded(t *testing.T) {
	g := newGuessing(t)
	for i := range maxGuessers {
		g.wrong(fmt.Sprint("h", i), fmt.Sprint("n", i), 1)
		if len(g.guesses) > maxGuessers {
			t.Fatalf("%d guessers are remembered, want at most %d", len(g.guesses), maxGuessers)
		}
	}
	if n := g.guessedLocked(guesser{}, g.at); n != maxGuessers {
		t.Errorf("in all: got %d, want %d", n, maxGuessers)
	}
	g.at = g.at.Add(guessWindow)
	g.wrong("h", "n", 1)
	if len(g.guesses) > 3 {
		t.Errorf("a minute later: %d guessers are remembered, want those of now", len(g.guesses))
	}
}

// An attempt that waits while its host reaches the limit is not looked at; another host that gave the same pair is.
func TestLimitWhileWaiting(t *testing.T) {
	g := newGuessing(t)
	g.mu.Lock()
	g.queue.busy = g.queue.most // no worker begins
	g.mu.Unlock()
	results := map[string]chan error{"bad": make(chan error, 1), "good": make(chan error, 1)}
	for _, host := range []string{"bad", "good"} {
		go func() {
			_, err := g.Verify(t.Context(), host, "foo", []byte("bar"))
			results[host] <- err
		}()
		for waits := false; !waits; {
			g.mu.Lock()
			waits = g.queue.size == 1
			g.mu.Unlock()
		}
	}
	g.wrong("bad", "foo", maxGuessesName)
	g.work()
	if err := <-results["bad"]; !errors.Is(err, ErrLimited) {
		t.Errorf("bad: got %v, want ErrLimited", err)
	}
	g.work() // the other one, if it was joined to the first
	if err := <-results["good"]; err != nil {
		t.Errorf("good: got %v", err)
	}
}
