package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseTools(t *testing.T) {
	const (
		memcslapSaid = `Time to generate       2000 test keys:                0.075 seconds.
Time to set            2000 keys:                     0.657 seconds.
Time to start            20 threads:                  0.040 seconds.
--------------------------------------------------------------------
Time to get           40000 keys by   20 threads:     1.600 seconds.
--------------------------------------------------------------------
Time total:                                           2.539 seconds.
`
		redisSaid = `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"GET k__rand_int__","4318.91","8.106","0.328","4.015","22.847","87.167","427.519"
`
		wrkSaid = `Running 1s test @ http://127.0.0.1:1/k0
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.41ms    1.85ms  27.45ms   89.59%
    Req/Sec    48.44k     9.86k   58.80k    80.00%
  48271 requests in 1.02s, 9.67MB read
Requests/sec:  47437.01
Transfer/sec:      9.50MB
`
	)
	tests := []struct {
		tool   *tool
		output string
		want   toolFigures
		err    string
	}{
		{memcslapTool, memcslapSaid, toolFigures{requests: 42000, ops: 25000}, ""},
		{memcslapTool, "Time to set 40000 keys by 20 threads: 2.000 seconds.\n", toolFigures{requests: 40000, ops: 20000}, ""},
		{memcslapTool, "", toolFigures{}, ""},
		{redisBenchmarkTool, redisSaid, toolFigures{ops: 4318.91, p50: 4015, p99: 87167}, ""},
		{redisBenchmarkTool, "WARNING: no config\n" + redisSaid, toolFigures{ops: 4318.91, p50: 4015, p99: 87167}, ""},
		{redisBenchmarkTool, "Could not connect", toolFigures{}, ""},
		{redisBenchmarkTool, `"test","rps"` + "\n" + `"GET","x"`, toolFigures{}, "invalid syntax"},
		{wrkTool, wrkSaid, toolFigures{requests: 48271, ops: 47437.01}, ""},
		{wrkTool, wrkSaid + "  Non-2xx or 3xx responses: 7\n", toolFigures{}, "Non-2xx or 3xx responses: 7"},
		{wrkTool, "unable to connect", toolFigures{}, ""},
	}
	for _, tt := range tests {
		got, err := tt.tool.parse(tt.output)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s, %.40q: got error %v, want one with %q", tt.tool.program, tt.output, err, tt.err)
		}
		if err == nil && got != tt.want {
			t.Errorf("%s, %.40q: got %+v want %+v", tt.tool.program, tt.output, got, tt.want)
		}
	}
}

func TestToolArguments(t *testing.T) {
	for want, cc := range map[string]checkCase{
		"--servers=h:1 --concurrency=50 --execute-number=20 --test=get --tcp-nodelay":                memcslapCases[0],
		"--servers=h:1 --concurrency=50 --execute-number=20 --test=set --tcp-nodelay":                memcslapCases[1],
		"-h h -p 1 -c 50 -P 16 -n 1000 -r 100000 --csv GET k__rand_int__":                            redisBenchmarkCases[1],
		"-h h -p 1 -c 50 -P 1 -n 1000 -r 100000 --csv SET k__rand_int__ " + strings.Repeat("x", 100): redisBenchmarkCases[2],
		"-t 1 -c 50 -d 5s http://h:1/k000000000000000":                                               wrkCases[0],
	} {
		c := DefaultConfig()
		cc.alter(&c)
		if got := strings.Join(cc.tool.args("h", "1", &c, 1000), " "); got != want {
			t.Errorf("got %q want %q", got, want)
		}
	}
}

// fakeTool says what it was told to, instead of making load.
func fakeTool(script string) *tool {
	return &tool{
		program: "sh", debian: "dash", parse: parseWrk,
		args: func(string, string, *Config, int) []string { return []string{"-c", script} },
	}
}

func TestCheck(t *testing.T) {
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	c := CompareConfig{Futago: os.Args[0], Rounds: 2, Window: 20 * time.Millisecond, Log: &log}
	server := fakePeer("old")
	pl := placement{"pinned", cpus[0], cpus[len(cpus)-1:]}
	ok := checkCase{"gets", func(c *Config) { c.GetRatio = 1 }, fakeTool("echo 100 requests in 2s; echo Requests/sec: 50")}
	results, err := check(t.Context(), c, pl, []checkServer{{server, []checkCase{ok}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 {
		t.Fatalf("got %d results, want 1", len(results))
	}
	r := results[0]
	if r.Server != "old" || r.Case != "gets" || r.ToolOpsPerSecond != 50 || r.OpsPerSecond <= 0 || r.OpsRatio <= 0 {
		t.Errorf("got %+v", r)
	}
	if got := strings.Count(log.String(), "\n"); got != 2 {
		t.Errorf("log has %d lines, want one for each of 2 rounds:\n%s", got, log.String())
	}
	var text strings.Builder
	if err := results.Write(&text); err != nil || !strings.Contains(text.String(), "futago bench") {
		t.Errorf("error %v, text:\n%s", err, text.String())
	}

	for want, script := range map[string]string{
		"no such option":                 "echo no such option >&2; exit 3",
		"it prints no requests a second": "echo done",
	} {
		bad := checkCase{"gets", ok.alter, fakeTool(script)}
		if _, err := check(t.Context(), c, pl, []checkServer{{server, []checkCase{bad}}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", script, err, want)
		}
	}
}

func TestCheckNamesMissingTools(t *testing.T) {
	missing := func(name, debian string) checkCase {
		return checkCase{"gets", func(*Config) {}, &tool{program: "no-such-" + name, debian: debian}}
	}
	_, err := check(t.Context(), DefaultCompareConfig(), placement{}, []checkServer{
		{fakePeer("old"), []checkCase{missing("slap", "slap-tools"), missing("wrk", "wrk-package")}}})
	for _, want := range []string{"no-such-slap is not installed", "package slap-tools", "no-such-wrk", "package wrk-package"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}
