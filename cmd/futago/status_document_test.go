package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeStatus(t *testing.T) {
	d, err := decodeStatus([]byte(`{"state": "ready", "peer": {"up": true, "lag": {"bytes": 12345678901234567890}},
		"listeners": [{"addr": "a:1"}, {"addr": "b:2"}], "empty": {}, "none": null, "odd": "a\u001b[2Jb"}`))
	if err != nil {
		t.Fatal(err)
	}
	wantNames := []string{"state", "peer.up", "peer.lag.bytes", "listeners.0.addr", "listeners.1.addr", "none", "odd"}
	if diff := cmp.Diff(wantNames, d.names); diff != "" {
		t.Errorf("names differ (-want +got):\n%s", diff)
	}
	wantItems := map[string]string{
		"state": "ready", "peer.up": "true", "peer.lag.bytes": "12345678901234567890",
		"listeners.0.addr": "a:1", "listeners.1.addr": "b:2", "none": "-", "odd": `"a\x1b[2Jb"`,
	}
	if diff := cmp.Diff(wantItems, d.items); diff != "" {
		t.Errorf("items differ (-want +got):\n%s", diff)
	}
}

func TestDecodeStatusProblems(t *testing.T) {
	for body, want := range map[string]string{
		"":                          "parse JSON",
		"{":                         "parse JSON",
		"{} {}":                     "parse JSON",
		"[1]":                       "no JSON object",
		"3":                         "no JSON object",
		`{"a":` + nested(100) + "}": "nested deeper than 32",
	} {
		if _, err := decodeStatus([]byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("decodeStatus(%.40q): %v, want an error with %q", body, err, want)
		}
	}
}

// nested is an empty array within depth others.
func nested(depth int) string {
	return strings.Repeat("[", depth+1) + strings.Repeat("]", depth+1)
}

func TestStatusNames(t *testing.T) {
	got := statusNames([]statusDocument{
		{names: []string{"state", "reason", "uptime"}},
		{names: []string{"version", "state", "peer.lag", "uptime", "z"}},
	})
	want := []string{"version", "state", "peer.lag", "reason", "uptime", "z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names differ (-want +got):\n%s", diff)
	}
}

func FuzzDecodeStatus(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[true,null,"x"]},"a":2}`))
	f.Add([]byte(`{"":{"":[]}}`))
	f.Add([]byte(nested(40)))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := decodeStatus(body)
		if err != nil {
			return
		}
		if len(d.names) != len(d.items) {
			t.Fatalf("decodeStatus(%q): %d names for %d items", body, len(d.names), len(d.items))
		}
		again, err := decodeStatus(d.raw)
		if err != nil {
			t.Fatalf("decode the compact form %q: %v", d.raw, err)
		}
		if diff := cmp.Diff(d.items, again.items); diff != "" {
			t.Fatalf("items of the compact form differ:\n%s", diff)
		}
	})
}
