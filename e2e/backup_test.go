//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// restoreTo makes the data folder of a node of backups.
func (n *node) restoreTo(t *testing.T, args ...string) {
	t.Helper()
	args = append([]string{"restore", "--data=" + n.data, "--node=" + strconv.Itoa(n.id)}, args...)
	if code, out, errOut := tool(t, nil, args...); code != 0 {
		t.Fatalf("%q: exit code %d: %s%s", args, code, out, errOut)
	}
}

// backUp makes a backup and expects it to be good.
func backUp(t *testing.T, nodes []*node, args ...string) (kind string, by int) {
	t.Helper()
	args = append([]string{"backup", "--json"}, args...)
	code, out, errOut := tool(t, nodes, args...)
	var done struct {
		Kind string
		Node int
	}
	if err := json.Unmarshal([]byte(out), &done); code != 0 || err != nil {
		t.Fatalf("%q: exit code %d, %v: %s%s", args, code, err, out, errOut)
	}
	return done.Kind, done.Node
}

// A series of backups under load goes on at the other node when its node is killed. Both nodes are lost then, and restored: all
// that was acknowledged is there on both, and they go on as a pair.
func TestBackupOfLostPair(t *testing.T) {
	p := startPair(t)
	dir := t.TempDir()
	all := map[string]string{}
	load := [2]*writers{}
	begin := func(round int) {
		for i, n := range p {
			load[i] = &writers{keys: map[string]string{}}
			startWriters(t, load[i], n.client, fmt.Sprintf("%s-%d", n.name, round), 2)
		}
		eventually(t, "both nodes are under load", 20*time.Second, func() bool { return load[0].acked.Load() > 1000 && load[1].acked.Load() > 1000 })
	}
	end := func() {
		for _, w := range load {
			w.ended.Store(true)
			w.running.Wait()
			w.check(t)
			maps.Copy(all, w.keys)
		}
	}
	p[0].setAll(t, []string{"counter", "doomed", "kept"}, "1")
	begin(0)
	if kind, by := backUp(t, p[:], "-o", dir, "--since-last", "--full-if-needed"); kind != "full" || by != 1 {
		t.Errorf("the first backup is %s of node %d", kind, by)
	}
	if kind, by := backUp(t, p[:], "-o", dir, "--since-last"); kind != "incremental" || by != 1 {
		t.Errorf("the second backup is %s of node %d", kind, by)
	}
	p[1].dial(t).expect(t, "incr counter 4\r\n", "5")
	p[1].deleteAll(t, []string{"doomed"})
	p[0].kill9()
	load[0].running.Wait()
	maps.Copy(all, load[0].keys)
	load[0] = &writers{}
	end()
	if kind, by := backUp(t, p[:], "-o", dir, "--since-last"); kind != "incremental" || by != 2 {
		t.Errorf("the backup without the first node is %s of node %d", kind, by)
	}
	p[1].kill9()
	if code, out, errOut := tool(t, nil, "backup", "verify", dir); code != 0 || strings.Count(out, ": good: ") != 3 {
		t.Errorf("verify: exit code %d: %s%s", code, out, errOut)
	}

	for _, n := range p {
		n.wipe(t)
		n.restoreTo(t, dir)
	}
	startAll(t, p)
	all["counter"], all["kept"], all["doomed"] = "5", "1", ""
	for _, n := range p {
		n.expectValues(t, all)
	}
	begin(1)
	end()
	// Contributions of the nodes as they are now add to those of the lost ones.
	p[0].dial(t).expect(t, "incr counter 10\r\n", "15")
	p[1].setAll(t, []string{"doomed"}, "again")
	all["counter"], all["doomed"] = "15", "again"
	expectTool(t, 0, []string{"equal: "}, p[:], "verify", "--full")
	for _, n := range p {
		n.expectValues(t, all)
	}

	// The series cannot go on in a log that is lost.
	expectTool(t, 4, nil, p[:], "backup", "-o", dir, "--since-last")
	if kind, _ := backUp(t, p[:], "-o", dir, "--since-last", "--full-if-needed"); kind != "full" {
		t.Errorf("the backup of the restored pair is %s", kind)
	}
}

// A node of a living pair that is restored from an old backup gets what happened since, and brings back nothing.
func TestRestoreOneOfLivingPair(t *testing.T) {
	p := startPair(t)
	keys := names("old", 500)
	p[0].setAll(t, append(keys, "n"), "1")
	file := filepath.Join(t.TempDir(), "a.fbk")
	backUp(t, p[:1], "-o", file)
	p[0].setAll(t, keys[:200], "newer")
	p[0].deleteAll(t, keys[200:300])
	p[0].dial(t).expect(t, "incr n 5\r\n", "6")
	p[0].kill9()
	p[0].wipe(t)
	p[1].dial(t).expect(t, "incr n 7\r\n", "13")
	p[0].restoreTo(t, file)
	p[0].start(t)
	waitPair(t, p)
	want := map[string]string{"n": "13"}
	for i, key := range keys {
		switch {
		case i < 200:
			want[key] = "newer"
		case i < 300:
			want[key] = ""
		default:
			want[key] = "1"
		}
	}
	for _, n := range p {
		n.expectValues(t, want)
	}
	p[0].dial(t).expect(t, "incr n 1\r\n", "14")
	expectTool(t, 0, []string{"equal: "}, p[:], "verify", "--full")
}

// A backup that ends in the middle, for its node was killed or the network cut, is an error and leaves no file.
func TestBackupThatBreaksOff(t *testing.T) {
	n := startSingle(t)
	c := n.dial(t)
	value := make([]byte, 1<<20)
	rng := rand.NewChaCha8([32]byte{1})
	for i := range 24 { // more than what sockets hold
		rng.Read(value)
		c.set(t, fmt.Sprintf("large-%d", i), string(value))
	}
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		end  func(l *link)
	}{
		{"cut", func(l *link) {
			for c := range l.conns { // the tap is called under the lock
				c.Close()
			}
		}},
		{"killed", func(*link) { n.kill9() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLink(t, n.admin)
			passed, once := 0, sync.Once{}
			l.tap = func(b []byte) {
				if passed += len(b); passed > 4<<20 {
					once.Do(func() { tt.end(l) })
				}
			}
			for name, output := range map[string]string{"file": filepath.Join(dir, "a.fbk"), "folder": dir, "standard output": "-"} {
				if name != "file" && tt.name == "killed" {
					continue
				}
				passed, once = 0, sync.Once{}
				code, out, errOut := tool(t, nil, "backup", "--admin="+l.ln.Addr().String(), "-o", output)
				if code != 1 || !strings.Contains(errOut, "back up") {
					t.Errorf("to %s: exit code %d: %s", name, code, errOut)
				}
				if output == "-" {
					path := filepath.Join(t.TempDir(), "piped.fbk")
					if err := os.WriteFile(path, []byte(out), 0o600); err != nil {
						t.Fatal(err)
					}
					if code, _, errOut := tool(t, nil, "backup", "verify", path); code != 4 {
						t.Errorf("half a backup: verify has exit code %d: %s", code, errOut)
					}
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
					t.Errorf("to %s: left are %v, %v", name, left, err)
				}
			}
		})
	}
	n.start(t)
	n.waitReady(t)
	backUp(t, []*node{n}, "-o", dir)

	// What the disk or a copy does to the file afterwards is found.
	files, err := filepath.Glob(filepath.Join(dir, "*.fbk"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte{}, good...)
	flipped[len(good)/2] ^= 4
	for what, b := range map[string][]byte{"cut": good[:len(good)-1], "flipped": flipped, "empty": nil} {
		path := filepath.Join(t.TempDir(), "bad.fbk")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errOut := tool(t, nil, "backup", "verify", path); code != 4 {
			t.Errorf("%s: verify has exit code %d: %s", what, code, errOut)
		}
		data := filepath.Join(t.TempDir(), "data")
		if code, _, errOut := tool(t, nil, "restore", path, "--data", data); code != 4 {
			t.Errorf("%s: restore has exit code %d: %s", what, code, errOut)
		}
		if left, err := filepath.Glob(data + "*"); err != nil || len(left) != 0 {
			t.Errorf("%s: restore left %v, %v", what, left, err)
		}
	}
	// No room for the file, or for what is made of it.
	disk := smallDisk(t, "16m")
	for what, args := range map[string][]string{
		"backup":  {"backup", "--admin=" + n.admin, "-o", filepath.Join(disk, "a.fbk")},
		"restore": {"restore", files[0], "--data", filepath.Join(disk, "data")},
	} {
		code, _, errOut := tool(t, nil, args...)
		if code != 1 || !strings.Contains(errOut, "no space left") {
			t.Errorf("%s onto a full disk: exit code %d: %s", what, code, errOut)
		}
		if left, err := os.ReadDir(disk); err != nil || len(left) != 0 {
			t.Errorf("%s onto a full disk: left are %v, %v", what, left, err)
		}
	}
	// What is no file is never replaced.
	if code, _, errOut := tool(t, nil, "backup", "--admin="+n.admin, "-o", filepath.Dir(n.data)+"/none/a.fbk", "--force"); code != 1 {
		t.Errorf("into a folder that is not there: exit code %d: %s", code, errOut)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errOut := tool(t, nil, "backup", "--admin="+n.admin, "-o", pipe, "--force"); code != 2 {
		t.Errorf("in the place of a pipe: exit code %d: %s", code, errOut)
	}
}
