package users

import (
	"errors"
	"strings"
	"testing"
)

func TestToken(t *testing.T) {
	token, hash := NewToken()
	other, _ := NewToken()
	if token == other || !strings.HasPrefix(token, "futago_") || len(token) != 50 || strings.Contains(hash, token) {
		t.Fatalf("NewToken: got %q, then %q, with hash %q", token, other, hash)
	}
	line, err := Format(&User{Name: "api", Hash: NoPassword, Rights: Read, Prefixes: []string{"a:"}, Tokens: []string{hash}})
	if err != nil {
		t.Fatal(err)
	}
	u, path := open(t, line+"\nfoo:"+cheapHash(t, "bar"))
	user, err := u.Token(token)
	if err != nil || user.Name != "api" || user.Rights != Read || !user.Reaches([]byte("a:1")) || user.Reaches([]byte("b")) {
		t.Fatalf("Token: got %+v and %v", user, err)
	}
	for _, wrong := range []string{"", other, token + "x", token[:49], hash, strings.Repeat("x", 1<<20)} {
		if got, err := u.Token(wrong); got != nil || !errors.Is(err, ErrWrong) {
			t.Errorf("Token(%.60q): got %v and %v, want ErrWrong", wrong, got, err)
		}
	}
	// Who has a token has no password: neither the mark in its place nor the token is one.
	for _, password := range []string{NoPassword, token, hash} {
		if got, err := u.Verify(t.Context(), "h", "api", []byte(password)); got != nil || !errors.Is(err, ErrWrong) {
			t.Errorf("Verify(%.20q): got %v and %v, want ErrWrong", password, got, err)
		}
	}
	_, hash = NewToken()
	write(t, path, "api:! token="+hash)
	if err := reread(u); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Token(token); !errors.Is(err, ErrWrong) {
		t.Errorf("a token that was replaced: got %v, want ErrWrong", err)
	}
	if now := u.Current(user); now != nil {
		t.Errorf("its user: got %+v, want that it must authenticate again", now)
	}
}
