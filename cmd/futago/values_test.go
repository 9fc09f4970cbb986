package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0":                   0,
		"1":                   1,
		"512B":                512,
		"3KiB":                3 << 10,
		"64MiB":               64 << 20,
		"4GiB":                4 << 30,
		"2TiB":                2 << 40,
		"9223372036854775807": math.MaxInt64,
	} {
		got, err := parseSize(text)
		if err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                     "is not a size",
		"MiB":                  "is not a size",
		"-1":                   "is not a size",
		"+1":                   "is not a size",
		"1.5GiB":               "is not a size",
		"64MB":                 "is not a size",
		"64M":                  "is not a size",
		"64 MiB":               "is not a size",
		"1_000":                "is not a size",
		"9223372036854775808":  "too large",
		"8388608TiB":           "too large",
		"99999999999999999TiB": "too large",
	} {
		if got, err := parseSize(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseSize(%q) = %d, %v, want an error with %q", text, got, err, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"0", "64MiB", "4GiB", "1B", "x", "8388607TiB", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseSize(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("parseSize(%q) = %d, below zero", s, n)
		}
		again, err := parseSize(formatSize(n))
		if err != nil || again != n {
			t.Fatalf("parseSize(formatSize(%d)) = %d, %v", n, again, err)
		}
	})
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                    "0s",
		300 * time.Millisecond:               "300ms",
		10 * time.Second:                     "10s",
		time.Minute:                          "1m",
		90 * time.Second:                     "1m30s",
		time.Hour:                            "1h",
		24*time.Hour + 10*time.Minute:        "24h10m",
		time.Hour + 5*time.Second:            "1h0m5s",
		100*time.Minute + 30*time.Nanosecond: "1h40m0.00000003s",
	} {
		got := formatDuration(d)
		if got != want {
			t.Errorf("formatDuration(%d) = %q, want %q", d, got, want)
		}
		if again, err := time.ParseDuration(got); err != nil || again != d {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", got, again, err, d)
		}
	}
}

func TestChoiceValue(t *testing.T) {
	level, ack := "info", ""
	levelValue, ackValue := choiceValue(&level, "debug", "info"), choiceValue(&ack, "local", "peer")
	if err := levelValue.set([]string{"debug"}); err != nil || level != "debug" {
		t.Errorf("set debug: %v, level %q", err, level)
	}
	for _, w := range []string{"", "DEBUG", "trace"} {
		if err := levelValue.set([]string{w}); err == nil || level != "debug" {
			t.Errorf("set %q: no error, level %q", w, level)
		}
	}
	if err := levelValue.set([]string{"debgu"}); err == nil || !strings.Contains(err.Error(), "did you mean debug?") {
		t.Errorf("set debgu: %v, want the nearest word", err)
	}
	if err := ackValue.set([]string{""}); err != nil {
		t.Errorf("set the empty word that is the default: %v", err)
	}
}
