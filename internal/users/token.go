package users

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	// tokenStart lets people, and programs that look for secrets, see what a token is.
	tokenStart = "futago_"
	tokenBytes = 32
	// tokenScheme is before the hash of a token.
	tokenScheme = "sha256:"
)

// maxToken is the longest text that is looked at for a token, bytes.
const maxToken = 256

// tokenHash is SHA-256 of a token.
type tokenHash [sha256.Size]byte

// NewToken makes a token and its hash for the file of users.
func NewToken() (token, hash string) {
	var b [tokenBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	token = tokenStart + base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(token))
	return token, tokenScheme + hex.EncodeToString(sum[:])
}

// parseToken reads the hash of a token.
func parseToken(text string) (h tokenHash, err error) {
	digits, found := strings.CutPrefix(text, tokenScheme)
	if b, bad := hex.DecodeString(digits); found && bad == nil && len(b) == len(h) {
		return tokenHash(b), nil
	}
	return h, fmt.Errorf("token=%.20s...: want sha256: and 64 hexadecimal digits; futago users add --token makes one", text)
}

// addTokens notes the tokens of a user whose line was checked.
func (t *Table) addTokens(u *User) error {
	for _, text := range u.Tokens {
		h, err := parseToken(text)
		if err != nil {
			return err
		}
		if of := t.byToken[h]; of != nil {
			return fmt.Errorf("user %q: the token stands in line %d already, or twice in this one", u.Name, of.Line)
		}
		t.byToken[h] = u
	}
	return nil
}

// Token returns the user whose token it is, or ErrWrong. It never blocks. Nobody guesses 256 bits, so tokens that are wrong are
// not counted as guesses; and as the token is looked up by its hash, time tells nothing of it.
func (u *Users) Token(token string) (*User, error) {
	if len(token) > maxToken {
		return nil, u.wrong()
	}
	if user := u.table.Load().byToken[sha256.Sum256([]byte(token))]; user != nil {
		return user, nil
	}
	return nil, u.wrong()
}
