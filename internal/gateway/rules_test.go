package gateway

import (
	"net/url"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	some, err := newRules([]string{"/count_", "~/exact[0-9]+", "~(?i)/any.*"})
	if err != nil {
		t.Fatal(err)
	}
	every, err := newRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		rules  *rules
		method string
		uri    string
		body   bool
		want   *refusal
		target target
	}{
		{"plain", every, "GET", "/count_1", false, nil, target{path: "/count_1"}},
		{"root", every, "HEAD", "/", false, nil, target{path: "/"}},
		{"slash at the end", every, "GET", "/a/", false, nil, target{path: "/a/"}},
		{"escapes stay", every, "GET", "/a%2Fb%20c%c3%A4?q=%41&&", false, nil, target{"/a%2Fb%20c%c3%A4", "q=%41&&", true}},
		{"empty query stays", every, "GET", "/a?", false, nil, target{"/a", "", true}},
		{"dots within a segment", every, "GET", "/..a/b../.c", false, nil, target{path: "/..a/b../.c"}},
		{"dots in the query", every, "GET", "/a?x=/../..//", false, nil, target{"/a", "x=/../..//", true}},
		{"bytes above 127", every, "GET", "/\xff", false, nil, target{path: "/\xff"}},
		{"absolute form", every, "GET", "HTTP://host:1/a?b", false, nil, target{"/a", "b", true}},
		{"absolute form, no path", every, "GET", "http://host?b", false, nil, target{"/", "b", true}},
		{"absolute form, nothing", every, "GET", "http://host", false, nil, target{path: "/"}},

		{"dot dot", every, "GET", "/a/../b", false, refusedPath, target{}},
		{"dot dot at the end", every, "GET", "/a/..", false, refusedPath, target{}},
		{"dot", every, "GET", "/./a", false, refusedPath, target{}},
		{"escaped dots", every, "GET", "/a/%2e%2E/b", false, refusedPath, target{}},
		{"escaped slash makes a segment", every, "GET", "/a%2f..%2fb", false, refusedPath, target{}},
		{"two slashes", every, "GET", "//a", false, refusedPath, target{}},
		{"two slashes inside", every, "GET", "/a//b", false, refusedPath, target{}},
		{"two slashes, escaped", every, "GET", "/a/%2fb", false, refusedPath, target{}},
		{"NUL", every, "GET", "/a%00", false, refusedPath, target{}},
		{"escaped newline", every, "GET", "/a%0Ab", false, refusedPath, target{}},
		{"DEL", every, "GET", "/a%7f", false, refusedPath, target{}},
		{"raw control byte", every, "GET", "/a\tb", false, refusedPath, target{}},
		{"control byte in the query", every, "GET", "/a?\n", false, refusedPath, target{}},
		{"bad escape", every, "GET", "/a%zz", false, refusedPath, target{}},
		{"cut escape", every, "GET", "/a%4", false, refusedPath, target{}},
		{"fragment", every, "GET", "/a#b", false, refusedPath, target{}},
		{"asterisk", every, "OPTIONS", "*", false, refusedPath, target{}},
		{"authority form", every, "CONNECT", "host:443", false, refusedPath, target{}},
		{"empty", every, "GET", "", false, refusedPath, target{}},
		{"absolute form, bad path", every, "GET", "http://host//a", false, refusedPath, target{}},

		{"prefix", some, "GET", "/count_1", false, nil, target{path: "/count_1"}},
		{"prefix, decoded", some, "GET", "/%63ount%5f1", false, nil, target{path: "/%63ount%5f1"}},
		{"prefix is case-sensitive", some, "GET", "/COUNT_1", false, refusedRoute, target{}},
		{"prefix not at the start", some, "GET", "/a/count_1", false, refusedRoute, target{}},
		{"query is not matched", some, "GET", "/o?/count_1", false, refusedRoute, target{}},
		{"expression", some, "GET", "/exact12", false, nil, target{path: "/exact12"}},
		{"expression is anchored at the end", some, "GET", "/exact12x", false, refusedRoute, target{}},
		{"expression is anchored at the start", some, "GET", "/x/exact12", false, refusedRoute, target{}},
		{"expression with a flag", some, "GET", "/ANY/thing", false, nil, target{path: "/ANY/thing"}},

		{"method", every, "PUT", "/a", false, refusedMethod, target{}},
		{"invented method", every, "FROB", "/a", false, refusedMethod, target{}},
		{"method in lower case", every, "get", "/a", false, refusedMethod, target{}},
		{"body", every, "GET", "/a", true, refusedBody, target{}},
		{"body of HEAD", every, "HEAD", "/a", true, refusedBody, target{}},

		{"path before route", some, "GET", "/x/..", false, refusedPath, target{}},
		{"route before method", some, "PUT", "/x", true, refusedRoute, target{}},
		{"method before body", some, "POST", "/count_1", true, refusedMethod, target{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, refused := test.rules.judge(test.method, test.uri, test.body)
			if refused != test.want || got != test.target {
				t.Errorf("judge(%s %q, body %v) = %+v, %+v, want %+v, %+v",
					test.method, test.uri, test.body, got, refused, test.target, test.want)
			}
		})
	}
}

func TestNewRulesRefuses(t *testing.T) {
	for _, path := range []string{"", "count", "~(", "~a)|(b", "*"} {
		if _, err := newRules([]string{"/fine", path}); err == nil {
			t.Errorf("newRules(%q): got no error", path)
		}
	}
	_, err := newRules([]string{"one", "~("})
	if err == nil || !strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), `"~("`) {
		t.Errorf("newRules with two problems: got %v, want both named", err)
	}
}

// FuzzJudge checks what must hold of every request that is let through: its bytes are the client's, and decode, by
// another decoder, to a path without anything to normalise.
func FuzzJudge(f *testing.F) {
	for _, uri := range []string{"/", "/a%2Fb?c=d", "//", "/..", "/%2e%2e/", "http://h/x", "*", "/a%00", "/%", "/a?#", "?", "http://"} {
		f.Add(uri)
	}
	every, err := newRules(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		got, refused := every.judge("GET", uri, false)
		if refused != nil {
			if got != (target{}) {
				t.Fatalf("judge(%q): refused with target %+v", uri, got)
			}
			return
		}
		sent := got.path
		if got.hasQuery {
			sent += "?" + got.query
		}
		if strings.HasPrefix(uri, "/") && sent != uri {
			t.Fatalf("judge(%q): %q would go upstream", uri, sent)
		}
		decoded, err := url.PathUnescape(got.path)
		if err != nil {
			t.Fatalf("judge(%q): let a path through that does not decode: %v", uri, err)
		}
		if !strings.HasPrefix(got.path, "/") || strings.Contains(decoded, "//") || hasControl(decoded) || hasControl(sent) {
			t.Fatalf("judge(%q): let %q through", uri, sent)
		}
		for _, segment := range strings.Split(decoded, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("judge(%q): let segment %q through", uri, segment)
			}
		}
	})
}
