package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/futago/futago/internal/bench"
)

// hit is a cache that stores nothing and in which every get hits. It answers `set KEY FLAGS EXPTIME SIZE`, which must come with a value without line ends, and `get KEY...`.
func hit(nc io.ReadWriter) {
	for lines := bufio.NewScanner(nc); lines.Scan(); {
		words := strings.Fields(lines.Text())
		reply := "STORED\r\n"
		if words[0] == "get" {
			reply = ""
			for _, key := range words[1:] {
				reply += fmt.Sprintf("VALUE %s 0 1\r\nx\r\n", key)
			}
			reply += "END\r\n"
		} else if !lines.Scan() {
			return
		}
		if _, err := io.WriteString(nc, reply); err != nil {
			return
		}
	}
}

func TestBenchLagCommand(t *testing.T) {
	write, read := startCache(t, hit), startCache(t, hit)
	load := []string{"bench", "lag", "--write", write, "--read", read, "--rate", "1000", "--probes", "500",
		"--duration", "20ms", "--warm-up", "0s", "--timeout", "10s"}

	var out, stderr strings.Builder
	if code := run(append(load, "--json"), strings.NewReader(""), &out, &stderr); code != exitOK {
		t.Fatalf("%q: exit code %d, stderr %q", load, code, stderr.String())
	}
	var result bench.LagResult
	if err := json.Unmarshal([]byte(out.String()), &result); err != nil {
		t.Fatalf("decode %q: %v", out.String(), err)
	}
	if result.Probes == 0 || result.Timeouts != 0 || result.P50Micros <= 0 || result.Config.Rate != 1000 {
		t.Errorf("got %d probes, %d timeouts, p50 %g us at %g sets/s; want some, none, above 0 at 1000",
			result.Probes, result.Timeouts, result.P50Micros, result.Config.Rate)
	}

	out.Reset()
	if code := run(load, strings.NewReader(""), &out, &stderr); code != exitOK {
		t.Fatalf("%q: exit code %d, stderr %q", load, code, stderr.String())
	}
	saturated := append(load[:6:6], append([]string{"--saturate"}, load[8:]...)...) // without --rate
	var text strings.Builder
	if code := run(saturated, strings.NewReader(""), &text, &stderr); code != exitOK || !strings.Contains(text.String(), "as many sets as it takes") {
		t.Errorf("%q: exit code %d, stderr %q, output %q; want one that says the load", saturated, code, stderr.String(), text.String())
	}
	if !strings.Contains(out.String(), "us p99.9") || !strings.Contains(out.String(), write+", seen at "+read) {
		t.Errorf("text result lacks the lag or the nodes: %q", out.String())
	}
}
