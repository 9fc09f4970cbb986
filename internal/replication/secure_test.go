package replication

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/futago/futago/internal/store"
	"github.com/futago/futago/internal/vfs"
)

// passPreamble carries one direction of a preamble; false when the connection ended in it.
func passPreamble(queue chan<- []byte, from net.Conn, fromSource bool) bool {
	sizes := []int{openingSize, proofSize}
	if fromSource {
		sizes = []int{answerSize, verdictSize}
	}
	for _, n := range sizes {
		b := make([]byte, n)
		if _, err := io.ReadFull(from, b); err != nil {
			return false
		}
		queue <- b
	}
	return true
}

// openLink is OpenLink for a test.
func openLink(t testing.TB, cfg LinkConfig) *Link {
	t.Helper()
	l, err := OpenLink(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tcpPair returns the ends of a connection over loopback.
func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if a, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// joined is a link with both its ends, or why it did not come about.
type joined struct {
	source, follower       *linkConn
	sourceErr, followerErr error
}

// join runs both sides of the preamble, and closes what failed as its callers do.
func join(t testing.TB, source, follower *Link, mine, theirs net.Conn) (j joined) {
	t.Helper()
	t.Cleanup(func() { mine.Close(); theirs.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if j.source, j.sourceErr = source.accept(theirs, 5*time.Second); j.sourceErr != nil {
			theirs.Close()
		}
	}()
	if j.follower, j.followerErr = follower.dialed(mine, "127.0.0.1:1", 5*time.Second); j.followerErr != nil {
		mine.Close()
	}
	<-done
	return j
}

// exchange sends frames through a link, one at a time: each must come out before the next is sent.
func (j *joined) exchange(t *testing.T) {
	t.Helper()
	down, up := newFrameReader(j.follower), newFrameReader(j.source)
	text := bytes.Repeat([]byte("a line of what clients store, "), 10_000)
	for n, payload := range [][]byte{[]byte("x"), text, nil, text[:100], text} {
		got := make(chan error, 1)
		for _, way := range []struct {
			to   io.Writer
			from *frameReader
		}{{j.source, down}, {j.follower, up}} {
			go func() {
				kind, b, err := way.from.next(maxFrame)
				if err == nil && (kind != frameType(n+1) || !bytes.Equal(b, payload)) {
					err = fmt.Errorf("type %d with %d bytes", kind, len(b))
				}
				got <- err
			}()
			if _, err := way.to.Write(appendFrame(nil, frameType(n+1), payload)); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-got:
				if err != nil {
					t.Fatalf("frame %d: %v", n, err)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("frame %d did not come out before the next was sent", n)
			}
		}
	}
	packed := strings.Contains(j.source.String(), "zstd")
	if out := j.source.wire.out.Load(); packed != (out < int64(len(text))) || out == 0 {
		t.Errorf("%d bytes on the wire for %d and more, packed %v", out, 2*len(text), packed)
	}
	if out, in := j.source.wire.out.Load(), j.follower.wire.in.Load(); out != in {
		t.Errorf("%d bytes went out, %d came in", out, in)
	}
}

// Every combination of settings either works or says what differs.
func TestLinkCombinations(t *testing.T) {
	ca := newAuthority(t)
	secrets := map[string][2]string{"none": {}, "same": {"a shared secret of 16", "a shared secret of 16\n"}, "different": {"a shared secret of 16", "another secret of 16 "}}
	for _, protected := range []bool{false, true} {
		for name, secret := range secrets {
			for _, zstd := range [][2]bool{{false, false}, {true, true}, {true, false}, {false, true}} {
				for _, network := range []string{"pipe", "tcp"} {
					t.Run(fmt.Sprintf("tls=%v/secret=%s/zstd=%v,%v/%s", protected, name, zstd[0], zstd[1], network), func(t *testing.T) {
						var links [2]*Link
						for i := range links {
							cfg := LinkConfig{Compress: zstd[i]}
							if protected {
								cfg = ca.node(t, nil)
								cfg.Compress = zstd[i]
							}
							if secret[i] != "" {
								cfg.SecretFile = writeFile(t, "secret", secret[i])
							}
							links[i] = openLink(t, cfg)
						}
						mine, theirs := net.Pipe()
						if network == "tcp" {
							mine, theirs = tcpPair(t)
						}
						j := join(t, links[0], links[1], mine, theirs)
						if name == "different" {
							wantRefusal(t, "source", j.sourceErr, "shared secrets differ", "peer-secret-file")
							wantRefusal(t, "follower", j.followerErr, "shared secrets differ", "peer-secret-file")
							return
						}
						if j.sourceErr != nil || j.followerErr != nil {
							t.Fatalf("source %v, follower %v", j.sourceErr, j.followerErr)
						}
						want := "plain TCP"
						if protected {
							want = "TLS 1.3"
						}
						if name == "same" {
							want += ", shared secret"
						}
						if zstd[0] && zstd[1] {
							want += ", zstd"
						}
						if j.source.String() != want || j.follower.String() != want {
							t.Errorf("source %q, follower %q, want %q", j.source, j.follower, want)
						}
						j.exchange(t)
					})
				}
			}
		}
	}
}

// wantRefusal checks that one side gave up for good and says all of the words.
func wantRefusal(t *testing.T, side string, err error, words ...string) {
	t.Helper()
	no, ok := errors.AsType[*RefusedError](err)
	if !ok {
		t.Errorf("%s: got %v, want a *RefusedError", side, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(no.Reason, w) {
			t.Errorf("%s: reason %q does not say %q", side, no.Reason, w)
		}
	}
}

// What only one side has set is said on both, with the keys to set.
func TestLinkOneSided(t *testing.T) {
	ca := newAuthority(t)
	secret := LinkConfig{SecretFile: writeFile(t, "secret", "a shared secret of 16")}
	for name, c := range map[string]struct {
		source, follower       LinkConfig
		sourceSays, followSays []string
	}{
		"TLS of the source":      {ca.node(t, nil), LinkConfig{}, []string{"this node requires TLS", "peer-tls-cert"}, []string{"the peer requires TLS", "peer-tls-cert"}},
		"TLS of the follower":    {LinkConfig{}, ca.node(t, nil), []string{"the peer uses TLS", "peer-tls-cert"}, []string{"this node uses TLS and the peer does not", "peer-tls-cert"}},
		"secret of the source":   {secret, LinkConfig{}, []string{"this node has a shared secret", "peer-secret-file"}, []string{"the peer has a shared secret", "peer-secret-file"}},
		"secret of the follower": {LinkConfig{}, secret, []string{"the peer has a shared secret", "peer-secret-file"}, []string{"this node has a shared secret", "peer-secret-file"}},
	} {
		t.Run(name, func(t *testing.T) {
			mine, theirs := tcpPair(t) // a pipe cannot be written to while its other end writes
			j := join(t, openLink(t, c.source), openLink(t, c.follower), mine, theirs)
			wantRefusal(t, "source", j.sourceErr, c.sourceSays...)
			wantRefusal(t, "follower", j.followerErr, c.followSays...)
		})
	}
}

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Whoever is no follower is gone within the peer timeout, leaves one clear line, and cannot make the source read much.
func TestSourceRefusesForeigners(t *testing.T) {
	flood := func(b []byte) func(net.Conn) int {
		return func(conn net.Conn) int {
			n, _ := conn.Write(bytes.Repeat(b, 1<<20/len(b)))
			return n
		}
	}
	otherVersion := append([]byte(preambleMagic), 3, 0)
	for name, c := range map[string]struct {
		speak func(net.Conn) int // returns how many bytes the source took
		want  string
	}{
		"HTTP":              {flood([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), `not a follower: it began with \"GET / HTTP/1.1\\r\\n\"`},
		"memcached":         {flood([]byte("get a\r\n")), "not a follower"},
		"random bytes":      {flood([]byte{0xf7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), "not a follower"},
		"zeros":             {flood([]byte{0}), "not a follower"},
		"one byte":          {func(conn net.Conn) int { n, _ := conn.Write([]byte("x")); return n }, "not a follower"},
		"nothing":           {func(net.Conn) int { return 0 }, "not done within 3s"},
		"half an opening":   {func(conn net.Conn) int { n, _ := conn.Write((&opening{}).append(nil)[:30]); return n }, "not done within 3s"},
		"no proof":          {func(conn net.Conn) int { n, _ := conn.Write((&opening{}).append(nil)); return n }, "not done within 3s"},
		"end at once":       {func(conn net.Conn) int { conn.Close(); return 0 }, "read preamble: EOF"},
		"another version":   {flood(append(otherVersion, make([]byte, 100)...)), "speaks version 3 of the peer protocol, this node 2"},
		"nonsense after it": {flood(append(appendPrefix(nil), 0, 7, 0, 0, 0, 0)), "malformed preamble"},
		"TLS": {func(conn net.Conn) int {
			return int(must0(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake()))
		}, "the peer uses TLS and this node does not"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				pair := newCluster(t)
				pair.adapt = func(cfg *store.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
				n := pair.a()
				if err := n.start(); err != nil {
					t.Fatal(err)
				}
				defer pair.stop()
				for range 2 { // the second is not worth another line
					mine, theirs := net.Pipe()
					begin := time.Now()
					pair.wire.listeners["a"].conns <- theirs
					ended := make(chan struct{})
					go func() { // reads whatever the source says, until it closes
						defer close(ended)
						if name != "TLS" {
							io.Copy(io.Discard, mine)
						}
					}()
					took := c.speak(mine)
					<-ended
					mine.Close()
					if d := time.Since(begin); d > 3*time.Second {
						t.Errorf("it took %v", d)
					}
					if limit := lingerBytes + 4096; took > limit {
						t.Errorf("the source read %d bytes, want at most %d", took, limit)
					}
					if name == "another version" && took < lingerBytes {
						t.Errorf("the source read %d bytes of a peer that it answered, want %d: the answer may get lost", took, lingerBytes)
					}
				}
				synctest.Wait()
				lines := []string{}
				for line := range strings.Lines(log.String()) {
					if strings.Contains(line, "peer connection was refused") {
						lines = append(lines, line)
					}
				}
				if len(lines) != 1 || !strings.Contains(lines[0], c.want) || !strings.Contains(lines[0], "level=WARN") {
					t.Errorf("log %q, want one line with %q", lines, c.want)
				}
				if list := n.source.Followers(); len(list) != 0 {
					t.Errorf("followers %+v", list)
				}
			})
		})
	}
}

// must0 turns the expected failure of a handshake into no bytes.
func must0(err error) int {
	if err == nil {
		panic("a handshake with a source without TLS succeeded")
	}
	return 0
}

// A follower that is refused each second is logged once a minute, another one at once.
func TestRefusalsAreNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r refusals
		a, again, b := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 2}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 1}
		no := errors.New("no")
		for i, step := range []struct {
			from  net.Addr
			err   error
			pause time.Duration
			news  bool
		}{
			{a, no, time.Second, true}, {again, no, time.Second, false}, {again, errors.New("never"), 0, true}, {b, errors.New("never"), 0, true},
			{b, errors.New("never"), refusalPause, false}, {b, errors.New("never"), 0, true},
		} {
			if got := r.news(step.from, step.err); got != step.news {
				t.Errorf("step %d: got %v, want %v", i, got, step.news)
			}
			time.Sleep(step.pause)
		}
	})
}

// What is not a source is said to be none, and nothing is read from it for long.
func TestPullerMeetsForeigners(t *testing.T) {
	ca := newAuthority(t)
	say := func(text string) badPeer {
		return func(conn net.Conn) {
			go io.Copy(io.Discard, conn)
			io.WriteString(conn, text)
			time.Sleep(time.Minute)
		}
	}
	answerOf := func(a answer) string { return string(a.append(nil)) }
	liar := func(conn net.Conn) { // accepts any proof, knows no secret
		var b [openingSize + proofSize]byte
		io.ReadFull(conn, b[:openingSize])
		conn.Write((&answer{Secret: true}).append(nil))
		io.ReadFull(conn, b[openingSize:])
		conn.Write((&verdict{}).append(nil))
		time.Sleep(time.Minute)
	}
	secret := LinkConfig{SecretFile: writeFile(t, "secret", "a shared secret of 16")}
	otherVersion := preambleMagic + "\x01\x00"
	for name, c := range map[string]struct {
		link   LinkConfig
		peer   badPeer
		state  string
		reason string
	}{
		"HTTP":             {LinkConfig{}, say("HTTP/1.1 400 Bad Request\r\n\r\n"), "refused", `no peer port: it answered "HTTP/1.1 400 Bad": --peer must be`},
		"memcached":        {LinkConfig{}, say("ERROR\r\n"), "refused", `no peer port: it answered "ERROR\r\n"`},
		"no preamble":      {LinkConfig{}, say(string(appendJSON(nil, frameGreeting, greeting{}))), "refused", "no peer port"},
		"HTTP, TLS":        {ca.node(t, nil), say("HTTP/1.1 400 Bad Request\r\n\r\n"), "refused", "no peer port with TLS"},
		"silence":          {LinkConfig{}, say(""), "connecting", "not done within 3s"},
		"silence, TLS":     {ca.node(t, nil), say(""), "connecting", "not done within 3s"},
		"end":              {LinkConfig{}, func(conn net.Conn) { io.CopyN(io.Discard, conn, openingSize) }, "connecting", "read answer to the preamble: EOF"},
		"another version":  {LinkConfig{}, say(otherVersion), "refused", "speaks version 1 of the peer protocol, this node 2"},
		"unknown refusal":  {LinkConfig{}, say(answerOf(answer{Code: 99})), "refused", "reason 99"},
		"not offered":      {LinkConfig{}, say(answerOf(answer{Chosen: offerZstd})), "connecting", "malformed preamble"},
		"malformed":        {LinkConfig{}, say(string(appendPrefix(nil)) + strings.Repeat("\xff", answerSize)), "connecting", "malformed preamble"},
		"bad verdict":      {LinkConfig{}, say(answerOf(answer{}) + strings.Repeat("\x01", verdictSize)), "connecting", "malformed preamble"},
		"liar":             {secret, liar, "refused", "shared secrets differ"},
		"has no secret":    {secret, say(answerOf(answer{})), "refused", "this node has a shared secret and the peer has none"},
		"has a secret":     {LinkConfig{}, say(answerOf(answer{Secret: true})), "refused", "the peer has a shared secret and this node has none"},
		"reflected proofs": {secret, reflector, "refused", "shared secrets differ"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newCluster(t).a()
				st := openAlone(t, n)
				defer st.Close()
				followBad(t, n, PullerConfig{Store: st, Node: 1, Addr: "bad:1", Link: openLink(t, c.link)}, c.state, c.reason, c.peer)
			})
		})
	}
}

// reflector sends back what it gets.
func reflector(conn net.Conn) {
	var o, a [openingSize]byte
	var proof [proofSize]byte
	io.ReadFull(conn, o[:])
	copy(a[:], (&answer{Secret: true, Nonce: [nonceSize]byte(o[16:])}).append(nil))
	conn.Write(a[:])
	io.ReadFull(conn, proof[:])
	conn.Write((&verdict{Proof: proof}).append(nil))
	time.Sleep(time.Minute)
}

// protectedSide is one node of a pair over real connections.
type protectedSide struct {
	st   *store.Store
	src  *Source
	pul  *Puller
	link *Link
	log  logBuffer
}

// startProtected runs a pair whose nodes have the given links.
func startProtected(t *testing.T, cfgs [2]LinkConfig) [2]*protectedSide {
	t.Helper()
	var sides [2]*protectedSide
	var addrs [2]string
	for i := range sides {
		s := &protectedSide{}
		logger := slog.New(slog.NewTextHandler(&s.log, nil))
		c := store.DefaultConfig()
		c.FS, c.Node = vfs.Memory(), i+1
		var err error
		if s.st, err = store.Open(c); err != nil {
			t.Fatal(err)
		}
		if s.link, err = OpenLink(cfgs[i], logger); err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addrs[i], sides[i] = ln.Addr().String(), s
		s.src = NewSource(SourceConfig{Store: s.st, Node: i + 1, Link: s.link, Logger: logger}, ln)
		go s.src.Serve()
	}
	for i, s := range sides {
		s.pul = NewPuller(PullerConfig{Store: s.st, Node: i + 1, Addr: addrs[1-i], Link: s.link, Durable: true})
		s.pul.Start()
	}
	t.Cleanup(func() {
		for _, s := range sides {
			s.pul.Stop()
			s.src.Close()
			s.st.Close()
		}
	})
	return sides
}

func (s *protectedSide) set(t *testing.T, key, value string) {
	t.Helper()
	var res store.Result
	if err := s.st.Commit(&store.Request{Op: store.Set, Key: []byte(key), Value: []byte(value)}, &res); err != nil {
		t.Fatal(err)
	}
	s.st.Flush()
}

func (s *protectedSide) caughtUp() bool {
	ok, _ := s.pul.CaughtUp()
	return ok
}

// Two stores follow each other through everything at once, and go on with renewed certificates.
func TestPairOverProtectedLink(t *testing.T) {
	ca := newAuthority(t)
	var cfgs [2]LinkConfig
	for i := range cfgs {
		cfgs[i] = ca.node(t, nil)
		cfgs[i].SecretFile, cfgs[i].Compress = writeFile(t, "secret", "a shared secret of 16"), true
	}
	sides := startProtected(t, cfgs)
	wait(t, "both caught up", func() bool { return sides[0].caughtUp() && sides[1].caughtUp() })
	value := strings.Repeat("text that packs well, ", 50)
	for n := range 500 {
		sides[n%2].set(t, fmt.Sprintf("key%d", n), value)
	}
	both := func(items int) {
		t.Helper()
		wait(t, fmt.Sprintf("%d items on both", items), func() bool {
			return sides[0].st.Stats().Items == int64(items) && sides[1].st.Stats().Items == int64(items)
		})
	}
	both(500)
	for i, s := range sides {
		f := s.src.Followers()
		if len(f) != 1 || f[0].Link != "TLS 1.3, shared secret, zstd" || s.pul.Status().Link != f[0].Link {
			t.Fatalf("node %d: followers %+v, follows %+v", i+1, f, s.pul.Status())
		}
		if f[0].SentBytes < 250*1000 || f[0].WireBytes <= 0 || f[0].WireBytes > f[0].SentBytes/2 {
			t.Errorf("node %d: %d bytes sent, %d on the wire, want fewer than half", i+1, f[0].SentBytes, f[0].WireBytes)
		}
	}
	// Another authority, announced by bundles first as an operator would.
	next := newAuthority(t)
	for _, cfg := range cfgs {
		rewrite(t, cfg.TLSCA, ca.pem+next.pem)
	}
	for _, cfg := range cfgs {
		certPEM, keyPEM := next.issue(t, nil)
		rewrite(t, cfg.TLSCert, certPEM)
		rewrite(t, cfg.TLSKey, keyPEM)
		rewrite(t, cfg.TLSCA, next.pem+ca.pem)
	}
	links := sides[0].pul.Status().Links
	for _, s := range sides {
		s.pul.Drop()
	}
	sides[0].set(t, "renewed", value)
	both(501)
	wait(t, "another link", func() bool { return sides[0].pul.Status().Links > links })
	for i, s := range sides {
		if text := s.log.String(); !strings.Contains(text, "files of the peer link were read anew") {
			t.Errorf("node %d does not say that it read the files anew: %s", i+1, text)
		}
	}
}

// Nothing flows between nodes whose secrets or authorities differ, and both say why.
func TestPairRefusesStrangers(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	stranger := other.node(t, nil)
	for name, c := range map[string]struct {
		cfgs   [2]LinkConfig
		status string
		log    string
	}{
		"secret": {[2]LinkConfig{{SecretFile: writeFile(t, "secret", "a shared secret of 16")}, {SecretFile: writeFile(t, "secret", "another secret of 16")}}, "shared secrets differ", "shared secrets differ"},
		"CA":     {[2]LinkConfig{ca.node(t, nil), stranger}, "signed by unknown authority", "the peer ended TLS"},
		"TLS":    {[2]LinkConfig{ca.node(t, nil), {}}, "TLS", "TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			sides := startProtected(t, c.cfgs)
			for i, s := range sides {
				s.set(t, fmt.Sprintf("of %d", i), "value")
				wait(t, "refused with its reason", func() bool {
					st := s.pul.Status()
					return st.State == "refused" && strings.Contains(st.Reason, c.status)
				})
			}
			for i, s := range sides {
				wait(t, "refusal in the log", func() bool { return strings.Contains(s.log.String(), c.log) })
				if st := s.st.Stats(); st.Items != 1 || len(s.src.Followers()) != 0 {
					t.Errorf("node %d has %d items and followers %+v", i+1, st.Items, s.src.Followers())
				}
			}
		})
	}
}
