package users

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// ErrNone says that a request names nobody.
var ErrNone = errors.New("user and password, or a token, are required")

// Challenges are what an answer of status 401 has in WWW-Authenticate: RFC 7617 and RFC 6750.
var Challenges = []string{`Basic realm="futago", charset="UTF-8"`, `Bearer realm="futago"`}

// OfRequest returns whom the Authorization of a request names, by Basic or by Bearer, and the name that was claimed, "" for a
// token. The error is ErrNone, or one of Verify and Token. from is as for Verify.
func (u *Users) OfRequest(r *http.Request, from string) (name string, user *User, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		user, err = u.Token(strings.TrimSpace(token))
		return "", user, err
	}
	name, password, given := r.BasicAuth()
	if !given {
		return "", nil, ErrNone
	}
	user, err = u.Verify(r.Context(), from, name, []byte(password))
	return name, user, err
}

// Refuse sets the header of an answer for an error of OfRequest and returns its status.
func Refuse(h http.Header, err error) (status int) {
	switch {
	case errors.Is(err, ErrNone), errors.Is(err, ErrWrong):
		h["Www-Authenticate"] = Challenges
		return http.StatusUnauthorized
	case errors.Is(err, ErrLimited):
		h.Set("Retry-After", "60")
		return http.StatusTooManyRequests
	}
	h.Set("Retry-After", "1")
	return http.StatusServiceUnavailable
}

// hostBits are the bits of an IPv6 address that tell who it is: the rest a host may choose.
const hostBits = 64

// HostOf is the host of an address with a port, of IPv6 its network. What is no such address stays as it is.
func HostOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	ip := at.Addr().Unmap()
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip.WithZone(""), hostBits).Masked().String()
}
