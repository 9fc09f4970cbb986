package users

import (
	"bytes"
	"fmt"
	"strings"
)

// Rights is a set of rights.
type Rights uint8

// The rights.
const (
	Read  Rights = 1 << iota // see values, and the statistics
	Write                    // change, create and delete records
	Admin                    // what concerns no key or all of them: flush_all, dumps, statistics reset, certificates
)

var rightNames = []struct {
	name  string
	right Rights
}{{"read", Read}, {"write", Write}, {"admin", Admin}}

// ParseRights reads names with commas between, such as read,write.
func ParseRights(text string) (Rights, error) {
	var set Rights
next:
	for name := range strings.SplitSeq(text, ",") {
		for _, r := range rightNames {
			if name == r.name {
				set |= r.right
				continue next
			}
		}
		return 0, fmt.Errorf("unknown right %q: want read, write, admin", name)
	}
	return set, nil
}

// String is the text that ParseRights reads, and "" for none.
func (r Rights) String() string {
	var names []string
	for _, known := range rightNames {
		if r&known.right != 0 {
			names = append(names, known.name)
		}
	}
	return strings.Join(names, ",")
}

// User is one line of the file. It never changes.
type User struct {
	// Name is how the user calls itself.
	Name string
	// Hash is bcrypt's, of the password, or NoPassword.
	Hash string
	// Tokens are the hashes of the user's tokens, as NewToken returns them.
	Tokens []string
	// Rights are never empty.
	Rights Rights
	// Prefixes are what a key must begin with one of; none allows every key.
	Prefixes []string
	// Line is the number of the line, from 1.
	Line int

	of *Table
}

// Has reports whether the user has all these rights.
func (u *User) Has(rights Rights) bool { return u.Rights&rights == rights }

// May is the one place that decides what a user may do: it must have all the rights, and be allowed to touch key where there is
// one. Nobody, nil, may do nothing.
func (u *User) May(rights Rights, key []byte) bool {
	return u != nil && u.Has(rights) && (key == nil || u.Reaches(key))
}

// Reaches reports whether the user may touch key at all.
func (u *User) Reaches(key []byte) bool {
	if len(u.Prefixes) == 0 {
		return true
	}
	for _, p := range u.Prefixes {
		if bytes.HasPrefix(key, []byte(p)) {
			return true
		}
	}
	return false
}
