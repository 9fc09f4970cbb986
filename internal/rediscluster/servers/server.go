// Package servers makes Redis servers that run a cluster, and reads what they say of it. It keeps no picture of the cluster of
// its own, and does not run them: tests and measurements each do that in their way.
package servers

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Slots is how many slots a cluster has, whatever its size.
const Slots = 16384

// Server is one server, which may run or not.
type Server struct {
	// Addr is host:port for clients. The host is a number, for servers tell it to others.
	Addr string
	// ID is its name in the cluster, 40 hexadecimal digits, from Assemble on.
	ID string
	// BusPort is the port for the other servers, on the same host.
	BusPort int
	// Password is that of clients, and of the servers among themselves; empty for none.
	Password string
}

// dialTimeout and answerTimeout bound a command, so that one to a stopped server comes to an end.
const (
	dialTimeout   = 10 * time.Second
	answerTimeout = 30 * time.Second
)

// Args are the arguments of a redis-server that is to be this one, with its data in dir. nodeTimeout is how long a server may be
// silent before the others take it for dead. It keeps no data on disk.
func (s *Server) Args(dir string, nodeTimeout time.Duration) []string {
	host, port, _ := net.SplitHostPort(s.Addr) // without a port the server refuses to start and says why
	args := []string{
		"--bind", host, "--port", port, "--cluster-port", strconv.Itoa(s.BusPort), "--protected-mode", "no", "--dir", dir,
		"--cluster-enabled", "yes", "--cluster-announce-ip", host, "--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
		// Replicas stay with their master, which keeps its role when it has given away its last slot; they take its place however
		// long they have not heard of it.
		"--cluster-allow-replica-migration", "no", "--cluster-replica-validity-factor", "0",
		"--appendonly", "no", "--save", "", "--repl-diskless-sync-delay", "0",
	}
	if s.Password != "" {
		args = append(args, "--requirepass", s.Password, "--masterauth", s.Password)
	}
	return args
}

// Do sends a command on a connection of its own. The reply is what redigo's functions take: redis.String(s.Do("GET", "key")).
// An error of the server is a redis.Error: MOVED, ASK, CLUSTERDOWN. The error does not repeat the arguments.
func (s *Server) Do(command string, args ...any) (any, error) {
	conn, err := s.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, err := conn.Do(command, args...)
	if err != nil {
		return reply, fmt.Errorf("%s at %s: %w", command, s.Addr, err)
	}
	return reply, nil
}

// Dial opens a connection, for commands that belong together such as ASKING and the one behind it.
func (s *Server) Dial() (redis.Conn, error) {
	conn, err := redis.Dial("tcp", s.Addr, redis.DialPassword(s.Password),
		redis.DialConnectTimeout(dialTimeout), redis.DialReadTimeout(answerTimeout), redis.DialWriteTimeout(answerTimeout))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.Addr, err)
	}
	return conn, nil
}

// SlotOf returns the slot of a key as the server computes it.
func (s *Server) SlotOf(key string) (int, error) { return redis.Int(s.Do("CLUSTER", "KEYSLOT", key)) }

// info returns a line of a command whose reply is lines of name:value.
func (s *Server) info(command, name string) (string, error) {
	verb, arg, _ := strings.Cut(command, " ")
	text, err := redis.String(s.Do(verb, arg))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s at %s: no line %s", command, s.Addr, name)
}
