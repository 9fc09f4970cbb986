//go:build e2e

package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// refusal is how a node answers what it cannot accept, if it does not just close the connection.
var refusal = regexp.MustCompile(`^(ERROR|CLIENT_ERROR .+|SERVER_ERROR:? .+|HTTP/1\.1 4\d\d .+)$`)

// badInput is what clients must not send. All of it is refused at once.
func badInput() map[string]string {
	long := strings.Repeat("k", 251)
	random := make([]byte, 100<<10)
	source := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(source.Uint32())
	}
	input := map[string]string{
		"get with a key of 251 bytes":        "get " + long + "\r\n",
		"set with a key of 251 bytes":        setCommand(long, "v"),
		"line without an end":                strings.Repeat("x", 10<<20),
		"get without an end":                 "get " + strings.Repeat("key ", 1<<20),
		"negative length":                    "set k 0 0 -1\r\n",
		"length beyond 32 bits":              "set k 0 0 4294967297\r\n",
		"length beyond 64 bits":              "set k 0 0 18446744073709551617\r\n",
		"length of 2 GiB":                    "set k 0 0 2147483647\r\n",
		"length that is no number":           "set k 0 0 1x\r\n",
		"value longer than declared":         "set k 0 0 1\r\nvalue\r\n",
		"too few words":                      "set k 0\r\n",
		"delta that is no number":            "incr k x\r\n",
		"unknown command":                    "shutdown\r\n",
		"upper case":                         "SET k 0 0 1\r\nv\r\n",
		"HTTP of another kind":               "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP path of 300 KiB":               "GET /" + strings.Repeat("k", 300<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"HTTP header of 4 MiB":               "GET /k HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 4<<20) + "\r\n\r\n",
		"HTTP bad escape":                    "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n",
		"HTTP without host":                  "GET /k HTTP/1.1\r\n\r\n",
		"HTTP negative length":               "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n",
		"HTTP length of 1 TiB":               "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 1099511627776\r\n\r\n",
		"HTTP length beyond 64 bits":         "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n",
		"HTTP two lengths":                   "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nv",
		"HTTP chunk of a bad length":         "PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nv\r\n0\r\n\r\n",
		"HTTP PUT without a length":          "PUT /k HTTP/1.1\r\nHost: h\r\n\r\n",
		"HTTP unknown method":                "BREW /k HTTP/1.1\r\nHost: h\r\n\r\n",
		"HTTP write to a key of 70,000 byte": "PUT /" + strings.Repeat("k", 70000) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nv",
	}
	for name, text := range map[string]string{
		"binary key of 251 bytes":          binaryPacket(0x00, 251, 0, 251, long),
		"binary set without extras":        binaryPacket(0x01, 1, 0, 2, "kv"),
		"binary set without a key":         binaryPacket(0x11, 0, 8, 9, "00000000v"),
		"binary get with a value":          binaryPacket(0x00, 1, 0, 2, "kv"),
		"binary body less than its key":    binaryPacket(0x00, 200, 0, 100, long),
		"binary body less than its extras": binaryPacket(0x01, 1, 255, 1, long),
		"binary value over the limit":      binaryPacket(0x01, 1, 8, 9+(64<<20)+1, "00000000k"),
		"binary value of 1 GiB":            binaryPacket(0x01, 1, 8, 1<<30, "00000000k"),
		"binary body of 4 GiB":             binaryPacket(0x11, 1, 8, 1<<32-1, "00000000k"),
		"binary unknown command":           binaryPacket(0x50, 0, 0, 1<<30, ""),
		"binary SASL data of 1 GiB":        binaryPacket(0x21, 5, 0, 1<<30, "PLAIN"),
		"binary with text behind":          "\x80" + strings.Repeat("get k\r\n", 100),
		"binary reply":                     binaryPacket(0x0a, 0, 0, 0, "")[:1] + "\xff" + strings.Repeat("\x81", 1000),
	} {
		input[name] = text
	}
	for _, first := range []byte{0x00, 0x01, 0x16, 0x80, 0x81, 0xC8, 0xFE, 0xFF, '\r', ' ', 'A', 'a', '{'} {
		input[fmt.Sprintf("rubbish after the byte %#02x", first)] = string(first) + string(random)
	}
	return input
}

// Whatever a client sends, the node says no or closes the connection, keeps its memory, and serves the others.
func TestBadInputDisturbsNobody(t *testing.T) {
	n := startSingle(t)
	probe := startProbe(t, n)
	before := n.residentBytes(t)
	for name, text := range badInput() {
		for range 20 {
			if err := refused(n.client, text); err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
	}
	probe.stop(t, 250*time.Millisecond)
	if grown := n.residentBytes(t) - before; grown > 256<<20 {
		t.Errorf("the node holds %d MiB more than before", grown>>20)
	}
	if code, _, err := httpGet(t.Context(), "http://"+n.client+"/k"); err != nil || code != 404 {
		t.Errorf("a key that only bad requests named: status %d and error %v, want 404", code, err)
	}
}

// refused sends text and demands that the answer is a refusal or the end of the connection.
func refused(addr, text string) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan struct{})
	go func() { // a node that has closed the connection does not read all
		defer close(sent)
		c.SetWriteDeadline(time.Now().Add(replyLimit))
		io.WriteString(c, text)
	}()
	defer func() { c.Close(); <-sent }()
	read := c.line
	if text[0] == 0x80 {
		read = c.binaryError
	}
	line, err := read()
	switch {
	case isTimeout(err):
		return fmt.Errorf("neither an answer nor an end within %v", replyLimit)
	case err == nil && !refusal.MatchString(line):
		return fmt.Errorf("answer %.100q is no refusal", line)
	}
	return nil
}

// binaryPacket begins a request of the binary protocol; body is the size that it announces.
func binaryPacket(opcode byte, key uint16, extras byte, body uint32, rest string) string {
	b := binary.BigEndian.AppendUint16([]byte{0x80, opcode}, key)
	b = binary.BigEndian.AppendUint32(append(b, extras, 0, 0, 0), body)
	return string(b) + strings.Repeat("\x00", 12) + rest
}

// binaryError reads a reply of the binary protocol and returns it as a line; an error as one of the text protocol.
func (c *conn) binaryError() (string, error) {
	c.SetReadDeadline(time.Now().Add(replyLimit))
	head := make([]byte, 24)
	if _, err := io.ReadFull(c.r, head); err != nil {
		return "", err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[8:]))
	if _, err := io.ReadFull(c.r, body); err != nil {
		return "", err
	}
	if status := binary.BigEndian.Uint16(head[6:]); head[0] != 0x81 || status == 0 {
		return fmt.Sprintf("%x %q", head, body), nil
	}
	return fmt.Sprintf("SERVER_ERROR %s", body), nil
}

// probe is a well-behaved client that measures how it is served.
type probe struct {
	strain func() time.Duration
	end    chan struct{}
	result chan []time.Duration
}

func startProbe(t *testing.T, n *node) *probe {
	t.Helper()
	c := n.dial(t)
	p := &probe{strain: startStrain(t), end: make(chan struct{}), result: make(chan []time.Duration, 1)}
	go func() {
		var times []time.Duration
		defer func() { p.result <- times }()
		for i := 0; ; i++ {
			select {
			case <-p.end:
				return
			case <-time.After(time.Millisecond):
			}
			begin := time.Now()
			value := fmt.Sprint(i)
			if got, err := c.do(setCommand("probe", value)); err != nil || got != "STORED" {
				t.Errorf("set of another client: got %q and error %v", got, err)
				return
			}
			if got, _, err := c.get("probe"); err != nil || got != value {
				t.Errorf("get of another client: got %q and error %v, want %q", got, err, value)
				return
			}
			times = append(times, time.Since(begin))
		}
	}()
	return p
}

// stop ends the probe and demands that 99 of 100 times were shorter than the limit.
func (p *probe) stop(t *testing.T, limit time.Duration) {
	t.Helper()
	close(p.end)
	times := <-p.result
	if len(times) < 20 {
		t.Fatalf("only %d probes", len(times))
	}
	slices.Sort(times)
	p99 := times[len(times)*99/100]
	t.Logf("%d probes: median %v, p99 %v, longest %v", len(times), times[len(times)/2], p99, times[len(times)-1])
	if p99 > limit+p.strain() {
		t.Errorf("p99 of another client was %v, want less than %v", p99, limit)
	}
}

// openMany opens connections and sends each the text.
func openMany(t *testing.T, n *node, count int, text func(i int) string) []net.Conn {
	t.Helper()
	const dialers = 8
	conns := make([]net.Conn, count)
	var opening sync.WaitGroup
	for d := range dialers {
		opening.Go(func() {
			for i := d; i < count; i += dialers {
				c, err := net.DialTimeout("tcp", n.client, 10*time.Second)
				if err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
				conns[i] = c
				if _, err := io.WriteString(c, text(i)); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	opening.Wait()
	t.Cleanup(func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return conns
}

// Connections that announce large values and send nearly nothing cost little memory, and end after --request-timeout.
func TestHalfRequestsEnd(t *testing.T) {
	n := startSingle(t, "--request-timeout=5s")
	probe := startProbe(t, n)
	before := n.residentBytes(t)
	conns := openMany(t, n, 1000, func(i int) string {
		return []string{
			"set half 0 0 67000000\r\nx",
			"PUT /half HTTP/1.1\r\nHost: h\r\nContent-Length: 67000000\r\n\r\nx",
			"get half",
			"GET /half HTTP/1.1\r\nHost: h\r\nX-",
		}[i%4]
	})
	eventually(t, "all connections are there", 10*time.Second, func() bool {
		return n.connections(t) > len(conns)
	})
	if grown := n.residentBytes(t) - before; grown > 100<<20 {
		t.Errorf("1,000 half requests cost %d MiB", grown>>20)
	}
	deadline := time.Now().Add(time.Minute)
	for i, c := range conns {
		c.SetReadDeadline(deadline)
		if _, err := io.Copy(io.Discard, c); isTimeout(err) {
			t.Fatalf("half request %d was not ended", i)
		}
	}
	probe.stop(t, 250*time.Millisecond)
}

// Ten thousand connections that do nothing, half of them after a request, cost little and disturb nobody.
func TestManyIdleConnections(t *testing.T) {
	const count = 10000
	raiseFileLimit(t, count+1000)
	n := startSingle(t)
	probe := startProbe(t, n)
	before := n.residentBytes(t)
	conns := openMany(t, n, count, func(i int) string {
		if i%2 == 0 {
			return ""
		}
		return "get nothing\r\n"
	})
	eventually(t, "all connections are there", 20*time.Second, func() bool {
		return n.connections(t) > count
	})
	grown := n.residentBytes(t) - before
	t.Logf("%d connections cost %d MiB", count, grown>>20)
	if grown > 100<<20 {
		t.Errorf("%d connections cost %d MiB", count, grown>>20)
	}
	for i := 0; i < count; i += 100 {
		c := conns[i]
		c.SetDeadline(time.Now().Add(replyLimit))
		reply := make([]byte, len("END\r\n"))
		if _, err := io.WriteString(c, "get nothing\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, reply); err != nil || string(reply) != "END\r\n" {
			t.Fatalf("connection %d after a while: got %q and error %v", i, reply, err)
		}
	}
	probe.stop(t, 250*time.Millisecond)
}

// raiseFileLimit lets this process open files.
func raiseFileLimit(t *testing.T, files uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= files {
		return
	}
	limit.Cur, limit.Max = files, max(limit.Max, files)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("this test needs %d open files: %v", files, err)
	}
}

// A client that asks for much and reads nothing is not served for ever, and its replies do not fill the memory.
func TestClientThatNeverReads(t *testing.T) {
	n := startSingle(t)
	n.setAll(t, []string{"large"}, strings.Repeat("x", 1<<20))
	probe := startProbe(t, n)
	before := n.residentBytes(t)
	greedy := n.dial(t)
	greedy.SetWriteDeadline(time.Now().Add(2 * time.Second))
	wrote, err := io.WriteString(greedy, strings.Repeat("get large\r\n", 1<<20))
	if err == nil || !isTimeout(err) {
		t.Errorf("asked %d times for a value of 1 MiB without reading one: error %v, want that the node stops reading", wrote/len("get large\r\n"), err)
	}
	if grown := n.residentBytes(t) - before; grown > 256<<20 {
		t.Errorf("a client that never reads costs %d MiB", grown>>20)
	}
	probe.stop(t, 250*time.Millisecond)
}
