package gateway

import (
	"net/http"
	"strings"
	"testing"
)

// The gateway authenticates for clients that do not, and leaves alone what others bring.
func testUpstreamUser(t *testing.T) {
	const gateways, clients = "Authorization: Basic Z2F0ZTp3b3Jk\r\n", "Authorization: Basic Zm9vOmJhcg==\r\n"
	for name, tt := range map[string]struct {
		user string
		own  bool
		want string
	}{
		"gateway's": {"gate", false, gateways}, "client's": {"gate", true, clients}, "client's without gateway's": {"", true, clients}, "none": {"", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newBackend(t, answers(200, "", "ok"))
			f := start(t, func(c *Config) { c.User, c.Password = tt.user, "word" }, a)
			req, err := http.NewRequest("GET", f.url("/k"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.own {
				req.SetBasicAuth("foo", "bar")
			}
			if got := f.send(req); got.status != 200 {
				t.Fatalf("got %+v", got)
			}
			seen := a.requests()
			if len(seen) != 1 || strings.Count(seen[0], "Authorization:") != strings.Count(tt.want, "Authorization:") || !strings.Contains(seen[0], tt.want) {
				t.Errorf("the server saw %q, want %q in it", seen, tt.want)
			}
		})
	}
}

func TestUpstreamUserIsChecked(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Upstreams, cfg.User = []Upstream{DefaultUpstream("127.0.0.1:1")}, "a:b"
	if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "colon") {
		t.Errorf("got %v, want that the user has a colon", err)
	}
}
