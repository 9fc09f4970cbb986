package gateway

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// rules decide from the request line alone, and whether a body is declared, if a request is let through.
type rules struct {
	allow []pathRule // empty: every path
}

// pathRule matches decoded paths: by expression if there is one, else by prefix.
type pathRule struct {
	prefix string
	expr   *regexp.Regexp
}

// target is what goes upstream: the bytes that the client sent.
type target struct {
	path     string // escaped, begins with one slash
	query    string // without the question mark
	hasQuery bool   // there was a question mark, maybe with nothing after it
}

// refusal is the gateway's own answer to a request.
type refusal struct {
	status int
	reason string // label of the metric
	text   string // the line that the client sees
}

var (
	refusedPath   = &refusal{400, "path", "400 bad request: path is malformed or not in normal form"}
	refusedHost   = &refusal{400, "host", "400 bad request: bad host"}
	refusedRoute  = &refusal{404, "route", "404 not found"}
	refusedMethod = &refusal{403, "method", "403 forbidden: this address serves GET and HEAD"}
	refusedBody   = &refusal{400, "body", "400 bad request: a body is not accepted"}
)

var refusals = []*refusal{refusedPath, refusedHost, refusedRoute, refusedMethod, refusedBody}

// newRules compiles the forms of Config.AllowPaths.
func newRules(paths []string) (*rules, error) {
	r := &rules{}
	var errs []error
	for _, p := range paths {
		expr, isExpr := strings.CutPrefix(p, "~")
		switch {
		case isExpr:
			// Compiled alone first: `a)|(b` is an error, but would be none between our anchors and escape them.
			if _, err := regexp.Compile(expr); err != nil {
				errs = append(errs, fmt.Errorf("allow path %q: %w", p, err))
				continue
			}
			r.allow = append(r.allow, pathRule{expr: regexp.MustCompile(`\A(?:` + expr + `)\z`)})
		case strings.HasPrefix(p, "/"):
			r.allow = append(r.allow, pathRule{prefix: p})
		default:
			errs = append(errs, fmt.Errorf("allow path %q: want /prefix or ~REGEX", p))
		}
	}
	return r, errors.Join(errs...)
}

// judge returns the target of a request, or its refusal. The order is part of the contract: a malformed path is
// told before an unknown one, and an unknown one before a method that is not served.
func (r *rules) judge(method, requestURI string, hasBody bool) (target, *refusal) {
	t, ok := splitTarget(requestURI)
	if !ok {
		return target{}, refusedPath
	}
	decoded, err := decodePath(t.path)
	switch {
	case err != nil:
		return target{}, refusedPath
	case !r.allows(decoded):
		return target{}, refusedRoute
	case method != "GET" && method != "HEAD":
		return target{}, refusedMethod
	case hasBody:
		return target{}, refusedBody
	}
	return t, nil
}

func (r *rules) allows(decoded string) bool {
	for _, rule := range r.allow {
		if rule.expr != nil && rule.expr.MatchString(decoded) || rule.expr == nil && strings.HasPrefix(decoded, rule.prefix) {
			return true
		}
	}
	return len(r.allow) == 0
}

// splitTarget takes a request target apart. The absolute form (http://host/path) is accepted, as RFC 9112 demands
// of every server; its host has become the request's Host.
func splitTarget(uri string) (target, bool) {
	if !strings.HasPrefix(uri, "/") {
		rest, ok := cutScheme(uri)
		if !ok {
			return target{}, false
		}
		i := strings.IndexAny(rest, "/?")
		switch {
		case i < 0:
			uri = "/"
		case rest[i] == '?':
			uri = "/" + rest[i:]
		default:
			uri = rest[i:]
		}
	}
	var t target
	t.path, t.query, t.hasQuery = strings.Cut(uri, "?")
	return t, !hasControl(t.query) && !strings.Contains(uri, "#") // a fragment is never sent; who sees one reads it his way
}

func cutScheme(uri string) (rest string, ok bool) {
	for _, scheme := range []string{"http://", "https://"} {
		if len(uri) >= len(scheme) && strings.EqualFold(uri[:len(scheme)], scheme) {
			return uri[len(scheme):], true
		}
	}
	return "", false
}

var (
	errEscape  = errors.New("bad escape")
	errControl = errors.New("control byte")
	errSegment = errors.New("segment that normalising would change")
	errSlash   = errors.New("no slash at the start")
)

// decodePath undoes the escapes of a path and refuses one that another server might read in a different way: with
// `.` or `..` segments, empty segments before the last, control bytes or bad escapes, all judged after decoding.
func decodePath(path string) (string, error) {
	decoded, err := unescape(path)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(decoded, "/") {
		return "", errSlash
	}
	if hasControl(decoded) {
		return "", errControl
	}
	rest, more := decoded[1:], true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if segment == "." || segment == ".." || segment == "" && more {
			return "", errSegment
		}
	}
	return decoded, nil
}

// unescape decodes every %XX. A plus sign is itself: this is a path.
func unescape(s string) (string, error) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i >= 0 {
		b = append(b, s[:i]...)
		if len(s) < i+3 {
			return "", errEscape
		}
		high, low := hexValue(s[i+1]), hexValue(s[i+2])
		if high < 0 || low < 0 {
			return "", errEscape
		}
		b = append(b, byte(high<<4|low))
		s = s[i+3:]
		i = strings.IndexByte(s, '%')
	}
	return string(append(b, s...)), nil
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}
