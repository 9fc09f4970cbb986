//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// linearTime is how long the histories are recorded in all; LINEAR_TIME changes it.
const linearTime = 8 * time.Second

// What several clients see of one node is a history that one client could have seen: every operation takes effect at
// one moment between its request and its reply. Killing the process does not change that: what was acknowledged
// is there after the restart, and what was not is there whole or not at all.
func TestLinearizable(t *testing.T) {
	limit := linearTime
	if text := os.Getenv("LINEAR_TIME"); text != "" {
		var err error
		if limit, err = time.ParseDuration(text); err != nil {
			t.Fatalf("LINEAR_TIME: %v", err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	n := startSingle(t, "--fsync=interval", "--segment-size=1MiB")
	begin, ops, lost := time.Now(), 0, 0
	for round := 0; round < 2 || time.Since(begin) < limit || lost == 0 && round < 20; round++ {
		h := recordHistory(t, n, seed+uint64(round), round%2 == 1)
		if len(h) < 1000 {
			t.Fatalf("round %d recorded %d operations, which proves little", round, len(h))
		}
		checkHistory(t, h)
		if t.Failed() {
			return
		}
		ops += len(h)
		for _, op := range h {
			if op.Output.(linearOutput).status == "LOST" {
				lost++
			}
		}
	}
	t.Logf("%d operations, %d of them without a reply", ops, lost)
	if lost == 0 {
		t.Error("no kill met an operation: the test did not reach its case")
	}
}

// checkHistory demands that a history is linearizable. A drawing of one that is not stays behind.
func checkHistory(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(linearModel, history, 5*time.Minute)
	if result == porcupine.Ok {
		return
	}
	dir, err := os.MkdirTemp("", "futago-history-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "history.html")
	if err := porcupine.VisualizePath(linearModel, info, path); err != nil {
		t.Errorf("draw the history: %v", err)
	}
	t.Errorf("history of %d operations: got %s, want %s; look at %s", len(history), result, porcupine.Ok, path)
}

// recordHistory lets clients work on a few fresh keys and returns what they saw. With kill the process is killed in
// the middle and started again on its data.
func recordHistory(t *testing.T, n *node, seed uint64, kill bool) []porcupine.Operation {
	t.Helper()
	const clients, keys, perClient = 8, 4, 500
	recorders := make([]*linearClient, clients)
	var half, all sync.WaitGroup
	killed := make(chan struct{})
	for i := range recorders {
		c := &linearClient{id: i, rng: rand.New(rand.NewPCG(seed, uint64(i))), tokens: map[string]string{}}
		for k := range keys {
			c.keys = append(c.keys, fmt.Sprintf("linear-%d-%d", seed, k))
		}
		recorders[i] = c
		half.Add(1)
		all.Go(func() {
			passed := sync.OnceFunc(half.Done)
			defer passed()
			if err := c.work(n.client, perClient, passed, kill); err != nil {
				t.Error(err)
			}
			if !kill {
				return
			}
			<-killed // a lost operation cannot happen any more
			for j := range c.history {
				if c.history[j].Return == 0 {
					c.history[j].Return = sinceStart()
				}
			}
			if err := c.work(n.client, perClient/2, passed, false); err != nil {
				t.Error(err)
			}
		})
	}
	if kill {
		half.Wait()
		n.kill9()
		n.start(t)
		n.waitReady(t)
		close(killed)
	}
	all.Wait()
	var history []porcupine.Operation
	for _, c := range recorders {
		history = append(history, c.history...)
	}
	return history
}

var linearStart = time.Now()

func sinceStart() int64 { return int64(time.Since(linearStart)) }

// linearClient is one client with what it saw.
type linearClient struct {
	id      int
	rng     *rand.Rand
	keys    []string
	tokens  map[string]string // by key, of the last gets
	written int
	history []porcupine.Operation
}

// work sends requests, calls passed when half of them are answered, and returns after all of them; with endless it goes
// on until the connection ends.
func (c *linearClient) work(addr string, requests int, passed func(), endless bool) error {
	conn, err := dial(addr)
	if err != nil {
		return fmt.Errorf("connect to the node: %w", err)
	}
	defer conn.Close()
	for i := 0; i < requests || endless; i++ {
		if i == requests/2 {
			passed()
		}
		in := c.choose()
		op := porcupine.Operation{ClientId: c.id, Input: in, Call: sinceStart()}
		out, err := conn.linear(in)
		if err != nil {
			op.Output = linearOutput{status: "LOST"}
			c.history = append(c.history, op)
			if !endless {
				return fmt.Errorf("%s on a node that lives: %w", in.op, err)
			}
			return nil
		}
		op.Output, op.Return = out, sinceStart()
		c.history = append(c.history, op)
		if in.op == "gets" && out.status == "VALUE" {
			c.tokens[in.key] = out.token
		}
	}
	return nil
}

// choose makes the next request. Numbers are frequent enough for arithmetic, and values are told apart.
func (c *linearClient) choose() linearInput {
	ops := []string{"get", "get", "gets", "set", "add", "append", "cas", "incr", "incr", "decr", "delete"}
	in := linearInput{op: ops[c.rng.IntN(len(ops))], key: c.keys[c.rng.IntN(len(c.keys))]}
	switch in.op {
	case "cas":
		if in.token = c.tokens[in.key]; in.token == "" {
			in.op = "gets"
			return in
		}
		fallthrough
	case "set", "add":
		c.written++
		in.value = strconv.Itoa(c.written*10 + c.id)
		if c.rng.IntN(4) == 0 {
			in.value += "-text"
		}
	case "append":
		in.value = strconv.Itoa(1 + c.rng.IntN(9))
	case "incr", "decr":
		in.delta = 1 + c.rng.Uint64N(1000)
	}
	return in
}

// linear sends a request and reads its reply.
func (c *conn) linear(in linearInput) (linearOutput, error) {
	var text string
	switch in.op {
	case "get", "gets":
		// One key: gets tells the token, get is the same without looking at it.
		items, err := c.read([]string{in.key})
		item, ok := items[in.key]
		switch {
		case err != nil:
			return linearOutput{}, err
		case !ok:
			return linearOutput{status: "MISS"}, nil
		case in.op == "get":
			item.token = ""
		}
		return linearOutput{status: "VALUE", value: item.value, token: item.token}, nil
	case "set", "add", "append":
		text = fmt.Sprintf("%s %s 0 0 %d\r\n%s\r\n", in.op, in.key, len(in.value), in.value)
	case "cas":
		text = fmt.Sprintf("cas %s 0 0 %d %s\r\n%s\r\n", in.key, len(in.value), in.token, in.value)
	case "incr", "decr":
		text = fmt.Sprintf("%s %s %d\r\n", in.op, in.key, in.delta)
	case "delete":
		text = "delete " + in.key + "\r\n"
	}
	line, err := c.do(text)
	if err != nil {
		return linearOutput{}, err
	}
	if strings.Trim(line, "0123456789") == "" {
		return linearOutput{status: "NUMBER", value: line}, nil
	}
	return linearOutput{status: line}, nil
}

// TestLinearizableCanFail gives the checker histories of which it must refuse the wrong ones: written by hand, and a real
// one in which one reply was changed.
func TestLinearizableCanFail(t *testing.T) {
	// do is an operation from one time to another.
	do := func(client int, from, to int64, in linearInput, out linearOutput) porcupine.Operation {
		in.key = "k"
		return porcupine.Operation{ClientId: client, Input: in, Call: from, Output: out, Return: to}
	}
	set := func(v string) linearInput { return linearInput{op: "set", value: v} }
	get, gets := linearInput{op: "get"}, linearInput{op: "gets"}
	add, remove := linearInput{op: "add", value: "5"}, linearInput{op: "delete"}
	incr := linearInput{op: "incr", delta: 1}
	cas := func(v, token string) linearInput { return linearInput{op: "cas", value: v, token: token} }
	stored, miss, lost := linearOutput{status: "STORED"}, linearOutput{status: "MISS"}, linearOutput{status: "LOST"}
	value := func(v string) linearOutput { return linearOutput{status: "VALUE", value: v} }
	token := func(v, token string) linearOutput { return linearOutput{status: "VALUE", value: v, token: token} }
	number := func(v string) linearOutput { return linearOutput{status: "NUMBER", value: v} }
	deleted := linearOutput{status: "DELETED"}
	tests := []struct {
		name    string
		history []porcupine.Operation
		want    porcupine.CheckResult
	}{
		{"one after the other", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(1, 3, 4, get, value("1"))}, porcupine.Ok},
		{"stale read", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 4, set("2"), stored), do(1, 5, 6, get, value("1"))}, porcupine.Illegal},
		{"read during the write", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 6, set("2"), stored), do(1, 4, 5, get, value("1"))}, porcupine.Ok},
		{"new, then old", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 9, set("2"), stored), do(1, 4, 5, get, value("2")), do(2, 6, 7, get, value("1"))}, porcupine.Illegal},
		{"acknowledged, then missing", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(1, 3, 4, get, miss)}, porcupine.Illegal},
		{"back from the dead", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 4, remove, deleted), do(1, 5, 6, get, value("1"))}, porcupine.Illegal},
		{"two increments count once", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 6, incr, number("2")), do(1, 4, 5, incr, number("2"))}, porcupine.Illegal},
		{"two increments at once", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 6, incr, number("3")), do(1, 4, 5, incr, number("2"))}, porcupine.Ok},
		{"two adds win", []porcupine.Operation{do(0, 1, 4, add, stored), do(1, 2, 3, add, stored)}, porcupine.Illegal},
		{"two cas with one token win", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 4, gets, token("1", "a")), do(0, 5, 8, cas("2", "a"), stored), do(1, 6, 7, cas("3", "a"), stored)}, porcupine.Illegal},
		{"cas with the token of an older value", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 4, gets, token("1", "a")), do(1, 5, 6, set("2"), stored), do(0, 7, 8, cas("3", "a"), stored)}, porcupine.Illegal},
		{"two values with one token", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 4, gets, token("1", "a")), do(0, 5, 6, set("2"), stored), do(0, 7, 8, gets, token("2", "a"))}, porcupine.Illegal},
		{"lost write happened", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 5, set("2"), lost), do(1, 6, 7, get, value("2"))}, porcupine.Ok},
		{"lost write did not happen", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 5, set("2"), lost), do(1, 6, 7, get, value("1"))}, porcupine.Ok},
		{"lost write happened and was undone", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 5, set("2"), lost), do(1, 6, 7, get, value("2")), do(1, 8, 9, get, value("1"))}, porcupine.Illegal},
		{"lost write happened after the process was gone", []porcupine.Operation{do(0, 1, 2, set("1"), stored), do(0, 3, 5, set("2"), lost), do(1, 6, 7, get, value("1")), do(1, 8, 9, get, value("2"))}, porcupine.Illegal},
	}
	for _, tt := range tests {
		if got := porcupine.CheckOperationsTimeout(linearModel, tt.history, time.Minute); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}

	real := recordHistory(t, startSingle(t), rand.Uint64(), false)
	checkHistory(t, real)
	last := map[string]int64{} // the latest reply that told a value, by key: nothing explains another value there
	for _, op := range real {
		if out := op.Output.(linearOutput); out.status == "NUMBER" {
			last[op.Input.(linearInput).key] = max(last[op.Input.(linearInput).key], op.Return)
		}
	}
	tampered := 0
	for i, op := range real {
		out := op.Output.(linearOutput)
		if out.status != "NUMBER" || op.Return != last[op.Input.(linearInput).key] {
			continue
		}
		wrong := slices.Clone(real)
		out.value += "0"
		wrong[i].Output = out
		tampered++
		if got := porcupine.CheckOperationsTimeout(linearModel, wrong, time.Minute); got != porcupine.Illegal {
			t.Errorf("reply %d of %d changed: got %s, want %s", i, len(real), got, porcupine.Illegal)
		}
	}
	if tampered == 0 {
		t.Error("no reply to change")
	}
}
