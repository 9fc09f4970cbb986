package rediscluster

import (
	"strings"
	"testing"
	"time"
)

// TestParseAddressProblems: each mistake is named in the words of the setting.
func TestParseAddressProblems(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "no address: want redis-cluster://HOST:PORT",
		"h:1,":                   "nothing between commas",
		"h":                      `"h": want HOST:PORT, or an option, which are tls, tls-ca`,
		"h:x":                    `address "h:x": want HOST:PORT`,
		"h:1,foo=1":              `"foo=1": want HOST:PORT, or an option, which are tls`,
		"h:1,wiat=1":             `"wiat=1": unknown option, nearest is "wait"`,
		"h:1,tls=yes":            `"tls=yes": tls has no value`,
		"h:1,prefix":             `"prefix": want prefix=VALUE`,
		"h:1,wait=x":             `wait: "x" is not a whole number: want 0 to 10`,
		"h:1,wait=11":            "wait 11: allowed is 0 to 10",
		"h:1,timeout=5":          `timeout: "5" is not a duration: want 1ms to 1m`,
		"h:1,lease=x":            `lease: "x" is not a duration: want 1ms to 10s`,
		"h:1,timeout=2h":         "timeout: allowed is 1ms to 1m",
		"h:1,wait=x,user=u,foo=": `wait: "x"`,
	} {
		_, err := ParseAddress(Scheme + text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "strconv") || strings.Contains(err.Error(), "time:") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if strings.Count(text, "=") == 1 && err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: one mistake is told as several: %v", text, err)
		}
	}
	cfg, err := ParseAddress(Scheme + "h:1,[::1]:2,wait=2,timeout=3s,lease=1s,prefix=p")
	if err != nil || len(cfg.Addrs) != 2 || cfg.Replicas != 2 || cfg.Timeout != 3*time.Second || cfg.Lease != time.Second || cfg.Prefix != "p" {
		t.Errorf("%+v, %v", cfg, err)
	}
}
