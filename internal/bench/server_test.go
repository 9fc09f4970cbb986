package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/futago/futago/internal/tyrant"
)

// serveVariable makes the test program a memcached-like server on the port that it names.
const serveVariable = "FUTAGO_BENCH_TEST_SERVE"

func TestMain(m *testing.M) {
	if port := os.Getenv(serveVariable); port != "" {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		(&fakeServer{protocol: Memcache}).serve(l)
		os.Exit(0)
	}
	if os.Getenv(nodeVariable) != "" {
		fmt.Fprintln(os.Stderr, serveNode(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// fakeServer knows as much of the protocols as the generator sends.
type fakeServer struct {
	protocol string
	// before is called before each reply with the number of the request, from 1; an answer that is not
	// empty replaces the reply. nil for none.
	before func(n int) (instead string)
	// stored is called for each set before its reply; nil for none.
	stored func(key, value string)

	mu       sync.Mutex
	values   map[string]string
	requests int
}

// start serves on a free loopback port until the test ends.
func (s *fakeServer) start(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		s.serve(l)
		close(done)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

// serve returns when the listener is closed and all connections have ended.
func (s *fakeServer) serve(l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer nc.Close()
			s.session(nc)
		})
	}
}

func (s *fakeServer) session(nc net.Conn) {
	r := bufio.NewReader(nc)
	w := bufio.NewWriter(nc)
	for {
		var reply string
		var ok bool
		protocol := s.protocol
		if first, err := r.Peek(1); err == nil && first[0] == 0xC8 {
			protocol = Tyrant // beside the other, as at a node
		}
		switch protocol {
		case Memcache:
			reply, ok = s.memcache(r)
		case Meta:
			reply, ok = s.meta(r)
		case Binary:
			reply, ok = s.binary(r)
		case Redis:
			reply, ok = s.redis(r)
		case HTTP:
			reply, ok = s.http(r)
		case Tyrant:
			reply, ok = s.tyrant(r)
		}
		if !ok {
			return
		}
		s.mu.Lock()
		s.requests++
		n := s.requests
		s.mu.Unlock()
		if s.before != nil {
			if instead := s.before(n); instead == "close" {
				return
			} else if instead != "" {
				reply = instead
			}
		}
		w.WriteString(reply)
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

// seen returns how many keys are set and how many requests came.
func (s *fakeServer) seen() (keys, requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values), s.requests
}

func (s *fakeServer) get(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	return v, ok
}

func (s *fakeServer) set(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = make(map[string]string)
	}
	s.values[key] = value
}

// add increments a counter; ok is false when it is not there.
func (s *fakeServer) add(key string) (sum string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		return "", false
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		panic("increment of a value: " + v)
	}
	s.values[key] = strconv.Itoa(n + 1)
	return s.values[key], true
}

func (s *fakeServer) memcache(r *bufio.Reader) (reply string, ok bool) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", false
	}
	words := strings.Fields(line)
	if words[0] == "set" {
		size, err := strconv.Atoi(words[4])
		if err != nil {
			return "", false
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil || !strings.HasSuffix(string(b), "\r\n") {
			return "", false
		}
		s.set(words[1], string(b[:size]))
		if s.stored != nil {
			s.stored(words[1], string(b[:size]))
		}
		return "STORED\r\n", true
	}
	if words[0] == "incr" {
		if sum, ok := s.add(words[1]); ok && words[2] == "1" {
			return sum + "\r\n", true
		}
		return "NOT_FOUND\r\n", true
	}
	for _, key := range words[1:] {
		if v, ok := s.get(key); ok {
			reply += fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\n", key, len(v), v)
		}
	}
	return reply + "END\r\n", true
}

func (s *fakeServer) redis(r *bufio.Reader) (reply string, ok bool) {
	var n int
	if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
		return "", false
	}
	var words []string
	for range n {
		var size int
		if _, err := fmt.Fscanf(r, "$%d\r\n", &size); err != nil {
			return "", false
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", false
		}
		words = append(words, string(b[:size]))
	}
	if words[0] == "SET" {
		s.set(words[1], words[2])
		return "+OK\r\n", true
	}
	if words[0] == "INCRBY" {
		sum, _ := s.add(words[1])
		return ":" + sum + "\r\n", true
	}
	if words[0] == "WAIT" {
		return ":1\r\n", true
	}
	if words[0] == "MGET" {
		reply = fmt.Sprintf("*%d\r\n", len(words)-1)
	}
	for _, key := range words[1:] {
		if v, ok := s.get(key); ok {
			reply += fmt.Sprintf("$%d\r\n%s\r\n", len(v), v)
		} else {
			reply += "$-1\r\n"
		}
	}
	return reply, true
}

func (s *fakeServer) http(r *bufio.Reader) (reply string, ok bool) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return "", false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return "", false
	}
	if req.Method == http.MethodPut {
		s.set(req.URL.Path, string(body))
		return "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", true
	}
	v, ok := s.get(req.URL.Path)
	if !ok {
		return "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", true
	}
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(v), v), true
}

func (s *fakeServer) tyrant(r *bufio.Reader) (reply string, ok bool) {
	var d tyrant.Decoder
	var req tyrant.Request
	var b []byte
	for {
		_, need, err := d.Decode(b, &req)
		if err == nil {
			break
		}
		more := make([]byte, max(1, need-len(b)))
		if _, err := io.ReadFull(r, more); err != nil {
			return "", false
		}
		b = append(b, more...)
	}
	var out []byte
	switch key := string(req.Key); req.Command {
	case tyrant.Put:
		s.set(key, string(req.Value))
		out = tyrant.AppendStatus(nil, true)
	case tyrant.AddInt:
		v, _ := s.get(key)
		b := []byte(v)
		sum := binary.NativeEndian.Uint32(b) + uint32(req.Num)
		binary.NativeEndian.PutUint32(b, sum)
		s.set(key, string(b))
		out = tyrant.AppendInt(nil, int32(sum))
	case tyrant.Get:
		if v, ok := s.get(key); ok {
			out = tyrant.AppendValue(nil, []byte(v))
		} else {
			out = tyrant.AppendStatus(nil, false)
		}
	case tyrant.MGet:
		list, at := tyrant.BeginList(nil)
		n := 0
		for _, key := range req.Args {
			if v, ok := s.get(string(key)); ok {
				list = tyrant.AppendRecord(list, key, []byte(v))
				n++
			}
		}
		tyrant.EndList(list, at, true, n)
		out = list
	case tyrant.FwmKeys:
		keys := s.withPrefix(key)
		out = tyrant.AppendList(nil, true, len(keys))
		for _, key := range keys {
			out = tyrant.AppendElement(out, []byte(key))
		}
	default:
		return "", false
	}
	return string(out), true
}

func (s *fakeServer) withPrefix(prefix string) (keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.values {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
