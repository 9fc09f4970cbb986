package bench

import (
	"encoding/csv"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// memcslapTool is libmemcached's, version 1.1.4. Its keys have 20 to 84 bytes and its values about 50 to 5,000, as a list of
// what memcached holds after it shows. Each connection has a thread, which gets every key or sets a part of them.
var memcslapTool = &tool{
	program: "memcslap", debian: "libmemcached-tools",
	args: func(host, port string, c *Config, n int) []string {
		test := "get"
		if c.GetRatio == 0 {
			test = "set"
		}
		return []string{"--servers=" + host + ":" + port, "--concurrency=" + strconv.Itoa(c.Connections),
			"--execute-number=" + strconv.Itoa(n/c.Connections), "--test=" + test, "--tcp-nodelay"}
	},
	parse: parseMemcslap,
}

var memcslapCases = []checkCase{
	{"gets", func(c *Config) { likeMemcslap(c); c.GetRatio = 1 }, memcslapTool},
	{"sets", func(c *Config) { likeMemcslap(c); c.GetRatio = 0 }, memcslapTool},
}

func likeMemcslap(c *Config) {
	c.Connections, c.Keys, c.KeySize, c.ValueSizes = checkConnections, 2000, 52, Sizes{{50, 5000, 1}}
}

var memcslapLine = regexp.MustCompile(`(?m)^Time to (get|set)\s+(\d+) keys( by\s+\d+ threads)?:\s+([\d.]+) seconds`)

// parseMemcslap reads "Time to get 40000 keys by 20 threads: 1.767 seconds."; the line of the sets before has no threads.
func parseMemcslap(output string) (f toolFigures, err error) {
	for _, m := range memcslapLine.FindAllStringSubmatch(output, -1) {
		n, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			return toolFigures{}, err
		}
		f.requests += n
		if m[3] == "" {
			continue
		}
		seconds, err := strconv.ParseFloat(m[4], 64)
		if err != nil {
			return toolFigures{}, err
		}
		if seconds > 0 {
			f.ops = n / seconds
		}
	}
	return f, nil
}

// redisBenchmarkTool is Redis' own. It puts 12 digits for __rand_int__, so that its keys are ours.
var redisBenchmarkTool = &tool{
	program: "redis-benchmark", debian: "redis-tools",
	args: func(host, port string, c *Config, n int) []string {
		args := redisBenchmarkArgs(host, port, c.Connections, c.Pipeline, n, c.Keys)
		if c.GetRatio == 1 {
			return append(args, "GET", "k__rand_int__")
		}
		return append(args, "SET", "k__rand_int__", strings.Repeat("x", c.ValueSize))
	},
	parse: parseRedisBenchmark,
}

// redisBenchmarkArgs have no command. __rand_int__ in one becomes a number below keys.
func redisBenchmarkArgs(host, port string, connections, pipeline, n, keys int) []string {
	return []string{"-h", host, "-p", port, "-c", strconv.Itoa(connections), "-P", strconv.Itoa(pipeline),
		"-n", strconv.Itoa(n), "-r", strconv.Itoa(keys), "--csv"}
}

var redisBenchmarkCases = []checkCase{
	{"gets", func(c *Config) { likeRedisBenchmark(c); c.GetRatio = 1 }, redisBenchmarkTool},
	{"gets, P=16", func(c *Config) { likeRedisBenchmark(c); c.GetRatio, c.Pipeline = 1, 16 }, redisBenchmarkTool},
	{"sets", func(c *Config) { likeRedisBenchmark(c); c.GetRatio = 0 }, redisBenchmarkTool},
}

func likeRedisBenchmark(c *Config) { c.Connections, c.KeySize = checkConnections, len("k")+12 }

// parseRedisBenchmark reads a head and a line of CSV.
func parseRedisBenchmark(output string) (f toolFigures, err error) {
	i := strings.Index(output, `"test"`)
	if i < 0 {
		return f, nil
	}
	rows, err := csv.NewReader(strings.NewReader(output[i:])).ReadAll()
	if err != nil || len(rows) < 2 {
		return f, err
	}
	for column, value := range map[string]*float64{"rps": &f.ops, "p50_latency_ms": &f.p50, "p99_latency_ms": &f.p99} {
		i := slices.Index(rows[0], column)
		if i < 0 || i >= len(rows[1]) {
			continue
		}
		if *value, err = strconv.ParseFloat(rows[1][i], 64); err != nil {
			return toolFigures{}, err
		}
	}
	// It prints three digits behind the point, so these are whole.
	f.p50, f.p99 = math.Round(1000*f.p50), math.Round(1000*f.p99)
	return f, nil
}

// wrkTool is wrk, version 4.1.0. It asks for one key.
var wrkTool = &tool{
	program: "wrk", debian: "wrk",
	args: func(host, port string, c *Config, _ int) []string {
		key := newWorkload(c).key(0)
		return []string{"-t", "1", "-c", strconv.Itoa(c.Connections), "-d", fmt.Sprintf("%ds", max(1, int(c.Duration.Seconds()+0.5))),
			fmt.Sprintf("http://%s:%s/%s", host, port, key)}
	},
	parse: parseWrk,
}

var wrkCases = []checkCase{
	{"http gets", func(c *Config) { c.Connections, c.Keys, c.GetRatio = checkConnections, 1, 1 }, wrkTool},
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkRate     = regexp.MustCompile(`(?m)^Requests/sec:\s+([\d.]+)`)
	wrkRefused  = regexp.MustCompile(`(?m)^\s*(Non-2xx or 3xx responses: \d+|Socket errors: .*)`)
)

func parseWrk(output string) (f toolFigures, err error) {
	if m := wrkRefused.FindStringSubmatch(output); m != nil {
		return f, fmt.Errorf("not all is well: %s", m[1])
	}
	n, rate := wrkRequests.FindStringSubmatch(output), wrkRate.FindStringSubmatch(output)
	if n == nil || rate == nil {
		return f, nil
	}
	if f.requests, err = strconv.ParseFloat(n[1], 64); err != nil {
		return f, err
	}
	f.ops, err = strconv.ParseFloat(rate[1], 64)
	return f, err
}
