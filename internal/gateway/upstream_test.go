package gateway

import (
	"strings"
	"testing"
	"time"
)

func TestParseUpstream(t *testing.T) {
	tests := []struct {
		in   string
		want Upstream
	}{
		{"127.0.0.1:11311", DefaultUpstream("127.0.0.1:11311")},
		{"[::1]:80", DefaultUpstream("[::1]:80")},
		{"unix:/run/futago.sock,weight=2", Upstream{"unix:/run/futago.sock", "", 2, 1, 10 * time.Second}},
		{"127.0.0.1:11311,check=127.0.0.1:11381,weight=5,max_fails=3,fail_timeout=30s",
			Upstream{"127.0.0.1:11311", "127.0.0.1:11381", 5, 3, 30 * time.Second}},
		{"node-a:1,fail_timeout=250ms,max_fails=0", Upstream{"node-a:1", "", 1, 0, 250 * time.Millisecond}},
	}
	for _, test := range tests {
		got, err := ParseUpstream(test.in)
		if err != nil || got != test.want {
			t.Errorf("ParseUpstream(%q) = %+v, %v, want %+v", test.in, got, err, test.want)
		}
		if back, err := ParseUpstream(got.String()); err != nil || back != test.want {
			t.Errorf("ParseUpstream(%q) = %+v, %v, want %+v", got.String(), back, err, test.want)
		}
	}
}

func TestParseUpstreamRefuses(t *testing.T) {
	tests := []struct {
		in   string
		want []string // parts of the error
	}{
		{"", []string{"host:port"}},
		{"host", []string{"host:port"}},
		{"host:0", []string{"port 0"}},
		{"host:70000", []string{"port"}},
		{"unix:", []string{"unix:/path"}},
		{"unix:" + strings.Repeat("x", 200), []string{"200 bytes"}},
		{"h:1,wieght=5", []string{"unknown option", "wieght", "nearest known option: weight"}},
		{"h:1,failtimeout=5s", []string{"nearest known option: fail_timeout"}},
		{"h:1,max_fail=5", []string{"nearest known option: max_fails"}},
		{"h:1,chek", []string{"name=value", "nearest known option: check"}},
		{"h:1,weight=0", []string{"weight 0", "1 to 65535"}},
		{"h:1,weight=99999999999999999999", []string{"weight"}},
		{"h:1,weight=x", []string{"weight"}},
		{"h:1,max_fails=-1", []string{"max_fails -1"}},
		{"h:1,fail_timeout=30", []string{"fail_timeout", "unit"}},
		{"h:1,fail_timeout=-1s", []string{"fail_timeout -1s"}},
		{"h:1,check=", []string{"check"}},
		{"h:1,check=nowhere", []string{"check", "nowhere"}},
		{"h:1,weight=1,weight=2", []string{"given twice"}},
		{"h:1,", []string{"name=value"}},
		{"h:1,weight=x,colour=red", []string{"weight", "colour"}},
	}
	for _, test := range tests {
		got, err := ParseUpstream(test.in)
		if err == nil {
			t.Errorf("ParseUpstream(%q) = %+v, want an error", test.in, got)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("ParseUpstream(%q): got error %q, want %q in it", test.in, err, part)
			}
		}
	}
}

func FuzzParseUpstream(f *testing.F) {
	f.Add("127.0.0.1:11311,check=127.0.0.1:11381,weight=5,max_fails=3,fail_timeout=30s")
	f.Add("unix:/a,weight=2")
	f.Add("h:1,wieght=5")
	f.Add("[::1%eth0]:01,")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseUpstream(s)
		if err != nil {
			return
		}
		if problems := u.problems(); len(problems) > 0 {
			t.Fatalf("ParseUpstream(%q) = %+v, which has problems: %v", s, u, problems)
		}
		again, err := ParseUpstream(u.String())
		if err != nil || again != u {
			t.Fatalf("ParseUpstream(%q): written as %q, read back as %+v, %v, want %+v", s, u.String(), again, err, u)
		}
	})
}
