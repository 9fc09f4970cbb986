package users

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrWrong says that there is no such user, or that the password is another one.
	ErrWrong = errors.New("user name or password is wrong")
	// ErrBusy says that too many passwords wait to be looked at.
	ErrBusy = errors.New("too many authentications at once: try again")
)

// maxFailed is how many wrong pairs are remembered, so that a client that repeats its mistake costs nothing.
const maxFailed = 4096

// local is the host of who comes by a socket of this machine.
const local = "local"

// mac stands for a user, its hash, and a password.
type mac [sha256.Size]byte

// Users are the users of a file. It may be used by several goroutines at once.
type Users struct {
	path   string
	logger *slog.Logger
	key    []byte // of the MACs: random, for this process alone
	table  atomic.Pointer[Table]
	now    func() time.Time

	failures, limited atomic.Uint64 // logins that were wrong, and that ErrLimited refused

	mu       sync.Mutex // guards what follows, and the order of reloads
	verified map[string]mac
	failed   map[mac]struct{}
	guesses  map[guesser]guesses // at most maxGuessers
	queue    queue
}

// Open reads the file. The error names file and line.
func Open(path string, logger *slog.Logger) (*Users, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	u := &Users{path: path, logger: logger, key: make([]byte, sha256.Size), now: time.Now,
		verified: map[string]mac{}, failed: map[mac]struct{}{}, guesses: map[guesser]guesses{}}
	_, _ = rand.Read(u.key) // never fails
	u.queue.init()
	t, err := u.load()
	u.table.Store(t)
	return u, err
}

// Prepare reads the file again and returns what puts the users in it in force. A user whose line is gone, or has another hash,
// must authenticate again, also one with other tokens; other changes hold from the next request on.
func (u *Users) Prepare() (take func(), err error) {
	t, err := u.load()
	return func() {
		u.take(t)
		u.logger.Info("users were read again", "file", u.path, "users", len(t.list))
	}, err
}

func (u *Users) load() (*Table, error) {
	text, err := u.read()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read file of users: %w: make it with futago users add %s NAME", err, u.path)
	}
	if err != nil {
		return nil, fmt.Errorf("read file of users: %w", err)
	}
	t, err := Parse(u.path, text)
	if err != nil {
		return nil, fmt.Errorf("read file of users: %w", err)
	}
	if len(t.list) == 0 {
		u.logger.Warn("the file of users names none, nobody can log in: add one with futago users add, then send SIGHUP", "file", u.path)
	}
	return t, nil
}

// take puts users in force.
func (u *Users) take(t *Table) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.table.Store(t)
	for name := range u.verified {
		if t.User(name) == nil {
			delete(u.verified, name)
		}
	}
}

func (u *Users) read() ([]byte, error) {
	f, err := os.Open(u.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory: name the file in it", u.path)
	}
	if mode := info.Mode().Perm(); mode&0o026 != 0 {
		u.logger.Warn("the file of users can be read or changed by others: chmod 600", "file", u.path, "mode", mode.String())
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}

// Table returns what the file said when it was read last.
func (u *Users) Table() *Table { return u.table.Load() }

// Current returns what the file says now about a user that authenticated before: nil when it must do so again.
func (u *Users) Current(user *User) *User {
	t := u.table.Load()
	if user == nil || user.of == t {
		return user
	}
	if now := t.User(user.Name); now != nil && now.Hash == user.Hash && slices.Equal(now.Tokens, user.Tokens) {
		return now
	}
	return nil
}

// Known is Verify for pairs that need no computation: it never blocks. decided is false when only Verify can tell.
func (u *Users) Known(from, name string, password []byte) (user *User, decided bool, err error) {
	user, hash := u.find(name)
	from = cmp.Or(from, local)
	if len(password) == 0 || len(password) > MaxPassword {
		return nil, true, u.wrong()
	}
	m := u.mac(name, hash, password)
	u.mu.Lock()
	known, ok := u.verified[name]
	right := ok && user != nil && hmac.Equal(known[:], m[:])
	_, wrong := u.failed[m]
	// A pair that was wrong before is no new guess, and stays an error of its own: who repeats a mistake must see it.
	limited := !wrong && u.limitedLocked(from, name, right)
	u.mu.Unlock()
	switch {
	case limited:
		return nil, true, u.refused()
	case right:
		return user, true, nil
	case wrong:
		return nil, true, u.wrong()
	}
	return nil, false, nil
}

// wrong counts a failure.
func (u *Users) wrong() error {
	u.failures.Add(1)
	return ErrWrong
}

// refused counts a refusal.
func (u *Users) refused() error {
	u.limited.Add(1)
	return ErrLimited
}

// Verify returns the user of that name if the password is right; otherwise the error is ErrWrong, ErrLimited, ErrBusy, or
// ctx's. from is the host that asks, "" is this machine: hosts take turns, and guess in bounds. It may block for seconds. The password is not kept.
func (u *Users) Verify(ctx context.Context, from, name string, password []byte) (*User, error) {
	if user, decided, err := u.Known(from, name, password); decided {
		return user, err
	}
	user, hash := u.find(name)
	m := u.mac(name, hash, password)
	from = cmp.Or(from, local)
	a, err := u.attempt(ctx, &attempt{mac: m, from: from, name: name, hash: hash}, password)
	switch {
	case err != nil:
		return nil, err
	case a.limited:
		return nil, u.refused()
	case !a.right || user == nil:
		return nil, u.wrong()
	}
	u.mu.Lock()
	if now := u.table.Load().User(name); now != nil {
		u.verified[name] = m
	}
	delete(u.guesses, guesser{from, name})
	u.mu.Unlock()
	if user = u.Current(user); user == nil { // the file was changed meanwhile
		return nil, u.wrong()
	}
	return user, nil
}

// find returns the user and its hash; for a name that is not there a hash of the same cost, so that time does not tell.
func (u *Users) find(name string) (user *User, hash string) {
	t := u.table.Load()
	if user = t.User(name); user != nil && user.Hash != NoPassword {
		return user, user.Hash
	}
	return nil, fmt.Sprintf("$2a$%02d$%s", t.cost, "nobody.has.this.hash.......................................")[:60]
}

// mac covers the hash, so that nothing is remembered beyond a change of it.
func (u *Users) mac(name, hash string, password []byte) (m mac) {
	h := hmac.New(sha256.New, u.key)
	var size [8]byte
	for _, part := range [][]byte{[]byte(name), []byte(hash), password} {
		h.Write(binary.BigEndian.AppendUint64(size[:0], uint64(len(part))))
		h.Write(part)
	}
	h.Sum(m[:0])
	return m
}
