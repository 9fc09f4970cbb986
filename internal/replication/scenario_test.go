package replication

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/hlc"
	"github.com/futago/futago/internal/record"
	"github.com/futago/futago/internal/store"
)

var update = flag.Bool("update", false, "write what the scenarios print below their ----")

// TestScenarios runs testdata/*.txt: commands for a pair of nodes, and below ---- what they print. The number in a name is
// that of the rule which the schedule would break. Commands that say nothing succeeded. A first line "# mesh: nodes=3 retention=24h" asks for another mesh than a pair that
// remembers deletes for ever.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scenarios: %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, want, ok := strings.Cut(string(b), "----\n")
			if !ok {
				t.Fatal("no line ---- in the file")
			}
			var got string
			synctest.Test(t, func(t *testing.T) { got = runScenario(t, script, nil) })
			if *update {
				if err := os.WriteFile(file, []byte(script+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// runScenario returns what the commands print. prepare may change the cluster before its nodes start.
func runScenario(t *testing.T, script string, prepare func(*cluster)) string {
	nodes, retention := 2, ""
	if first, _, _ := strings.Cut(script, "\n"); strings.HasPrefix(first, "# mesh:") {
		for _, word := range strings.Fields(first)[2:] {
			if text, ok := strings.CutPrefix(word, "nodes="); ok {
				nodes, _ = strconv.Atoi(text)
			} else if text, ok := strings.CutPrefix(word, "retention="); ok {
				retention = text
			}
		}
	}
	c := newMesh(t, nodes)
	defer c.stop()
	if retention != "" {
		var err error
		if c.retention, err = time.ParseDuration(retention); err != nil {
			t.Fatal(err)
		}
	}
	if prepare != nil {
		prepare(c)
	}
	c.start()
	s := &scenario{cluster: c}
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		if err := s.do(words); err != nil {
			fmt.Fprintf(&s.out, "%s: %v\n", strings.Join(words, " "), err)
		}
	}
	return s.out.String()
}

// scenario executes commands.
type scenario struct {
	*cluster
	out    strings.Builder
	tokens map[string]uint64 // by key, of the last gets
	saved  *crashFS
}

var scenarioOps = map[string]store.Op{"set": store.Set, "add": store.Add, "replace": store.Replace, "append": store.Append, "prepend": store.Prepend,
	"cas": store.CAS, "delete": store.Delete, "incr": store.Incr, "decr": store.Decr, "touch": store.Touch, "claim": store.Touch,
	"stale": store.Invalidate}

func (s *scenario) do(words []string) error {
	command, args := words[0], words[1:]
	var n *testNode
	if len(args) > 0 && len(args[0]) == 1 && int(args[0][0]-'a') < len(s.nodes) {
		n = s.nodes[args[0][0]-'a']
		args = args[1:]
	}
	if op, ok := scenarioOps[command]; ok {
		return s.operate(n, op, command == "claim", args)
	}
	switch command {
	case "cut":
		if n != nil {
			s.wire.setApart(n.name, args[0], true)
			break
		}
		s.wire.setCut(true)
	case "heal":
		if n != nil {
			s.wire.setApart(n.name, args[0], false)
			break
		}
		s.wire.setCut(false)
	case "sync":
		if !s.trySync() {
			links := []string{}
			for _, n := range s.nodes {
				links = append(links, n.name+" "+s.link(n))
			}
			return fmt.Errorf("nodes do not come together: %s", strings.Join(links, ", "))
		}
		if d := s.equal(); d != "" {
			return fmt.Errorf("nodes differ: %s", d)
		}
	case "settle": // until nothing moves
		time.Sleep(10 * time.Second)
		synctest.Wait()
	case "kill":
		n.kill()
	case "power":
		n.power(nil)
	case "wipe":
		n.wipe()
	case "save": // what is on the disk now
		s.saved = n.fs.afterKill()
	case "restore": // that, in the place of what is there
		n.kill()
		n.fs = s.saved.afterKill()
	case "stop":
		n.stopOrderly()
	case "start":
		return n.start()
	case "fsync":
		n.st.Flush()
		return n.st.Log().Sync()
	case "clock":
		d, err := time.ParseDuration(args[len(args)-1])
		if err != nil {
			return err
		}
		if n != nil {
			n.offset.Add(d.Milliseconds())
		} else {
			s.wall.Add(d.Milliseconds())
		}
	case "flush":
		at := uint64(0)
		if len(args) == 1 {
			d, err := time.ParseDuration(args[0])
			if err != nil {
				return err
			}
			at = uint64(n.millis() + d.Milliseconds())
		}
		_, err := n.st.FlushAll(at)
		n.st.Flush()
		return err
	case "fill":
		count, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		size, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		for i := range count {
			if _, err := n.commit(store.Request{Op: store.Set, Key: fmt.Appendf(nil, "%s%d", args[0], i), Value: make([]byte, size)}); err != nil {
				return err
			}
		}
	case "compact":
		runs := 0
		for n.st.CompactOnce() {
			runs++
		}
		if runs == 0 {
			return fmt.Errorf("nothing to compact")
		}
	case "get":
		v, ok := n.get(args[0])
		if !ok {
			return store.ErrNotFound
		}
		fmt.Fprintf(&s.out, "get %s %s: %q\n", n.name, args[0], v)
	case "gets":
		var v store.View
		if !n.st.Acquire([]byte(args[0]), &v) {
			return store.ErrNotFound
		}
		if s.tokens == nil {
			s.tokens = map[string]uint64{}
		}
		s.tokens[args[0]] = v.Token
		v.Release()
	case "wait": // for a state of the link, or for the node to be solo or not
		if !s.until(func() bool { return s.state(n) == args[0] }) {
			return fmt.Errorf("state is %s", s.state(n))
		}
	case "link":
		fmt.Fprintf(&s.out, "link %s: %s\n", n.name, s.link(n))
	case "solo":
		fmt.Fprintf(&s.out, "solo %s: %v\n", n.name, n.st.Acknowledgement().Solo)
	case "snapshots":
		fmt.Fprintf(&s.out, "snapshots %s: %d\n", n.name, n.puller.Status().Snapshots)
	case "refusal":
		s.until(func() bool { return (n.st.Stats().Refusal == "") == (args[0] == "none") })
		fmt.Fprintf(&s.out, "refusal %s: %s\n", n.name, n.st.Stats().Refusal)
	case "impossible":
		count := int64(0)
		for _, n := range s.nodes {
			count += n.st.Stats().Impossible
		}
		fmt.Fprintf(&s.out, "impossible: %d\n", count)
	case "conflicts":
		list, err := n.st.Conflicts(1000)
		if err != nil {
			return err
		}
		fmt.Fprintf(&s.out, "conflicts %s: %d", n.name, n.st.Stats().Conflicts)
		for _, c := range list {
			fmt.Fprintf(&s.out, ", %s of %d won over %s of %d on %s", c.Winner.Kind, c.Winner.Node, c.Loser.Kind, c.Loser.Node, c.Key)
		}
		fmt.Fprintln(&s.out)
	case "admit":
		_, err := n.st.AdmitClock()
		return err
	case "horizon": // how long ago, in whole hours
		fmt.Fprintf(&s.out, "horizon %s: %s\n", n.name, s.ago(n))
	case "forget": // what may be, and its disk space
		s.until(func() bool { at, _ := n.st.Proposal(); return at == 0 })
		n.st.ForgetOnce()
	case "leave": // the mesh forgets a node
		id, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		return n.st.ForgetPeer(id)
	case "verified": // by comparison of digests, since now
		since := n.now()
		s.wall.Add(1)
		s.until(func() bool { return n.puller.Status().Verified.After(since) && n.puller.Status().FoundEqual() })
		st := n.puller.Status()
		fmt.Fprintf(&s.out, "verified %s: equal %v, mended %v\n", n.name, st.FoundEqual() && st.Verified.After(since), st.Mended > 0)
	case "count":
		fmt.Fprintf(&s.out, "count %s: %d\n", n.name, len(n.records()))
	case "dump": // all, or the keys that begin so
		s.dump(strings.Join(args, " "))
	default:
		s.t.Fatalf("unknown command %q", words)
	}
	return nil
}

// ago is how long ago the horizon is.
func (s *scenario) ago(n *testNode) string {
	h := n.st.Horizon()
	if h == 0 {
		return "none"
	}
	return fmt.Sprintf("%d hours ago", (n.millis()-h.Millis())/3_600_000)
}

func (s *scenario) state(n *testNode) string { return n.puller.Status().State }

func (s *scenario) link(n *testNode) string {
	st := n.puller.Status()
	if st.Reason == "" {
		return st.State
	}
	// Stamps and random identities differ from run to run.
	reason, _, _ := strings.Cut(st.Reason, ": position")
	reason, _, _ = strings.Cut(reason, ": log ")
	reason, _, _ = strings.Cut(reason, ": another")
	return st.State + ", " + reason
}

func (s *scenario) operate(n *testNode, op store.Op, claim bool, args []string) error {
	req := store.Request{Op: op, Key: []byte(args[0]), Claim: claim, KeepExpires: claim || op == store.Invalidate}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch {
		case name == "expires" || op == store.Touch:
			if value == "" {
				value = name
			}
			d, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			req.Expires = uint64(n.millis() + d.Milliseconds())
		case name == "flags":
			flags, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return err
			}
			req.Flags = uint32(flags)
		case op == store.Incr || op == store.Decr:
			delta, err := strconv.ParseUint(arg, 10, 64)
			if err != nil {
				return err
			}
			req.Delta = delta
		default:
			req.Value = []byte(arg)
		}
	}
	if op == store.CAS {
		req.CAS = s.tokens[args[0]]
	}
	_, err := n.commit(req)
	return err
}

// dump prints every record of all nodes whose key begins so, stamps as the node that made them and their rank.
func (s *scenario) dump(prefix string) {
	all := make([]map[string]record.Record, len(s.nodes))
	keys, stamps := []string{}, []hlc.Stamp{0}
	for i, n := range s.nodes {
		if !n.up {
			continue
		}
		all[i] = n.records()
		maps.DeleteFunc(all[i], func(_ string, r record.Record) bool { return n.flushed(&r) }) // swept at any time
		for key, r := range all[i] {
			keys = append(keys, key)
			r.Stamps(func(st hlc.Stamp) { stamps = append(stamps, st) })
			stamps = append(stamps, r.Gen().Stamp)
		}
	}
	slices.Sort(keys)
	slices.Sort(stamps)
	stamps = slices.Compact(stamps)
	name := func(st hlc.Stamp) string {
		i, _ := slices.BinarySearch(stamps, st)
		if st == 0 {
			return "nothing"
		}
		return fmt.Sprintf("%c%d", "?abc"[min(st.Node(), 3)], i)
	}
	for _, key := range slices.Compact(keys) {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		lines := make([]string, len(s.nodes))
		for i, n := range s.nodes {
			if r, ok := all[i][key]; ok {
				lines[i] = s.show(n, &r, name)
			}
		}
		if len(slices.Compact(slices.Clone(lines))) == 1 {
			fmt.Fprintf(&s.out, "%s %s %s\n", map[int]string{2: "both", 3: "all"}[len(lines)], key, lines[0])
			continue
		}
		for i, line := range lines {
			if line != "" {
				fmt.Fprintf(&s.out, "%s    %s %s\n", s.nodes[i].name, key, line)
			}
		}
	}
	if len(keys) == 0 {
		fmt.Fprintln(&s.out, "nothing")
	}
}

func (s *scenario) show(n *testNode, r *record.Record, name func(hlc.Stamp) string) string {
	var b strings.Builder
	switch r.Kind {
	case record.Tombstone:
		fmt.Fprintf(&b, "deleted @%s", name(r.Stamp))
	case record.Value:
		fmt.Fprintf(&b, "%.40q @%s", r.Value, name(r.Stamp))
	case record.Counter:
		c, _ := record.DecodeCounter(r.Value)
		fmt.Fprintf(&b, "%q @%s = %q@%s", r.AppendVisible(nil), name(r.Stamp), c.Base, name(c.BaseStamp))
		sums := []string{}
		for i := range c.N() {
			sums = append(sums, fmt.Sprintf(" %+d@%s", c.At(i).Sum, name(c.At(i).Stamp)))
		}
		slices.Sort(sums) // of one node they lie in order of random epochs
		fmt.Fprint(&b, strings.Join(sums, ""))
	}
	if r.Created {
		fmt.Fprintf(&b, " created after %s", name(r.Gen().Stamp))
	}
	switch {
	case r.ExpiredAt(n.millis()):
		b.WriteString(" expired")
	case r.Expires != 0:
		fmt.Fprintf(&b, " expires in %v", time.Duration(int64(r.Expires)-n.millis())*time.Millisecond)
	}
	if r.Stale {
		b.WriteString(" stale")
	}
	if r.Won {
		b.WriteString(" won")
	}
	if r.Flags != 0 {
		fmt.Fprintf(&b, " flags %d", r.Flags)
	}
	return b.String()
}
