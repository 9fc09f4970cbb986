package server

import (
	"strings"
	"testing"
)

func TestParseListen(t *testing.T) {
	tests := []struct {
		text string
		want Listener
		err  string // part of the error; empty = none
	}{
		{"127.0.0.1:11211", Listener{"tcp", "127.0.0.1:11211", AllProtocols, NoTLS}, ""},
		{"[::1]:80", Listener{"tcp", "[::1]:80", AllProtocols, NoTLS}, ""},
		{":0", Listener{"tcp", ":0", AllProtocols, NoTLS}, ""},
		{"localhost:1,protocols=memcache+http", Listener{"tcp", "localhost:1", Memcache | HTTP, NoTLS}, ""},
		{"h:1,protocols=tyrant", Listener{"tcp", "h:1", Tyrant, NoTLS}, ""},
		{"h:1,protocols=memcache", Listener{"tcp", "h:1", Memcache, NoTLS}, ""},
		{"unix:/run/f.sock,protocols=http", Listener{"unix", "/run/f.sock", HTTP, NoTLS}, ""},
		{"h:1,tls", Listener{"tcp", "h:1", AllProtocols, OnlyTLS}, ""},
		{"h:1,tls=optional,protocols=http", Listener{"tcp", "h:1", HTTP, OptionalTLS}, ""},
		{"unix:/s,protocols=memcache,tls=mutual", Listener{"unix", "/s", Memcache, MutualTLS}, ""},
		{"h:1,tls=", Listener{}, "want tls, tls=optional or tls=mutual"},
		{"h:1,tls=yes", Listener{}, "want tls, tls=optional or tls=mutual"},
		{"h:1,tsl", Listener{}, `nearest is "tls"`},
		{"", Listener{}, "host:port"},
		{"127.0.0.1", Listener{}, "host:port"},
		{"127.0.0.1:http", Listener{}, "0 to 65535"},
		{"127.0.0.1:65536", Listener{}, "0 to 65535"},
		{"unix:", Listener{}, "empty"},
		{":1,protocol=http", Listener{}, `nearest is "protocols"`},
		{":1,", Listener{}, `unknown option ""`},
		{":1,protocols=htp", Listener{}, `nearest is "http"`},
		{":1,protocols=memcached", Listener{}, `nearest is "memcache"`},
		{":1,protocols=", Listener{}, "unknown protocol"},
		{":1,protocols=http+", Listener{}, "unknown protocol"},
	}
	for _, tt := range tests {
		got, err := ParseListen(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseListen(%q): got %v and %v, want an error with %q", tt.text, got, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("ParseListen(%q): got %+v and %v, want %+v", tt.text, got, err, tt.want)
			continue
		}
		if again, err := ParseListen(got.String()); err != nil || again != got {
			t.Errorf("ParseListen(%q): got %+v and %v, want %+v again", got.String(), again, err, got)
		}
	}
}

func TestSniff(t *testing.T) {
	both := Memcache | HTTP
	tests := []struct {
		first byte
		set   Protocol
		want  verdict
	}{
		{'g', both, isMemcache}, {'G', both, isHTTP}, {'A', both, isHTTP}, {'Z', both, isHTTP}, {'@', both, isMemcache}, {'[', both, isMemcache},
		{'\r', both, isMemcache}, {0, both, isMemcache}, {0xff, both, isMemcache},
		{'G', Memcache, isMemcache}, {'g', Memcache, isMemcache}, {'g', HTTP, refused}, {'G', HTTP, isHTTP},
		{0x80, both, isBinary}, {0x80, HTTP, refused}, {0xC8, both, refused}, {0xC8, Tyrant, isTyrant}, {0xC8, AllProtocols, isTyrant}, {'g', Tyrant, refused}, {'G', Tyrant, refused}, {0x16, both, refused}, {0x80, Memcache, isBinary}, {0x16, HTTP, refused},
	}
	for _, tt := range tests {
		if got := sniff(tt.first, tt.set, NoTLS); got != tt.want {
			t.Errorf("sniff(%#x, %b): got %d, want %d", tt.first, tt.set, got, tt.want)
		}
	}
	for _, tt := range []struct {
		first  byte
		secure TLSMode
		want   verdict
	}{
		{magicTLS, OptionalTLS, isTLS}, {magicTLS, OnlyTLS, isTLS}, {magicTLS, MutualTLS, isTLS},
		{'g', OptionalTLS, isMemcache}, {'G', OptionalTLS, isHTTP}, {'g', OnlyTLS, refused}, {'G', OnlyTLS, refused}, {'g', MutualTLS, refused},
	} {
		if got := sniff(tt.first, both, tt.secure); got != tt.want {
			t.Errorf("sniff(%#x) with TLS %d: got %d, want %d", tt.first, tt.secure, got, tt.want)
		}
	}
}
