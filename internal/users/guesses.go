package users

import (
	"errors"
	"time"
)

// ErrLimited says that too many wrong passwords came from that host.
var ErrLimited = errors.New("too many failed logins: try again in a minute")

// The limits of wrong pairs within a window.
const (
	guessWindow    = time.Minute
	maxGuessesName = 10   // by one host at one name
	maxGuessesHost = 100  // by one host
	maxGuessesAll  = 1000 // beyond it a host has one
	// maxGuessers bounds the memory for them.
	maxGuessers = 8192
)

// guesser is who guesses: a host at a name, a host with an empty name, and with both empty everybody.
type guesser struct{ host, name string }

// guesses is what it has guessed wrong in a window.
type guesses struct {
	n     int
	until time.Time
}

// guessedLocked returns how many wrong pairs are held against g.
func (u *Users) guessedLocked(g guesser, now time.Time) int {
	if old, ok := u.guesses[g]; ok && now.Before(old.until) {
		return old.n
	}
	return 0
}

// limitedLocked reports whether host may not try name now. known says that the pair at hand is right beyond doubt.
func (u *Users) limitedLocked(host, name string, known bool) bool {
	if len(u.guesses) == 0 {
		return false
	}
	now := u.now()
	own, of, all := u.guessedLocked(guesser{host, name}, now), u.guessedLocked(guesser{host, ""}, now), u.guessedLocked(guesser{}, now)
	switch {
	case own >= maxGuessesName:
		return true
	case of >= maxGuessesHost:
		return own > 0 || !known
	case all >= maxGuessesAll:
		return own > 0 || !known && of > 0
	}
	return false
}

// guessLocked counts a wrong pair.
func (u *Users) guessLocked(host, name string) {
	now, shown := u.now(), name
	if u.table.Load().User(name) == nil {
		shown = "?" // it may be a password in the wrong place
	}
	for _, g := range []guesser{{host, name}, {host, ""}, {}} {
		n := u.guessedLocked(g, now) + 1
		if n == 1 {
			u.makeRoomLocked(now)
			u.guesses[g] = guesses{1, now.Add(guessWindow)}
		} else {
			u.guesses[g] = guesses{n, u.guesses[g].until}
		}
		switch {
		case g.name != "" && n == maxGuessesName:
			u.logger.Warn("too many failed logins: further ones are refused for a minute", "host", g.host, "user", shown, "failed", n)
		case g.host != "" && g.name == "" && n == maxGuessesHost:
			u.logger.Warn("too many failed logins: further ones are refused for a minute", "host", g.host, "failed", n)
		case g.host == "" && n == maxGuessesAll:
			u.logger.Warn("too many failed logins in all: for a minute each host has one", "failed", n)
		}
	}
}

// makeRoomLocked forgets what is over, or else anything.
func (u *Users) makeRoomLocked(now time.Time) {
	if len(u.guesses) < maxGuessers {
		return
	}
	for g, old := range u.guesses {
		if !now.Before(old.until) {
			delete(u.guesses, g)
		}
	}
	for g := range u.guesses {
		if len(u.guesses) < maxGuessers {
			return
		}
		if g != (guesser{}) {
			delete(u.guesses, g)
		}
	}
}
