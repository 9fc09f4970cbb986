package users

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

// The limits of a file of users.
const (
	maxFile     = 1 << 20 // bytes
	maxName     = 128     // bytes
	maxPrefixes = 64      // of one user
	maxPrefix   = 1024    // bytes
	maxTokens   = 8       // of one user
	// maxCost is a hash that takes a second or two; a costlier one would keep everybody waiting.
	maxCost = 15
)

// MaxPassword is the longest password, in bytes: bcrypt looks at no more.
const MaxPassword = 72

// hashForm is bcrypt's. The letter only tells who wrote it.
var hashForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// NoPassword stands in the place of a hash: no password is the user's.
const NoPassword = "!"

// Table is what a file of users says. It never changes.
type Table struct {
	list    []*User
	byName  map[string]*User
	byToken map[tokenHash]*User
	cost    int // the highest of a hash
}

// User returns the user of that name, nil if there is none.
func (t *Table) User(name string) *User { return t.byName[name] }

// List returns the users in the order of the file. It must not be changed.
func (t *Table) List() []*User { return t.list }

// Parse reads a file of users. The error names every wrong line, with path before it.
func Parse(path string, text []byte) (*Table, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are more than a file of users may have, %d", path, len(text), maxFile)
	}
	t := &Table{byName: map[string]*User{}, byToken: map[tokenHash]*User{}, cost: bcrypt.DefaultCost}
	var problems []error
	n := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		u, err := parseLine(line)
		if err == nil && t.byName[u.Name] != nil {
			err = fmt.Errorf("user %q stands in line %d already", u.Name, t.byName[u.Name].Line)
		}
		if err == nil {
			err = t.addTokens(u)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s:%d: %w", path, n, err))
			continue
		}
		u.Line, u.of = n, t
		t.list, t.byName[u.Name] = append(t.list, u), u
		if cost, err := bcrypt.Cost([]byte(u.Hash)); err == nil {
			t.cost = max(t.cost, cost)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return t, nil
}

func parseLine(line string) (*User, error) {
	fields := strings.Fields(line)
	name, hash, found := strings.Cut(fields[0], ":")
	if !found {
		return nil, errors.New("want name:HASH; futago users add writes such lines")
	}
	u := &User{Name: name, Hash: hash}
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(field, "=")
		switch {
		case key == "rights" && u.Rights != 0:
			return nil, errors.New("rights= is there twice: want one, with commas between the rights")
		case key == "rights":
			var err error
			if u.Rights, err = ParseRights(value); err != nil {
				return nil, err
			}
		case key == "prefix":
			u.Prefixes = append(u.Prefixes, value)
		case key == "token":
			u.Tokens = append(u.Tokens, value)
		default:
			return nil, fmt.Errorf("unknown option %.40q: want rights=, prefix= or token=", field)
		}
	}
	if u.Rights == 0 {
		u.Rights = Read | Write
	}
	return u, u.check()
}

// check returns what is wrong with a user, never with the hash in it.
func (u *User) check() error {
	if err := CheckName(u.Name); err != nil {
		return err
	}
	if err := u.checkHash(); err != nil {
		return err
	}
	if len(u.Tokens) > maxTokens {
		return fmt.Errorf("user %q: %d tokens, want at most %d", u.Name, len(u.Tokens), maxTokens)
	}
	for _, text := range u.Tokens {
		if _, err := parseToken(text); err != nil {
			return fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	if len(u.Prefixes) > maxPrefixes {
		return fmt.Errorf("user %q: %d prefixes, want at most %d", u.Name, len(u.Prefixes), maxPrefixes)
	}
	for _, p := range u.Prefixes {
		if p == "" || len(p) > maxPrefix || strings.ContainsFunc(p, blank) {
			return fmt.Errorf("user %q: prefix %.40q: want 1 to %d bytes without white space and control characters", u.Name, p, maxPrefix)
		}
	}
	return nil
}

func (u *User) checkHash() error {
	if u.Hash == NoPassword {
		return nil
	}
	if !hashForm.MatchString(u.Hash) {
		return fmt.Errorf("user %q: the hash is not bcrypt's: futago users hash makes one of a password", u.Name)
	}
	if cost, err := bcrypt.Cost([]byte(u.Hash)); err != nil || cost < bcrypt.MinCost || cost > maxCost {
		return fmt.Errorf("user %q: the cost of the hash is not in %d to %d", u.Name, bcrypt.MinCost, maxCost)
	}
	return nil
}

// CheckName returns what is wrong with the name of a user.
func CheckName(name string) error {
	if name == "" || len(name) > maxName || name[0] == '#' || !utf8.ValidString(name) || strings.ContainsFunc(name, blank) || strings.Contains(name, ":") {
		return fmt.Errorf("name %.40q: want 1 to %d bytes of UTF-8 without white space, control characters and colon, not beginning with #", name, maxName)
	}
	return nil
}

// blank says what would end a field, or not be seen in one.
func blank(r rune) bool {
	return r <= ' ' || r == 0x7f || r == 0x85 || r == 0xa0 || r > 0x7f && strings.TrimSpace(string(r)) == ""
}

// Format returns the line of a user, without its end, or what is wrong with the user.
func Format(u *User) (string, error) {
	if err := u.check(); err != nil {
		return "", err
	}
	line := u.Name + ":" + u.Hash + " rights=" + u.Rights.String()
	for _, p := range u.Prefixes {
		line += " prefix=" + p
	}
	for _, text := range u.Tokens {
		line += " token=" + text
	}
	return line, nil
}

// Hash makes the hash of a password.
func Hash(password []byte) (string, error) {
	if len(password) == 0 || len(password) > MaxPassword {
		return "", fmt.Errorf("a password of %d bytes: want 1 to %d", len(password), MaxPassword)
	}
	hash, err := bcrypt.GenerateFromPassword(password, bcrypt.DefaultCost)
	return string(hash), err
}
