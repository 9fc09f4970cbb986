package users

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// cheapHash is a hash that takes no time.
func cheapHash(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

const someToken = "sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

const someHash = "$2y$10$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz01234"

func TestParse(t *testing.T) {
	table, err := Parse("f", []byte("# users\n\n  all:"+someHash+"\r\nro:"+someHash+"\trights=read  prefix=a: prefix=b/\nroot:"+someHash+" rights=admin,write,read\nJürgen:"+someHash+" prefix=ü"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []User{
		{Name: "all", Rights: Read | Write, Line: 3}, {Name: "ro", Rights: Read, Prefixes: []string{"a:", "b/"}, Line: 4},
		{Name: "root", Rights: Read | Write | Admin, Line: 5}, {Name: "Jürgen", Rights: Read | Write, Prefixes: []string{"ü"}, Line: 6},
	} {
		got := table.User(want.Name)
		if got == nil || got.Rights != want.Rights || got.Line != want.Line || !slices.Equal(got.Prefixes, want.Prefixes) || got.Hash != someHash {
			t.Errorf("user %q: got %+v, want %+v", want.Name, got, want)
		}
	}
	if n := len(table.List()); n != 4 {
		t.Errorf("got %d users, want 4", n)
	}
}

func TestParseErrors(t *testing.T) {
	good := "good:" + someHash
	for text, want := range map[string]string{
		"name":         "want name:HASH",
		":" + someHash: "1 to 128 bytes",
		strings.Repeat("n", 129) + ":" + someHash:                     "1 to 128 bytes",
		"a\x00b:" + someHash:                                          "control characters",
		"a\xff:" + someHash:                                           "UTF-8",
		"a:secret":                                                    "not bcrypt's",
		"a:$2x" + someHash[3:]:                                        "not bcrypt's",
		"a:$2a$31" + someHash[6:]:                                     "cost",
		"a:$2a$03" + someHash[6:]:                                     "cost",
		good + " rights=":                                             `unknown right ""`,
		good + " rights=read,sudo":                                    `unknown right "sudo"`,
		good + " rights=read rights=write":                            "twice",
		good + " prefix=":                                             "prefix",
		good + " prefix=" + strings.Repeat("p", maxPrefix+1):          "prefix",
		good + strings.Repeat(" prefix=p", maxPrefixes+1):             "prefixes",
		good + " token=abc":                                           "sha256:",
		good + " token=sha256:abcd":                                   "sha256:",
		good + " token=" + someToken + " token=" + someToken:          "already",
		good + " token=" + someToken + "\nother:! token=" + someToken: "line 2",
		good + strings.Repeat(" token="+someToken, maxTokens+1):       "tokens",
		"a:!!":             "not bcrypt's",
		good + " role=x":   "unknown option",
		good + "\n" + good: "stands in line 2 already",
	} {
		_, err := Parse("f", []byte("# comment\n"+text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%.60q: got %v, want file, line and %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%.60q: the error shows what may be a password: %v", text, err)
		}
	}
	if _, err := Parse("f", make([]byte, maxFile+1)); err == nil {
		t.Error("a file that is too long: got no error")
	}
	if _, err := Parse("f", []byte("a\n"+good+"\nb")); err == nil || !strings.Contains(err.Error(), "f:1:") || !strings.Contains(err.Error(), "f:3:") {
		t.Errorf("two wrong lines: got %v, want both", err)
	}
}

func TestRights(t *testing.T) {
	u := &User{Rights: Read, Prefixes: []string{"a:", "b"}}
	if !u.Has(Read) || !u.Has(0) || u.Has(Write) || u.Has(Read|Write) {
		t.Error("Has: a right is there that was not given, or the other way round")
	}
	for key, want := range map[string]bool{"a:": true, "a:x": true, "a": false, "b": true, "bb": true, "c": false, "": false, "xa:": false} {
		if got := u.Reaches([]byte(key)); got != want {
			t.Errorf("Reaches(%q): got %v", key, got)
		}
	}
	if all := (&User{}); !all.Reaches([]byte("x")) || !all.Reaches(nil) {
		t.Error("Reaches without prefixes: got false")
	}
}

func TestHash(t *testing.T) {
	for _, n := range []int{0, MaxPassword + 1} {
		if _, err := Hash(make([]byte, n)); err == nil {
			t.Errorf("a password of %d bytes: got no error", n)
		}
	}
	hash, err := Hash([]byte("secret"))
	if err != nil || !hashForm.MatchString(hash) || bcrypt.CompareHashAndPassword([]byte(hash), []byte("secret")) != nil {
		t.Errorf("Hash: got %q and %v", hash, err)
	}
}

// What was parsed is written in a way that is parsed to the same.
func FuzzParse(f *testing.F) {
	f.Add("a:! rights=read token=" + someToken + "\nb:" + someHash)
	f.Add("# x\na:" + someHash + " rights=read prefix=p\n\nb:" + someHash)
	f.Add("a b:c\nd:\n=")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := Parse("f", []byte(text))
		if err != nil {
			return
		}
		for _, u := range table.List() {
			line, err := Format(u)
			if err != nil {
				t.Fatalf("format %+v: %v", u, err)
			}
			again, err := Parse("f", []byte(line))
			if err != nil {
				t.Fatalf("parse %q: %v", line, err)
			}
			got := again.User(u.Name)
			if got == nil || got.Hash != u.Hash || got.Rights != u.Rights || !slices.Equal(got.Prefixes, u.Prefixes) {
				t.Fatalf("%q: got %+v, want %+v", line, got, u)
			}
		}
	})
}
