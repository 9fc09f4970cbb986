package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// cacheServer answers memcached's text protocol as far as the client tools speak it. It belongs to one
// script, which sees its address as FUTAGO_ADDR.
type cacheServer struct {
	listener net.Listener
	mu       sync.Mutex
	items    map[string]cacheItem
	cas      uint64
}

// maxCacheValue is the largest value that a cacheServer takes, in bytes.
const maxCacheValue = 1 << 20

type cacheItem struct {
	value, flags string
	// exptime is what the client sent: scripts read it back with the command `exptime`.
	exptime string
	cas     uint64
}

func startCacheServer() (*cacheServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &cacheServer{listener: listener, items: map[string]cacheItem{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s, nil
}

func (s *cacheServer) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, s.answer(strings.Fields(line), r)); err != nil {
			return
		}
	}
}

func (s *cacheServer) answer(args []string, r *bufio.Reader) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := ""
	if len(args) > 1 {
		key = args[1]
	}
	item, exists := s.items[key]
	switch verb := args[0]; verb {
	case "version":
		return "VERSION 1.6.0\r\n"
	case "get", "gets":
		var reply strings.Builder
		for _, key := range args[1:] {
			item, exists := s.items[key]
			if !exists {
				continue
			}
			cas := ""
			if verb == "gets" {
				cas = fmt.Sprintf(" %d", item.cas)
			}
			fmt.Fprintf(&reply, "VALUE %s %s %d%s\r\n%s\r\n", key, item.flags, len(item.value), cas, item.value)
		}
		return reply.String() + "END\r\n"
	case "set", "add":
		size, err := strconv.Atoi(args[4])
		if err != nil || size > maxCacheValue {
			io.CopyN(io.Discard, r, int64(size)+2)
			return "SERVER_ERROR object too large for cache\r\n"
		}
		data := make([]byte, size+2)
		if _, err := io.ReadFull(r, data); err != nil {
			return ""
		}
		if verb == "add" && exists {
			return "NOT_STORED\r\n"
		}
		s.cas++
		s.items[key] = cacheItem{value: string(data[:size]), flags: args[2], exptime: args[3], cas: s.cas}
		return "STORED\r\n"
	}
	if !exists {
		return "NOT_FOUND\r\n"
	}
	switch verb := args[0]; verb {
	case "delete":
		delete(s.items, key)
		return "DELETED\r\n"
	case "touch":
		item.exptime = args[2]
		s.items[key] = item
		return "TOUCHED\r\n"
	case "incr", "decr":
		number, err := strconv.ParseUint(item.value, 10, 64)
		if err != nil {
			return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
		}
		delta, _ := strconv.ParseUint(args[2], 10, 64)
		if verb == "incr" {
			number += delta
		} else {
			number -= min(delta, number)
		}
		item.value = strconv.FormatUint(number, 10)
		s.items[key] = item
		return item.value + "\r\n"
	}
	return "ERROR\r\n"
}

// startAdminServer serves body as the status document of a node.
func startAdminServer(body string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/status" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, body)
	}))
}

// closedAddr is an address of this machine that refuses connections.
func closedAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
