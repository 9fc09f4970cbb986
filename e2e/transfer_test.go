//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// transferred is the summary of an import.
type transferred struct {
	Read, Stored    int64
	Skipped, Failed []struct {
		Reason   string
		Count    int64
		Examples []string
	}
}

// count is how many records a reason was given for.
func (s transferred) count(reason string) int64 {
	for _, r := range append(s.Skipped, s.Failed...) {
		if r.Reason == reason {
			return r.Count
		}
	}
	return 0
}

// importJSON runs an import that ends with the code and returns its summary, which adds up.
func importJSON(t *testing.T, code int, args ...string) (s transferred) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(futagoProgram, append([]string{"import", "--json"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%q: %v, want exit code %d\n%s%s", cmd.Args, err, code, &stdout, &stderr)
	}
	if err := json.Unmarshal(stdout.Bytes(), &s); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, &stdout)
	}
	sum := s.Stored
	for _, r := range append(s.Skipped, s.Failed...) {
		sum += r.Count
	}
	if sum != s.Read {
		t.Errorf("%q: the summary does not add up: %+v", cmd.Args, s)
	}
	return s
}

// exportedRecord is a line of an export.
type exportedRecord struct {
	Key, Value  string
	KeyBase64   []byte `json:"key_base64"`
	ValueBase64 []byte `json:"value_base64"`
	Flags       uint32
	Expires     int64
}

// exportedRecords are the records of a node by key.
func exportedRecords(t *testing.T, n *node) map[string]exportedRecord {
	t.Helper()
	all := map[string]exportedRecord{}
	for line := range strings.Lines(runTool(t, "export", "--addr", n.client)) {
		var r exportedRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("line %.80q: %v", line, err)
		}
		r.Key += string(r.KeyBase64)
		r.Value += string(r.ValueBase64)
		r.KeyBase64, r.ValueBase64 = nil, nil
		all[r.Key] = r
	}
	return all
}

// startForeign starts a server that listens at an address.
func startForeign(t *testing.T, addr, program string, args ...string) *process {
	t.Helper()
	p := startProcess(t, program, newOutput(t, program), findProgram(t, program), args...)
	eventually(t, program+" listens at "+addr, 10*time.Second, func() bool { return accepts(addr) })
	return p
}

// tellAll sends commands and waits for so many lines in reply.
func tellAll(t *testing.T, addr, commands string, lines int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	go io.WriteString(c, commands)
	in := bufio.NewReader(c)
	for range lines {
		line, err := in.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "-") || strings.Contains(line, "ERROR") {
			t.Fatalf("%s says %q, %v", addr, line, err)
		}
	}
}

// TestImportFromMemcached copies a real memcached, is killed meanwhile, and copies it again.
func TestImportFromMemcached(t *testing.T) {
	addr := freeAddr(t, newHost())
	host, port, _ := net.SplitHostPort(addr)
	args := []string{"-U", "0", "-l", host, "-p", port, "-m", "256"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	startForeign(t, addr, "memcached", args...)
	const records = 30_000
	var text strings.Builder
	for i := range records {
		exptime := 0
		if i%2 == 0 {
			exptime = 1000 + i
		}
		value := fmt.Sprintf("value %d", i)
		fmt.Fprintf(&text, "set key%d %d %d %d\r\n%s\r\n", i, i, exptime, len(value), value)
	}
	large := strings.Repeat("x", 600_000)
	fmt.Fprintf(&text, "set large 0 0 %d\r\n%s\r\n", len(large), large)
	text.WriteString("ms YSBi/w== 3 b F9\r\n\x00\xff\n\r\n") // the key a b\xff
	began := time.Now().UnixMilli()
	tellAll(t, addr, text.String(), records+2)

	n := startSingle(t, "--max-value", "512KiB")
	if s := importJSON(t, 1, "memcache://"+addr, "--addr", n.client, "--dry-run"); s.Stored != records+1 || n.mustStatus(t).Store.Items != 0 {
		t.Errorf("dry run: got %+v", s)
	}
	p := startProcess(t, "import", newOutput(t, "import"), futagoProgram, "import", "memcache://"+addr, "--addr", n.client, "--rate", "20000")
	eventually(t, "records are stored", 30*time.Second, func() bool { return n.mustStatus(t).Store.Items > 1000 })
	p.kill()
	s := importJSON(t, 1, "memcache://"+addr, "--addr", n.client)
	if s.Read != records+2 || s.Stored != records+1 || len(s.Failed) != 1 || s.Failed[0].Examples[0] != `"large"` {
		t.Errorf("got %+v", s)
	}
	all := exportedRecords(t, n)
	if len(all) != records+1 {
		t.Errorf("the node has %d records, want %d", len(all), records+1)
	}
	if r := all["a b\xff"]; r.Value != "\x00\xff\n" || r.Flags != 9 {
		t.Errorf("the key of bytes: got %+v", r)
	}
	for i := range records {
		r := all[fmt.Sprintf("key%d", i)]
		if r.Value != fmt.Sprintf("value %d", i) || r.Flags != uint32(i) {
			t.Fatalf("key%d: got %+v", i, r)
		}
		// memcached counts in seconds of a clock that moves once a second.
		want := began + int64(1000+i)*1000
		if i%2 != 0 && r.Expires != 0 || i%2 == 0 && (r.Expires < want-5000 || r.Expires > time.Now().UnixMilli()+int64(1000+i)*1000+5000) {
			t.Fatalf("key%d expires at %d, want about %d", i, r.Expires, want)
		}
	}
	if s := importJSON(t, 0, "memcache://"+addr, "--addr", n.client, "--keep", "--prefix", "key1"); s.Stored != 0 || s.count("in the node already") == 0 {
		t.Errorf("again with --keep: got %+v", s)
	}

	tellAll(t, addr, "lru_crawler disable\r\n", 1)
	var stderr bytes.Buffer
	cmd := exec.Command(futagoProgram, "import", "memcache://"+addr, "--addr", n.client)
	cmd.Stderr = &stderr
	if cmd.Run() == nil || !strings.Contains(stderr.String(), "lru_crawler enable") {
		t.Errorf("without a list: %s", &stderr)
	}
}

// TestImportFromRedis copies the strings of a real Redis, is interrupted, and goes on.
func TestImportFromRedis(t *testing.T) {
	addr := freeAddr(t, newHost())
	host, port, _ := net.SplitHostPort(addr)
	startForeign(t, addr, "redis-server", "--bind", host, "--port", port, "--save", "", "--requirepass", "secret", "--databases", "4", "--dir", t.TempDir())
	const records = 30_000
	var text strings.Builder
	text.WriteString("AUTH secret\r\nSELECT 2\r\n")
	for i := range records {
		fmt.Fprintf(&text, "SET key%d v%d", i, i)
		if i%2 == 0 {
			fmt.Fprintf(&text, " PX %d", 10_000_000+i)
		}
		text.WriteString("\r\n")
	}
	text.WriteString("RPUSH list a\r\nHSET hash f v\r\nSADD set* a\r\nSET set*s \"\\x00\\xff\"\r\nSETRANGE large 600000 x\r\n")
	began := time.Now().UnixMilli()
	tellAll(t, addr, text.String(), records+2+5)

	n := startSingle(t, "--max-value", "512KiB")
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"redis://" + addr + "/2", "--source-password-file", password, "--addr", n.client, "--state", filepath.Join(dir, "state")}
	p := startProcess(t, "import", newOutput(t, "import"), futagoProgram, append([]string{"import", "--rate", "8000"}, args...)...)
	eventually(t, "records are stored", 30*time.Second, func() bool { return n.mustStatus(t).Store.Items > 5000 })
	p.signal(t, syscall.SIGINT)
	if code := p.waitExit(t, 20*time.Second); code != 1 {
		t.Errorf("interrupted: exit code %d, want 1", code)
	}
	before := n.mustStatus(t).Store.LastSeq
	s := importJSON(t, 1, args...)
	// A list of Redis may name a key twice while its table grows.
	if s.Stored < records+1 || s.Stored > records+1+records/10 || s.count("of type list") != 1 || s.count("of type hash") != 1 || s.count("of type set") != 1 || len(s.Failed) != 1 ||
		s.Failed[0].Examples[0] != `"large"` {
		t.Errorf("got %+v", s)
	}
	if written := n.mustStatus(t).Store.LastSeq - before; written > records-2000 {
		t.Errorf("it has stored %d records after the interruption, want fewer than all", written)
	}
	all := exportedRecords(t, n)
	if len(all) != records+1 || all["set*s"].Value != "\x00\xff" {
		t.Errorf("the node has %d records, want %d; set*s is %+v", len(all), records+1, all["set*s"])
	}
	for i := range records {
		r := all[fmt.Sprintf("key%d", i)]
		late := int64(10_000_000 + i)
		if r.Value != fmt.Sprintf("v%d", i) || i%2 != 0 && r.Expires != 0 || i%2 == 0 && (r.Expires < began+late-1000 || r.Expires > time.Now().UnixMilli()+late) {
			t.Fatalf("key%d: got %+v", i, r)
		}
	}
	if s := importJSON(t, 0, args[0], args[1], args[2], args[3], args[4], "--prefix", "set*"); s.Read != 2 || s.Stored != 1 {
		t.Errorf("by a prefix that looks like a pattern: got %+v", s)
	}
	out, err := exec.Command(futagoProgram, "import", "redis://:wrong@"+addr, "--addr", n.client).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "WRONGPASS") || strings.Contains(string(out), ":wrong@") {
		t.Errorf("with a wrong password: %v\n%s", err, out)
	}
}

// TestImportFromRedisTLS copies from a real Redis that wants certificates.
func TestImportFromRedisTLS(t *testing.T) {
	dir, addr := t.TempDir(), freeAddr(t, newHost())
	host, port, _ := net.SplitHostPort(addr)
	if out, err := exec.Command(futagoProgram, "peer", "certs", "--dir", dir, "--host", host).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	ca, cert, key := file("ca.pem"), file(host+".pem"), file(host+"-key.pem")
	startForeign(t, addr, "redis-server", "--bind", host, "--port", "0", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca,
		"--save", "", "--requirepass", "secret", "--dir", dir)
	n := startSingle(t)
	url, with := "rediss://:secret@"+addr, []string{"--addr", n.client, "--source-tls-ca", ca, "--source-tls-client-cert", cert, "--source-tls-client-key", key}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, "AUTH secret\r\nSET k v\r\n")
	if reply, err := io.ReadAll(io.LimitReader(c, int64(len("+OK\r\n+OK\r\n")))); err != nil || string(reply) != "+OK\r\n+OK\r\n" {
		t.Fatalf("Redis says %q, %v", reply, err)
	}
	if s := importJSON(t, 0, append([]string{url}, with...)...); s.Stored != 1 {
		t.Errorf("got %+v", s)
	}
	if all := exportedRecords(t, n); all["k"].Value != "v" {
		t.Errorf("the node has %+v", all)
	}
	if s := importJSON(t, 1, append([]string{url}, with[:4]...)...); s.Read != 0 {
		t.Errorf("without a certificate: got %+v", s)
	}
}

// TestImportOutlivesNode kills a node of a pair while records are imported: the other one gets them.
func TestImportOutlivesNode(t *testing.T) {
	p := startPair(t)
	const records = 100_000
	path := filepath.Join(t.TempDir(), "records.jsonl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(file)
	for i := range records {
		fmt.Fprintf(w, "{\"key\":\"key%d\",\"flags\":%d,\"value\":%d}\n", i, i, i)
	}
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	out := newOutput(t, "import")
	run := startProcess(t, "import", out, futagoProgram, "import", "jsonl", path, "--addr", p[0].client, "--addr", p[1].client, "--rate", "40000")
	eventually(t, "records are stored", 30*time.Second, func() bool { return p[1].mustStatus(t).Store.Items > 5000 })
	p[0].kill9()
	if code := run.waitExit(t, time.Minute); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	if !strings.Contains(out.String(), "lost the node, trying again") {
		t.Errorf("it did not notice:\n%s", out)
	}
	all := exportedRecords(t, p[1])
	for i := range records {
		if r := all[fmt.Sprintf("key%d", i)]; r.Value != fmt.Sprint(i) || r.Flags != uint32(i) {
			t.Fatalf("key%d: got %+v", i, r)
		}
	}
}
