//go:build linux && e2e

package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/futago/futago/internal/rediscluster/clustertest"
)

// TestDiffer is a short run of what `make differ` does for longer, which takes new seeds: what they find has nothing to do with
// the change that is tested here.
func TestDiffer(t *testing.T) {
	program := build(t)
	for name, seed := range map[string]uint64{"one": 1, "another": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, requests, err := run(t.Context(), options{length: 6 * time.Second, seed: seed, limit: 1, pairs: 4, program: program}, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if found > 0 {
				t.Error("futago and memcached differ")
			}
			if requests < 300 {
				t.Errorf("%d requests: the run proves little", requests)
			}
		})
	}
}

func build(t *testing.T) (program string) {
	program = filepath.Join(t.TempDir(), "futago")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/futago").CombinedOutput(); err != nil {
		t.Fatalf("build the program under test: %v\n%s", err, out)
	}
	return program
}

// TestDifferOnCluster does the same with fronts of a cluster. It runs for longer, and with another seed, where it is told to:
// `make differ-cluster`.
func TestDifferOnCluster(t *testing.T) {
	c := clustertest.Start(t, clustertest.Config{NodeTimeout: 5 * time.Second})
	o := options{length: 5 * time.Second, seed: 3, limit: 1, pairs: 4, program: build(t), cluster: "redis-cluster://" + strings.Join(c.Addrs(), ",") + ",lease=20ms,timeout=5s"}
	if text := os.Getenv("DIFFER_TIME"); text != "" {
		var err1, err2 error
		o.length, err1 = time.ParseDuration(text)
		o.seed, err2 = strconv.ParseUint(os.Getenv("DIFFER_SEED"), 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if o.seed == 0 {
			o.seed = rand.Uint64()
		}
	}
	found, requests, err := run(t.Context(), o, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if found > 0 {
		t.Error("futago on a cluster and memcached differ")
	}
	if requests < 300 {
		t.Errorf("%d requests: the run proves little", requests)
	}
}

// TestDifferFinds lets a memcached that takes larger values pass for futago, which must be found, and come down to what shows
// it.
func TestDifferFinds(t *testing.T) {
	s := stream{
		{text: "set t0 0 0 1\r\na\r\n"}, {conn: 2, text: "gets t0 t1\r\n"},
		{conn: 1, text: "add t1 0 0 1048577\r\n" + strings.Repeat("x", maxValue+1) + "\r\n"}, {text: "get t0\r\n", joined: true},
	}
	d := &differ{memcached: newMemcached(t.Context()), futago: newMemcached(t.Context())}
	t.Cleanup(d.stop)
	if _, what, err := d.play(s); err != nil || what != "" {
		t.Fatalf("two that are the same: got %q and %v, want no difference", what, err)
	}
	d.futago.stop()
	d.futago = newMemcached(t.Context(), "-I", "2m")
	if _, what, err := d.differs(s); err != nil || what == "" {
		t.Fatalf("two that are not: got no difference, error %v", err)
	}
	past, what, err := d.differs(d.shrink(s))
	want := "== a difference: replies differ\n> add t1 0 0 1048577\\r\\n${x*1048577}\n# the reason\n" +
		"<m SERVER_ERROR object too large for cache\n<f STORED\n"
	if got := transcript(past, what); err != nil || got != want {
		t.Errorf("got %v and\n%s\nwant one request:\n%s", err, got, want)
	}
}
