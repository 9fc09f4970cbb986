package rediscluster

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/futago/futago/internal/store"
)

// margin is by how much an operation may pass its timeout on a busy machine.
const margin = 8 * time.Second

// patience is how long a busy machine may take for anything.
const patience = time.Minute

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s", patience, what)
		}
	}
}

// fake is a node with all slots that knows no more commands than a store needs to begin, and then does as a test says.
type fake struct {
	net.Listener
	host, port string
	// answer returns the answer to GET, GETRANGE, EVALSHA and EVAL of a record; hang up says that none follows.
	answer  func(words []string) (text string, hangUp bool)
	records atomic.Int64           // such commands
	flushed atomic.Int64           // the time of the last flush_all
	away    atomic.Bool            // it closes each connection at once
	refusal atomic.Pointer[string] // the answer to CLUSTER; nil: it answers
	secret  atomic.Pointer[string] // the password; nil: none
	// slow holds back who asks for that, knowing how often this connection has asked before; nil holds nobody.
	slow          func(before int)
	wait          sync.WaitGroup
	secure        func() *tls.Config
	mu            sync.Mutex
	conns         []net.Conn
	present, most atomic.Int64 // connections: how many there are, and were at most
}

func startFake(t *testing.T) *fake {
	t.Helper()
	return startSecureFake(t, nil)
}

// startSecureFake starts one with TLS, which is asked for with each connection; nil: without.
func startSecureFake(t *testing.T, secure func() *tls.Config) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{Listener: l, secure: secure}
	f.host, f.port, _ = net.SplitHostPort(l.Addr().String())
	f.wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if f.secure != nil {
				conn = tls.Server(conn, f.secure())
			}
			f.mu.Lock()
			f.conns = append(f.conns, conn)
			f.mu.Unlock()
			f.wait.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for _, conn := range f.conns {
			conn.Close()
		}
		f.mu.Unlock()
		f.wait.Wait()
	})
	return f
}

// hangUp closes all connections.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		conn.Close()
	}
	f.conns = nil
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	f.most.Store(max(f.most.Load(), f.present.Add(1)))
	defer f.present.Add(-1)
	if f.away.Load() {
		return
	}
	r := bufio.NewReader(conn)
	asked := 0
	for {
		words, err := readCommand(r)
		if err != nil || len(words) == 0 {
			return
		}
		text, hangUp := "+OK\r\n", false
		switch verb := strings.ToUpper(words[0]); verb {
		case "HELLO":
			if secret := f.secret.Load(); secret != nil && (len(words) < 5 || words[4] != *secret) {
				text = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
				break
			}
			text = "%3\r\n+server\r\n+redis\r\n+version\r\n+7.0.15\r\n+proto\r\n:3\r\n"
		case "PING":
			text = "+PONG\r\n"
		case "CLUSTER":
			if refusal := f.refusal.Load(); refusal != nil {
				text = *refusal
				break
			}
			id := strings.Repeat("a", 40)
			if text = fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$%d\r\n%s\r\n:%s\r\n$40\r\n%s\r\n", len(f.host), f.host, f.port, id); strings.EqualFold(words[1], "nodes") {
				line := id + " " + f.Addr().String() + "@1 myself,master - 0 0 1 connected 0-16383\n"
				text = fmt.Sprintf("$%d\r\n%s\r\n", len(line), line)
			}
		case "GET", "GETRANGE", "EVALSHA", "EVAL":
			if verb == "GET" && strings.Contains(words[1], "flush:") {
				if f.slow != nil {
					f.slow(asked)
				}
				asked++
				if text = "_\r\n"; f.flushed.Load() != 0 {
					text = "+" + floor{version: f.flushed.Load(), active: f.flushed.Load()}.text() + "\r\n"
				}
				break
			}
			f.records.Add(1)
			text, hangUp = f.answer(words)
		}
		if _, err := io.WriteString(conn, text); err != nil || hangUp {
			return
		}
	}
}

// readCommand reads an array of strings.
func readCommand(r *bufio.Reader) (words []string, err error) {
	count, err := readLength(r, '*')
	for ; count > 0 && err == nil; count-- {
		var n int
		if n, err = readLength(r, '$'); err == nil {
			b := make([]byte, n+2)
			_, err = io.ReadFull(r, b)
			words = append(words, string(b[:n]))
		}
	}
	return words, err
}

func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q: want %c", line, kind)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if n < 0 || n > 1<<20 {
		return 0, fmt.Errorf("length %d", n)
	}
	return n, err
}

// openFake connects a front to a fake.
func openFake(t *testing.T, f *fake, timeout time.Duration, replicas int) *Store {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Addrs, cfg.Timeout, cfg.Replicas = []string{f.Addr().String()}, timeout, replicas
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestClose closes a store whose operations hang: they end by their timeout, and nothing is left behind.
func TestClose(t *testing.T) {
	f := startFake(t)
	hang := make(chan struct{})
	defer close(hang)
	f.answer = func([]string) (string, bool) {
		<-hang
		return "", true
	}
	const clients, timeout = 50, 2 * time.Second
	for replicas := range 2 {
		before := f.records.Load()
		s := openFake(t, f, timeout, replicas)
		var group sync.WaitGroup
		for i := range clients {
			group.Go(func() {
				key := fmt.Appendf(nil, "key%d", i)
				if err := s.Commit(&store.Request{Op: store.Set, Key: key}, new(store.Result)); !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnreached) {
					t.Errorf("set: %v", err)
				}
			})
		}
		await(t, "the node hangs", func() bool { return f.records.Load() > before })
		began := time.Now()
		s.Close()
		group.Wait()
		if took := time.Since(began); took > timeout+margin {
			t.Errorf("Close took %v", took)
		}
	}
	awaitNoGoroutines(t)
}

// awaitNoGoroutines waits until nothing of closed stores runs.
func awaitNoGoroutines(t *testing.T) {
	t.Helper()
	var left string
	defer func() {
		if t.Failed() {
			t.Logf("still there:\n%s", left)
		}
	}()
	await(t, "the goroutines of closed stores have ended", func() bool {
		b := make([]byte, 4<<20)
		left = string(b[:runtime.Stack(b, true)])
		return !strings.Contains(left, "valkey-go.") && !strings.Contains(left, "rediscluster.(*Store)") && !strings.Contains(left, "rediscluster.(*floors)")
	})
}

// TestRedirectStorm has nodes that send their clients round in circles.
func TestRedirectStorm(t *testing.T) {
	const timeout = 2 * time.Second
	var group sync.WaitGroup
	for _, word := range []string{"MOVED", "ASK"} {
		for _, self := range []bool{true, false} {
			for replicas := range 2 {
				what := fmt.Sprintf("%s, to itself: %v, wait=%d", word, self, replicas)
				a, b := startFake(t), startFake(t)
				to := map[*fake]*fake{a: b, b: a}
				if self {
					to[a] = a
				}
				for _, f := range []*fake{a, b} {
					f.answer = func([]string) (string, bool) {
						return fmt.Sprintf("-%s 1 %s\r\n", word, to[f].Addr()), false
					}
				}
				s := openFake(t, a, timeout, replicas)
				began := time.Now()
				group.Go(func() {
					var v store.View
					if s.Acquire([]byte("key"), &v) || !errors.Is(v.Fault, store.ErrUnreached) {
						t.Errorf("%s: get: %v", what, v.Fault)
					}
					if took := time.Since(began); took > timeout+margin {
						t.Errorf("%s: get took %v", what, took)
					}
				})
				group.Go(func() {
					// Unknown on a machine that stands still while the deadline passes: the last try was cut off.
					if err := commit(s, "key"); !errors.Is(err, store.ErrUnreached) && !errors.Is(err, store.ErrUnknown) {
						t.Errorf("%s: set: %v", what, err)
					}
					if took := time.Since(began); took > timeout+margin {
						t.Errorf("%s: set took %v", what, took)
					}
					if n := max(a.most.Load(), b.most.Load()); n > mostConns+int64(replicas)*mostWaiting {
						t.Errorf("%s: %d connections were open", what, n)
					}
					if n := a.records.Load() + b.records.Load(); n < 4 || n > 3000 {
						t.Errorf("%s: %d commands were sent", what, n)
					}
				})
			}
		}
	}
	group.Wait()
}

// TestLostAnswer has a node that takes a write and breaks the connection: it may have executed it.
func TestLostAnswer(t *testing.T) {
	for name, text := range map[string]string{"no answer": "", "half an answer": "$30\r\nS1234", "wrong answer": "$3\r\nfoo\r\n", "no protocol": "?\r\n", "error": "-ERR something else\r\n"} {
		for replicas := range 2 {
			t.Run(fmt.Sprintf("%s, wait=%d", name, replicas), func(t *testing.T) {
				t.Parallel()
				f := startFake(t)
				f.answer = func([]string) (string, bool) { return text, true }
				s := openFake(t, f, 300*time.Millisecond, replicas)
				if err := s.Commit(&store.Request{Op: store.Incr, Key: []byte("key"), Delta: 1}, new(store.Result)); !errors.Is(err, store.ErrUnknown) {
					t.Errorf("incr: %v", err)
				}
				if n := f.records.Load(); n != 1 {
					t.Errorf("the write was sent %d times", n)
				}
				began := time.Now()
				var v store.View
				if s.Acquire([]byte("key"), &v) || v.Fault == nil {
					t.Errorf("get: %v", v.Fault)
				}
				if took := time.Since(began); took > s.cfg.Timeout+margin {
					t.Errorf("get took %v", took)
				}
			})
		}
	}
}

// TestFlushDuringRepetition has a flush_all come while a write is repeated: it must not be executed as if there had been none.
func TestFlushDuringRepetition(t *testing.T) {
	f := startFake(t)
	const flushed = 12345
	f.answer = func(words []string) (string, bool) {
		const at = 1 + 2 + 4 + 8 // of the floor in the packed request
		if binary.BigEndian.Uint64([]byte(words[4])[at:]) == flushed {
			return "$1\r\nN\r\n", false
		}
		f.flushed.Store(flushed)
		return "-CLUSTERDOWN The cluster is down\r\n", false
	}
	s := openFake(t, f, time.Minute, 0)
	if err := s.Commit(&store.Request{Op: store.Incr, Key: []byte("key"), Delta: 1}, new(store.Result)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("incr: %v, want %v", err, store.ErrNotFound)
	}
	if s.Counts().Repeated == 0 {
		t.Error("nothing was repeated")
	}
}

// TestFlushDuringWrite has a flush_all come while a write is on its way for longer than a lease: it may have been executed after that, as if there had
// been none. One that is answered in time is not in doubt.
func TestFlushDuringWrite(t *testing.T) {
	f := startFake(t)
	var s *Store
	slow := true
	f.answer = func([]string) (string, bool) {
		if slow {
			f.flushed.Store(12345)
			for time.Now().Before(s.floors.known.Load().until) { // the lease under which the write was sent
				time.Sleep(time.Millisecond)
			}
		}
		return written, false
	}
	s = openFake(t, f, patience, 0)
	if err := commit(s, "k"); !errors.Is(err, store.ErrUnknown) {
		t.Errorf("set: %v, want %v", err, store.ErrUnknown)
	}
	slow = false
	if err := commit(s, "k"); err != nil {
		t.Errorf("set after that: %v", err)
	}
	if n := s.Counts().Unknown; n != 1 {
		t.Errorf("%d unknown, want 1", n)
	}
}

// TestCountsOnce has operations fail in every way: each is counted once, whatever was tried.
func TestCountsOnce(t *testing.T) {
	f := startFake(t)
	f.answer = func([]string) (string, bool) { return "-CLUSTERDOWN The cluster is down\r\n", false }
	s := openFake(t, f, 500*time.Millisecond, 0)
	check := func(when string) {
		t.Helper()
		before := s.Counts()
		var v store.View
		s.Acquire([]byte("k"), &v)
		err := commit(s, "k")
		writes := []store.Write{{Request: &store.Request{Op: store.Set, Key: []byte("k2")}, Result: new(store.Result)}}
		s.Together([]store.Read{{Key: []byte("k")}}, 100, writes)
		unknown := uint64(0)
		for _, err := range []error{err, writes[0].Err} {
			if errors.Is(err, store.ErrUnknown) { // a machine that stood still
				unknown++
			}
		}
		after := s.Counts()
		if got := after.Unreached - before.Unreached; got != 4-unknown || after.Unknown-before.Unknown != unknown {
			t.Errorf("%s: %d unreached, %d unknown, want %d, %d", when, got, after.Unknown-before.Unknown, 4-unknown, unknown)
		}
	}
	check("the cluster is down")
	f.away.Store(true)
	f.hangUp()
	await(t, "the lease is over", func() bool { return time.Now().After(s.floors.known.Load().until) })
	check("nobody says what flush_all left")
}

// TestMoreThanPlaces has more commands wait for a node than its connection has places, and the node answer so slowly that the last ones would wait for
// minutes: all end by their timeout.
func TestMoreThanPlaces(t *testing.T) {
	const clients, timeout = 1500, 2 * time.Second
	f := startFake(t)
	ended := make(chan struct{})
	f.answer = func([]string) (string, bool) {
		select {
		case <-ended:
		case <-time.After(time.Second):
		}
		return written, false
	}
	s := openFake(t, f, timeout, 0)
	began := time.Now()
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			if err := commit(s, fmt.Sprintf("k%d", i)); err != nil && !errors.Is(err, store.ErrUnknown) && !errors.Is(err, store.ErrUnreached) {
				t.Errorf("set: %v", err)
			}
		})
	}
	group.Wait()
	if took := time.Since(began); took > timeout+margin {
		t.Errorf("%d writes took %v", clients, took)
	}
	// All places are taken by what was given up.
	began = time.Now()
	s.SweepFlush()
	if _, err := s.FlushAll(0); err == nil {
		t.Error("flush_all succeeded")
	}
	var v store.View
	if found := s.Acquire([]byte("k0"), &v); found || !errors.Is(v.Fault, store.ErrUnreached) {
		t.Errorf("get: found %v, %v", found, v.Fault)
	}
	if took := time.Since(began); took > 2*timeout+margin {
		t.Errorf("what came after them took %v", took)
	}
	close(ended)
	var calls atomic.Int64
	calls.Store(mostUnderWay)
	busy := bounded{s.client, &calls}
	for _, err := range []error{
		busy.Do(t.Context(), busy.B().Get().Key("k").Build()).Error(), busy.DoMulti(t.Context(), busy.B().Get().Key("k").Build())[0].Error(),
	} {
		if fate, fault := judge(err); fate != refused || fault != store.ErrUnreached {
			t.Errorf("one call too many: %v", err)
		}
	}
}

// TestSlowFloor has one answer about flush_all come late, and the others never: one is enough whenever it comes.
func TestSlowFloor(t *testing.T) {
	f := startFake(t)
	hang := make(chan struct{})
	defer close(hang)
	cfg := DefaultConfig()
	cfg.Addrs, cfg.Timeout, cfg.Lease = []string{f.Addr().String()}, 3*margin, time.Second
	f.slow = func(before int) {
		if before == 0 {
			time.Sleep(cfg.Lease * 6 / 10)
			return
		}
		<-hang
	}
	began := time.Now()
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if took := time.Since(began); took > margin {
		t.Errorf("it waited %v for those that never answer", took)
	}
}
