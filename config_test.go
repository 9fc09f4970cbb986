package futago

import (
	"strings"
	"testing"
	"time"
)

func TestParseEndpoint(t *testing.T) {
	tests := []struct {
		addr string
		want endpoint // the zero value for an error
	}{
		{"127.0.0.1:11211", endpoint{"tcp", "127.0.0.1:11211", "127.0.0.1", "11211"}},
		{"localhost", endpoint{"tcp", "localhost:11211", "localhost", "11211"}},
		{"cache-a.example:011", endpoint{"tcp", "cache-a.example:11", "cache-a.example", "11"}},
		{"[::1]:11212", endpoint{"tcp", "[::1]:11212", "[::1]", "11212"}},
		{"[::1]", endpoint{"tcp", "[::1]:11211", "[::1]", "11211"}},
		{"unix:///run/futago.sock", endpoint{"unix", "/run/futago.sock", "unix:///run/futago.sock", "0"}},
		{"", endpoint{}},
		{":11211", endpoint{}},
		{"unix://", endpoint{}},
		{"::1", endpoint{}},
		{"::1:11211", endpoint{}},
		{"a:0", endpoint{}},
		{"a:65536", endpoint{}},
		{"a:b", endpoint{}},
		{"a:-1", endpoint{}},
		{"a b:1", endpoint{}},
		{"/run/futago.sock", endpoint{}},
		{"[::1]x:1", endpoint{}},
		{"http://a:80", endpoint{}},
	}
	for _, tt := range tests {
		got, err := parseEndpoint(tt.addr)
		if got != tt.want || (err == nil) != (tt.want != endpoint{}) {
			t.Errorf("parseEndpoint(%q): got %+v and error %v, want %+v", tt.addr, got, err, tt.want)
		}
	}
}

// TestConfigErrors: New names every problem at once.
func TestConfigErrors(t *testing.T) {
	_, err := New(Config{
		Servers: []Server{
			{Addr: "a:1", Weight: -1}, {Addr: "b:x"}, {Addr: "a:01"}, {Addr: "c:1", Timeout: -1, Weight: 10_001},
		},
		Strategy: 5, Hash: 11, MaxFailoverAttempts: -1, Redundancy: -1, MaxValue: -1,
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, problem := range []string{
		`"a:1": weight -1`, `"b:x": port "x"`, `"a:01" is there twice`, `"c:1": timeout`, `"c:1": weight 10001`,
		"strategy 5", "hash 11", "max failover attempts -1", "redundancy -1", "max value -1",
	} {
		if !strings.Contains(err.Error(), problem) {
			t.Errorf("no word of %q in: %v", problem, err)
		}
	}
}

// TestConfigHashOfStrategy: each strategy has the hash functions of its origin.
func TestConfigHashOfStrategy(t *testing.T) {
	for strategy := Consistent; strategy <= Continuum; strategy++ {
		for hash := DefaultHash; hash <= Murmur; hash++ {
			_, err := NewSelector(strategy, hash, nil)
			php := strategy == Consistent || strategy == Standard
			if goes := hash == DefaultHash || php == (hash == CRC32 || hash == FNV); goes != (err == nil) {
				t.Errorf("strategy %v, hash %v: got error %v", strategy, hash, err)
			}
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	servers := []Server{{Addr: "a:1"}, {Addr: "b:1", Weight: 3, Timeout: time.Minute, RetryInterval: -1}}
	c := open(t, Config{Servers: servers})
	if servers[0].Weight != 0 {
		t.Error("New changed the caller's servers")
	}
	if got, want := c.cfg.Servers[0], (Server{Addr: "a:1", Weight: 1, Timeout: time.Second, RetryInterval: time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := c.cfg.Servers[1]; got != servers[1] {
		t.Errorf("got %+v, want %+v", got, servers[1])
	}
	if c.cfg.MaxFailoverAttempts != 20 || c.cfg.Redundancy != 1 || c.cfg.MaxValue != 64<<20 || c.cfg.RepeatUnknown {
		t.Errorf("got %+v", c.cfg)
	}
	c = open(t, Config{PHPCompatible: true})
	if got := c.cfg.Servers; len(got) != 1 || got[0].Addr != DefaultAddr || got[0].RetryInterval != 15*time.Second || !c.cfg.RepeatUnknown {
		t.Errorf("got %+v", c.cfg)
	}
}
