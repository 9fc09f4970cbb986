package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/futago/futago/internal/migrate"
)

// TestSourceHint: where a source does not answer, it is not the node that is to be named.
func TestSourceHint(t *testing.T) {
	addr := closed(t)
	config := &nodeConfig{}
	for _, text := range []string{"redis://" + addr, "memcache://" + addr, "tyrant://" + addr} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		switch u.Scheme {
		case "tyrant":
			_, err = dialTyrant(addr, 0)(t.Context(), 0)
		default:
			source, _, wrong := new(transferConfig).sourceOf(text, config)
			if wrong != nil {
				t.Fatal(wrong)
			}
			switch s := source.(type) {
			case *migrate.Redis:
				_, err = s.Dial(t.Context())
			case *migrate.Memcached:
				_, err = s.Dial(t.Context())
			}
		}
		hint, _ := errors.AsType[hintError](importHint(err, ""))
		if err == nil || !strings.HasPrefix(hint.hint, "Nobody answered there, where the records are to come from") {
			t.Errorf("%s: %v, hint %q", text, err, hint.hint)
		}
	}
}

func TestWatchFromNowhere(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this is no position", http.StatusBadRequest)
	}))
	defer node.Close()
	code, _, told := runFutago(nil, "watch", "--from", "zzz", "--admin", strings.TrimPrefix(node.URL, "http://"))
	if code != exitFailure || !strings.Contains(told, "this is no position\nGive a position as a watch told it") {
		t.Errorf("exit code %d, told %q", code, told)
	}
}
